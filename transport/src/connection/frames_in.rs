//! Frames from one QUIC stream, under its bounds.

use super::{heard::Heard, pace::Pace, throttle::Throttles};
use crate::{
    Frame, FrameError, Violation,
    observe::Tally,
    quic::{Broken, Pieces, RecvHalf},
    wire::FrameAssembler,
};
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout_at};

/// What a frame may take, from its first byte, beside the time its size is worth.
const FRAME_PATIENCE: Duration = Duration::from_secs(10);
/// The slowest rate at which a frame under way must arrive: stops a peer that dribbles a frame to keep its memory ours.
const SLOWEST_BYTES_PER_S: u64 = 4 * 1024;
/// If we did not listen for this long, the frame's delay was ours, and the peer gets [`FRAME_PATIENCE`] anew.
const AWAY: Duration = Duration::from_secs(1);

/// The receiving end of a stream.
#[derive(Debug)]
pub(crate) struct FramesIn {
    half: RecvHalf,
    assembler: FrameAssembler,
    /// Bounds frames a second; the peer is at fault above it. None where frames are only bounded by bytes.
    pub(super) pace: Option<Arc<Pace>>,
    /// Told of every frame. None where frames do not keep the connection alive.
    pub(super) heard: Option<Arc<Heard>>,
    /// Set when the peer says that it knows no such stream.
    pub(super) refused: Arc<AtomicBool>,
    tally: Tally,
    pieces: Pieces,
    next: usize,
    part: Option<Part>,
    left_at: Instant,
    /// Bounds bytes a second.
    pub(super) throttles: Throttles,
    rests_until: Option<Instant>,
}

/// The part of a frame that is under way.
#[derive(Debug, Clone, Copy)]
struct Part {
    in_payload: bool,
    deadline: Instant,
}

/// Notes when waiting ended, be it by a result or because the caller had better things to do.
struct Waiting<'a>(&'a mut Instant);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.0 = Instant::now();
    }
}

impl FramesIn {
    pub(crate) fn new(half: RecvHalf, assembler: FrameAssembler, tally: Tally) -> Self {
        Self {
            half,
            assembler,
            pace: None,
            heard: None,
            refused: Arc::default(),
            tally,
            pieces: Pieces::default(),
            next: 0,
            part: None,
            left_at: Instant::now(),
            throttles: Throttles::default(),
            rests_until: None,
        }
    }

    /// The next frame, or `None` at a clean end. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Result<Option<Frame>, FrameError> {
        let received = self.receive().await;
        self.noted(received)
    }

    /// A frame that has been read whole already.
    pub(crate) fn next_ready(&mut self) -> Result<Option<Frame>, FrameError> {
        let assembled = self.assemble();
        self.noted(assembled)
    }

    fn noted(&self, received: Result<Option<Frame>, FrameError>) -> Result<Option<Frame>, FrameError> {
        if let Err(FrameError::Violation(violation)) = &received {
            self.tally.lane().frame_refused(Instant::now().into_std(), violation.rule());
        }
        received
    }

    async fn receive(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.assemble()? {
                return Ok(Some(frame));
            }
            self.tally.publish();
            // The frame's own time stands still meanwhile: the wait is our doing.
            if let Some(until) = self.rests_until {
                sleep_until(until).await;
            }
            let deadline = self.watch_frame();
            let waiting = Waiting(&mut self.left_at);
            let read = self.half.read(&mut self.pieces);
            let read = match deadline {
                Some(at) => timeout_at(at, read).await,
                None => Ok(read.await),
            };
            drop(waiting);
            self.next = 0;
            match read {
                Err(_) => return Err(FrameError::Stalled),
                Ok(Ok(Some(_))) => self.rest(),
                Ok(Ok(None)) if self.assembler.may_end() => return Ok(None),
                Ok(Ok(None)) => return Err(self.cut_off()),
                Ok(Err(Broken::Unknown)) => {
                    self.refused.store(true, Ordering::Relaxed);
                    return Err(FrameError::Gone);
                }
                Ok(Err(Broken::Off)) => return Err(FrameError::Gone),
            }
        }
    }

    /// Takes what has been read from what may be.
    fn rest(&mut self) {
        let bytes = || self.pieces.iter().map(Bytes::len).sum();
        self.rests_until = self.throttles.take(|| Instant::now().into_std(), bytes).map(Instant::from_std);
    }

    /// Whether no frame is under way.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.assembler.missing() == 0
    }

    /// A frame from what has been read.
    fn assemble(&mut self) -> Result<Option<Frame>, FrameError> {
        while let Some(piece) = self.pieces.get_mut(self.next) {
            if let Some(frame) = self.assembler.feed(piece).map_err(FrameError::Violation)? {
                self.part = None;
                self.tally.count(frame.wire_len());
                self.account()?;
                return Ok(Some(frame));
            }
            self.next = self.next.saturating_add(1);
        }
        Ok(None)
    }

    fn account(&self) -> Result<(), FrameError> {
        let now = Instant::now().into_std();
        if let Some(heard) = &self.heard {
            heard.mark(now);
        }
        match self.pace.as_ref().map(|pace| pace.take(now)) {
            Some(Err(early)) => {
                self.tally.lane().too_fast(now);
                let seen = format!("a frame came {} ms before its rate allows", early.as_millis());
                Err(FrameError::Violation(Violation::protocol("frames.rate", seen)))
            }
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// The deadline of the header or payload under way, if one is: set when it begins, kept while we wait, set anew if
    /// we were away.
    fn watch_frame(&mut self) -> Option<Instant> {
        let missing = self.assembler.missing();
        let (now, in_payload) = (Instant::now(), !self.assembler.may_end());
        let was_away = now.saturating_duration_since(self.left_at) > AWAY;
        self.part = match self.part {
            _ if missing == 0 => None,
            Some(part) if part.in_payload == in_payload && !was_away => Some(part),
            Some(_) | None => {
                let worth = u64::try_from(missing).unwrap_or(u64::MAX) / SLOWEST_BYTES_PER_S;
                Some(Part { in_payload, deadline: now + FRAME_PATIENCE + Duration::from_secs(worth) })
            }
        };
        self.part.map(|part| part.deadline)
    }

    fn cut_off(&self) -> FrameError {
        let seen = format!("the stream ended {} bytes before its frame", self.assembler.missing());
        FrameError::Violation(Violation::malformed("frame.payload", seen))
    }
}
