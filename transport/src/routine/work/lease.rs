//! The right to finish some keys.

use super::{
    queue::{Shared, bury_each},
    table::Taken,
};
use crate::{Fence, Merit, routine::bury};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Keys held until finished; dropping the lease returns the rest to the queue.
///
/// A lease whose keys the queue has forgotten or given to another is stale: it changes nothing any more.
#[must_use = "dropping it gives its keys back"]
pub struct Lease<M> {
    fence: Fence,
    items: BTreeMap<u64, Arc<M>>,
    is_hedge: bool,
    queue: Option<Arc<Shared<M>>>,
    merit: Option<Merit>,
}

impl<M> fmt::Debug for Lease<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lease = f.debug_struct("Lease");
        lease.field("fence", &self.fence).field("first", &self.first()).field("last", &self.last());
        lease.field("keys", &self.items.len()).field("is_hedge", &self.is_hedge).finish()
    }
}

impl<M> Lease<M> {
    pub(super) fn bound(fence: Fence, taken: Taken<M>, queue: Arc<Shared<M>>) -> Self {
        Self { fence, items: taken.items, is_hedge: taken.is_hedge, queue: Some(queue), merit: None }
    }

    /// A lease bound to no queue, whose every key can be finished: for unit tests of machines only.
    pub fn detached(items: impl IntoIterator<Item = (u64, M)>) -> Self {
        let items = items.into_iter().map(|(key, work)| (key, Arc::new(work))).collect();
        Self { fence: Fence::mint(), items, is_hedge: false, queue: None, merit: None }
    }

    /// Credits a connection with every key finished from now on.
    pub(crate) fn crediting(mut self, merit: &Merit) -> Self {
        self.merit = Some(merit.clone());
        self
    }

    /// The lease's own generation.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// What is still held, in order.
    pub fn items(&self) -> impl Iterator<Item = (u64, &M)> {
        self.items.iter().map(|(key, work)| (*key, &**work))
    }

    /// What the queue holds for a key, while this lease holds the key.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&M> {
        self.items.get(&key).map(|work| &**work)
    }

    /// Whether nothing is held any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The lowest key still held.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.items.first_key_value().map(|(key, _)| *key)
    }

    /// The highest key still held.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.items.last_key_value().map(|(key, _)| *key)
    }

    /// Whether another lease held the same key when this one was taken. The first to finish it wins.
    #[must_use]
    pub const fn is_hedge(&self) -> bool {
        self.is_hedge
    }

    /// Takes one key into a lease of its own, of the same generation: for work that is handed on and finished elsewhere.
    pub fn split(&mut self, key: u64) -> Option<Self> {
        let items = BTreeMap::from([self.items.remove_entry(&key)?]);
        let (queue, merit) = (self.queue.clone(), self.merit.clone());
        Some(Self { fence: self.fence, items, is_hedge: self.is_hedge, queue, merit })
    }

    /// Marks a key done and lets go of it. From then on nobody else will bring it: whoever finishes a key must have in
    /// hand what it was about, not on its way.
    ///
    /// True if this lease was the key's owner, so that the key is now done; false if it is stale: no effect.
    #[must_use = "a stale lease's result must not be counted"]
    pub fn finish(&mut self, key: u64) -> bool {
        // The pointer lives on to the end of the call, so that no value is dropped under the queue's lock.
        let Some(held) = self.items.remove(&key) else {
            return false;
        };
        let finished = self.queue.as_ref().is_none_or(|queue| queue.finish(self.fence, key));
        bury("work drop", held);
        if let Some(merit) = self.merit.as_ref().filter(|_| finished) {
            merit.credit();
        }
        finished
    }

    /// What contradicts that the keys in hand are this lease's: one that the queue gave to another is no fault only if it
    /// forgot them in between.
    ///
    /// # Errors
    ///
    /// The first contradiction.
    #[cfg(feature = "simulation")]
    pub fn check(&self) -> Result<(), String> {
        let Some(queue) = &self.queue else { return Ok(()) };
        queue.look(|table| table.check_lease(self.fence, self.items.iter().map(|(key, work)| (*key, work))))
    }

    /// Gives one key back now.
    pub fn release(&mut self, key: u64) {
        let Some(held) = self.items.remove(&key) else { return };
        if let Some(queue) = &self.queue {
            queue.release(self.fence, std::iter::once(key));
        }
        bury("work drop", held);
    }
}

impl<M> Drop for Lease<M> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.as_ref().filter(|_| !self.items.is_empty()) {
            queue.release(self.fence, self.items.keys().copied());
        }
        bury_each(std::mem::take(&mut self.items).into_values());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routine::{Demand, RangeQueue};

    #[test]
    fn what_is_finished_under_a_lease_is_to_its_connections_merit_unless_it_is_stale() {
        let (queue, merit) = (RangeQueue::new(0), Merit::default());
        queue.push((1..=3).map(|key| (key, 1, ())));
        let (owner, servable) = (Fence::mint(), 1..=3);
        let demand = Demand { owner, servable, max_count: 3, max_cost: 3, hedge: false };
        let mut lease = queue.take(&demand).unwrap().crediting(&merit);
        assert_eq!(merit.last(), None, "to be asked is no merit");
        let mut part = lease.split(2).unwrap();
        assert!(part.finish(2));
        let first = merit.last();
        assert!(first.is_some());
        assert!(lease.finish(1) && merit.last() > first);
        let last = merit.last();
        queue.reset_above(0);
        assert!(!lease.finish(3));
        assert_eq!(merit.last(), last, "what came too late was of no use");
    }
}
