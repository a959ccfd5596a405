//! A peer that serves a book, honestly or as its script says.

use super::{
    Book, Peer, Raw, Stream, Trouble, Victim,
    peer::closed,
    wire::{BLOCK_SYNC, Cursor, GetHeaders, HEADER_SYNC, Hello, blocks_done, outcome, range_unavailable},
};

/// What the victim says to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It wants headers.
    Headers(GetHeaders),
    /// It wants bodies.
    Bodies {
        /// From here.
        start: u32,
        /// So many.
        count: u32,
    },
    /// Something else.
    Nothing,
}

/// A peer that advertises a book.
#[derive(Debug)]
pub struct Server {
    raw: Raw,
    peer: Peer,
    /// Header sync.
    pub headers: Stream,
    /// Block sync.
    pub blocks: Stream,
    /// What it serves.
    pub book: Book,
}

impl Server {
    /// Dials the victim and tells it what there is.
    ///
    /// # Errors
    ///
    /// The victim does not meet us in order.
    pub async fn meet(victim: Victim, seed: &[u8; 32], book: Book) -> Result<Self, Trouble> {
        let raw = Raw::bind(seed, victim.name.addr)?;
        let hello = Hello::honest(victim.network, victim.genesis, raw.name()?.id);
        let peer = raw.dial(victim, &hello).await?;
        Self::over(raw, peer, book).await
    }

    /// Tells a victim that was met what there is.
    ///
    /// # Errors
    ///
    /// A stream does not come about.
    pub(super) async fn over(raw: Raw, mut peer: Peer, book: Book) -> Result<Self, Trouble> {
        let mut headers = peer.stream(HEADER_SYNC).await?;
        headers.say(&book.header_status().bytes()).await?;
        let mut blocks = peer.stream(BLOCK_SYNC).await?;
        blocks.say(&book.block_status().bytes()).await?;
        Ok(Self { raw, peer, headers, blocks, book })
    }

    /// Who we are.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub fn id(&self) -> Result<[u8; 32], Trouble> {
        Ok(self.raw.name()?.id)
    }

    /// The victim's next wish. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The victim has ended a stream or the connection.
    pub async fn next(&mut self) -> Result<Asked, Trouble> {
        let payload = tokio::select! {
            biased;
            payload = self.headers.hear() => payload?,
            payload = self.blocks.hear() => match Bodies::read(&payload?) {
                Some(Bodies(start, count)) => return Ok(Asked::Bodies { start, count }),
                None => return Ok(Asked::Nothing),
            },
        };
        Ok(GetHeaders::read(&payload).map_or(Asked::Nothing, Asked::Headers))
    }

    /// Answers as an honest peer would.
    ///
    /// # Errors
    ///
    /// The victim takes nothing.
    pub async fn answer(&mut self, asked: &Asked) -> Result<(), Trouble> {
        match asked {
            Asked::Headers(request) => {
                let page = self.book.page(request).map(|page| page.bytes());
                self.headers.say(&page.unwrap_or_else(|| outcome(request.id, request.target, 1))).await
            }
            Asked::Bodies { start, count } => {
                let bodies: Vec<_> =
                    self.book.bodies(*start, *count).into_iter().map(<[u8]>::to_vec).collect();
                self.bodies(*start, *count, bodies).await
            }
            Asked::Nothing => Ok(()),
        }
    }

    /// Answers with these bodies, and ends the answer in order.
    ///
    /// # Errors
    ///
    /// The victim takes nothing.
    pub async fn bodies(&mut self, start: u32, count: u32, bodies: Vec<Vec<u8>>) -> Result<(), Trouble> {
        for raw in &bodies {
            self.blocks.say(&[&[3][..], raw].concat()).await?;
        }
        let sent = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
        let end = if sent == 0 { range_unavailable(start, count) } else { blocks_done(start, sent) };
        self.blocks.say(&end).await
    }

    /// Serves honestly until the victim ends it.
    pub async fn serve(&mut self) -> Trouble {
        loop {
            let asked = match self.next().await {
                Ok(asked) => asked,
                Err(end) => return end,
            };
            if let Err(end) = self.answer(&asked).await {
                return end;
            }
        }
    }

    /// The connection and both streams, to be held without a word.
    pub(super) fn into_parts(self) -> (Peer, [Stream; 2]) {
        (self.peer, [self.headers, self.blocks])
    }

    /// Waits until the victim has closed the connection. A stream may end a moment before it, and whoever closes then is
    /// the one who closed.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn closed(self) -> Result<(), Trouble> {
        closed(&self.peer.connection).await.map(drop)
    }

    /// Leaves in order.
    pub async fn leave(self) {
        self.raw.leave().await;
    }
}

/// A request for bodies, as it is read.
struct Bodies(u32, u32);

impl Bodies {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut from = Cursor(payload);
        (from.u8()? == 2).then_some(())?;
        Some(Self(from.u32()?, from.u32()?))
    }
}
