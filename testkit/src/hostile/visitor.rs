//! An honest peer that asks: what it gets is what the victim's other peers get.

use super::{
    Block, Book, Peer, Raw, Stream, Trouble, Victim, soon,
    wire::{BLOCK_SYNC, BlockStatus, GetHeaders, HEADER_SYNC, HeaderStatus, Hello, Page, get_blocks},
};
use std::time::Duration;
use tokio::time::sleep;

/// Pause before a block is asked for again that a node has not written down yet: nothing on the wire says when it has.
const AGAIN: Duration = Duration::from_millis(20);

/// An honest peer with both streams open and Statuses exchanged.
#[derive(Debug)]
pub struct Visitor {
    raw: Raw,
    peer: Peer,
    headers: Stream,
    blocks: Stream,
    has: HeaderStatus,
    holds: BlockStatus,
    next_id: u64,
}

impl Visitor {
    /// Dials the victim and opens both streams.
    ///
    /// # Errors
    ///
    /// The victim does not meet us in order.
    pub async fn meet(victim: Victim, seed: &[u8; 32]) -> Result<Self, Trouble> {
        Self::meet_as(Raw::bind(seed, victim.name.addr)?, victim).await
    }

    /// Dials the victim from where we are bound, and opens both streams.
    ///
    /// # Errors
    ///
    /// The victim does not meet us in order.
    pub async fn meet_as(raw: Raw, victim: Victim) -> Result<Self, Trouble> {
        let hello = Hello::honest(victim.network, victim.genesis, raw.name()?.id);
        let mut peer = raw.dial(victim, &hello).await?;
        let mut headers = peer.stream(HEADER_SYNC).await?;
        headers.say(&HeaderStatus::client(victim.genesis).bytes()).await?;
        let mut blocks = peer.stream(BLOCK_SYNC).await?;
        blocks.say(&BlockStatus::serving(0, victim.genesis).bytes()).await?;
        let has = headers.hear_a(1).await?;
        let has =
            HeaderStatus::read(&has).ok_or_else(|| Trouble::of("a header Status that cannot be read"))?;
        let holds = blocks.hear_a(1).await?;
        let holds =
            BlockStatus::read(&holds).ok_or_else(|| Trouble::of("a block Status that cannot be read"))?;
        Ok(Self { raw, peer, headers, blocks, has, holds, next_id: 1 })
    }

    /// The victim's headers, from its finalized block to its tip as of our arrival: all linked.
    ///
    /// # Errors
    ///
    /// A page does not come, or does not fit.
    pub async fn book(&mut self) -> Result<Book, Trouble> {
        let mut book = Book::above(self.has.anchor_height, self.has.anchor);
        while book.tip() != (self.has.tip_height, self.has.tip) {
            let (height, last) = book.tip();
            let request =
                GetHeaders::new(self.next_id, self.has.tip, vec![last], self.has.max_headers.min(1_000));
            self.next_id += 1;
            self.headers.say(&request.bytes()).await?;
            let page = self.headers.hear_a(3).await?;
            let page = Page::read(&page, self.peer.victim.header_bytes());
            let page = page.filter(|page| page.id == request.id && page.ancestor == last && page.count > 0);
            let page = page.ok_or_else(|| Trouble::of(format!("no page after header {height}")))?;
            for header in page.headers {
                let block = Block::header(header);
                if block.parent() != Some(book.tip().1) {
                    return Err(Trouble::of(format!("the header after {} does not link", book.tip().0)));
                }
                book.push(block);
            }
        }
        Ok(book)
    }

    /// Completes a header request and a block request.
    ///
    /// # Errors
    ///
    /// What did not come, or was wrong.
    pub async fn asks(&mut self) -> Result<(), Trouble> {
        let book = self.book().await?;
        let (height, hash) = (self.holds.high, self.holds.hash);
        if book.at(height).is_some_and(|block| block.hash != hash) {
            return Err(Trouble::of("the victim's headers and bodies are of two chains"));
        }
        self.block(height, hash).await
    }

    /// Gets one block, as soon as the victim has it.
    ///
    /// # Errors
    ///
    /// It does not come.
    pub async fn block(&mut self, height: u32, hash: [u8; 32]) -> Result<(), Trouble> {
        let header_bytes = self.peer.victim.header_bytes();
        let got = async {
            loop {
                self.blocks.say(&get_blocks(height, 1)).await?;
                let answer = loop {
                    let payload = self.blocks.hear().await?;
                    if payload.first() != Some(&1) {
                        break payload;
                    }
                };
                match answer.split_first() {
                    Some((3, raw)) if Block::whole(raw.to_vec(), header_bytes).hash == hash => break,
                    Some((3, _)) => return Err(Trouble::of(format!("another block than {height}"))),
                    Some(_) | None => sleep(AGAIN).await,
                }
            }
            self.blocks.hear_a(4).await.map(drop)
        };
        soon(&format!("block {height}"), got).await?
    }

    /// Leaves in order.
    pub async fn leave(self) {
        self.raw.leave().await;
    }
}
