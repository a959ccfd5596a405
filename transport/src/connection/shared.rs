//! What every stream of a connection needs to know.

use super::{
    FramesIn, FramesOut,
    heard::Heard,
    pace::Pace,
    terms::{self, PACED_BURST, PACED_FRAMES},
    throttle::{Meters, Throttles},
};
use crate::{
    Cancel, CloseReason, Exit, Fence, Merit, Mode, PeerInfo, Registry, StreamKind, StreamSpec, Violation,
    handshake::Negotiated,
    observe::{ConnectionSnapshot, FlightEvent, Lane, Recorder, Tally, Text, TurnedAway, Way, metrics},
    quic::{Farewell, Link, RecvHalf, ResetCode, SendHalf, refuse},
    service::Entry,
    tongue::Voice,
    wire::{FrameAssembler, PreludeHead},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// A stream kind that was negotiated, with the meters that outlive its streams.
pub(super) struct Kind {
    pub(super) entry: Entry,
    inbound: Arc<Pace>,
    outbound: Option<Arc<Pace>>,
    lane: Arc<Lane>,
}

/// One connection, as its streams see it.
pub(crate) struct Shared {
    pub(super) link: Link,
    pub(super) info: PeerInfo,
    pub(super) agreed: Negotiated,
    pub(super) kinds: BTreeMap<StreamKind, Kind>,
    pub(super) heard: Arc<Heard>,
    pub(super) cancel: Cancel,
    pub(super) recorder: Arc<Recorder>,
    turned_away: TurnedAway,
    pub(super) merit: Merit,
    voice: Voice,
    up: Throttles,
    down: Throttles,
}

/// What a stream's task tells the connection.
pub(super) enum Report {
    /// A stream we opened stands, or could not be opened.
    Opened { kind: StreamKind, fence: Fence, halves: Option<(SendHalf, RecvHalf)> },
    /// The peer opened an ordered stream.
    Arrived(Arrived),
    /// A session is over.
    Ended { kind: StreamKind, fence: Fence, exit: Exit, refused: bool },
    /// Something that closes the connection.
    Fatal { stream: &'static str, exit: Exit, farewell: Farewell },
}

/// An ordered stream from the peer whose prelude was in order.
pub(super) struct Arrived {
    pub(super) kind: StreamKind,
    pub(super) max_frame: u32,
    pub(super) halves: (SendHalf, RecvHalf),
    pub(super) permit: OwnedSemaphorePermit,
}

/// Why a prelude's first part is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Only the stream is reset.
    Reset(ResetCode),
    /// The stream is reset with 2 and the connection closed.
    Fatal(&'static str, Violation),
}

impl Shared {
    pub(super) fn new(
        link: Link,
        info: PeerInfo,
        agreed: Negotiated,
        (registry, voice, meters): (&Registry, Voice, &Meters),
        now: std::time::Instant,
    ) -> Self {
        let recorder = Arc::new(Recorder::new(info.clone(), now));
        let kinds = registry.offered().filter(|entry| agreed.capabilities.contains(entry.spec.capability));
        let kinds = kinds.map(|entry| {
            let rate = terms::inbound_rate(&agreed, &entry.spec);
            let paced = !terms::is_unpaced(&agreed) && entry.spec.mode == Mode::Ordered;
            let kind = Kind {
                entry: entry.clone(),
                inbound: Arc::new(Pace::new(now, rate, rate)),
                outbound: paced.then(|| Arc::new(Pace::new(now, PACED_FRAMES, PACED_BURST))),
                lane: Arc::new(Lane::new(entry.spec.name, Arc::clone(&recorder))),
            };
            (entry.spec.kind, kind)
        });
        let kinds = kinds.collect();
        let (heard, cancel, turned_away) = (Arc::new(Heard::new(now)), Cancel::new(), TurnedAway::default());
        let (up, down) = meters.connection(now);
        let merit = Merit::default();
        Self { link, info, agreed, kinds, heard, cancel, recorder, turned_away, merit, voice, up, down }
    }

    /// The negotiated streams of a mode.
    pub(super) fn specs(&self, mode: Mode) -> impl Iterator<Item = &StreamSpec> {
        self.kinds.values().map(|kind| &kind.entry.spec).filter(move |spec| spec.mode == mode)
    }

    /// Judges the first part of a peer's prelude.
    pub(super) fn judge(&self, head: PreludeHead) -> Result<&Kind, Misfit> {
        let Some(kind) = self.kinds.get(&head.kind).filter(|kind| kind.entry.spec.version == head.version)
        else {
            return Err(Misfit::Reset(ResetCode::UnknownStream));
        };
        let spec = &kind.entry.spec;
        if spec.mode == head.mode {
            return Ok(kind);
        }
        let seen = match head.mode {
            Mode::Ordered => format!("{} without a request id", spec.name),
            Mode::Request => format!("{} with a request id", spec.name),
        };
        Err(Misfit::Fatal(spec.name, Violation::protocol("stream.mode", seen)))
    }

    /// Frames from the peer on an ordered stream.
    pub(super) fn frames_in(&self, kind: &Kind, half: RecvHalf, refused: &Arc<AtomicBool>) -> FramesIn {
        let mut frames = self.plain_frames_in(kind, half);
        frames.refused = Arc::clone(refused);
        frames.pace = Some(Arc::clone(&kind.inbound));
        frames.heard = Some(Arc::clone(&self.heard));
        frames
    }

    /// Frames from the peer that neither count nor keep the connection alive: those of a response.
    pub(super) fn plain_frames_in(&self, kind: &Kind, half: RecvHalf) -> FramesIn {
        let spec = &kind.entry.spec;
        let cap = terms::inbound_cap(&self.agreed, spec);
        let assembler = FrameAssembler::new(spec.clone(), cap);
        let mut frames = FramesIn::new(half, assembler, kind.tally(Way::In));
        frames.throttles = self.down.clone();
        frames
    }

    /// Frames to the peer. `opener`: what the peer stated, if it opened the stream.
    pub(super) fn frames_out(
        &self,
        kind: &Kind,
        half: SendHalf,
        opener: Option<u32>,
        refused: &Arc<AtomicBool>,
    ) -> FramesOut {
        let cap = terms::outbound_cap(&self.agreed, &kind.entry.spec, opener);
        let mouth = self.voice.mouth(&self.info, kind.entry.spec.kind);
        let tally = kind.tally(Way::Out);
        let mut frames =
            FramesOut::new(half, cap, kind.outbound.clone(), Arc::clone(refused), (mouth, tally));
        frames.throttles = self.up.clone();
        frames
    }

    /// Resets a stream of the peer's on which nothing runs yet.
    pub(super) fn refuse(&self, send: SendHalf, recv: RecvHalf, code: ResetCode) {
        self.turned_away.count(Instant::now().into_std(), code, &self.recorder);
        refuse(send, recv, code);
    }

    /// Records the end of the connection: its cause, and our close if the link still stands.
    pub(super) fn over(&self, now: std::time::Instant, reason: &CloseReason, farewell: Farewell) {
        match reason {
            CloseReason::Violation { stream, violation } => {
                metrics::violation(violation.class());
                let evidence = Text::of(violation.evidence());
                let (stream, rule) = (*stream, violation.rule());
                self.recorder.note(now, FlightEvent::Violation { stream, rule, evidence });
            }
            CloseReason::Panicked { stream, message } => {
                let message = Text::of(message);
                self.recorder.note(now, FlightEvent::Panicked { stream, message });
            }
            _ => {}
        }
        if !self.link.is_over() {
            let Farewell { code, reason } = farewell;
            self.recorder.note(now, FlightEvent::CloseSent { code, reason });
        }
        self.recorder.over(now, reason);
    }

    /// The connection as it stands.
    pub(super) fn snapshot(&self, now: std::time::Instant) -> ConnectionSnapshot {
        let vitals = self.link.vitals();
        let kinds = self.kinds.values().map(|kind| (&kind.entry.spec, &*kind.lane));
        ConnectionSnapshot {
            peer: self.info.clone(),
            age: self.recorder.age(now),
            round_trip: vitals.round_trip,
            up: vitals.up,
            down: vitals.down,
            congestion_window: vitals.congestion_window,
            sent_packets: vitals.sent_packets,
            lost_packets: vitals.lost_packets,
            mtu: vitals.mtu,
            streams: self.recorder.stream_snapshots(kinds),
            refusals: self.turned_away.refusals(),
        }
    }
}

impl Kind {
    /// Counts the frames of one half of one stream.
    pub(super) fn tally(&self, way: Way) -> Tally {
        Tally::new(Arc::clone(&self.lane), way)
    }
}
