//! What those see of the reactor who look on.

use super::{Done, State};
use std::time::Instant;
use zakura_transport::{
    Fence,
    routine::{Recount, Stand},
};

impl State {
    pub(crate) fn stand(&self) -> Stand {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let ((open, refused), staged) = (self.targets.sizes(), self.targets.staged());
        let (missing, waiting) = self.segments.counts();
        Stand {
            sessions: count(self.peers.len()),
            frontier: self.view.tip.height.into(),
            reach: self.segments.reach().into(),
            known: count(open.saturating_add(refused)),
            missing: count(missing),
            held: count(staged.saturating_add(waiting)),
            asked: count(staged.saturating_add(self.targets.ordered())),
            asked_cap: count(self.targets.most_staged()),
            generation: 0,
            told: self.ledger.guilty(),
        }
    }

    /// Each sum beside what it is the sum of.
    pub(crate) fn recounts(&self, mailboxes: usize) -> Vec<Recount> {
        let busy = |session: Fence| self.peers.get(session).is_some_and(super::super::peers::Peer::is_busy);
        let mut recounts = self.targets.recounts(busy);
        recounts.push(Recount::of("header_sync.mailboxes", mailboxes, self.peers.len()));
        recounts.push(self.ledger.recount(|session| self.peers.get(session).is_some()));
        recounts
    }

    /// What the pool is taken to work on, by the job's name.
    pub(crate) fn jobs(&self) -> Vec<(&'static str, u64)> {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (weighed, checked) = self.targets.weighed_and_checked();
        vec![
            ("header store", u64::from(self.storing.is_some())),
            ("header serve", count(self.serving)),
            ("header weigh", count(weighed)),
            ("header check", count(checked.saturating_add(self.segments.checking()))),
        ]
    }

    /// Tips that nobody is asked for although somebody could be.
    pub(crate) fn stranded(&self, now: Instant) -> u64 {
        let is_free = |session: Fence| self.peers.get(session).is_some_and(|peer| peer.is_free(now));
        u64::try_from(self.targets.stranded(is_free)).unwrap_or(u64::MAX)
    }

    /// Everything but what runs off the reactor, and the view, which is the chain's.
    pub(crate) fn portrait(&self) -> String {
        let Self {
            peers, segments, targets, ledger, storing, store_failures, store_rest, local_fault, ..
        } = self;
        let store = (storing, store_failures, store_rest, local_fault);
        format!("{peers:?} {segments:?} {targets:?} {ledger:?} {store:?}")
    }

    /// Whether a result is about headers, or for a session, that are gone.
    pub(crate) fn is_stale(&self, done: &Done) -> bool {
        match done {
            Done::Checked(ticket, _) => !self.targets.awaits(*ticket) && !self.segments.awaits(*ticket),
            Done::Weighed(ticket, _) => !self.targets.awaits(*ticket),
            Done::Stored(ticket, _) => self.storing.is_none_or(|(current, _)| current != *ticket),
            Done::Served(session, _) => self.peers.get(*session).is_none(),
            Done::Finalized => false,
        }
    }
}
