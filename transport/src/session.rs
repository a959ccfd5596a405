//! What a routine is handed: the peer, frames in, frames out, a way to be told to end.

use crate::{
    Cancel, Exit, Fence, Frame, Merit, PeerInfo, Violation,
    connection::{FramesIn, FramesOut},
    plant::OnDrop,
};
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Frame bytes a sender holds before [`FrameSender::has_room`] says no: bounds what one peer that does not read can
/// make us keep, and keeps answers close behind the data in front of them.
pub const OUTBOX_BYTES: usize = 256 * 1024;

/// Why frames stopped.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer broke a rule of frames.
    #[error("{0}")]
    Violation(Violation),
    /// The stream or its connection is gone; nobody's fault.
    #[error("the stream is gone")]
    Gone,
    /// The peer took nothing for the write deadline, or began a frame and did not go on with it. It may be the network's
    /// doing, so it is no proof of a fault.
    #[error("the peer took or gave too little within its deadline")]
    Stalled,
    /// Our own frame is larger than the peer takes; ask [`FrameSender::max_frame`] before building one.
    #[error("a frame of {bytes} bytes is larger than the {max} bytes that the peer takes")]
    TooLarge {
        /// The frame, header included.
        bytes: usize,
        /// What the peer takes.
        max: usize,
    },
}

/// How a routine ends for whom frames stopped.
impl From<FrameError> for Exit {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Violation(violation) => Self::Violation(violation),
            FrameError::Gone => Self::Closed { reopen: true },
            FrameError::Stalled => Self::Local("the peer took or gave too little within its deadline"),
            FrameError::TooLarge { .. } => Self::Local("a frame of ours is larger than the peer takes"),
        }
    }
}

/// The receiving half of an ordered stream.
#[derive(Debug)]
pub struct FrameReceiver {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory(mpsc::Receiver<Frame>),
    Quic(Box<FramesIn>),
}

impl FrameReceiver {
    pub(crate) fn quic(frames: FramesIn) -> Self {
        Self { source: Source::Quic(Box::new(frames)) }
    }

    /// The next frame, or `None` once the peer has finished the stream. Cancel-safe: a frame half received stays.
    ///
    /// # Errors
    ///
    /// [`FrameError::Violation`] if the peer broke a bound of the stream, [`FrameError::Gone`] if the stream broke off,
    /// [`FrameError::Stalled`] if a frame that has begun does not come to its end in time.
    pub async fn recv(&mut self) -> Result<Option<Frame>, FrameError> {
        match &mut self.source {
            Source::Memory(frames) => Ok(frames.recv().await),
            Source::Quic(frames) => frames.recv().await,
        }
    }
}

impl FrameReceiver {
    /// A frame that has arrived whole already, if there is one: for whoever has just received one and would hear what came
    /// with it.
    pub(crate) fn next_ready(&mut self) -> Result<Option<Frame>, FrameError> {
        match &mut self.source {
            Source::Memory(frames) => Ok(frames.try_recv().ok()),
            Source::Quic(frames) => frames.next_ready(),
        }
    }
}

/// The sending half of an ordered stream: a small outbox, flushed under back-pressure.
#[derive(Debug)]
pub struct FrameSender {
    outbox: VecDeque<Frame>,
    bytes: usize,
    sink: Sink,
    _planted: OnDrop,
}

#[derive(Debug)]
enum Sink {
    Memory { frames: mpsc::Sender<Frame>, max_frame: usize },
    Quic(Box<FramesOut>),
}

impl FrameSender {
    pub(crate) const fn memory(frames: mpsc::Sender<Frame>, max_frame: usize) -> Self {
        Self::over(Sink::Memory { frames, max_frame })
    }

    pub(crate) fn quic(frames: FramesOut) -> Self {
        Self::over(Sink::Quic(Box::new(frames)))
    }

    const fn over(sink: Sink) -> Self {
        Self { outbox: VecDeque::new(), bytes: 0, sink, _planted: OnDrop::new("sender drop") }
    }

    /// Frame bytes at most that the peer takes on this stream, header included. A larger frame fails the flush.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        match &self.sink {
            Sink::Memory { max_frame, .. } => *max_frame,
            Sink::Quic(frames) => usize::try_from(frames.max_frame()).unwrap_or(usize::MAX),
        }
    }

    /// Whether the outbox takes another frame now.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.bytes < OUTBOX_BYTES
    }

    /// Whether every pushed frame has been handed to the stream.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
            && match &self.sink {
                Sink::Memory { .. } => true,
                Sink::Quic(frames) => frames.is_flushed(),
            }
    }

    /// Puts a frame into the outbox. It always fits: ask [`has_room`](Self::has_room) first, so that the outbox never
    /// holds more than [`OUTBOX_BYTES`] and one frame.
    pub fn push(&mut self, frame: Frame) {
        self.bytes = self.bytes.saturating_add(frame.wire_len());
        self.outbox.push_back(frame);
    }

    /// Hands the outbox to the stream, waiting for the peer's credit. Cancel-safe: what is not handed over stays.
    ///
    /// # Errors
    ///
    /// [`FrameError::Gone`], [`FrameError::Stalled`] or [`FrameError::TooLarge`].
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        let (frames, max) = match &mut self.sink {
            Sink::Quic(frames) => return frames.flush(&mut self.outbox, &mut self.bytes).await,
            Sink::Memory { frames, max_frame } => (frames, *max_frame),
        };
        while let Some(next) = self.outbox.front() {
            let bytes = next.wire_len();
            if bytes > max {
                return Err(FrameError::TooLarge { bytes, max });
            }
            let slot = frames.reserve().await.map_err(|_| FrameError::Gone)?;
            if let Some(frame) = self.outbox.pop_front() {
                self.bytes = self.bytes.saturating_sub(frame.wire_len());
                slot.send(frame);
            }
        }
        Ok(())
    }

    /// Pushes one frame and flushes: the plain way for a routine written by hand. Cancel-safe in this sense: once polled,
    /// the frame is in the outbox, and if the wait is dropped the next flush sends it. Do not send it again.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub async fn send(&mut self, frame: Frame) -> Result<(), FrameError> {
        self.push(frame);
        self.flush().await
    }
}

/// One ordered stream with one peer, for the life of one routine.
#[non_exhaustive]
#[derive(Debug)]
pub struct Session {
    /// The peer and its connection.
    pub peer: PeerInfo,
    /// The session's own generation: work taken and events sent carry it.
    pub generation: Fence,
    /// Frames from the peer.
    pub frames_in: FrameReceiver,
    /// Frames to the peer.
    pub frames_out: FrameSender,
    /// Asks the routine to end.
    pub cancel: Cancel,
    /// Where a service says that the peer was of use; [`drive`](crate::routine::drive()) does it for finished leases.
    pub merit: Merit,
}

impl Session {
    /// Two sessions joined in memory, each with `depth` frames in flight at most: for tests of routines and for worlds
    /// that need no packets. `left` describes the peer that the first session talks to. No cap and no rate is enforced, and
    /// no payload is checked against its type: that is the transport's work, not the session's.
    #[must_use]
    pub fn pair(left: PeerInfo, right: PeerInfo, depth: usize) -> (Self, Self) {
        let (to_right, from_left) = mpsc::channel(depth);
        let (to_left, from_right) = mpsc::channel(depth);
        let session = |peer, source, sink| Self {
            peer,
            generation: Fence::mint(),
            frames_in: FrameReceiver { source: Source::Memory(source) },
            frames_out: FrameSender::memory(sink, usize::MAX),
            cancel: Cancel::new(),
            merit: Merit::default(),
        };
        (session(left, from_right, to_right), session(right, from_left, to_left))
    }
}

/// One request of a request/response stream, to be answered on [`responses`](Self::responses).
#[non_exhaustive]
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub peer: PeerInfo,
    /// The id from the stream's prelude (wire 4.5).
    pub id: u64,
    /// The one request frame.
    pub frame: Frame,
    /// Where answers go; the stream is finished when the routine returns.
    pub responses: FrameSender,
    /// Asks the routine to end: the connection has ended. At the exchange's deadline the routine is dropped instead.
    pub cancel: Cancel,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(payload: usize) -> Frame {
        Frame::new(1, Bytes::from(vec![7; payload]))
    }

    /// A request's answers go through memory to the task that owns the stream: who answers hears it here, or nowhere.
    #[tokio::test(start_paused = true)]
    async fn a_frame_larger_than_the_peer_takes_fails_the_flush_in_memory_too() {
        let (answers, mut heard) = mpsc::channel(2);
        let max = frame(8).wire_len();
        let mut responses = FrameSender::memory(answers, max);
        assert_eq!(responses.send(frame(8)).await, Ok(()), "exactly as large as it takes");
        let bytes = max + 1;
        assert_eq!(responses.send(frame(9)).await, Err(FrameError::TooLarge { bytes, max }));
        assert!(!responses.is_flushed(), "it stays in front");
        assert_eq!((heard.recv().await, heard.try_recv().is_err()), (Some(frame(8)), true));
    }
}
