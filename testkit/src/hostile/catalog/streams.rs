//! Who may open what, how often, and how (wire 4.1, 4.2, 4.4).

use crate::hostile::{
    Act, Ending, Needs,
    Outcome::{self, Kept, Reset, Violation},
    Run, Scene, Seen, Stream, Trouble,
    wire::{BLOCK_SYNC, HEADER_SYNC, prelude, request_prelude},
};

/// Streams opened at once: twice what is judged (wire 4.4).
const CHURN: usize = 64;

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
        act("streams/magic", "wire 4.2", "a prelude of another magic", Reset(2), |scene| {
            Box::pin(refused(scene, || b"NOPE\x05\0\x08\0\0\0\0\x20\0".to_vec()))
        }),
        act("streams/flag", "wire 4.2", "a request id flag of 2", Reset(2), |scene| {
            Box::pin(refused(scene, || b"ZKST\x05\0\x08\0\x02\0\0\x20\0".to_vec()))
        }),
        act("streams/no-prelude", "wire 4.2", "a stream that ends before its prelude", Reset(2), |scene| {
            Box::pin(refused(scene, || b"ZKST".to_vec()))
        }),
        act("streams/unknown-kind", "wire 4.4", "kind 77", Reset(5), |scene| {
            Box::pin(refused(scene, || prelude((77, 1), 4096)))
        }),
        act(
            "streams/unnegotiated-kind",
            "wire 4.4",
            "legacy gossip, whose bit was not agreed on",
            Reset(5),
            |scene| Box::pin(refused(scene, || prelude((2, 1), 4096))),
        ),
        act("streams/unnegotiated-request", "wire 4.4", "a legacy request", Reset(5), |scene| {
            Box::pin(refused(scene, || request_prelude((3, 1), 1)))
        }),
        act("streams/version", "wire 4.2", "header sync version 7", Reset(5), |scene| {
            Box::pin(refused(scene, || prelude((5, 7), 4096)))
        }),
        act("streams/churn", "wire 4.4", "64 streams at once, none of them good", Reset(3), |scene| {
            Box::pin(churn(scene))
        }),
        act(
            "streams/request-id",
            "wire 4.4",
            "an ordered stream with a request id",
            Violation("stream.mode"),
            |scene| Box::pin(fatal(scene, || request_prelude(HEADER_SYNC, 1))),
        ),
        act("streams/tiny-cap", "wire 4.2", "we take frames of 8 bytes", Violation("prelude.cap"), |scene| {
            Box::pin(fatal(scene, || prelude(HEADER_SYNC, 8)))
        }),
        act(
            "streams/second",
            "wire 4.4",
            "a second stream beside a live one",
            Violation("stream.second"),
            |scene| Box::pin(second(scene, HEADER_SYNC, 1)),
        ),
        act("streams/third", "wire 4.4", "a third stream at once", Violation("stream.second"), |scene| {
            Box::pin(second(scene, HEADER_SYNC, 2))
        }),
        act("streams/uni", "wire 1.4", "a one-way stream and a datagram", Kept, |scene| Box::pin(uni(scene))),
        Act {
            name: "streams/opener",
            breaks: "wire 4.4",
            what: "the side that was dialled opens header sync",
            needs: Needs::Dial,
            expected: Violation("stream.opener"),
            run: |scene| Box::pin(opener(scene)),
        },
    ]
}

/// A stream that begins like this is reset, and the connection serves on.
async fn refused(scene: Scene, beginning: impl FnOnce() -> Vec<u8> + Send) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut stream = peer.open(&beginning()).await?;
    stream.finish();
    let seen = stream.fate().await?;
    // The connection is not held responsible for its stream.
    let mut headers = peer.stream(HEADER_SYNC).await?;
    headers.hear_a(1).await?;
    Ok(peer.stays(seen, [stream, headers]))
}

/// A stream that begins like this costs the connection.
async fn fatal(scene: Scene, beginning: impl FnOnce() -> Vec<u8> + Send) -> Result<Ending, Trouble> {
    let peer = scene.meet().await?;
    let _stream = peer.open(&beginning()).await?;
    peer.closed().await
}

/// Opens many streams at once. Those within the rate are judged, the others are reset for it.
async fn churn(scene: Scene) -> Result<Ending, Trouble> {
    let peer = scene.meet().await?;
    let mut streams = Vec::new();
    for _ in 0..CHURN {
        streams.push(peer.open(b"NOPE\x05\0\x08\0\0").await?);
    }
    let mut fates = Vec::new();
    for stream in &mut streams {
        fates.push(stream.fate().await?);
    }
    let with = |code| fates.iter().filter(|fate| **fate == Seen::Reset(code)).count();
    let (judged, over) = (with(2), with(3));
    if judged + over != CHURN || judged < 32 || over == 0 {
        return Err(Trouble(format!("{judged} were judged and {over} were too many, of {CHURN}")));
    }
    Ok(peer.stays(Seen::Reset(3), streams))
}

async fn second(scene: Scene, kind: (u16, u16), more: usize) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut first = peer.stream(kind).await?;
    first.hear_a(1).await?;
    let mut others: Vec<Stream> = Vec::new();
    for _ in 0..more {
        others.push(peer.open(&prelude(kind, 4096)).await?);
    }
    peer.closed().await
}

async fn uni(scene: Scene) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut blocks = peer.stream(BLOCK_SYNC).await?;
    blocks.hear_a(1).await?;
    if peer.may_overreach() {
        return Err(Trouble::of("there is room for a one-way stream or a datagram"));
    }
    Ok(peer.stays(Seen::Kept, [blocks]))
}

async fn opener(scene: Scene) -> Result<Ending, Trouble> {
    let peer = scene.raw.accept(scene.victim).await?;
    let _stream = peer.open(&prelude(HEADER_SYNC, 4_194_304)).await?;
    peer.closed().await
}
