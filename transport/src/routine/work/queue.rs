//! The table behind its one lock.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    demand::{Counts, Demand},
    lease::Lease,
    table::{Item, Table},
};
use crate::{
    Fence,
    routine::{
        bury,
        sync::{Mutex, Notify},
    },
};
use std::{fmt, ops::RangeInclusive, sync::Arc};

/// What queue and leases share. Each critical section is one call of the table, which runs nobody's code; what falls out
/// of the table is dropped after the lock is.
pub(super) struct Shared<M> {
    table: Mutex<Table<M>>,
    /// Told whenever a demand that found nothing might find something.
    pub(super) changed: Notify,
    /// How often that was.
    #[cfg(feature = "simulation")]
    told: std::sync::atomic::AtomicU64,
}

impl<M> Shared<M> {
    fn new(floor: u64) -> Self {
        Self {
            table: Mutex::new(Table::new(floor)),
            changed: Notify::new(),
            #[cfg(feature = "simulation")]
            told: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// A demand that found nothing might find something now.
    fn tell(&self) {
        #[cfg(feature = "simulation")]
        self.told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Lets somebody look at the table, who changes nothing.
    #[cfg(feature = "simulation")]
    pub(super) fn look<T>(&self, look: impl FnOnce(&Table<M>) -> T) -> T {
        look(&self.table.lock())
    }

    pub(super) fn finish(&self, lease: Fence, key: u64) -> bool {
        let finished = self.table.lock().finish(lease, key);
        // The next key may be the floor now, for which a peer waits that would hedge it.
        self.tell();
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
        self.tell();
    }
}

impl<M> Drop for Shared<M> {
    fn drop(&mut self) {
        bury_each(self.table.get_mut().advance_floor(u64::MAX));
    }
}

/// Drops what fell out of the table, each piece by itself: it is the embedder's.
pub(super) fn bury_each<M>(dust: impl IntoIterator<Item = Arc<M>>) {
    dust.into_iter().for_each(|work| bury("work drop", work));
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
        Self { shared: Arc::new(Shared::new(floor)) }
    }

    /// Adds pending keys, each with its cost. Keys up to the floor and keys already known are ignored.
    pub fn push(&self, items: impl IntoIterator<Item = (u64, u64, M)>) {
        let items = items.into_iter().map(|(key, cost, work)| (key, Item { cost, work: Arc::new(work) }));
        let items: Vec<_> = items.collect();
        let dust = self.shared.table.lock().push(items);
        self.shared.tell();
        bury_each(dust);
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
        self.shared.tell();
        bury_each(dust);
    }

    /// A done key turned out bad: it is pending again. A key that is not done, or not above the floor, is left alone.
    pub fn reopen(&self, key: u64, cost: u64, work: M) {
        let item = Item { cost, work: Arc::new(work) };
        let dust = self.shared.table.lock().reopen(key, item);
        self.shared.tell();
        bury_each(dust);
    }

    /// Forgets everything above `key`, done keys too; leases on it become stale. A floor above `key` comes down to it.
    pub fn reset_above(&self, key: u64) {
        let dust = self.shared.table.lock().reset_above(key);
        self.shared.tell();
        bury_each(dust);
    }

    /// Forgets the keys up to `key`: they count as done from now on. The floor never comes down this way.
    pub fn advance_floor(&self, key: u64) {
        let dust = self.shared.table.lock().advance_floor(key);
        self.shared.tell();
        bury_each(dust);
    }

    /// Changes whenever a demand that found nothing might find something, for who looks instead of waiting.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.told.load(std::sync::atomic::Ordering::Relaxed)
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

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "an overflow in a test fails the test"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        collections::{BTreeMap, BTreeSet},
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
    };
    use tokio_test::{assert_pending, assert_ready, task};

    fn keys<M>(lease: &Lease<M>) -> Vec<u64> {
        lease.items().map(|(key, _)| key).collect()
    }

    fn demand(owner: Fence, servable: RangeInclusive<u64>) -> Demand {
        Demand { owner, servable, max_count: 100, max_cost: u64::MAX, hedge: false }
    }

    fn hedge(owner: Fence) -> Demand {
        Demand { hedge: true, ..demand(owner, 0..=u64::MAX) }
    }

    fn filled(range: RangeInclusive<u64>) -> RangeQueue<u64> {
        let queue = RangeQueue::new(range.start() - 1);
        queue.push(range.map(|key| (key, 10, key * 2)));
        queue
    }

    #[test]
    fn a_lease_is_the_lowest_run_that_fits() {
        let queue = RangeQueue::new(0);
        queue.push([1, 2, 3, 5, 6].map(|key| (key, 10, ())));
        let ask = demand(Fence::mint(), 2..=9);
        let two = queue.take(&Demand { max_count: 1, ..ask.clone() }).unwrap();
        assert_eq!(keys(&two), [2]);
        assert_eq!(keys(&queue.take(&ask).unwrap()), [3], "a run has no holes");
        let costly = queue.take(&Demand { max_cost: 5, ..demand(ask.owner, 5..=9) }).unwrap();
        assert_eq!(keys(&costly), [5], "one key is given whatever it costs");
        drop((two, costly));
        assert_eq!(keys(&queue.take(&Demand { max_cost: 20, ..ask.clone() }).unwrap()), [2, 3]);
        assert!(queue.take(&Demand { max_count: 0, ..ask.clone() }).is_none());
        assert!(queue.take(&demand(ask.owner, 7..=9)).is_none());
    }

    #[test]
    fn the_first_to_finish_a_hedged_key_wins() {
        let queue = filled(1..=2);
        let (slow, quick) = (Fence::mint(), Fence::mint());
        let mut held = queue.take(&demand(slow, 1..=2)).unwrap();
        assert!(queue.take(&demand(quick, 1..=2)).is_none(), "it did not ask to hedge");
        assert!(queue.take(&hedge(slow)).is_none(), "nobody hedges against itself");
        let mut second = queue.take(&hedge(quick)).unwrap();
        assert!(second.is_hedge() && keys(&second) == [1] && second.get(1) == Some(&2));
        assert!(queue.take(&hedge(Fence::mint())).is_none(), "one hedge at most");
        assert!(second.finish(1));
        assert!(!held.finish(1) && held.finish(2));
        assert_eq!(queue.counts(), Counts { floor: 0, pending: 0, leased: 0, done: 2 });
    }

    #[test]
    fn either_of_two_holders_may_let_go() {
        for original_goes in [true, false] {
            let queue = filled(1..=1);
            let held = queue.take(&hedge(Fence::mint())).unwrap();
            let second = queue.take(&hedge(Fence::mint())).unwrap();
            let (gone, mut left) = if original_goes { (held, second) } else { (second, held) };
            drop(gone);
            queue.check_invariants().unwrap();
            assert_eq!(queue.counts().leased, 1);
            assert!(queue.take(&hedge(Fence::mint())).is_some(), "the hedge is free again");
            assert!(left.finish(1));
        }
    }

    #[test]
    fn a_stale_lease_changes_nothing() {
        let queue = filled(1..=4);
        let mut stale = queue.take(&demand(Fence::mint(), 1..=4)).unwrap();
        queue.reset_above(2);
        queue.push((3..=4).map(|key| (key, 1, 0)));
        assert!(!stale.finish(3), "the key is pending again");
        let mut fresh = queue.take(&demand(Fence::mint(), 1..=4)).unwrap();
        assert_eq!(keys(&fresh), [3, 4]);
        stale.release(4);
        drop(stale);
        assert_eq!(queue.counts(), Counts { floor: 0, pending: 2, leased: 2, done: 0 });
        assert!(fresh.finish(3) && fresh.finish(4) && !fresh.finish(4));
    }

    #[test]
    fn a_key_split_off_is_finished_or_comes_back_by_itself() {
        let queue = filled(1..=3);
        let mut lease = queue.take(&demand(Fence::mint(), 1..=3)).unwrap();
        let (mut first, second) = (lease.split(1).unwrap(), lease.split(2).unwrap());
        assert!(lease.split(1).is_none());
        assert_eq!(keys(&lease), [3]);
        assert!(first.finish(1));
        drop(second);
        assert_eq!((queue.counts().pending, queue.counts().leased, queue.counts().done), (1, 1, 1));
        drop(lease);
        assert_eq!((queue.counts().pending, queue.counts().leased), (2, 0));
        queue.check_invariants().unwrap();
    }

    #[test]
    fn a_detached_lease_finishes_its_own_keys() {
        let mut lease = Lease::detached([(7, 'a'), (9, 'b')]);
        assert_eq!((lease.first(), lease.last(), lease.get(9)), (Some(7), Some(9), Some(&'b')));
        assert!(lease.finish(7) && !lease.finish(7) && !lease.finish(8));
        lease.release(9);
        assert!(lease.is_empty() && !lease.is_hedge());
    }

    type Help = fn(&RangeQueue<u64>, Lease<u64>);

    #[test]
    fn who_waits_is_woken_by_everything_that_may_help() {
        let helps: [(&str, Help); 7] = [
            ("push", |queue, lease| {
                queue.push([(50, 1, 0)]);
                std::mem::drop(lease)
            }),
            ("drop", |_, lease| drop(lease)),
            ("release", |_, mut lease| lease.release(1)),
            ("reopen", |queue, lease| {
                queue.cover(1..=1);
                queue.reopen(1, 1, 0);
                drop(lease)
            }),
            ("finish", |_, mut lease| {
                assert!(lease.finish(1));
                lease.release(2)
            }),
            ("cover", |queue, lease| {
                queue.cover(1..=1);
                drop(lease)
            }),
            ("floor", |queue, lease| {
                queue.advance_floor(1);
                drop(lease)
            }),
        ];
        for (what, help) in helps {
            let queue = filled(1..=2);
            let owner = Fence::mint();
            let lease = queue.take(&hedge(Fence::mint())).unwrap();
            let ask = demand(owner, 0..=u64::MAX);
            let mut waiting = task::spawn(queue.wait(&ask));
            assert_pending!(waiting.poll());
            help(&queue, lease);
            assert!(waiting.is_woken(), "{what}");
            assert!(!assert_ready!(waiting.poll()).is_empty(), "{what}");
        }
    }

    #[test]
    fn a_finished_floor_wakes_who_would_hedge_the_next() {
        let queue = filled(1..=2);
        let first = Demand { max_count: 1, ..demand(Fence::mint(), 1..=2) };
        let mut lowest = queue.take(&first).unwrap();
        let _second = queue.take(&first).unwrap();
        let ask = Demand { servable: 2..=2, ..hedge(Fence::mint()) };
        let mut waiting = task::spawn(queue.wait(&ask));
        assert_pending!(waiting.poll());
        assert!(lowest.finish(1) && waiting.is_woken());
        assert!(assert_ready!(waiting.poll()).is_hedge());
    }

    /// A value whose drop calls the queue: with the lock held that would never return.
    struct Reentrant(Option<RangeQueue<Self>>);

    impl Drop for Reentrant {
        fn drop(&mut self) {
            if let Some(queue) = self.0.take() {
                queue.check_invariants().unwrap();
            }
        }
    }

    #[test]
    fn no_value_is_dropped_under_the_lock() {
        let queue = RangeQueue::new(0);
        let item = |key| (key, 1, Reentrant(Some(queue.clone())));
        queue.push((1..=9).map(item));
        queue.push([item(1), item(0)]);
        let mut lease = queue.take(&demand(Fence::mint(), 1..=5)).unwrap();
        assert!(lease.finish(1));
        lease.release(2);
        queue.cover(2..=3);
        queue.reopen(1, 1, Reentrant(Some(queue.clone())));
        queue.reopen(9, 1, Reentrant(Some(queue.clone())));
        queue.advance_floor(4);
        queue.reset_above(6);
        drop(lease);
        queue.reset_above(0);
        assert_eq!(queue.counts(), Counts { floor: 0, pending: 0, leased: 0, done: 0 });
    }

    /// What the queue should be, written as plainly as can be.
    #[derive(Default)]
    struct Model {
        floor: u64,
        pending: BTreeSet<u64>,
        /// The owners of each leased key by lease, oldest first.
        leased: BTreeMap<u64, Vec<(Fence, Fence)>>,
        done: BTreeSet<u64>,
    }

    impl Model {
        fn give_back(&mut self, lease: Fence, key: u64) {
            let Some(holders) = self.leased.get_mut(&key) else { return };
            let held = holders.len();
            holders.retain(|(holder, _)| *holder != lease);
            if held > 0 && holders.is_empty() {
                self.leased.remove(&key);
                self.pending.insert(key);
            }
        }

        fn finish(&mut self, lease: Fence, key: u64) -> bool {
            let holds = self.leased.get(&key).is_some_and(|holders| holders.iter().any(|(l, _)| *l == lease));
            if holds {
                self.leased.remove(&key);
                self.done.insert(key);
            }
            holds
        }

        fn expected(&self, ask: &Demand) -> (Vec<u64>, bool) {
            let mut run: Vec<u64> = Vec::new();
            for key in self.pending.range(ask.servable.clone()) {
                let fits = run.is_empty()
                    || run.last() == Some(&(key - 1)) && (run.len() as u64 + 1) * 10 <= ask.max_cost;
                if !fits || run.len() as u32 == ask.max_count {
                    break;
                }
                run.push(*key);
            }
            let lowest = self.pending.iter().chain(self.leased.keys()).min();
            let hedged = self.leased.values().any(|holders| holders.len() > 1);
            match lowest.and_then(|key| Some((key, self.leased.get(key)?))) {
                Some((key, holders))
                    if run.is_empty()
                        && ask.hedge
                        && !hedged
                        && ask.servable.contains(key)
                        && holders[0].1 != ask.owner =>
                {
                    (vec![*key], true)
                }
                _ => (run, false),
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u64, u64),
        Take { owner: usize, from: u64, len: u64, count: u32, cost: u64, hedge: bool },
        Finish(usize, u64),
        Release(usize, u64),
        Split(usize, u64),
        Drop(usize),
        Cover(u64, u64),
        Reopen(u64),
        ResetAbove(u64),
        AdvanceFloor(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = || 0u64..40;
        let take = (0usize..3, key(), 0u64..40, 1u32..8, 1u64..90, any::<bool>());
        let step = prop_oneof![
            3 => (key(), 0u64..12).prop_map(|(key, more)| Step::Push(key, more)),
            5 => take.prop_map(|(owner, from, len, count, cost, hedge)| Step::Take { owner, from, len, count, cost, hedge }),
            5 => (0usize..9, key()).prop_map(|(lease, key)| Step::Finish(lease, key)),
            2 => (0usize..9, key()).prop_map(|(lease, key)| Step::Release(lease, key)),
            2 => (0usize..9, key()).prop_map(|(lease, key)| Step::Split(lease, key)),
            2 => (0usize..9).prop_map(Step::Drop),
            1 => (key(), 0u64..6).prop_map(|(key, more)| Step::Cover(key, more)),
            1 => key().prop_map(Step::Reopen),
            1 => key().prop_map(Step::ResetAbove),
            1 => (0u64..12).prop_map(Step::AdvanceFloor),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn behaves_as_the_model(steps in steps()) {
            let queue = RangeQueue::new(0);
            let mut model = Model::default();
            let owners = [Fence::mint(), Fence::mint(), Fence::mint()];
            let mut leases: Vec<Lease<()>> = Vec::new();
            for step in steps {
                match step {
                    Step::Push(key, more) => {
                        queue.push((key..=key + more).map(|key| (key, 10, ())));
                        let known = |key: &u64| *key <= model.floor || model.leased.contains_key(key) || model.done.contains(key);
                        let new: Vec<u64> = (key..=key + more).filter(|key| !known(key)).collect();
                        model.pending.extend(new);
                    }
                    Step::Take { owner, from, len, count, cost, hedge } => {
                        let owner = owners[owner];
                        let ask = Demand { owner, servable: from..=from + len, max_count: count, max_cost: cost, hedge };
                        let (expected, is_hedge) = model.expected(&ask);
                        let lease = queue.take(&ask);
                        prop_assert_eq!(lease.as_ref().map(keys).unwrap_or_default(), expected.clone());
                        if let Some(lease) = lease {
                            prop_assert_eq!(lease.is_hedge(), is_hedge);
                            for key in expected {
                                model.pending.remove(&key);
                                model.leased.entry(key).or_default().push((lease.fence(), owner));
                            }
                            leases.push(lease);
                        }
                    }
                    Step::Finish(at, key) => if let Some(lease) = leases.get_mut(at) {
                        let held = lease.get(key).is_some();
                        let expected = held && model.finish(lease.fence(), key);
                        prop_assert_eq!(lease.finish(key), expected);
                    },
                    Step::Release(at, key) => if let Some(lease) = leases.get_mut(at) {
                        if lease.get(key).is_some() {
                            model.give_back(lease.fence(), key);
                        }
                        lease.release(key);
                    },
                    // The same holds in two hands: the model knows no difference.
                    Step::Split(at, key) => {
                        let held = leases.get(at).is_some_and(|lease| lease.get(key).is_some());
                        let split = leases.get_mut(at).and_then(|lease| lease.split(key));
                        prop_assert_eq!(split.as_ref().map(keys), held.then(|| vec![key]));
                        leases.extend(split);
                    }
                    Step::Drop(at) => if at < leases.len() {
                        let lease = leases.remove(at);
                        for key in keys(&lease) {
                            model.give_back(lease.fence(), key);
                        }
                        drop(lease);
                    },
                    Step::Cover(key, more) => {
                        queue.cover(key..=key + more);
                        for key in (key..=key + more).filter(|key| *key > model.floor) {
                            model.pending.remove(&key);
                            model.leased.remove(&key);
                            model.done.insert(key);
                        }
                    }
                    Step::Reopen(key) => {
                        queue.reopen(key, 10, ());
                        if model.done.remove(&key) {
                            model.pending.insert(key);
                        }
                    }
                    Step::ResetAbove(key) => {
                        queue.reset_above(key);
                        model.floor = model.floor.min(key);
                        model.pending.retain(|k| *k <= key);
                        model.leased.retain(|k, _| *k <= key);
                        model.done.retain(|k| *k <= key);
                    }
                    Step::AdvanceFloor(key) => {
                        queue.advance_floor(key);
                        model.floor = model.floor.max(key);
                        model.pending.retain(|k| *k > key);
                        model.leased.retain(|k, _| *k > key);
                        model.done.retain(|k| *k > key);
                    }
                }
                prop_assert_eq!(queue.check_invariants(), Ok(()));
                let (pending, leased, done) =
                    (model.pending.len() as u64, model.leased.len() as u64, model.done.len() as u64);
                prop_assert_eq!(queue.counts(), Counts { floor: model.floor, pending, leased, done });
                prop_assert_eq!(queue.lowest_open(), model.pending.iter().chain(model.leased.keys()).min().copied());
            }
            drop(leases);
            prop_assert_eq!(queue.counts().leased, 0);
        }
    }

    #[test]
    fn threads_finish_every_key_exactly_once() {
        const KEYS: u64 = 4000;
        const THREADS: usize = 4;
        let queue = filled(1..=KEYS);
        let (finished, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (queue, finished, start) = (queue.clone(), &finished, &start);
                scope.spawn(move || {
                    let owner = Fence::mint();
                    let ask = Demand { max_count: 7, ..hedge(owner) };
                    start.wait();
                    for turn in 0.. {
                        let Some(mut lease) = queue.take(&ask) else {
                            if queue.lowest_open().is_none() {
                                break;
                            }
                            std::thread::yield_now();
                            continue;
                        };
                        for key in keys(&lease) {
                            // Some keys go back, so that they are carried by several.
                            if !(key + turn + thread as u64).is_multiple_of(5) && lease.finish(key) {
                                finished.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        queue.check_invariants().unwrap();
        assert_eq!(finished.into_inner() as u64, KEYS);
        assert_eq!(queue.counts(), Counts { floor: 0, pending: 0, leased: 0, done: KEYS });
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tasks_that_wait_miss_no_wake_up() {
        const KEYS: u64 = 2000;
        let queue = RangeQueue::new(0);
        let (spawner, cancel) = (crate::Spawner::new(), crate::Cancel::new());
        for _ in 0..3 {
            let (queue, cancel) = (queue.clone(), cancel.clone());
            spawner.spawn("peer", async move {
                let ask = Demand { max_count: 3, ..demand(Fence::mint(), 1..=KEYS) };
                loop {
                    tokio::select! {
                        biased;
                        mut lease = queue.wait(&ask) => {
                            for key in keys(&lease).into_iter().take(2) {
                                assert!(lease.finish(key));
                            }
                        }
                        () = cancel.cancelled() => break,
                    }
                }
            });
        }
        for key in 1..=KEYS {
            queue.push([(key, 1, ())]);
            if key % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        while queue.counts().done < KEYS {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
        assert_eq!(spawner.stop(std::time::Duration::from_secs(20)).await.stragglers, [""; 0]);
    }
}
