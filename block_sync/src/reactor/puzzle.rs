//! Bodies that cannot be judged here: whether to ask somebody else, or to wait.
//!
//! A header says nothing of its transactions' versions, so anybody can put a transaction of no known version under a
//! right header. One peer's word for it is therefore no reason to hold a height back while others can be asked; the same
//! bytes from two are.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    sequencer::{Delivery, Source},
    state::State,
};
use crate::machine::Input;
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hasher as _},
    time::{Duration, Instant},
};
use zakura_header_sync::chain::{BlockRef, Height, HeightRange};
use zakura_transport::{Fence, PeerId};

/// How long a body of unknown rules is left alone.
pub(super) const UNSUPPORTED_WAIT: Duration = Duration::from_secs(60);

/// How long a body is left alone whose check broke down.
const BROKEN_WAIT: Duration = Duration::from_secs(1);

/// What lies above a height that is held back waits so much longer: that height comes first, and decides.
const IN_TURN: Duration = Duration::from_secs(2);

/// Heights with a puzzle remembered, the lowest. Stops junk under many headers from filling memory.
const MAX_CASES: usize = 1_024;

/// Peers remembered for one height, the last. Stops identities, which are free, from filling memory.
const MAX_WITNESSES: usize = 8;

/// Who brought what. The digest is no proof against forgers, who could as well bring the same bytes.
#[derive(Debug)]
struct Witness {
    peer: PeerId,
    digest: u64,
    times: u32,
}

/// A body is held back: until when, and why.
#[derive(Debug)]
struct Hold {
    until: Instant,
    reason: String,
    /// Whether that is only for want of somebody else to ask.
    is_for_want: bool,
}

#[derive(Debug)]
struct Case {
    at: BlockRef,
    witnesses: VecDeque<Witness>,
    hold: Option<Hold>,
}

/// What a session is to be told.
#[derive(Debug)]
struct Doubt {
    highest: Height,
    bytes: u64,
    strikes: u32,
}

/// The heights whose bodies cannot be judged here.
#[derive(Debug, Default)]
pub(super) struct Puzzles {
    cases: BTreeMap<Height, Case>,
    doubts: BTreeMap<Fence, Doubt>,
}

impl Puzzles {
    /// The lowest height held back, and why.
    pub(super) fn held(&self) -> Option<(Height, &str)> {
        let mut cases = self.cases.iter();
        cases.find_map(|(height, case)| case.hold.as_ref().map(|hold| (*height, hold.reason.as_str())))
    }

    /// A body is held back.
    fn hold(&mut self, at: BlockRef, hold: Hold) {
        self.case(at).hold = Some(hold);
        self.make_room();
    }

    /// A peer has come that may be asked for these: the lowest that was held back for want of it.
    fn release(&mut self, now: Instant, peer: PeerId, range: HeightRange) -> Option<Height> {
        let mut lowest = None;
        for (height, Case { witnesses, hold, .. }) in self.cases.range_mut(range.first()..=range.last()) {
            let is_new = witnesses.iter().all(|witness| witness.peer != peer);
            let waits = |hold: &&mut Hold| hold.is_for_want && hold.until > now;
            if let Some(hold) = hold.as_mut().filter(waits).filter(|_| is_new) {
                hold.until = now;
                lowest.get_or_insert(*height);
            }
        }
        lowest
    }

    /// A body could be judged after all.
    pub(super) fn solved(&mut self, height: Height) {
        self.cases.remove(&height);
    }

    /// Heights up to here are of no interest any more.
    pub(super) fn forget_to(&mut self, height: Height) {
        self.cases.retain(|puzzling, _| *puzzling > height);
    }

    /// The chain has changed.
    pub(super) fn clear(&mut self) {
        self.cases.clear();
    }

    fn case(&mut self, at: BlockRef) -> &mut Case {
        let new = || Case { at, witnesses: VecDeque::new(), hold: None };
        let case = self.cases.entry(at.height).or_insert_with(new);
        if case.at != at {
            *case = new();
        }
        case
    }

    fn make_room(&mut self) {
        while self.cases.len() > MAX_CASES {
            self.cases.pop_last();
        }
    }

    /// Until when something below is held back, if it is.
    fn held_below(&self, now: Instant, height: Height) -> Option<Instant> {
        let holds = self.cases.range(..height).filter_map(|(_, case)| case.hold.as_ref());
        holds.map(|hold| hold.until).find(|until| *until > now)
    }

    /// A peer brought this: how often it has brought something for that height by now, and who else has; `None` if
    /// another peer has brought the same.
    fn hear(&mut self, at: BlockRef, peer: PeerId, raw: &[u8]) -> Option<(u32, Vec<PeerId>)> {
        let mut hasher = DefaultHasher::new();
        hasher.write(raw);
        let digest = hasher.finish();
        let witnesses = &mut self.case(at).witnesses;
        let before = witnesses.iter().position(|witness| witness.peer == peer);
        let before = before.and_then(|place| witnesses.remove(place)).map_or(0, |witness| witness.times);
        let is_confirmed = witnesses.iter().any(|witness| witness.digest == digest);
        let times = before.saturating_add(1);
        if witnesses.len() >= MAX_WITNESSES {
            witnesses.pop_front();
        }
        witnesses.push_back(Witness { peer, digest, times });
        let heard = witnesses.iter().map(|witness| witness.peer).collect();
        self.make_room();
        (!is_confirmed).then_some((times, heard))
    }

    fn doubt(&mut self, session: Fence, height: Height, bytes: u64, strikes: u32) {
        let new = Doubt { highest: height, bytes: 0, strikes };
        let doubt = self.doubts.entry(session).or_insert(new);
        doubt.highest = doubt.highest.max(height);
        doubt.bytes = doubt.bytes.saturating_add(bytes);
        doubt.strikes = doubt.strikes.max(strikes);
    }
}

impl State {
    /// A session says what it may be asked for.
    pub(super) fn on_useful(&mut self, now: Instant, session: Fence, range: Option<HeightRange>) {
        self.census.set_range(session, range);
        let Some((peer, range)) = self.census.peer(session).zip(range) else { return };
        if let Some(lowest) = self.puzzles.release(now, peer, range) {
            self.sequencer.hasten(now, lowest);
        }
    }

    /// A body is of rules that are not known here, or is junk that looks so.
    pub(super) fn on_unsupported(&mut self, now: Instant, at: BlockRef, delivery: &Delivery, reason: String) {
        let Source { session, peer } = delivery.from;
        if let Some(until) = self.puzzles.held_below(now, at.height) {
            // It could not be committed before that one anyway, so nobody is asked for it twice.
            self.sequencer.defer(at, until.checked_add(IN_TURN).unwrap_or(until));
            return;
        }
        let unconfirmed = self.puzzles.hear(at, peer, &delivery.raw);
        let is_for_want = unconfirmed.is_some();
        if let Some((strikes, heard)) = unconfirmed
            && self.census.others_have(now, at.height, &heard)
        {
            tracing::warn!(%peer, block = %at, %reason, "a body cannot be judged here; others are asked for it");
            self.sequencer.reject(at);
            self.puzzles.doubt(session, at.height, delivery.raw.len() as u64, strikes);
            return;
        }
        let until = now.checked_add(UNSUPPORTED_WAIT).unwrap_or(now);
        self.hold_back(at, Hold { until, reason, is_for_want });
    }

    /// The check of a body broke down.
    pub(super) fn on_broken(&mut self, now: Instant, at: BlockRef, reason: String) {
        let until = now.checked_add(BROKEN_WAIT).unwrap_or(now);
        self.hold_back(at, Hold { until, reason, is_for_want: false });
    }

    fn hold_back(&mut self, at: BlockRef, hold: Hold) {
        let reason = &hold.reason;
        tracing::error!(block = %at, %reason, "a body cannot be judged here; is this node up to date?");
        self.sequencer.defer(at, hold.until);
        self.puzzles.hold(at, hold);
    }

    /// Tells sessions that what they brought was of no use, once for all of a check.
    pub(super) fn post_doubts(&mut self) {
        for (session, Doubt { highest, bytes, strikes }) in std::mem::take(&mut self.puzzles.doubts) {
            if let Some(mailbox) = self.census.mailbox(session) {
                self.mail.push((mailbox.clone(), Input::Doubt { highest, bytes, strikes }));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;
    use zakura_header_sync::chain::BlockHash;

    fn at(number: u32) -> BlockRef {
        BlockRef { height: Height::new(number).unwrap(), hash: BlockHash([1; 32]) }
    }

    fn peer(id: u32) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&id.to_le_bytes());
        PeerId::new(bytes)
    }

    #[test]
    fn memory_stays_bounded_and_the_lowest_is_kept() {
        let mut puzzles = Puzzles::default();
        for number in 0..2_000 {
            assert!(puzzles.hear(at(5_000 - number), peer(1), &[1]).is_some());
            assert!(puzzles.hear(at(1), peer(number), &number.to_le_bytes()).is_some());
        }
        assert_eq!(puzzles.cases.len(), MAX_CASES);
        assert_eq!(puzzles.cases[&at(1).height].witnesses.len(), MAX_WITNESSES);
        assert!(puzzles.hear(at(1), peer(9_999), &1_999_u32.to_le_bytes()).is_none(), "confirmed");
    }

    #[test]
    fn another_block_at_the_height_is_another_case() {
        let mut puzzles = Puzzles::default();
        assert!(puzzles.hear(at(1), peer(1), &[1]).is_some());
        let other = BlockRef { hash: BlockHash([2; 32]), ..at(1) };
        assert!(puzzles.hear(other, peer(2), &[1]).is_some());
    }
}
