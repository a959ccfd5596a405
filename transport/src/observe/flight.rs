//! The last events of one connection. Pure.

use super::Text;
use crate::{Capabilities, CloseReason, Exit, Fence, PeerInfo, StreamKind};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// Events that are kept of a connection; older ones give way. 64 with a peer's longest words are 24 KiB: stops a peer from
/// filling our memory with what it does.
pub const FLIGHT_EVENTS: usize = 64;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// Cleanly, or because we were asked to.
    Closed,
    /// By a fault of the peer; the connection is closed for it.
    Violation {
        /// The rule, from our code.
        rule: &'static str,
    },
    /// For a reason of our own, never the peer's fault.
    Local {
        /// The reason, from our code.
        why: &'static str,
    },
    /// By a bug of ours; the connection is closed for it.
    Panicked,
}

impl StreamEnd {
    pub(crate) const fn of(exit: &Exit) -> Self {
        match exit {
            Exit::Closed { .. } => Self::Closed,
            Exit::Violation(violation) => Self::Violation { rule: violation.rule() },
            Exit::Local(why) => Self::Local { why },
            Exit::Panicked(_) => Self::Panicked,
        }
    }
}

/// Something that happened on a connection. `stream` is always a name that a service declared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlightEvent {
    /// The connection was made.
    Connected,
    /// The handshake agreed on these bits.
    Agreed(Capabilities),
    /// A session began on the first stream of its kind.
    StreamOpened {
        /// The stream.
        stream: &'static str,
        /// Whether we opened it.
        ours: bool,
    },
    /// A session began on a later stream of its kind.
    StreamReopened {
        /// The stream.
        stream: &'static str,
        /// Whether we opened it.
        ours: bool,
    },
    /// A session ended, and the stream may be opened again.
    StreamParked {
        /// The stream.
        stream: &'static str,
        /// How it ended.
        end: StreamEnd,
    },
    /// A session ended, and the stream is not opened again on this connection.
    StreamRetired {
        /// The stream.
        stream: &'static str,
        /// How it ended.
        end: StreamEnd,
    },
    /// We reset a stream of the peer's before anything ran on it (wire 1.5).
    StreamRefused {
        /// The reset's code.
        code: u32,
    },
    /// A frame broke a rule of frames.
    FrameRefused {
        /// The stream.
        stream: &'static str,
        /// The rule, from our code.
        rule: &'static str,
    },
    /// The peer was faster than allowed.
    RateLimit {
        /// A stream's name for its frames, `streams` for their opening.
        what: &'static str,
    },
    /// The peer's provable fault.
    Violation {
        /// The stream.
        stream: &'static str,
        /// The rule, from our code.
        rule: &'static str,
        /// What was seen.
        evidence: Text,
    },
    /// A routine of ours panicked.
    Panicked {
        /// The stream.
        stream: &'static str,
        /// The panic's words.
        message: Text,
    },
    /// We closed the connection.
    CloseSent {
        /// The code (wire 1.5).
        code: u32,
        /// The text (wire 1.5).
        reason: &'static str,
    },
    /// The peer closed the connection.
    CloseReceived {
        /// The code (wire 1.5).
        code: u64,
        /// The peer's text.
        reason: Text,
    },
    /// The connection is over; this was the first cause.
    Over {
        /// The reason in words.
        reason: Text,
    },
}

/// One event, or a run of equal ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlightRecord {
    /// When it happened first.
    pub at: Instant,
    /// What happened.
    pub event: FlightEvent,
    /// How many times in a row: a peer that does one thing over and over takes one place.
    pub times: u64,
}

/// The last events of one connection, oldest first. `Display` prints a line for each; [`Flight::json_lines`] likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flight {
    /// The connection.
    pub peer: PeerInfo,
    /// When it was made: what printed times are counted from.
    pub begun: Instant,
    /// What happened.
    pub records: Vec<FlightRecord>,
    /// Older records that gave way.
    pub left_out: u64,
    /// The first cause of its end, once it is over. It never gives way.
    pub over: Option<CloseReason>,
}

/// Where the stream of a kind stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    Opening,
    Open { fence: Fence, ours: bool },
    Retired,
}

/// What is remembered of a stream kind.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) phase: Phase,
    /// How many sessions have begun.
    pub(super) sessions: u32,
    pub(super) last_end: Option<StreamEnd>,
}

/// What is remembered of a connection.
#[derive(Debug)]
pub(super) struct Log {
    records: VecDeque<FlightRecord>,
    left_out: u64,
    pub(super) streams: BTreeMap<StreamKind, Stream>,
    pub(super) over: Option<CloseReason>,
}

impl Log {
    pub(super) const fn new() -> Self {
        Self { records: VecDeque::new(), left_out: 0, streams: BTreeMap::new(), over: None }
    }

    /// Notes an event. The oldest gives way to it.
    pub(super) fn note(&mut self, now: Instant, event: FlightEvent) {
        if let Some(last) = self.records.back_mut()
            && last.event == event
        {
            last.times = last.times.saturating_add(1);
            return;
        }
        if self.records.len() >= FLIGHT_EVENTS {
            self.records.pop_front();
            self.left_out = self.left_out.saturating_add(1);
        }
        self.records.push_back(FlightRecord { at: now, event, times: 1 });
    }

    /// Notes what a stream has come to, if that is news.
    pub(super) fn stream(&mut self, now: Instant, kind: StreamKind, name: &'static str, phase: Phase) {
        let fresh = Stream { phase: Phase::Idle, sessions: 0, last_end: None };
        let stream = self.streams.entry(kind).or_insert(fresh);
        if stream.phase == phase {
            return;
        }
        let (was, end) = (stream.phase, stream.last_end.clone().unwrap_or(StreamEnd::Closed));
        stream.phase = phase;
        let event = match (was, phase) {
            (_, Phase::Open { ours, .. }) => {
                stream.sessions = stream.sessions.saturating_add(1);
                match stream.sessions {
                    1 => FlightEvent::StreamOpened { stream: name, ours },
                    _ => FlightEvent::StreamReopened { stream: name, ours },
                }
            }
            (Phase::Open { .. }, Phase::Idle | Phase::Opening) => {
                FlightEvent::StreamParked { stream: name, end }
            }
            (_, Phase::Retired) => FlightEvent::StreamRetired { stream: name, end },
            (Phase::Idle | Phase::Opening | Phase::Retired, Phase::Idle | Phase::Opening) => return,
        };
        self.note(now, event);
    }

    /// Notes how a session of this kind ended.
    pub(super) fn session_over(&mut self, kind: StreamKind, end: StreamEnd) {
        if let Some(stream) = self.streams.get_mut(&kind) {
            stream.last_end = Some(end);
        }
    }

    /// Notes the first cause of the connection's end; a later one is no cause.
    pub(super) fn over(&mut self, now: Instant, reason: &CloseReason) {
        if self.over.is_none() {
            self.over = Some(reason.shortened());
            self.note(now, FlightEvent::Over { reason: Text::of(&reason.to_string()) });
        }
    }

    pub(super) fn flight(&self, peer: PeerInfo, begun: Instant) -> Flight {
        let records = self.records.iter().cloned().collect();
        Flight { peer, begun, records, left_out: self.left_out, over: self.over.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "news";
    const KIND: StreamKind = StreamKind(0x101);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn events(log: &Log) -> Vec<FlightEvent> {
        log.records.iter().map(|record| record.event.clone()).collect()
    }

    #[test]
    fn the_oldest_events_give_way_and_are_counted() {
        let mut log = Log::new();
        for code in 0..100 {
            log.note(now(), FlightEvent::StreamRefused { code });
        }
        assert_eq!((log.records.len(), log.left_out), (FLIGHT_EVENTS, 36));
        assert_eq!(events(&log)[0], FlightEvent::StreamRefused { code: 36 });
    }

    #[test]
    fn doing_one_thing_over_and_over_takes_one_place() {
        let mut log = Log::new();
        log.note(now(), FlightEvent::Connected);
        for _ in 0..1_000 {
            log.note(now(), FlightEvent::RateLimit { what: "streams" });
        }
        assert_eq!(events(&log), [FlightEvent::Connected, FlightEvent::RateLimit { what: "streams" }]);
        assert_eq!(log.records[1].times, 1_000);
    }

    #[test]
    fn a_streams_life_is_told_once_a_change() {
        let (mut log, now) = (Log::new(), now());
        let (first, second) = (Fence::mint(), Fence::mint());
        let turn = |log: &mut Log, phase| {
            log.stream(now, KIND, NAME, phase);
            log.stream(now, KIND, NAME, phase);
        };
        turn(&mut log, Phase::Idle);
        turn(&mut log, Phase::Opening);
        turn(&mut log, Phase::Open { fence: first, ours: true });
        log.session_over(KIND, StreamEnd::Local { why: "store" });
        turn(&mut log, Phase::Idle);
        turn(&mut log, Phase::Open { fence: second, ours: false });
        log.session_over(KIND, StreamEnd::Closed);
        turn(&mut log, Phase::Retired);
        assert_eq!(
            events(&log),
            [
                FlightEvent::StreamOpened { stream: NAME, ours: true },
                FlightEvent::StreamParked { stream: NAME, end: StreamEnd::Local { why: "store" } },
                FlightEvent::StreamReopened { stream: NAME, ours: false },
                FlightEvent::StreamRetired { stream: NAME, end: StreamEnd::Closed },
            ]
        );
    }

    #[test]
    fn a_cause_with_a_peers_whole_frame_in_it_is_kept_short() {
        let words = "x".repeat(1 << 20);
        let violation = crate::Violation::malformed("rule", words.clone());
        let causes = [
            CloseReason::Violation { stream: NAME, violation },
            CloseReason::Panicked { stream: NAME, message: words },
        ];
        for cause in causes {
            let mut log = Log::new();
            log.over(now(), &cause);
            let kept = log.over.map(|over| over.to_string().len());
            assert!(kept.is_some_and(|bytes| bytes < crate::observe::MAX_TEXT + 100), "{kept:?}");
        }
    }

    #[test]
    fn the_first_cause_stays() {
        let mut log = Log::new();
        log.over(now(), &CloseReason::Idle);
        log.over(now(), &CloseReason::Timeout);
        assert_eq!(log.over, Some(CloseReason::Idle));
        assert_eq!(log.records.len(), 1);
    }
}
