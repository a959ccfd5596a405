//! The table behind its one lock.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    demand::{Counts, Demand},
    lease::Lease,
    table::{Item, Table},
};
use crate::Fence;
use parking_lot::Mutex;
use std::{fmt, ops::RangeInclusive, sync::Arc};
use tokio::sync::Notify;

/// What queue and leases share. Each critical section is one call of the table, which runs nobody's code; what falls out
/// of the table is dropped after the lock is.
pub(super) struct Shared<M> {
    table: Mutex<Table<M>>,
    /// Told whenever a demand that found nothing might find something.
    pub(super) changed: Notify,
}

impl<M> Shared<M> {
    pub(super) fn finish(&self, lease: Fence, key: u64) -> bool {
        let finished = self.table.lock().finish(lease, key);
        // The next key may be the floor now, for which a peer waits that would hedge it.
        self.changed.notify_waiters();
        finished.is_some()
    }

    pub(super) fn release(&self, lease: Fence, keys: impl Iterator<Item = u64>) {
        let keys: Vec<u64> = keys.collect();
        {
            let mut table = self.table.lock();
            for key in keys {
                table.release(lease, key);
            }
        }
        self.changed.notify_waiters();
    }
}

/// Keys to be fetched, shared by all peers: a key is in exactly one of pending, leased and done.
///
/// Clones share one queue. Every call is short and takes `O(log n)` for each key it moves; none waits but
/// [`wait`](Self::wait).
pub struct RangeQueue<M> {
    pub(super) shared: Arc<Shared<M>>,
}

impl<M> Clone for RangeQueue<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M> fmt::Debug for RangeQueue<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RangeQueue").field(&self.counts()).finish()
    }
}

impl<M> RangeQueue<M> {
    /// An empty queue. Keys up to `floor` count as done.
    #[must_use]
    pub fn new(floor: u64) -> Self {
        let (table, changed) = (Mutex::new(Table::new(floor)), Notify::new());
        Self { shared: Arc::new(Shared { table, changed }) }
    }

    /// Adds pending keys, each with its cost. Keys up to the floor and keys already known are ignored.
    pub fn push(&self, items: impl IntoIterator<Item = (u64, u64, M)>) {
        let items = items.into_iter().map(|(key, cost, work)| (key, Item { cost, work: Arc::new(work) }));
        let items: Vec<_> = items.collect();
        let dust = self.shared.table.lock().push(items);
        drop(dust);
        self.shared.changed.notify_waiters();
    }

    /// A lease on the lowest pending keys that follow one another, inside what the peer can serve and what it asks for.
    ///
    /// If none of them is pending and the demand may hedge, a second lease on the lowest key that is not done, unless
    /// the same owner holds it or any key is hedged already.
    #[must_use]
    pub fn take(&self, demand: &Demand) -> Option<Lease<M>> {
        let fence = Fence::mint();
        let taken = self.shared.table.lock().take(demand, fence)?;
        Some(Lease::bound(fence, taken, Arc::clone(&self.shared)))
    }

    /// These keys are done, by whatever way; leases on them become stale.
    pub fn cover(&self, range: RangeInclusive<u64>) {
        let dust = self.shared.table.lock().cover(range);
        drop(dust);
        self.shared.changed.notify_waiters();
    }

    /// A done key turned out bad: it is pending again. A key that is not done, or not above the floor, is left alone.
    pub fn reopen(&self, key: u64, cost: u64, work: M) {
        let item = Item { cost, work: Arc::new(work) };
        let dust = self.shared.table.lock().reopen(key, item);
        drop(dust);
        self.shared.changed.notify_waiters();
    }

    /// Forgets everything above `key`, done keys too; leases on it become stale. A floor above `key` comes down to it.
    pub fn reset_above(&self, key: u64) {
        let dust = self.shared.table.lock().reset_above(key);
        drop(dust);
        self.shared.changed.notify_waiters();
    }

    /// Forgets the keys up to `key`: they count as done from now on. The floor never comes down this way.
    pub fn advance_floor(&self, key: u64) {
        let dust = self.shared.table.lock().advance_floor(key);
        drop(dust);
        self.shared.changed.notify_waiters();
    }

    /// How many keys are where.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.table.lock().counts()
    }

    /// The lowest key that is pending or leased.
    #[must_use]
    pub fn lowest_open(&self) -> Option<u64> {
        self.shared.table.lock().lowest_open()
    }

    /// Checks the whole table, in time linear in its keys: for tests and simulations.
    ///
    /// # Errors
    ///
    /// Names the first key that breaks a rule, and the rule.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.shared.table.lock().check_invariants()
    }
}
