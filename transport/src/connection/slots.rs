//! Which streams of a connection are open, and who may open the next: the opener, collision and re-open rules of
//! wire 4.4. Pure.

use crate::{Direction, Fence, Opener, PeerId, StreamKind, StreamSpec, Violation, observe::Phase};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Pause before a stream is opened again; it doubles with every time, for the life of the connection (wire 4.4).
const REOPEN_FIRST: Duration = Duration::from_millis(250);
/// The longest pause before a stream is opened again (wire 4.4).
const REOPEN_MOST: Duration = Duration::from_secs(8);
/// How long an accepted stream may wait for its predecessor's routine to end. An honest opener has ended the old
/// stream before it opens a new one, but our routine may still be finishing: it may wait for its reactor, which is our
/// own slowness and no fault of the peer. Beyond this the peer holds two streams where one is allowed.
const SUCCESSION: Duration = Duration::from_secs(10);

/// What to do with a stream that the peer opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Run a session on it, under this fence.
    Start(Fence),
    /// Keep it until the session before it has ended.
    Hold,
    /// FIN and STOP_SENDING 0: not now, or ours counts.
    Park,
    /// The peer may not do this.
    Fault(Violation),
}

#[derive(Debug)]
enum State {
    /// No stream. `open_at`: when to open one, if we are the one who opens.
    Idle { open_at: Option<Instant> },
    /// We are opening one.
    Opening(Fence),
    /// A session runs. `held_until`: a successor waits, until then.
    Live { fence: Fence, ours: bool, held_until: Option<Instant> },
    /// Never again on this connection.
    Retired,
}

#[derive(Debug)]
struct Slot {
    opener: Opener,
    name: &'static str,
    state: State,
    reopened: u32,
}

/// The ordered streams of one connection.
#[derive(Debug)]
pub(crate) struct Slots {
    direction: Direction,
    we_are_smaller: bool,
    slots: BTreeMap<StreamKind, Slot>,
}

impl Slots {
    pub(crate) fn new<'a>(
        us: PeerId,
        peer: PeerId,
        direction: Direction,
        streams: impl Iterator<Item = &'a StreamSpec>,
        now: Instant,
    ) -> Self {
        let mut slots = Self { direction, we_are_smaller: us < peer, slots: BTreeMap::new() };
        for spec in streams {
            let open_at = slots.opens(spec.opener).then_some(now);
            let state = State::Idle { open_at };
            let slot = Slot { opener: spec.opener, name: spec.name, state, reopened: 0 };
            slots.slots.insert(spec.kind, slot);
        }
        slots
    }

    /// The kinds that are ours to open now, in the order of wire 4.4. Each wants an answer: [`opening`](Self::opening)
    /// or [`postpone`](Self::postpone).
    pub(crate) fn due(&self, now: Instant) -> Vec<StreamKind> {
        let mut due: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.state, State::Idle { open_at: Some(at) } if at <= now))
            .map(|(kind, _)| *kind)
            .collect();
        due.sort_by_key(|kind| open_order(*kind));
        due
    }

    /// When something is due next: an opening, or the end of a hold.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.slots
            .values()
            .filter_map(|slot| match slot.state {
                State::Idle { open_at } => open_at,
                State::Live { held_until, .. } => held_until,
                State::Opening(_) | State::Retired => None,
            })
            .min()
    }

    /// We open a stream of this kind now.
    pub(crate) fn opening(&mut self, kind: StreamKind) -> Fence {
        let fence = Fence::mint();
        if let Some(slot) = self.slots.get_mut(&kind) {
            slot.state = State::Opening(fence);
        }
        fence
    }

    /// There is no demand for this kind yet.
    pub(crate) fn postpone(&mut self, kind: StreamKind, until: Instant) {
        if let Some(Slot { state: State::Idle { open_at }, .. }) = self.slots.get_mut(&kind) {
            *open_at = Some(until);
        }
    }

    /// The stream we were opening stands. Whether it is still the one.
    pub(crate) fn opened(&mut self, kind: StreamKind, fence: Fence) -> bool {
        match self.slots.get_mut(&kind) {
            Some(slot) if matches!(slot.state, State::Opening(current) if current == fence) => {
                slot.state = State::Live { fence, ours: true, held_until: None };
                true
            }
            Some(_) | None => false,
        }
    }

    /// The peer opened a stream of this kind; `wanted`: whether the service wants the peer.
    pub(crate) fn arrived(&mut self, kind: StreamKind, wanted: bool, now: Instant) -> Arrival {
        let Some(slot) = self.slots.get_mut(&kind) else { return Arrival::Park };
        if slot.opener == Opener::Initiator && self.direction == Direction::Outbound {
            let seen = format!("the responder opened {}", slot.name);
            return Arrival::Fault(Violation::protocol("stream.opener", seen));
        }
        match &mut slot.state {
            State::Idle { .. } if wanted => {
                let fence = Fence::mint();
                slot.state = State::Live { fence, ours: false, held_until: None };
                Arrival::Start(fence)
            }
            State::Live { ours: false, held_until: held @ None, .. } => {
                *held = Some(now.checked_add(SUCCESSION).unwrap_or(now));
                Arrival::Hold
            }
            State::Live { ours: false, held_until: Some(_), .. } => Arrival::Fault(second(slot.name)),
            State::Idle { .. } | State::Opening(_) | State::Live { ours: true, .. } | State::Retired => {
                Arrival::Park
            }
        }
    }

    /// A stream whose predecessor has not ended in time: the peer holds two.
    pub(crate) fn overdue(&self, now: Instant) -> Option<(StreamKind, Violation)> {
        self.slots.iter().find_map(|(kind, slot)| match slot.state {
            State::Live { held_until: Some(until), .. } if until <= now => Some((*kind, second(slot.name))),
            State::Live { .. } | State::Idle { .. } | State::Opening(_) | State::Retired => None,
        })
    }

    /// The session (or the attempt to open one) under this fence is over. Whether it was the current one.
    pub(crate) fn ended(&mut self, kind: StreamKind, fence: Fence, reopen: bool, now: Instant) -> bool {
        let Some(opener) = self.slots.get(&kind).map(|slot| slot.opener) else { return false };
        let ours_to_open = self.opens(opener);
        let Some(slot) = self.slots.get_mut(&kind) else { return false };
        let current = match slot.state {
            State::Opening(current) | State::Live { fence: current, .. } => current == fence,
            State::Idle { .. } | State::Retired => false,
        };
        if current && reopen {
            let pause = REOPEN_FIRST.saturating_mul(1 << slot.reopened.min(16)).min(REOPEN_MOST);
            slot.reopened = slot.reopened.saturating_add(1);
            slot.state = State::Idle { open_at: ours_to_open.then(|| now.checked_add(pause).unwrap_or(now)) };
        } else if current {
            slot.state = State::Retired;
        }
        current
    }

    /// Where every stream stands.
    pub(crate) fn phases(&self) -> impl Iterator<Item = (StreamKind, &'static str, Phase)> {
        self.slots.iter().map(|(kind, slot)| {
            let phase = match slot.state {
                State::Idle { .. } => Phase::Idle,
                State::Opening(_) => Phase::Opening,
                State::Live { fence, ours, .. } => Phase::Open { fence, ours },
                State::Retired => Phase::Retired,
            };
            (*kind, slot.name, phase)
        })
    }

    /// Whether we are the one who opens such a stream.
    fn opens(&self, opener: Opener) -> bool {
        match opener {
            Opener::Initiator => self.direction == Direction::Outbound,
            Opener::SmallerId => self.we_are_smaller,
        }
    }
}

/// Kinds are opened in the order 2, 5, 4, 6, then custom ones by number (wire 4.4).
fn open_order(kind: StreamKind) -> (u8, u16) {
    let rank = match kind.0 {
        2 => 0,
        5 => 1,
        4 => 2,
        6 => 3,
        _ => 4,
    };
    (rank, kind.0)
}

fn second(name: &'static str) -> Violation {
    Violation::protocol("stream.second", format!("a second stream of {name} beside a live one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, Mode, PayloadCap};

    const SMALL: PeerId = PeerId::new([1; 32]);
    const LARGE: PeerId = PeerId::new([2; 32]);

    fn spec(kind: u16, opener: Opener) -> StreamSpec {
        StreamSpec {
            name: "test",
            kind: StreamKind(kind),
            version: 1,
            capability: Capabilities::from_bits(1 << 40),
            mode: Mode::Ordered,
            max_frame: 1024,
            payload_caps: &[PayloadCap { message_type: 1, bytes: 1016 }],
            opener,
            frames_per_second: 2048,
        }
    }

    fn slots(us: PeerId, direction: Direction) -> (Slots, Instant) {
        let now = tokio::time::Instant::now().into_std();
        let peer = if us == SMALL { LARGE } else { SMALL };
        let specs = [6, 300, 4, 5]
            .map(|kind| spec(kind, if kind == 6 { Opener::SmallerId } else { Opener::Initiator }));
        (Slots::new(us, peer, direction, specs.iter(), now), now)
    }

    fn kinds(kinds: &[u16]) -> Vec<StreamKind> {
        kinds.iter().copied().map(StreamKind).collect()
    }

    #[test]
    fn each_side_opens_what_it_is_entitled_to_in_the_wire_order() {
        let due = |us, direction| {
            let (slots, now) = slots(us, direction);
            slots.due(now)
        };
        assert_eq!(due(SMALL, Direction::Outbound), kinds(&[5, 4, 6, 300]));
        assert_eq!(due(LARGE, Direction::Outbound), kinds(&[5, 4, 300]));
        assert_eq!(due(SMALL, Direction::Inbound), kinds(&[6]));
        assert_eq!(due(LARGE, Direction::Inbound), kinds(&[]));
    }

    #[test]
    fn the_winner_keeps_its_own_stream_and_the_loser_takes_it() {
        let (mut winner, now) = slots(SMALL, Direction::Inbound);
        let kind = StreamKind(6);
        let fence = winner.opening(kind);
        assert_eq!(winner.arrived(kind, true, now), Arrival::Park);
        assert!(winner.opened(kind, fence));
        assert_eq!(winner.arrived(kind, true, now), Arrival::Park);
        let (mut loser, now) = slots(LARGE, Direction::Outbound);
        assert!(matches!(loser.arrived(kind, true, now), Arrival::Start(_)));
    }

    #[test]
    fn a_responder_that_opens_an_initiators_stream_is_at_fault() {
        let (mut slots, now) = slots(SMALL, Direction::Outbound);
        assert!(matches!(slots.arrived(StreamKind(5), true, now), Arrival::Fault(_)));
    }

    #[test]
    fn a_second_stream_waits_for_the_first_to_end_and_then_is_a_fault() {
        let (mut slots, now) = slots(LARGE, Direction::Inbound);
        let kind = StreamKind(5);
        let Arrival::Start(first) = slots.arrived(kind, true, now) else { panic!("an idle slot starts") };
        assert_eq!(slots.arrived(kind, true, now), Arrival::Hold);
        assert_eq!(slots.next(), Some(now + SUCCESSION));
        assert_eq!(
            slots.overdue(now + Duration::from_secs(9)),
            None,
            "our slow routine is no fault of the peer"
        );
        assert!(slots.overdue(now + SUCCESSION).is_some());
        assert!(matches!(slots.arrived(kind, true, now), Arrival::Fault(_)), "a third one is one too many");
        assert!(slots.ended(kind, first, true, now));
        assert!(matches!(slots.arrived(kind, true, now), Arrival::Start(_)));
        assert!(!slots.ended(kind, first, true, now), "an old session's end does not touch its successor");
    }

    #[test]
    fn the_opener_opens_again_after_a_pause_that_doubles_up_to_eight_seconds() {
        let (mut slots, mut now) = slots(SMALL, Direction::Outbound);
        let kind = StreamKind(6);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let fence = slots.opening(kind);
            assert!(slots.opened(kind, fence));
            assert!(slots.ended(kind, fence, true, now));
            let Slot { state: State::Idle { open_at: Some(at) }, .. } = slots.slots[&kind] else {
                panic!("the opener opens again")
            };
            pauses.push((at - now).as_millis());
            now = at;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
    }

    #[test]
    fn the_acceptor_waits_and_a_retired_kind_is_parked() {
        let (mut slots, now) = slots(LARGE, Direction::Inbound);
        let kind = StreamKind(5);
        assert_eq!(slots.arrived(kind, false, now), Arrival::Park, "no demand");
        let Arrival::Start(fence) = slots.arrived(kind, true, now) else { panic!("an idle slot starts") };
        assert!(slots.ended(kind, fence, true, now));
        assert_eq!(slots.next(), None);
        let Arrival::Start(fence) = slots.arrived(kind, true, now) else { panic!("an idle slot starts") };
        assert!(slots.ended(kind, fence, false, now));
        assert_eq!(slots.arrived(kind, true, now), Arrival::Park);
    }

    #[test]
    fn without_demand_an_opening_waits() {
        let (mut slots, now) = slots(SMALL, Direction::Inbound);
        slots.postpone(StreamKind(6), now + Duration::from_secs(1));
        assert!(slots.due(now).is_empty());
        assert_eq!(slots.next(), Some(now + Duration::from_secs(1)));
        assert_eq!(slots.due(now + Duration::from_secs(1)), kinds(&[6]));
    }
}
