//! The serving side of a request stream (wire 4.5).

use super::{
    FramesIn,
    shared::{Kind, Shared},
};
use crate::{
    Exit, Frame, FrameError, FrameSender, Request, Violation,
    quic::{RecvHalf, ResetCode, SendHalf},
    routine::supervise,
};
use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// What a whole exchange may take (wire 7.2).
const EXCHANGE: Duration = Duration::from_secs(30);
/// Answer frames between the routine and the stream.
const ANSWERS_IN_FLIGHT: usize = 2;

/// Answers one request. An exit is returned only if it closes the connection.
pub(super) async fn answer(
    shared: &Shared,
    kind: &Kind,
    id: u64,
    max_frame: u32,
    (send, recv): (SendHalf, RecvHalf),
) -> Option<Exit> {
    let refused = Arc::default();
    let mut frames_in = shared.frames_in(kind, recv, &refused);
    // Wire 4.6: the rate of requests is bounded by the rate of streams.
    frames_in.pace = None;
    let mut out = shared.frames_out(kind, send, Some(max_frame), &refused);
    let deadline = Instant::now() + EXCHANGE;
    let frame = match timeout_at(deadline, request_frame(&mut frames_in)).await {
        Ok(Ok(frame)) => frame,
        Ok(Err(Some(violation))) => {
            out.reset(ResetCode::BadPrelude);
            return Some(Exit::Violation(violation));
        }
        Ok(Err(None)) | Err(_) => {
            out.reset(ResetCode::BadPrelude);
            return None;
        }
    };
    let (responses, mut answers) = mpsc::channel(ANSWERS_IN_FLIGHT);
    let responses = FrameSender::memory(responses, usize::try_from(out.max_frame()).unwrap_or(usize::MAX));
    let cancel = shared.cancel.child();
    let request = Request { peer: shared.info.clone(), id, frame, responses, cancel: cancel.clone() };
    let routine = supervise(Arc::clone(&kind.entry.service).answer(request));
    let exit = timeout_at(deadline, async {
        let mut routine = pin!(routine);
        let mut exit = None;
        let (mut outbox, mut bytes) = (VecDeque::new(), 0);
        loop {
            tokio::select! {
                biased;
                end = &mut routine, if exit.is_none() => exit = Some(end),
                answer = answers.recv() => match answer {
                    Some(frame) => {
                        outbox.push_back(frame);
                        if out.flush(&mut outbox, &mut bytes).await.is_err() {
                            // The peer wants no more, or takes nothing: nobody is left to answer.
                            return None;
                        }
                    }
                    None => match exit {
                        Some(exit) => return Some(exit),
                        None => exit = Some(routine.as_mut().await),
                    }
                },
            }
        }
    })
    .await;
    cancel.cancel();
    match exit {
        Ok(Some(Exit::Closed { .. })) => out.finish().await,
        Ok(Some(exit @ (Exit::Violation(_) | Exit::Panicked(_)))) => {
            out.reset(ResetCode::BadPrelude);
            return Some(exit);
        }
        Ok(Some(Exit::Local(_)) | None) | Err(_) => out.reset(ResetCode::Resource),
    }
    None
}

/// The one request frame; or the peer's fault, if it is one.
async fn request_frame(frames: &mut FramesIn) -> Result<Frame, Option<Violation>> {
    match frames.recv().await {
        Ok(Some(frame)) => Ok(frame),
        Err(FrameError::Violation(violation)) => Err(Some(violation)),
        Err(FrameError::Stalled) => Err(None),
        Ok(None) | Err(FrameError::Gone | FrameError::TooLarge { .. }) => {
            let seen = "a request stream ended without its frame";
            Err(Some(Violation::protocol("request.frame", seen)))
        }
    }
}
