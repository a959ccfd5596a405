//! Block sync by somebody who asks and claims what nobody may (wire 5.3).

use crate::hostile::{
    Act, Ending, Needs,
    Outcome::{self, Kept, Parked, Violation},
    Run, Scene, Seen, Stream, Trouble,
    wire::{BLOCK_SYNC, BlockStatus, blocks_done, get_blocks, range_unavailable},
};

/// Useless messages that nobody need bear.
const USELESS: usize = 1_000;

pub(super) fn acts() -> Vec<Act> {
    let act = |name, breaks, what, expected: Outcome, run: Run| Act {
        name,
        breaks,
        what,
        needs: Needs::Nothing,
        expected,
        run,
    };
    vec![
        act("blocks/ask-nothing", "wire 5.3", "a request for no body", Violation("GetBlocks"), |scene| {
            Box::pin(says(scene, get_blocks(1, 0)))
        }),
        act("blocks/ask-129", "wire 5.3", "a request for 129 bodies", Violation("GetBlocks"), |scene| {
            Box::pin(says(scene, get_blocks(1, 129)))
        }),
        act(
            "blocks/ask-no-height",
            "wire 5.3",
            "a request at height 2^32 - 1",
            Violation("GetBlocks"),
            |scene| Box::pin(says(scene, get_blocks(u32::MAX, 1))),
        ),
        act(
            "blocks/ask-trailing-byte",
            "wire 5.3",
            "a request and one byte",
            Violation("message.length"),
            |scene| Box::pin(says(scene, [&get_blocks(1, 1)[..], &[0]].concat())),
        ),
        act("blocks/done-zero", "wire 5.3", "an end of no bodies", Violation("BlocksDone"), |scene| {
            Box::pin(says(scene, blocks_done(1, 0)))
        }),
        act(
            "blocks/unavailable-129",
            "wire 5.3",
            "129 bodies are refused",
            Violation("RangeUnavailable"),
            |scene| Box::pin(says(scene, range_unavailable(1, 129))),
        ),
        act("blocks/empty-body", "wire 5.3", "a block of no bytes", Violation("Block"), |scene| {
            Box::pin(says(scene, vec![3]))
        }),
        act(
            "blocks/garbage",
            "wire 4.9",
            "a block that does not begin with a header",
            Violation("block header"),
            |scene| Box::pin(says(scene, vec![3; 100])),
        ),
        act(
            "blocks/status-no-height",
            "wire 5.3",
            "bodies up to height 2^32 - 1",
            Violation("Status.high"),
            |scene| Box::pin(says(scene, BlockStatus::serving(u32::MAX, [1; 32]).bytes())),
        ),
        act("blocks/ask-before-status", "wire 5.3", "a request before our Status", Kept, |scene| {
            Box::pin(early(scene))
        }),
        act(
            "blocks/status-highest",
            "threats HS03",
            "bodies up to the highest height there is",
            Kept,
            |scene| Box::pin(claims(scene, |_| BlockStatus::serving(0x7fff_ffff, [1; 32]).bytes())),
        ),
        act("blocks/status-upside-down", "wire 5.3", "a lowest body above the highest", Kept, |scene| {
            Box::pin(claims(scene, |_| BlockStatus { low: 9, ..BlockStatus::serving(5, [1; 32]) }.bytes()))
        }),
        act("blocks/status-zero-caps", "wire 5.3", "answers of no bodies and no bytes", Kept, |scene| {
            Box::pin(claims(scene, |scene| {
                let (high, hash) = scene.book.tip();
                let caps = (0, 0, 0);
                let (max_blocks, max_requests, max_bytes) = caps;
                BlockStatus { low: 0, high, hash, max_blocks, max_requests, max_bytes }.bytes()
            }))
        }),
        act("blocks/unasked-body", "wire 5.3", "a block that nobody asked for", Kept, |scene| {
            Box::pin(claims(scene, |scene| {
                // A header alone is how it begins; what follows is never looked at.
                let header = scene.book.at(scene.book.tip().0).map(|block| block.header.clone());
                [&[3][..], &header.unwrap_or_default(), &[1, 2, 3]].concat()
            }))
        }),
        act("blocks/unasked-end", "wire 5.3", "the end of no answer", Kept, |scene| {
            Box::pin(claims(scene, |_| blocks_done(2, 1)))
        }),
        act("blocks/useless-flood", "threats 4.3", "1,000 ends of no answer", Parked, |scene| {
            Box::pin(useless(scene))
        }),
    ]
}

/// Says one message that costs the connection.
async fn says(scene: Scene, message: Vec<u8>) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut blocks = introduced(&scene, peer.stream(BLOCK_SYNC).await?).await?;
    blocks.say(&message).await?;
    peer.closed().await
}

/// A block-sync stream on which both have said what they have.
async fn introduced(scene: &Scene, mut blocks: Stream) -> Result<Stream, Trouble> {
    blocks.say(&BlockStatus::serving(0, scene.victim.genesis).bytes()).await?;
    blocks.hear_a(1).await?;
    Ok(blocks)
}

/// Says something of no use, and is still served.
async fn claims(scene: Scene, message: impl FnOnce(&Scene) -> Vec<u8> + Send) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut blocks = introduced(&scene, peer.stream(BLOCK_SYNC).await?).await?;
    blocks.say(&message(&scene)).await?;
    served(&mut blocks, scene.book.tip().0).await?;
    Ok(peer.stays(Seen::Kept, [blocks]))
}

/// Gets the body at a height.
async fn served(blocks: &mut Stream, height: u32) -> Result<(), Trouble> {
    blocks.say(&get_blocks(height, 1)).await?;
    blocks.hear_a(3).await?;
    blocks.hear_a(4).await.map(drop)
}

/// Asks before it has said what it has: that request is dropped, the next one is not.
async fn early(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut blocks = peer.stream(BLOCK_SYNC).await?;
    blocks.say(&get_blocks(1, 1)).await?;
    let mut blocks = introduced(&scene, blocks).await?;
    let tip = scene.book.tip().0;
    blocks.say(&get_blocks(tip, 1)).await?;
    let first = blocks.hear_a(3).await?;
    let header = scene.book.at(tip).map(|block| block.header.as_slice()).unwrap_or_default();
    if !first.get(1..).is_some_and(|raw| raw.starts_with(header)) {
        return Err(Trouble::of("what was asked before the Status was answered"));
    }
    Ok(peer.stays(Seen::Kept, [blocks]))
}

async fn useless(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut blocks = introduced(&scene, peer.stream(BLOCK_SYNC).await?).await?;
    for _ in 0..USELESS {
        blocks.say(&blocks_done(2, 1)).await?;
    }
    let seen = blocks.fate().await?;
    Ok(peer.stays(seen, [blocks]))
}
