//! Which key is pending, leased or done. Plain data, always whole between two calls.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(feature = "simulation")]
mod probe;

use super::{
    demand::{Counts, Demand},
    intervals::Intervals,
};
use crate::Fence;
use std::{
    collections::{BTreeMap, btree_map},
    ops::{Bound, RangeInclusive},
    sync::Arc,
};

/// What the embedder said about a key. The table never runs the embedder's code: it moves the pointer about and hands
/// back what it forgets, to be dropped outside the lock.
#[derive(Debug)]
pub(super) struct Item<M> {
    pub(super) cost: u64,
    pub(super) work: Arc<M>,
}

/// Pointers that fell out of the table.
pub(super) type Dust<M> = Vec<Arc<M>>;

/// One lease's hold on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    lease: Fence,
    owner: Fence,
}

#[derive(Debug)]
struct Leased<M> {
    item: Item<M>,
    first: Hold,
    hedge: Option<Hold>,
}

impl<M> Leased<M> {
    fn is_held_by(&self, lease: Fence) -> bool {
        self.first.lease == lease || self.hedge.is_some_and(|hold| hold.lease == lease)
    }
}

/// What a new lease holds.
pub(super) struct Taken<M> {
    pub(super) items: BTreeMap<u64, Arc<M>>,
    pub(super) is_hedge: bool,
}

/// Every known key above the floor, in exactly one of three places.
#[derive(Debug)]
pub(super) struct Table<M> {
    floor: u64,
    pending: BTreeMap<u64, Item<M>>,
    leased: BTreeMap<u64, Leased<M>>,
    done: Intervals,
    /// The one key that two leases hold.
    hedged: Option<u64>,
}

impl<M> Table<M> {
    pub(super) fn new(floor: u64) -> Self {
        let (pending, leased) = (BTreeMap::new(), BTreeMap::new());
        Self { floor, pending, leased, done: Intervals::default(), hedged: None }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let (pending, leased) = (count(self.pending.len()), count(self.leased.len()));
        Counts { floor: self.floor, pending, leased, done: self.done.len() }
    }

    /// The lowest key that is not done.
    pub(super) fn lowest_open(&self) -> Option<u64> {
        let pending = self.pending.first_key_value().map(|(key, _)| *key);
        let leased = self.leased.first_key_value().map(|(key, _)| *key);
        pending.into_iter().chain(leased).min()
    }

    pub(super) fn push(&mut self, items: Vec<(u64, Item<M>)>) -> Dust<M> {
        let mut dust = Vec::new();
        for (key, item) in items {
            if key <= self.floor || self.leased.contains_key(&key) || self.done.contains(key) {
                dust.push(item.work);
                continue;
            }
            match self.pending.entry(key) {
                btree_map::Entry::Vacant(place) => drop(place.insert(item)),
                btree_map::Entry::Occupied(_) => dust.push(item.work),
            }
        }
        dust
    }

    pub(super) fn take(&mut self, demand: &Demand, lease: Fence) -> Option<Taken<M>> {
        if demand.max_count == 0 || demand.servable.is_empty() {
            return None;
        }
        let hold = Hold { lease, owner: demand.owner };
        let run = self.pending_run(demand);
        if run.is_empty() {
            return self.take_hedge(demand, hold);
        }
        let mut items = BTreeMap::new();
        for key in run {
            if let Some(item) = self.pending.remove(&key) {
                items.insert(key, Arc::clone(&item.work));
                self.leased.insert(key, Leased { item, first: hold, hedge: None });
            }
        }
        Some(Taken { items, is_hedge: false })
    }

    /// The lowest pending keys that follow one another and fit the demand.
    fn pending_run(&self, demand: &Demand) -> Vec<u64> {
        let mut run: Vec<u64> = Vec::new();
        let mut cost = 0u64;
        for (key, item) in self.pending.range(demand.servable.clone()) {
            cost = cost.saturating_add(item.cost);
            let fits = match run.last() {
                None => true,
                Some(last) => {
                    last.checked_add(1) == Some(*key)
                        && cost <= demand.max_cost
                        && u32::try_from(run.len()).is_ok_and(|count| count < demand.max_count)
                }
            };
            if !fits {
                break;
            }
            run.push(*key);
        }
        run
    }

    fn take_hedge(&mut self, demand: &Demand, hold: Hold) -> Option<Taken<M>> {
        if !demand.hedge || self.hedged.is_some() {
            return None;
        }
        let key = self.lowest_open().filter(|key| demand.servable.contains(key))?;
        let leased = self.leased.get_mut(&key).filter(|leased| leased.first.owner != hold.owner)?;
        leased.hedge = Some(hold);
        self.hedged = Some(key);
        Some(Taken { items: BTreeMap::from([(key, Arc::clone(&leased.item.work))]), is_hedge: true })
    }

    /// Marks a key done if `lease` holds it.
    pub(super) fn finish(&mut self, lease: Fence, key: u64) -> Option<Arc<M>> {
        let btree_map::Entry::Occupied(place) = self.leased.entry(key) else {
            return None;
        };
        if !place.get().is_held_by(lease) {
            return None;
        }
        let leased = place.remove();
        self.forget_hedge_on(key);
        self.done.insert(key..=key);
        Some(leased.item.work)
    }

    /// Takes a lease's hold off a key; the key is pending again unless the other lease of a hedge still holds it.
    pub(super) fn release(&mut self, lease: Fence, key: u64) {
        let btree_map::Entry::Occupied(mut place) = self.leased.entry(key) else {
            return;
        };
        if !place.get().is_held_by(lease) {
            return;
        }
        let leased = place.get_mut();
        if let Some(hedge) = leased.hedge.take() {
            if leased.first.lease == lease {
                leased.first = hedge;
            }
        } else {
            self.pending.insert(key, place.remove().item);
        }
        self.forget_hedge_on(key);
    }

    pub(super) fn cover(&mut self, range: RangeInclusive<u64>) -> Dust<M> {
        let (first, last) = range.into_inner();
        let first = first.max(self.floor.saturating_add(1));
        if first > last || last <= self.floor {
            return Vec::new();
        }
        let range = (Bound::Included(first), Bound::Included(last));
        let pending: Vec<u64> = self.pending.range(range).map(|(key, _)| *key).collect();
        let leased: Vec<u64> = self.leased.range(range).map(|(key, _)| *key).collect();
        let mut dust = Vec::new();
        dust.extend(pending.iter().filter_map(|key| self.pending.remove(key)).map(|item| item.work));
        dust.extend(leased.iter().filter_map(|key| self.leased.remove(key)).map(|leased| leased.item.work));
        if self.hedged.is_some_and(|key| (first..=last).contains(&key)) {
            self.hedged = None;
        }
        self.done.insert(first..=last);
        dust
    }

    /// Makes a done key pending; gives the item back if the key was not done.
    pub(super) fn reopen(&mut self, key: u64, item: Item<M>) -> Option<Arc<M>> {
        if !self.done.remove(key) {
            return Some(item.work);
        }
        self.pending.insert(key, item);
        None
    }

    pub(super) fn reset_above(&mut self, key: u64) -> Dust<M> {
        self.floor = self.floor.min(key);
        self.done.truncate_above(key);
        self.hedged = self.hedged.filter(|hedged| *hedged <= key);
        let Some(after) = key.checked_add(1) else {
            return Vec::new();
        };
        let (pending, leased) = (self.pending.split_off(&after), self.leased.split_off(&after));
        swept(pending, leased)
    }

    pub(super) fn advance_floor(&mut self, key: u64) -> Dust<M> {
        if key <= self.floor {
            return Vec::new();
        }
        self.floor = key;
        self.done.truncate_to(key);
        self.hedged = self.hedged.filter(|hedged| *hedged > key);
        let (mut pending, mut leased) = (BTreeMap::new(), BTreeMap::new());
        if let Some(after) = key.checked_add(1) {
            (pending, leased) = (self.pending.split_off(&after), self.leased.split_off(&after));
        }
        swept(std::mem::replace(&mut self.pending, pending), std::mem::replace(&mut self.leased, leased))
    }

    fn forget_hedge_on(&mut self, key: u64) {
        self.hedged = self.hedged.filter(|hedged| *hedged != key);
    }

    /// What must hold between any two calls.
    pub(super) fn check_invariants(&self) -> Result<(), String> {
        let keys = self.pending.keys().map(|key| (*key, "pending"));
        for (key, place) in keys.chain(self.leased.keys().map(|key| (*key, "leased"))) {
            if key <= self.floor {
                return Err(format!("key {key} is {place} at or below the floor {}", self.floor));
            }
            if self.done.contains(key) {
                return Err(format!("key {key} is {place} and done"));
            }
        }
        if let Some(key) = self.pending.keys().find(|key| self.leased.contains_key(key)) {
            return Err(format!("key {key} is pending and leased"));
        }
        let mut end = None;
        for range in self.done.ranges() {
            if *range.start() <= self.floor
                || end.is_some_and(|end: u64| end.saturating_add(1) >= *range.start())
            {
                return Err(format!("done range {range:?} is below the floor or touches the one before"));
            }
            end = Some(*range.end());
        }
        let hedged: Vec<u64> =
            self.leased.iter().filter(|(_, leased)| leased.hedge.is_some()).map(|(key, _)| *key).collect();
        if hedged != self.hedged.into_iter().collect::<Vec<_>>() {
            return Err(format!("keys {hedged:?} are hedged, and {:?} is said to be", self.hedged));
        }
        let doubled =
            |leased: &Leased<M>| leased.hedge.is_some_and(|hedge| hedge.owner == leased.first.owner);
        match self.leased.iter().find(|(_, leased)| doubled(leased)) {
            Some((key, _)) => Err(format!("key {key} is hedged by its own owner")),
            None => Ok(()),
        }
    }
}

fn swept<M>(pending: BTreeMap<u64, Item<M>>, leased: BTreeMap<u64, Leased<M>>) -> Dust<M> {
    pending
        .into_values()
        .chain(leased.into_values().map(|leased| leased.item))
        .map(|item| item.work)
        .collect()
}
