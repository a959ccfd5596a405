//! Frames that are none, too large, or too many (wire 4.3, 4.6).

use crate::hostile::{
    Act, Ending, Needs,
    Outcome::Violation,
    Run, Scene, Trouble,
    wire::{BLOCK_SYNC, HEADER_SYNC, HeaderStatus, frame},
};

/// Frames of a flood: the rate of wire 4.6 takes nine seconds to let them pass.
const FLOOD: usize = 20_000;

pub(super) fn acts() -> Vec<Act> {
    let act = |name, breaks, what, rule, run: Run| Act {
        name,
        breaks,
        what,
        needs: Needs::Nothing,
        expected: Violation(rule),
        run,
    };
    vec![
        act("frames/oversize", "wire 4.3", "a frame that declares 4 GiB", "frame.length", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |_| frame(3, 0, u32::MAX, &[])))
        }),
        act("frames/oversize-by-one", "wire 4.3", "one byte above the kind's cap", "frame.length", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |_| frame(3, 0, 2_097_153, &[])))
        }),
        act(
            "frames/oversize-body",
            "wire 4.1",
            "a body frame above the kind's cap",
            "frame.length",
            |scene| Box::pin(sends(scene, BLOCK_SYNC, |_| frame(3, 0, 3_145_729, &[]))),
        ),
        act("frames/oversize-message", "wire 5.2", "a Status of 1 MiB", "message.length", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |_| frame(1, 0, 1_048_576, &[1])))
        }),
        act("frames/oversize-block", "wire 5.3", "a block of 2,000,001 bytes", "message.length", |scene| {
            Box::pin(sends(scene, BLOCK_SYNC, |_| frame(3, 0, 2_000_002, &[3])))
        }),
        act("frames/flags", "wire 4.3", "flags", "frame.flags", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |status| frame(1, 1, 123, &status)))
        }),
        act("frames/unknown-type", "wire 5.2", "message type 99", "frame.type", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |_| frame(99, 0, 1, &[99])))
        }),
        act("frames/unknown-type-body", "wire 5.3", "message type 6", "frame.type", |scene| {
            Box::pin(sends(scene, BLOCK_SYNC, |_| frame(6, 0, 1, &[6])))
        }),
        act(
            "frames/two-types",
            "wire 4.3",
            "a frame of one type around a payload of another",
            "message type",
            |scene| Box::pin(sends(scene, HEADER_SYNC, |status| frame(3, 0, 123, &status))),
        ),
        act("frames/empty", "wire 4.3", "empty frames, one after the other", "message type", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |_| frame(1, 0, 0, &[]).repeat(100)))
        }),
        act("frames/trailing-byte", "wire 5.2", "a Status and one byte", "message.length", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |status| frame(1, 0, 124, &[&status[..], &[0]].concat())))
        }),
        act("frames/short", "wire 5.2", "a Status that lacks its last byte", "Status.aux_mask", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |status| frame(1, 0, 122, status.get(..122).unwrap_or(&[]))))
        }),
        act("frames/cut", "wire 4.3", "a stream that ends inside a frame", "frame.payload", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |status| frame(1, 0, 123, status.get(..60).unwrap_or(&[]))))
        }),
        act("frames/flood", "wire 4.6", "20,000 Statuses at once", "frames.rate", |scene| {
            Box::pin(sends(scene, HEADER_SYNC, |status| frame(1, 0, 123, &status).repeat(FLOOD)))
        }),
    ]
}

/// Opens a stream in order, writes this on it, and ends it.
async fn sends(
    scene: Scene,
    kind: (u16, u16),
    bytes: impl FnOnce(Vec<u8>) -> Vec<u8> + Send,
) -> Result<Ending, Trouble> {
    let mut peer = scene.meet().await?;
    let mut stream = peer.stream(kind).await?;
    stream.raw(&bytes(HeaderStatus::client(scene.victim.genesis).bytes())).await?;
    stream.finish();
    peer.closed().await
}
