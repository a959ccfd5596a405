//! Peers that begin and do not go on, at every stage (wire 2.1, 4.2, 4.3; threats 1.8).
//!
//! These wait on real time: 5 s for a handshake, 3 s for a prelude, 10 s for a frame. A page may take 30 s and a peer
//! without progress 32 s before it is parked; that end of it is tested in virtual time, here it is seen that nobody else
//! waits and nobody is blamed.

use super::bodies::{server, wanted};
use crate::hostile::{
    Act, Ending, Needs,
    Outcome::{self, Dropped, Kept, Parked, Reset},
    Run, Scene, Seen, Trouble,
    peer::{closed, measured, open},
    wire::{BLOCK_SYNC, BlockStatus, HEADER_SYNC, HeaderStatus, frame, prelude},
};

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
        act("silence/after-tls", "wire 2.1", "nothing after TLS", Dropped, |scene| {
            Box::pin(after_tls(scene))
        }),
        act("silence/in-hello", "wire 2.1", "half a Hello", Dropped, |scene| Box::pin(in_hello(scene))),
        act("silence/after-hello", "wire 4.7", "a Hello, and no stream", Kept, |scene| {
            Box::pin(async move {
                let peer = scene.meet().await?;
                Ok(peer.stays(Seen::Kept, []))
            })
        }),
        act("silence/in-prelude", "wire 4.2", "four bytes of a prelude", Reset(2), |scene| {
            Box::pin(in_prelude(scene))
        }),
        act("silence/after-prelude", "wire 5.2", "streams, and no Status", Kept, |scene| {
            Box::pin(after_prelude(scene))
        }),
        act("silence/in-frame-header", "wire 4.3", "three bytes of a frame", Parked, |scene| {
            Box::pin(in_frame(scene, HEADER_SYNC, vec![1, 0, 0]))
        }),
        act("silence/in-frame", "wire 4.3", "half a Status", Parked, |scene| {
            Box::pin(in_frame(scene, HEADER_SYNC, frame(1, 0, 123, &[1; 60])))
        }),
        act("silence/in-body", "wire 4.3", "a frame of 2 MB of which 10 bytes come", Kept, |scene| {
            Box::pin(in_body(scene))
        }),
        act("silence/after-get-headers", "wire 5.2", "no page for an invented tip", Kept, |scene| {
            Box::pin(after_get_headers(scene))
        }),
        Act {
            name: "silence/after-get-blocks",
            breaks: "threats BS01",
            what: "right headers, and no bodies",
            needs: Needs::Ahead,
            expected: Kept,
            run: |scene| Box::pin(after_get_blocks(scene)),
        },
    ]
}

async fn after_tls(scene: Scene) -> Result<Ending, Trouble> {
    let connection = scene.raw.tls(scene.victim.name.addr).await?;
    Ok(Ending::of(closed(&connection).await?))
}

async fn in_hello(scene: Scene) -> Result<Ending, Trouble> {
    let connection = scene.raw.tls(scene.victim.name.addr).await?;
    let mut control = open(&connection).await?;
    control.raw(measured(&scene.hello().bytes()).get(..100).unwrap_or_default()).await?;
    let seen = closed(&connection).await?;
    drop(control);
    Ok(Ending::of(seen))
}

async fn in_prelude(scene: Scene) -> Result<Ending, Trouble> {
    let peer = scene.meet().await?;
    let mut stream = peer.open(b"ZKST").await?;
    let seen = stream.fate().await?;
    Ok(peer.stays(seen, [stream]))
}

async fn after_prelude(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut headers = peer.stream(HEADER_SYNC).await?;
    let mut blocks = peer.stream(BLOCK_SYNC).await?;
    headers.hear_a(1).await?;
    blocks.hear_a(1).await?;
    Ok(peer.stays(Seen::Kept, [headers, blocks]))
}

async fn in_frame(scene: Scene, kind: (u16, u16), part: Vec<u8>) -> Result<Ending, Trouble> {
    let peer = scene.meet().await?;
    let mut stream = peer.open(&prelude(kind, 4_194_304)).await?;
    stream.raw(&part).await?;
    let seen = stream.fate().await?;
    Ok(peer.stays(seen, [stream]))
}

/// The frame gets time for its size, so nothing is to be seen yet; but nobody waits for it.
async fn in_body(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut blocks = peer.stream(BLOCK_SYNC).await?;
    blocks.say(&BlockStatus::serving(0, scene.victim.genesis).bytes()).await?;
    blocks.hear_a(1).await?;
    blocks.raw(&frame(3, 0, 2_000_000, &[3; 10])).await?;
    Ok(peer.stays(Seen::Kept, [blocks]))
}

async fn after_get_headers(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut headers = peer.stream(HEADER_SYNC).await?;
    let tip = scene.book.tip().0.saturating_add(9);
    headers.say(&HeaderStatus::serving(0, scene.victim.genesis, tip, [0xee; 32]).bytes()).await?;
    headers.hear_a(2).await?;
    Ok(peer.stays(Seen::Kept, [headers]))
}

async fn after_get_blocks(scene: Scene) -> Result<Ending, Trouble> {
    let mut server = server(&scene).await?;
    wanted(&mut server).await?;
    let (peer, streams) = server.into_parts();
    Ok(peer.stays(Seen::Kept, streams))
}
