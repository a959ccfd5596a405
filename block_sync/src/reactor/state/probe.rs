//! What those see of the reactor who look on.

use super::{Done, State};
use zakura_transport::routine::{Recount, Stand};

impl State {
    pub(crate) fn stand(&self) -> Stand {
        let budget = self.sequencer.budget();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let mail = count(self.mail.len());
        Stand {
            sessions: count(self.census.sessions()),
            frontier: self.sequencer.committed().height.into(),
            reach: self.sequencer.planned().into(),
            known: count(self.sequencer.len()),
            missing: count(self.sequencer.missing()),
            held: budget.retained,
            asked: budget.in_flight,
            asked_cap: self.sequencer.asked_cap(),
            generation: self.epoch,
            told: self.census.guilty().saturating_add(mail),
        }
    }

    /// Each sum beside what it is the sum of.
    pub(crate) fn recounts(&self, keys: u64) -> Vec<Recount> {
        let mut recounts = self.sequencer.recounts();
        let opened = u64::try_from(self.sequencer.opened()).unwrap_or(u64::MAX);
        recounts.push(Recount::new("block_sync.keys", opened, keys));
        // Bytes are being checked only while a check is under way.
        let checking = if self.checks == 0 { self.sequencer.checking() } else { 0 };
        recounts.push(Recount::new("block_sync.checking_bytes", checking, 0));
        recounts.push(self.census.recount());
        recounts
    }

    /// What the pool is taken to work on, by the job's name.
    pub(crate) fn jobs(&self) -> Vec<(&'static str, u64)> {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        vec![
            ("body plan", u64::from(self.is_planning)),
            ("body commit", u64::from(self.is_committing)),
            ("body check", count(self.checks)),
            ("body read", count(self.reading.running())),
        ]
    }

    /// Heights that wait beside room for them: one is told for all.
    pub(crate) fn stranded(&self) -> u64 {
        u64::from(self.opening.is_over() && !self.resync_due && self.sequencer.lets_in())
    }

    /// Everything but what runs off the reactor. Instructions for a session that is gone reach nobody.
    pub(crate) fn portrait(&self) -> String {
        let Self {
            view, census, epoch, resync_due, plan_retry, commit_retry, puzzles, floor, carrier, ..
        } = self;
        let retries = (plan_retry, commit_retry);
        let whole = (view, census, epoch, resync_due, retries, puzzles, floor, carrier, self.mail.len());
        format!("{} {whole:?}", self.sequencer.portrait())
    }

    /// Whether a result is about a chain, a delivery or a session that is gone.
    pub(crate) fn is_stale(&self, done: &Done) -> bool {
        match done {
            Done::Planned { epoch, .. } => *epoch != self.epoch || self.resync_due,
            Done::Checked(verdicts) => {
                verdicts.iter().all(|(at, delivery, _)| !self.sequencer.is_checking(*at, delivery))
            }
            Done::Committed(_) => false,
            Done::Read { session, .. } => self.census.peer(*session).is_none(),
        }
    }
}
