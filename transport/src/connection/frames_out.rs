//! Frames to one QUIC stream, paced and throttled. Large bodies are not copied.

use super::{pace::Pace, staged::Staged, throttle::Throttles};
use crate::{
    Frame, FrameError,
    observe::Tally,
    quic::{Broken, SendHalf},
    tongue::Mouth,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// A peer that takes no byte for this long is not reading (wire 7.2): stops it from holding our memory.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// The sending end of a stream.
#[derive(Debug)]
pub(crate) struct FramesOut {
    half: SendHalf,
    max_frame: u32,
    pace: Option<Arc<Pace>>,
    refused: Arc<AtomicBool>,
    mouth: Mouth,
    tally: Tally,
    staged: Staged,
    blocked_since: Option<Instant>,
    /// Bounds bytes a second.
    pub(super) throttles: Throttles,
    rests_until: Option<Instant>,
}

impl FramesOut {
    /// Frames of `max_frame` bytes at most go out, at `pace` if there is one.
    pub(crate) fn new(
        half: SendHalf,
        max_frame: u32,
        pace: Option<Arc<Pace>>,
        refused: Arc<AtomicBool>,
        (mouth, tally): (Mouth, Tally),
    ) -> Self {
        Self {
            half,
            max_frame,
            pace,
            refused,
            mouth,
            tally,
            staged: Staged::default(),
            blocked_since: None,
            throttles: Throttles::default(),
            rests_until: None,
        }
    }

    /// Frame bytes at most that the peer takes.
    pub(crate) const fn max_frame(&self) -> u32 {
        self.max_frame
    }

    /// Whether everything taken from the outbox has been handed to the stream.
    pub(crate) fn is_flushed(&self) -> bool {
        self.staged.is_empty()
    }

    /// Hands the outbox over; `bytes` shrinks with what the stream has taken. Cancel-safe.
    pub(crate) async fn flush(
        &mut self,
        outbox: &mut VecDeque<Frame>,
        bytes: &mut usize,
    ) -> Result<(), FrameError> {
        loop {
            let wait = self.stage(outbox, bytes)?;
            if !self.staged.is_empty() {
                self.tally.publish();
                self.mouth.opens().await;
                if let Some(until) = self.rests_until {
                    sleep_until(until).await;
                }
                let taken = self.write().await?;
                *bytes = bytes.saturating_sub(taken);
                self.rests_until =
                    self.throttles.take(|| Instant::now().into_std(), || taken).map(Instant::from_std);
            } else if let Some(wait) = wait {
                sleep(wait).await;
            } else {
                return Ok(());
            }
        }
    }

    /// Takes frames while the pace allows it. How long to wait for the next, if the pace is what stops us.
    fn stage(
        &mut self,
        outbox: &mut VecDeque<Frame>,
        bytes: &mut usize,
    ) -> Result<Option<Duration>, FrameError> {
        while !self.staged.is_full() {
            let Some(frame) = outbox.front() else { return Ok(None) };
            let max = usize::try_from(self.max_frame).unwrap_or(usize::MAX);
            if frame.wire_len() > max {
                return Err(FrameError::TooLarge { bytes: frame.wire_len(), max });
            }
            if let Some(pace) = &self.pace
                && let Err(wait) = pace.take(Instant::now().into_std())
            {
                return Ok(Some(wait));
            }
            if let Some(frame) = outbox.pop_front() {
                let expected = *bytes;
                self.mouth.say(frame, bytes, |frame| {
                    self.tally.count(frame.wire_len());
                    self.staged.push(frame, expected);
                });
            }
        }
        Ok(None)
    }

    async fn write(&mut self) -> Result<usize, FrameError> {
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        let write = self.half.write(self.staged.pieces());
        let taken = match timeout_at(since + WRITE_DEADLINE, write).await {
            Err(_) => return Err(FrameError::Stalled),
            Ok(Ok(taken)) => taken,
            Ok(Err(Broken::Unknown)) => {
                self.refused.store(true, Ordering::Relaxed);
                return Err(FrameError::Gone);
            }
            Ok(Err(Broken::Off)) => return Err(FrameError::Gone),
        };
        self.blocked_since = None;
        self.staged.written(taken);
        Ok(taken)
    }

    /// Ends the stream cleanly and waits until the peer has all of it, as long as the write deadline allows.
    pub(crate) async fn finish(mut self) {
        self.half.finish();
        drop(timeout_at(Instant::now() + WRITE_DEADLINE, self.half.taken()).await);
    }

    /// Drops what is unsent and tells the peer why.
    pub(crate) fn reset(mut self, code: crate::quic::ResetCode) {
        self.half.reset(code);
    }
}
