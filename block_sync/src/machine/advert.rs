//! When to say what we have (wire 5.3).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::wire::{Limits, Status};
use std::time::{Duration, Instant};
use zakura_header_sync::chain::{BlockRef, Height};

/// Existing nodes expect a changed Status at most so often (wire 5.3).
const PACE: Duration = Duration::from_secs(30);

/// Between our own nodes: the pace at which a Status that does not widen the range is applied (wire 5.3).
const OWN_PACE: Duration = Duration::from_secs(1);

/// Our Status is repeated so often until the peer's arrives (wire 5.3).
const REFRESH: Duration = Duration::from_secs(30);

/// Our side of the exchange of Status.
#[derive(Debug)]
pub(super) struct Advert {
    limits: Limits,
    pace: Duration,
    tip: Option<BlockRef>,
    last: Option<(Instant, BlockRef)>,
    peer_is_known: bool,
    /// A Status is to be sent as soon as there is room for it.
    is_owed: bool,
}

impl Advert {
    /// What we serve at most, and whether the peer is one of ours.
    pub(super) const fn new(limits: Limits, is_own: bool) -> Self {
        let pace = if is_own { OWN_PACE } else { PACE };
        Self { limits, pace, tip: None, last: None, peer_is_known: false, is_owed: true }
    }

    /// What we have now.
    pub(super) const fn set_tip(&mut self, tip: BlockRef) {
        self.tip = Some(tip);
    }

    /// The peer said what it has; the first time it is answered.
    pub(super) const fn peer_spoke(&mut self) {
        if !self.peer_is_known {
            self.peer_is_known = true;
            self.is_owed = true;
        }
    }

    /// When the next Status is due; `None` if nothing is to be said.
    pub(super) fn due(&self) -> Option<Instant> {
        let (at, said) = self.last.filter(|_| !self.is_owed)?;
        let wait = if self.tip.is_some_and(|tip| tip != said) {
            self.pace
        } else if self.peer_is_known {
            return None;
        } else {
            REFRESH
        };
        at.checked_add(wait)
    }

    /// Time has passed: what is due is owed, so that the clock is not asked again until it is sent.
    pub(super) fn wake(&mut self, now: Instant) {
        self.is_owed |= self.due().is_some_and(|due| due <= now);
    }

    /// The Status to send now, if one is to be sent.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Status> {
        self.wake(now);
        let tip = self.tip.filter(|_| self.is_owed)?;
        self.is_owed = false;
        self.last = Some((now, tip));
        Some(Status { low: Height::GENESIS, high: tip, limits: self.limits })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;
    use zakura_header_sync::chain::BlockHash;

    fn tip(height: u32) -> BlockRef {
        BlockRef { height: Height::new(height).unwrap(), hash: BlockHash([1; 32]) }
    }

    fn advert(is_own: bool) -> (Advert, Instant) {
        let mut advert = Advert::new(Limits::clamped(128, 64, 1 << 20), is_own);
        let now = tokio::time::Instant::now().into_std();
        advert.set_tip(tip(1));
        assert_eq!(advert.poll(now).unwrap().high, tip(1));
        (advert, now)
    }

    #[test]
    fn the_start_and_the_first_answer_are_sent_once() {
        let (mut advert, now) = advert(false);
        assert_eq!(advert.poll(now), None);
        advert.peer_spoke();
        assert!(advert.poll(now).is_some());
        advert.peer_spoke();
        assert_eq!(advert.poll(now + REFRESH * 2), None, "nothing changed and the peer is known");
    }

    #[test]
    fn it_is_repeated_until_the_peer_speaks() {
        let (mut advert, now) = advert(true);
        assert_eq!(advert.due(), Some(now + REFRESH));
        assert!(advert.poll(now + REFRESH).is_some());
        assert_eq!(advert.due(), Some(now + REFRESH * 2));
    }

    #[test]
    fn changes_are_paced() {
        for (is_own, pace) in [(false, PACE), (true, OWN_PACE)] {
            let (mut advert, now) = advert(is_own);
            advert.set_tip(tip(2));
            assert_eq!(advert.poll(now + pace - Duration::from_millis(1)), None);
            advert.set_tip(tip(3));
            assert_eq!(advert.poll(now + pace).unwrap().high, tip(3), "the newest");
        }
    }
}
