//! A connection as it stands, by value.

use super::{Lane, Phase, Recorder, StreamEnd, Way, flight::Stream};
use crate::{Mode, PeerInfo, StreamKind, StreamSpec};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A number of things, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Streams that we reset before anything ran on them (wire 1.5 and 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Refusals {
    /// Opened faster than 32 a second.
    pub streams_too_fast: u64,
    /// Opened beyond the agreed number, or requests beyond those that are answered at once.
    pub streams_without_place: u64,
    /// Streams that did not say in time what they are, or said it wrongly.
    pub bad_preludes: u64,
    /// Of a kind or version that was not negotiated.
    pub unknown_streams: u64,
}

/// Where the stream of a kind stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamState {
    /// No stream was opened yet: the service has no demand, or the peer is the one to open it.
    Waiting,
    /// We are opening one.
    Opening,
    /// A session runs.
    Open,
    /// The last session is over; the stream may be opened again.
    Parked,
    /// Not on this connection any more.
    Retired,
    /// A request kind: a stream for each request.
    Requests,
}

/// One stream kind of a connection, over all its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSnapshot {
    /// The name that its service declared.
    pub name: &'static str,
    /// The kind.
    pub kind: StreamKind,
    /// Where it stands.
    pub state: StreamState,
    /// Sessions that have begun. Not counted for requests.
    pub sessions: u32,
    /// How the last session ended, if one did.
    pub last_end: Option<StreamEnd>,
    /// Frames from the peer, headers included; those of answers to our requests too.
    pub frames_in: Volume,
    /// Frames that were handed to the stream, headers included; our own requests too.
    pub frames_out: Volume,
    /// How often a frame came faster than the kind allows.
    pub too_fast: u64,
}

/// A connection as it stands. Frames are counted when their stream's task pauses, so the newest may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The peer and its connection.
    pub peer: PeerInfo,
    /// How long the connection stands.
    pub age: Duration,
    /// The path's smoothed round-trip time.
    pub round_trip: Duration,
    /// UDP datagrams sent, with all that QUIC adds.
    pub up: Volume,
    /// UDP datagrams received.
    pub down: Volume,
    /// Bytes that congestion control lets us have in flight.
    pub congestion_window: u64,
    /// Packets sent on the path.
    pub sent_packets: u64,
    /// Of those, the ones declared lost.
    pub lost_packets: u64,
    /// The largest UDP payload that the path is known to carry, in bytes.
    pub mtu: u16,
    /// The negotiated kinds, by number.
    pub streams: Vec<StreamSnapshot>,
    /// Streams of the peer's that we refused.
    pub refusals: Refusals,
}

impl StreamSnapshot {
    fn new(spec: &StreamSpec, lane: &Lane, seen: Option<&Stream>) -> Self {
        let sessions = seen.map_or(0, |stream| stream.sessions);
        Self {
            name: spec.name,
            kind: spec.kind,
            state: match (spec.mode, seen.map_or(Phase::Idle, |stream| stream.phase)) {
                (Mode::Request, _) => StreamState::Requests,
                (Mode::Ordered, Phase::Idle) if sessions > 0 => StreamState::Parked,
                (Mode::Ordered, Phase::Idle) => StreamState::Waiting,
                (Mode::Ordered, Phase::Opening) => StreamState::Opening,
                (Mode::Ordered, Phase::Open { .. }) => StreamState::Open,
                (Mode::Ordered, Phase::Retired) => StreamState::Retired,
            },
            sessions,
            last_end: seen.and_then(|stream| stream.last_end.clone()),
            frames_in: lane.volume(Way::In),
            frames_out: lane.volume(Way::Out),
            too_fast: lane.times_too_fast(),
        }
    }
}

impl Recorder {
    /// The kinds of the connection as they stand.
    pub(crate) fn stream_snapshots<'a>(
        &self,
        kinds: impl Iterator<Item = (&'a StreamSpec, &'a Lane)>,
    ) -> Vec<StreamSnapshot> {
        let seen: BTreeMap<_, _> = self.stream_states();
        kinds.map(|(spec, lane)| StreamSnapshot::new(spec, lane, seen.get(&spec.kind))).collect()
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun())
    }
}
