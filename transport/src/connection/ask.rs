//! The asking side of a request stream (wire 4.5).

use super::{
    FramesIn,
    shared::{Report, Shared},
};
use crate::{
    Exit, Frame, FrameError, Merit, Mode, RequestError, StreamKind, Violation,
    admission::Worth,
    deadline::after,
    observe::{ConnectionSnapshot, Recorder, Way},
    quic::{Farewell, LinkEnd},
    routine::Message,
    wire::Prelude,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Asks one peer, over one connection. Clones are the same.
#[derive(Clone)]
pub(crate) struct Requester {
    pub(super) shared: Arc<Shared>,
    pub(super) reports: mpsc::WeakSender<Report>,
    pub(super) ids: Arc<AtomicU64>,
}

/// The answer to one request, frame by frame. Dropping it stops the answer: the peer is told to send no more.
///
/// The peer decides how many frames come until the deadline. Each is bounded by the stream's caps, their number by nothing:
/// who keeps them counts them.
pub struct Response {
    frames: FramesIn,
    name: &'static str,
    deadline: Instant,
    reports: mpsc::WeakSender<Report>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("stream", &self.name).finish_non_exhaustive()
    }
}

impl Requester {
    /// The record of the connection.
    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.shared.recorder
    }

    /// The connection as it stands.
    pub(crate) fn snapshot(&self) -> ConnectionSnapshot {
        self.shared.snapshot(Instant::now().into_std())
    }

    /// When the connection was last of use.
    pub(crate) fn merit(&self) -> &Merit {
        &self.shared.merit
    }

    /// What the connection is worth. Takes QUIC's lock of it.
    pub(crate) fn worth(&self) -> Worth {
        Worth { useful: self.shared.merit.last(), round_trip: self.shared.link.round_trip() }
    }

    /// Sends one request on a stream of its own. `deadline` covers the whole exchange.
    pub(crate) async fn ask(
        &self,
        kind: StreamKind,
        frame: Frame,
        deadline: Duration,
    ) -> Result<Response, RequestError> {
        let shared = &self.shared;
        let negotiated = shared.kinds.get(&kind).filter(|kind| kind.entry.spec.mode == Mode::Request);
        let Some(negotiated) = negotiated else { return Err(RequestError::NotNegotiated(kind)) };
        let spec = &negotiated.entry.spec;
        let max =
            usize::try_from(super::terms::outbound_cap(&shared.agreed, spec, None)).unwrap_or(usize::MAX);
        if frame.wire_len() > max {
            return Err(RequestError::TooLarge { bytes: frame.wire_len(), max });
        }
        let deadline = after(deadline);
        let send = async {
            let gone = |_: LinkEnd| RequestError::Gone;
            let (mut send, recv) = shared.link.open().await.map_err(gone)?;
            let id = self.ids.fetch_add(1, Ordering::Relaxed);
            let max_frame = super::terms::inbound_cap(&shared.agreed, spec);
            negotiated.tally(Way::Out).count(frame.wire_len());
            let prelude = Prelude { kind, version: spec.version, request_id: Some(id), max_frame };
            for piece in [prelude.encode(), frame.encode_front(), frame.body] {
                send.write_all(piece).await.map_err(|_| RequestError::Gone)?;
            }
            send.finish();
            Ok(shared.plain_frames_in(negotiated, recv))
        };
        let frames = timeout_at(deadline, send).await.map_err(|_| RequestError::Deadline)??;
        Ok(Response { frames, name: spec.name, deadline, reports: self.reports.clone() })
    }
}

impl Response {
    /// The next frame of the answer, or `None` after the last. Cancel-safe, a fault apart: a wait that is dropped while it
    /// [accuses](Self::accuse) may leave the fault unreported.
    ///
    /// # Errors
    ///
    /// [`RequestError::Deadline`], [`RequestError::Gone`], or [`RequestError::Violation`], which closes the connection.
    pub async fn next(&mut self) -> Result<Option<Frame>, RequestError> {
        match timeout_at(self.deadline, self.frames.recv()).await {
            Err(_) => Err(RequestError::Deadline),
            Ok(Ok(frame)) => Ok(frame),
            // Any end between frames, even a reset, is the end of the answer (wire 4.5).
            Ok(Err(FrameError::Gone)) if self.frames.is_between_frames() => Ok(None),
            Ok(Err(FrameError::Gone | FrameError::Stalled | FrameError::TooLarge { .. })) => {
                Err(RequestError::Gone)
            }
            Ok(Err(FrameError::Violation(violation))) => Err(self.accuse(violation).await),
        }
    }

    /// As [`next`](Self::next), and reads the frame. As cancel-safe: no frame that reads is lost.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next); a frame that does not read is a [`RequestError::Violation`] too.
    pub async fn next_message<M: Message>(&mut self) -> Result<Option<M>, RequestError> {
        match self.next().await?.map(M::decode).transpose() {
            Ok(message) => Ok(message),
            Err(malformed) => Err(self.accuse(malformed.into()).await),
        }
    }

    /// Closes the connection because this answer breaks a rule that only the asker can know: say, it answers something
    /// else than was asked. Gives the error to go on with. Not cancel-safe: it waits for room with the connection's task, and
    /// if the wait is dropped the connection may stay open.
    pub async fn accuse(&self, violation: Violation) -> RequestError {
        if let Some(reports) = self.reports.upgrade() {
            let exit = Exit::Violation(violation.clone());
            let farewell = Farewell::MALFORMED_RESPONSE;
            drop(reports.send(Report::Fatal { stream: self.name, exit, farewell }).await);
        }
        RequestError::Violation(violation)
    }
}
