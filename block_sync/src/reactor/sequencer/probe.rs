//! The sequencer's books, counted again from its entries.

use super::{Delivery, Sequencer, Stage};
use zakura_header_sync::chain::BlockRef;
use zakura_transport::routine::Recount;

impl Sequencer {
    /// Each sum beside what it is the sum of.
    pub(in crate::reactor) fn recounts(&self) -> Vec<Recount> {
        let (mut in_flight, mut retained, mut known) = (0_u64, 0_u64, 0_u64);
        let (mut waiting, mut deferred, mut open, mut received) = (0_usize, 0_usize, 0_usize, 0_usize);
        for (height, entry) in &self.entries {
            known = known.saturating_add(u64::from(*height <= self.planned));
            match &entry.stage {
                Stage::Waiting => waiting = waiting.saturating_add(1),
                Stage::Deferred(_) => deferred = deferred.saturating_add(1),
                Stage::Open => {
                    open = open.saturating_add(1);
                    in_flight = in_flight.saturating_add(entry.wanted.size_hint.into());
                }
                Stage::Received(delivery) => {
                    received = received.saturating_add(1);
                    retained = retained.saturating_add(delivery.raw.len() as u64);
                }
                Stage::Checking(delivery)
                | Stage::Ready(delivery)
                | Stage::Committing(delivery)
                | Stage::Stray(delivery) => retained = retained.saturating_add(delivery.raw.len() as u64),
            }
        }
        let planned = u64::from(self.planned.above(self.committed.height));
        vec![
            Recount::new("block_sync.in_flight_bytes", self.budget.in_flight, in_flight),
            Recount::new("block_sync.retained_bytes", self.budget.retained, retained),
            Recount::new("block_sync.planned_heights", planned, known),
            Recount::of("block_sync.waiting", self.waiting.len(), waiting),
            Recount::of("block_sync.deferred", self.deferred.len(), deferred),
            Recount::of("block_sync.open", self.open.len(), open),
            Recount::of("block_sync.received", self.received.len(), received),
        ]
    }

    /// What may be asked for: the limit, and the one body that is let in whatever it says, while that is asked for.
    pub(in crate::reactor) fn asked_cap(&self) -> u64 {
        let next = self.committed.height.next().and_then(|height| self.entries.get(&height));
        let overdraft = next.filter(|entry| matches!(entry.stage, Stage::Open));
        let overdraft = overdraft.map_or(0, |entry| u64::from(entry.wanted.size_hint));
        self.budget.in_flight_limit.saturating_add(overdraft)
    }

    /// The entries and the sums, but for what is being checked.
    pub(in crate::reactor) fn portrait(&self) -> String {
        let Self { entries, committed, planned, estimate, budget, changes, .. } = self;
        let sets = (&self.waiting, &self.deferred, &self.open, &self.received);
        format!("{entries:?} {sets:?} {committed:?} {planned:?} {estimate:?} {budget:?} {changes:?}")
    }

    /// Heights in the range queue.
    pub(in crate::reactor) fn opened(&self) -> usize {
        self.open.len()
    }

    /// Whether the lowest height that waits could be let in.
    pub(in crate::reactor) fn lets_in(&self) -> bool {
        let lowest = self.waiting.first().and_then(|height| self.entries.get(height));
        lowest.is_some_and(|entry| {
            self.committed.height.next() == Some(entry.wanted.at.height)
                || self.budget.admits(entry.wanted.size_hint)
        })
    }

    /// Whether a delivery is the one that is being checked for its height.
    pub(in crate::reactor) fn is_checking(&self, at: BlockRef, delivery: &Delivery) -> bool {
        let entry = self.entries.get(&at.height).filter(|entry| entry.wanted.at == at);
        entry.is_some_and(|entry| matches!(&entry.stage, Stage::Checking(held) if held.id == delivery.id))
    }
}
