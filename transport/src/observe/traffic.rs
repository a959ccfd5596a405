//! What is counted of a connection while it lives. The task of a stream counts in plain integers and publishes them once a
//! batch, so that counting costs a frame nothing that could be measured.

use super::{FlightEvent, Recorder, Refusals, Volume, metrics};
use crate::quic::ResetCode;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Which way frames go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

#[derive(Debug)]
struct Flow {
    frames: AtomicU64,
    bytes: AtomicU64,
    meter: metrics::FlowMeter,
}

impl Flow {
    fn new(stream: &'static str, way: Way) -> Self {
        let meter = metrics::FlowMeter::new(stream, way);
        Self { frames: AtomicU64::new(0), bytes: AtomicU64::new(0), meter }
    }

    fn volume(&self) -> Volume {
        Volume { count: self.frames.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// One stream kind of one connection, over all its streams.
#[derive(Debug)]
pub(crate) struct Lane {
    stream: &'static str,
    recorder: Arc<Recorder>,
    heard: Flow,
    said: Flow,
    too_fast: AtomicU64,
}

impl Lane {
    pub(crate) fn new(stream: &'static str, recorder: Arc<Recorder>) -> Self {
        let (heard, said) = (Flow::new(stream, Way::In), Flow::new(stream, Way::Out));
        Self { stream, recorder, heard, said, too_fast: AtomicU64::new(0) }
    }

    /// Frames and their bytes so far.
    pub(crate) fn volume(&self, way: Way) -> Volume {
        self.flow(way).volume()
    }

    /// How often frames came faster than allowed.
    pub(crate) fn times_too_fast(&self) -> u64 {
        self.too_fast.load(Ordering::Relaxed)
    }

    /// A frame broke a rule.
    pub(crate) fn frame_refused(&self, now: Instant, rule: &'static str) {
        self.recorder.note(now, FlightEvent::FrameRefused { stream: self.stream, rule });
        metrics::frame_refused(self.stream);
    }

    /// A frame came faster than allowed.
    pub(crate) fn too_fast(&self, now: Instant) {
        self.too_fast.fetch_add(1, Ordering::Relaxed);
        self.recorder.note(now, FlightEvent::RateLimit { what: self.stream });
    }

    const fn flow(&self, way: Way) -> &Flow {
        match way {
            Way::In => &self.heard,
            Way::Out => &self.said,
        }
    }
}

/// What one half of one stream has counted and not published yet.
#[derive(Debug)]
pub(crate) struct Tally {
    lane: Arc<Lane>,
    way: Way,
    frames: u64,
    bytes: u64,
}

impl Tally {
    pub(crate) const fn new(lane: Arc<Lane>, way: Way) -> Self {
        Self { lane, way, frames: 0, bytes: 0 }
    }

    /// One more frame.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Lets everybody see what was counted: before a wait, and at the end.
    pub(crate) fn publish(&mut self) {
        if self.frames == 0 {
            return;
        }
        let (frames, bytes) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes));
        let flow = self.lane.flow(self.way);
        flow.frames.fetch_add(frames, Ordering::Relaxed);
        flow.bytes.fetch_add(bytes, Ordering::Relaxed);
        flow.meter.add(frames, bytes);
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.publish();
    }
}

/// Streams of the peer's that were reset before anything ran on them.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    too_fast: AtomicU64,
    no_place: AtomicU64,
    bad_prelude: AtomicU64,
    unknown: AtomicU64,
}

impl TurnedAway {
    /// One more.
    pub(crate) fn count(&self, now: Instant, code: ResetCode, recorder: &Recorder) {
        let (counter, event) = match code {
            ResetCode::RateLimit => (&self.too_fast, FlightEvent::RateLimit { what: "streams" }),
            ResetCode::Resource => (&self.no_place, FlightEvent::StreamRefused { code: code.number() }),
            ResetCode::BadPrelude => (&self.bad_prelude, FlightEvent::StreamRefused { code: code.number() }),
            ResetCode::UnknownStream => (&self.unknown, FlightEvent::StreamRefused { code: code.number() }),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        recorder.note(now, event);
        metrics::stream_refused(code);
    }

    /// How many so far, without those of single streams.
    pub(crate) fn refusals(&self) -> Refusals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Refusals {
            streams_too_fast: read(&self.too_fast),
            streams_without_place: read(&self.no_place),
            bad_preludes: read(&self.bad_prelude),
            unknown_streams: read(&self.unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, Direction, Fence, PeerId, PeerInfo};

    fn lane() -> Arc<Lane> {
        let peer = PeerInfo {
            id: PeerId::new([1; 32]),
            addr: "127.0.0.1:1".parse().unwrap(),
            direction: Direction::Inbound,
            role: crate::Role::Inbound,
            connection: Fence::mint(),
            capabilities: Capabilities::NONE,
        };
        let now = tokio::time::Instant::now().into_std();
        Arc::new(Lane::new("news", Arc::new(Recorder::new(peer, now))))
    }

    #[test]
    fn what_was_counted_shows_when_it_is_published_and_at_the_end() {
        let lane = lane();
        let mut tally = Tally::new(Arc::clone(&lane), Way::In);
        tally.count(10);
        tally.count(20);
        tally.publish();
        assert_eq!(lane.volume(Way::In), Volume { count: 2, bytes: 30 });
        assert_eq!(lane.volume(Way::Out), Volume::default());
        tally.count(5);
        drop(tally);
        assert_eq!(lane.volume(Way::In), Volume { count: 3, bytes: 35 });
    }
}
