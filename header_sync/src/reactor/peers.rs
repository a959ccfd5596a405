//! What the reactor knows of each session.

use crate::{chain::BlockRef, machine::rest_after};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use zakura_transport::{Fence, PeerId};

/// One live session.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// What it advertises, if it may be asked.
    pub(super) tip: Option<BlockRef>,
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

    /// It did not deliver, or delivered nothing of use: others go first, and it rests.
    pub(super) fn failed(&mut self, now: Instant) {
        self.ordered_at = None;
        self.failures = self.failures.saturating_add(1);
        self.rest(now + rest_after(self.failures));
    }

    pub(super) fn rest(&mut self, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
    }
}

/// Every live session, by generation.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<Fence, Peer>);

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
        self.0.insert(session, peer);
    }

    /// How many sessions there are.
    #[cfg(feature = "simulation")]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn leave(&mut self, session: Fence) -> Option<Peer> {
        self.0.remove(&session)
    }

    pub(super) fn get(&self, session: Fence) -> Option<&Peer> {
        self.0.get(&session)
    }

    pub(super) fn get_mut(&mut self, session: Fence) -> Option<&mut Peer> {
        self.0.get_mut(&session)
    }

    /// It does not lead to the tip it advertises: no target until it advertises another.
    pub(super) fn disown(&mut self, session: Fence, target: BlockRef) {
        if let Some(peer) = self.0.get_mut(&session) {
            peer.disowned = Some(target);
        }
    }

    /// The sessions that lead to each advertised tip.
    pub(super) fn advertised(&self) -> BTreeMap<BlockRef, BTreeSet<Fence>> {
        let mut tips = BTreeMap::<_, BTreeSet<_>>::new();
        for (session, peer) in &self.0 {
            if let Some(tip) = peer.target() {
                tips.entry(tip).or_default().insert(*session);
            }
        }
        tips
    }

    /// The highest advertised tip: a claim, and used only as a bound.
    pub(super) fn highest(&self) -> Option<BlockRef> {
        self.0.values().filter_map(|peer| peer.tip).max_by_key(|tip| tip.height)
    }

    /// When the next rest ends.
    pub(super) fn next_free(&self, now: Instant) -> Option<Instant> {
        self.0.values().filter_map(|peer| peer.not_before).filter(|until| now < *until).min()
    }
}
