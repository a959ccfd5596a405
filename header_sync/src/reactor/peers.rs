//! What the reactor knows of each session.

use crate::{chain::BlockRef, machine::rest_after};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::{Duration, Instant},
};
use zakura_transport::{Fence, PeerId};

/// One live session.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// What it advertises, if it may be asked.
    tip: Option<BlockRef>,
    /// The advertised tip it turned out not to lead to.
    disowned: Option<BlockRef>,
    /// When its outstanding order went out.
    ordered_at: Option<Instant>,
    /// How long its last page took; zero until measured, so that everyone is tried once.
    pace: Duration,
    failures: u32,
    not_before: Option<Instant>,
}

impl Peer {
    /// The tip it would lead us to.
    fn target(&self) -> Option<BlockRef> {
        self.tip.filter(|tip| self.disowned != Some(*tip))
    }

    /// Whether it would take an order now.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        self.ordered_at.is_none() && self.not_before.is_none_or(|until| until <= now)
    }

    /// Whether an order of its is out.
    #[cfg(feature = "simulation")]
    pub(super) const fn is_busy(&self) -> bool {
        self.ordered_at.is_some()
    }

    /// Who is asked first: who failed least, then who is fastest.
    pub(super) const fn rank(&self) -> (u32, Duration) {
        (self.failures, self.pace)
    }

    pub(super) const fn ordered(&mut self, now: Instant) {
        self.ordered_at = Some(now);
    }

    /// Its order was answered with a page.
    pub(super) fn delivered(&mut self, now: Instant) {
        if let Some(at) = self.ordered_at.take() {
            self.pace = now.saturating_duration_since(at);
        }
    }

    /// Its headers were of use.
    pub(super) const fn useful(&mut self) {
        self.failures = 0;
    }

    /// Its order brought no page.
    pub(super) fn failed(&mut self, now: Instant) {
        self.ordered_at = None;
        self.disappointed(now);
    }

    /// It did not deliver, or delivered nothing of use: others go first, and it rests. An order that is out stays out.
    pub(super) fn disappointed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.rest(now + rest_after(self.failures));
    }

    pub(super) fn rest(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }
}

/// Every live session, by generation.
#[derive(Debug, Default)]
pub(super) struct Peers {
    sessions: BTreeMap<Fence, Peer>,
    /// The sessions that lead to each advertised tip.
    tips: BTreeMap<BlockRef, BTreeSet<Fence>>,
}

impl Peers {
    pub(super) fn join(&mut self, session: Fence, id: PeerId) {
        let peer = Peer {
            id,
            tip: None,
            disowned: None,
            ordered_at: None,
            pace: Duration::ZERO,
            failures: 0,
            not_before: None,
        };
        self.leave(session);
        self.sessions.insert(session, peer);
    }

    /// How many sessions there are.
    #[cfg(feature = "simulation")]
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn leave(&mut self, session: Fence) -> Option<Peer> {
        self.retarget(session, |peer| peer.tip = None);
        self.sessions.remove(&session)
    }

    pub(super) fn get(&self, session: Fence) -> Option<&Peer> {
        self.sessions.get(&session)
    }

    pub(super) fn get_mut(&mut self, session: Fence) -> Option<&mut Peer> {
        self.sessions.get_mut(&session)
    }

    /// What it advertises from now on, if it may be asked.
    pub(super) fn advertise(&mut self, session: Fence, tip: Option<BlockRef>) {
        self.retarget(session, |peer| peer.tip = tip);
    }

    /// It does not lead to the tip it advertises: no target until it advertises another.
    pub(super) fn disown(&mut self, session: Fence, target: BlockRef) {
        self.retarget(session, |peer| peer.disowned = Some(target));
    }

    /// Changes what a session leads to, and keeps the tips in step.
    fn retarget(&mut self, session: Fence, change: impl FnOnce(&mut Peer)) {
        let Some(peer) = self.sessions.get_mut(&session) else { return };
        let before = peer.target();
        change(peer);
        let after = peer.target();
        if before == after {
            return;
        }
        if let Some(tip) = before
            && let Entry::Occupied(mut led) = self.tips.entry(tip)
        {
            led.get_mut().remove(&session);
            if led.get().is_empty() {
                led.remove();
            }
        }
        if let Some(tip) = after {
            self.tips.entry(tip).or_default().insert(session);
        }
    }

    /// The sessions that lead to each advertised tip.
    pub(super) const fn advertised(&self) -> &BTreeMap<BlockRef, BTreeSet<Fence>> {
        &self.tips
    }

    /// The highest advertised tip: a claim, and used only as a bound.
    pub(super) fn highest(&self) -> Option<BlockRef> {
        self.sessions.values().filter_map(|peer| peer.tip).max_by_key(|tip| tip.height)
    }

    /// When the next rest ends.
    pub(super) fn next_free(&self, now: Instant) -> Option<Instant> {
        self.sessions.values().filter_map(|peer| peer.not_before).filter(|until| now < *until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{BlockHash, Height};
    use proptest::prelude::*;

    fn tip(number: u8) -> BlockRef {
        BlockRef { height: Height::new(number.into()).unwrap(), hash: BlockHash([number; 32]) }
    }

    #[test]
    fn who_brought_nothing_of_use_is_asked_one_thing_at_a_time_still() {
        let now = tokio::time::Instant::now().into_std();
        let (mut peers, session) = (Peers::default(), Fence::mint());
        peers.join(session, PeerId::new([1; 32]));
        let peer = peers.get_mut(session).unwrap();
        peer.ordered(now);
        peer.disappointed(now);
        assert!(!peer.is_free(now + rest_after(2)), "its order is out, whatever its last headers were worth");
        peer.failed(now);
        assert!(!peer.is_free(now) && peer.is_free(now + rest_after(2)));
    }

    proptest! {
        #[test]
        fn the_tips_are_those_of_a_recount(steps in prop::collection::vec((0_usize..6, 0_u8..4, 0_u8..4), 0..80)) {
            let mut peers = Peers::default();
            let sessions: Vec<_> = (0..6).map(|_| Fence::mint()).collect();
            for (session, what, number) in steps {
                let session = sessions[session];
                match what {
                    0 => peers.join(session, PeerId::new([number; 32])),
                    1 => peers.advertise(session, (number > 0).then(|| tip(number))),
                    2 => peers.disown(session, tip(number)),
                    _ => drop(peers.leave(session)),
                }
                let mut recount = BTreeMap::<_, BTreeSet<_>>::new();
                for (session, peer) in &peers.sessions {
                    if let Some(tip) = peer.target() {
                        recount.entry(tip).or_default().insert(*session);
                    }
                }
                prop_assert_eq!(peers.advertised(), &recount);
            }
        }
    }
}
