//! Every body between the committed height and the look-ahead: wanted, on its way, received, checked, or being
//! committed.
//!
//! A height is in exactly one [`Stage`], so nothing can be asked for twice or lost. Bodies stay in wire form.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(feature = "simulation")]
mod probe;

use crate::{
    plan::budget::{Budget, Estimate},
    ports::{Body, Wanted},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};
use zakura_header_sync::chain::{BlockRef, Height};
use zakura_transport::{Fence, PeerId};

/// One body as it arrived: who brought it, and an id under which verdicts on it come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(super) id: u64,
    pub(super) from: Source,
    pub(super) raw: Bytes,
}

/// Who brought a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(super) session: Fence,
    pub(super) peer: PeerId,
}

/// Where a body is.
#[derive(Debug)]
enum Stage {
    /// Nobody may ask for it yet.
    Waiting,
    /// Nobody may ask for it before this instant.
    Deferred(Instant),
    /// In the range queue.
    Open,
    /// Here, not checked.
    Received(Delivery),
    /// Being checked.
    Checking(Delivery),
    /// Good.
    Ready(Delivery),
    /// Handed to the store.
    Committing(Delivery),
    /// Here from before a reorg; whether it is still wanted is being asked.
    Stray(Delivery),
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    /// Whether the queue has counted the height done before.
    was_done: bool,
    stage: Stage,
}

/// What the range queue is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueChange {
    /// A height may be asked for.
    Push(Wanted),
    /// A height that counted done may be asked for again.
    Reopen(Wanted),
    /// A height is done, however it came.
    Cover(Height),
    /// Everything above may be forgotten.
    ResetAbove(Height),
    /// Everything up to here may be forgotten.
    AdvanceFloor(Height),
}

/// What became of an arrived body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipt {
    /// It is kept.
    Kept,
    /// It was asked for but is of no use now: a second copy, or from before a reorg.
    Surplus,
}

/// Where the lowest uncommitted body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foremost {
    /// Nothing is planned.
    Nothing,
    /// Its body has not come.
    Missing(Height),
    /// It is held back: its rules are not known here.
    Deferred(Height),
    /// Its body is being checked, or waits for that.
    Unchecked,
    /// Its body is good and waits for the store.
    Uncommitted,
}

/// The reorder buffer and its books.
#[derive(Debug)]
pub(super) struct Sequencer {
    entries: BTreeMap<Height, Entry>,
    /// The heights in `Waiting`, `Deferred`, `Open` and `Received`.
    waiting: BTreeSet<Height>,
    deferred: BTreeSet<Height>,
    open: BTreeSet<Height>,
    received: BTreeSet<Height>,
    committed: BlockRef,
    planned: Height,
    estimate: Estimate,
    budget: Budget,
    checking: u64,
    next_delivery: u64,
    changes: Vec<QueueChange>,
}

impl Sequencer {
    /// Nothing known above `committed`.
    pub(super) fn new(committed: BlockRef, in_flight_limit: u64, retained_limit: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            deferred: BTreeSet::new(),
            open: BTreeSet::new(),
            received: BTreeSet::new(),
            committed,
            planned: committed.height,
            estimate: Estimate::default(),
            budget: Budget { in_flight_limit, retained_limit, in_flight: 0, retained: 0 },
            checking: 0,
            next_delivery: 0,
            changes: Vec::new(),
        }
    }

    pub(super) const fn committed(&self) -> BlockRef {
        self.committed
    }

    /// The highest height about which the store has been asked.
    pub(super) const fn planned(&self) -> Height {
        self.planned
    }

    /// Heights known of and not committed.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn budget(&self) -> Budget {
        self.budget
    }

    /// Bytes being checked.
    pub(super) const fn checking(&self) -> u64 {
        self.checking
    }

    /// Bodies planned whose bytes have not come.
    pub(super) fn missing(&self) -> usize {
        self.waiting.len().saturating_add(self.deferred.len()).saturating_add(self.open.len())
    }

    /// The lowest height whose body has not come, as far as is known.
    pub(super) fn floor(&self) -> Height {
        let lowest = [self.waiting.first(), self.deferred.first(), self.open.first()];
        let beyond = self.planned.next().unwrap_or(Height::MAX);
        lowest.into_iter().flatten().min().copied().unwrap_or(beyond)
    }

    pub(super) fn foremost(&self) -> Foremost {
        match self.entries.first_key_value().map(|(height, entry)| (*height, &entry.stage)) {
            None => Foremost::Nothing,
            Some((height, Stage::Waiting | Stage::Open)) => Foremost::Missing(height),
            Some((height, Stage::Deferred(_))) => Foremost::Deferred(height),
            Some((_, Stage::Received(_) | Stage::Checking(_) | Stage::Stray(_))) => Foremost::Unchecked,
            Some((_, Stage::Ready(_) | Stage::Committing(_))) => Foremost::Uncommitted,
        }
    }

    /// What to tell the queue, in order.
    pub(super) fn take_changes(&mut self) -> Vec<QueueChange> {
        std::mem::take(&mut self.changes)
    }

    /// The store's answer to "what is missing from `planned` + 1 up?": these, and nothing else up to `up_to`.
    pub(super) fn plan(&mut self, missing: Vec<Wanted>, up_to: Height) {
        for mut wanted in missing {
            if wanted.at.height <= self.planned || wanted.at.height > up_to {
                continue;
            }
            wanted.size_hint = self.estimate.cost(wanted.size_hint);
            let height = wanted.at.height;
            let stray = self.entries.remove(&height).and_then(|entry| self.unstray(entry, wanted));
            let was_done = stray.is_some();
            self.entries.insert(height, Entry { wanted, was_done, stage: Stage::Waiting });
            match stray {
                Some(delivery) => {
                    self.changes.push(QueueChange::Cover(height));
                    self.set_received(height, delivery);
                }
                None => drop(self.waiting.insert(height)),
            }
        }
        // Strays up to here that were not named are of another branch.
        let lost: Vec<Height> = self.strays().filter(|height| *height <= up_to).collect();
        lost.into_iter().for_each(|height| self.drop_entry(height));
        self.planned = self.planned.max(up_to);
    }

    /// Lets heights be asked for as far as the budgets allow; and whatever they say, the one body without which nothing can
    /// be committed. A floor above bodies that wait for the store has time: to fetch it into a full memory would only push
    /// it out again.
    pub(super) fn admit(&mut self, now: Instant) {
        let due = |entry: &Entry| matches!(entry.stage, Stage::Deferred(until) if until <= now);
        let woken = self.deferred.iter().filter(|height| self.entries.get(height).is_some_and(due));
        for height in woken.copied().collect::<Vec<_>>() {
            self.deferred.remove(&height);
            self.set_waiting(height);
        }
        while let Some(height) = self.waiting.first().copied() {
            let blocks_all = self.committed.height.next() == Some(height);
            let Some(entry) = self.entries.get_mut(&height) else { break };
            if !blocks_all && !self.budget.admits(entry.wanted.size_hint) {
                break;
            }
            entry.stage = Stage::Open;
            self.budget.in_flight = self.budget.in_flight.saturating_add(entry.wanted.size_hint.into());
            let wanted = entry.wanted;
            self.changes.push(if entry.was_done {
                QueueChange::Reopen(wanted)
            } else {
                QueueChange::Push(wanted)
            });
            self.waiting.remove(&height);
            self.open.insert(height);
        }
    }

    /// When a deferred height may be asked for again.
    pub(super) fn next_deferred(&self) -> Option<Instant> {
        let until = |height: &Height| match self.entries.get(height)?.stage {
            Stage::Deferred(until) => Some(until),
            _ => None,
        };
        self.deferred.iter().filter_map(until).min()
    }

    /// A body arrived. If too much is retained then, the highest are let go again; the lowest never is.
    pub(super) fn receive(&mut self, at: BlockRef, raw: Bytes, from: Source, in_time: bool) -> Receipt {
        let Some(entry) = self.entries.get_mut(&at.height).filter(|entry| entry.wanted.at == at) else {
            return Receipt::Surplus;
        };
        match entry.stage {
            Stage::Waiting | Stage::Deferred(_) | Stage::Open => {}
            Stage::Received(_)
            | Stage::Checking(_)
            | Stage::Ready(_)
            | Stage::Committing(_)
            | Stage::Stray(_) => return Receipt::Surplus,
        }
        if matches!(entry.stage, Stage::Open) {
            self.budget.in_flight = self.budget.in_flight.saturating_sub(entry.wanted.size_hint.into());
        }
        if !in_time {
            self.changes.push(QueueChange::Cover(at.height));
        }
        entry.was_done = true;
        let size = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        // What it weighs is known now, should it have to be asked for again.
        entry.wanted.size_hint = self.estimate.cost(size);
        self.estimate.learn(size);
        for set in [&mut self.waiting, &mut self.deferred, &mut self.open] {
            set.remove(&at.height);
        }
        let id = self.next_delivery;
        self.next_delivery = id.wrapping_add(1);
        self.budget.retained = self.budget.retained.saturating_add(size.into());
        self.set_received(at.height, Delivery { id, from, raw });
        self.evict();
        Receipt::Kept
    }

    /// The lowest bodies to check, as many as fit: at least one if any waits.
    pub(super) fn next_check(&mut self, max_blocks: usize, max_bytes: u64) -> Vec<(BlockRef, Delivery)> {
        let (mut batch, mut bytes) = (Vec::new(), 0_u64);
        while let Some(height) = self.received.first().copied() {
            let Some(entry) = self.entries.get_mut(&height) else { break };
            let Stage::Received(delivery) = &entry.stage else { break };
            let delivery = delivery.clone();
            bytes = bytes.saturating_add(delivery.raw.len() as u64);
            if !batch.is_empty() && (bytes > max_bytes || batch.len() >= max_blocks) {
                break;
            }
            self.checking = self.checking.saturating_add(delivery.raw.len() as u64);
            entry.stage = Stage::Checking(delivery.clone());
            self.received.remove(&height);
            batch.push((entry.wanted.at, delivery));
        }
        batch
    }

    /// A check is over, whatever it said: its bytes are no longer being checked. The delivery, if it is still the
    /// one held at that height; it is neither good nor bad until one of the next three is called.
    pub(super) fn checked(&mut self, at: BlockRef, delivery: &Delivery) -> bool {
        self.checking = self.checking.saturating_sub(delivery.raw.len() as u64);
        let entry = self.entries.get(&at.height).filter(|entry| entry.wanted.at == at);
        entry.is_some_and(|entry| matches!(&entry.stage, Stage::Checking(held) if held.id == delivery.id))
    }

    /// The body is good.
    pub(super) fn accept(&mut self, at: BlockRef, delivery: Delivery) {
        if let Some(entry) = self.entries.get_mut(&at.height) {
            entry.stage = Stage::Ready(delivery);
        }
    }

    /// The body is bad: the height is wanted again.
    pub(super) fn reject(&mut self, at: BlockRef) {
        self.let_go(at.height);
        self.set_waiting(at.height);
    }

    /// A session brought a wrong body: what else it brought is not worth a check.
    pub(super) fn distrust(&mut self, session: Fence) {
        let is_theirs = |entry: &Entry| match &entry.stage {
            Stage::Received(delivery) => delivery.from.session == session,
            _ => false,
        };
        let theirs = self.received.iter().filter(|height| self.entries.get(height).is_some_and(is_theirs));
        for height in theirs.copied().collect::<Vec<_>>() {
            self.let_go(height);
            self.set_waiting(height);
        }
    }

    /// The body cannot be judged here: the height is wanted again, later.
    pub(super) fn defer(&mut self, at: BlockRef, until: Instant) {
        self.let_go(at.height);
        if let Some(entry) = self.entries.get_mut(&at.height) {
            entry.stage = Stage::Deferred(until);
            self.deferred.insert(at.height);
        }
    }

    /// What was deferred from `lowest` up may be asked for now.
    pub(super) fn hasten(&mut self, now: Instant, lowest: Height) {
        for height in self.deferred.range(lowest..) {
            if let Some(Entry { stage: Stage::Deferred(until), .. }) = self.entries.get_mut(height) {
                *until = now.min(*until);
            }
        }
    }

    /// The good bodies that continue the committed one, as many as fit; at least one if there is one.
    pub(super) fn next_run(&mut self, max_blocks: usize, max_bytes: u64) -> Vec<Body> {
        let (mut run, mut bytes, mut next) = (Vec::new(), 0_u64, self.committed.height.next());
        while let Some(height) = next {
            let Some(entry) = self.entries.get_mut(&height) else { break };
            let Stage::Ready(delivery) = &entry.stage else { break };
            bytes = bytes.saturating_add(delivery.raw.len() as u64);
            if !run.is_empty() && (bytes > max_bytes || run.len() >= max_blocks) {
                break;
            }
            let delivery = delivery.clone();
            run.push(Body { at: entry.wanted.at, raw: delivery.raw.clone() });
            entry.stage = Stage::Committing(delivery);
            next = height.next();
        }
        run
    }

    /// The store holds everything up to here.
    pub(super) fn advance(&mut self, committed: BlockRef) {
        while let Some(height) = self.entries.first_key_value().map(|(height, _)| *height) {
            if height > committed.height {
                break;
            }
            self.drop_entry(height);
        }
        self.committed = committed;
        self.planned = self.planned.max(committed.height);
        self.changes.push(QueueChange::AdvanceFloor(committed.height));
        self.uncommit();
    }

    /// The store did not take the run: it is good still.
    pub(super) fn uncommit(&mut self) {
        for entry in self.entries.values_mut() {
            match &entry.stage {
                Stage::Committing(delivery) => entry.stage = Stage::Ready(delivery.clone()),
                Stage::Ready(_) => {}
                // What is being committed lies below everything else.
                _ => break,
            }
        }
    }

    /// The chain has changed: everything above `committed` is to be planned anew. Bodies at hand are kept until that says
    /// whether they are of the new branch.
    pub(super) fn reset(&mut self, committed: BlockRef) {
        let below: Vec<Height> = self.entries.range(..=committed.height).map(|(height, _)| *height).collect();
        below.into_iter().for_each(|height| self.drop_entry(height));
        let entries = std::mem::take(&mut self.entries);
        for set in [&mut self.waiting, &mut self.deferred, &mut self.open, &mut self.received] {
            set.clear();
        }
        self.budget.in_flight = 0;
        for (height, Entry { wanted, stage, .. }) in entries {
            match stage {
                Stage::Waiting | Stage::Deferred(_) | Stage::Open => {}
                Stage::Received(delivery)
                | Stage::Checking(delivery)
                | Stage::Ready(delivery)
                | Stage::Committing(delivery)
                | Stage::Stray(delivery) => {
                    let stage = Stage::Stray(delivery);
                    self.entries.insert(height, Entry { wanted, was_done: false, stage });
                }
            }
        }
        self.committed = committed;
        self.planned = committed.height;
        self.changes.push(QueueChange::ResetAbove(committed.height));
        self.changes.push(QueueChange::AdvanceFloor(committed.height));
    }

    /// Lets go of strays above the best header: no plan will name them.
    pub(super) fn drop_strays_above(&mut self, tip: Height) {
        let lost: Vec<Height> = self.strays().filter(|height| *height > tip).collect();
        lost.into_iter().for_each(|height| self.drop_entry(height));
    }

    fn strays(&self) -> impl Iterator<Item = Height> {
        let above = self.entries.iter();
        above.filter(|(_, entry)| matches!(entry.stage, Stage::Stray(_))).map(|(height, _)| *height)
    }

    /// The stray's body, if it is the one now wanted; else it is let go.
    fn unstray(&mut self, entry: Entry, wanted: Wanted) -> Option<Delivery> {
        let Stage::Stray(delivery) = entry.stage else { return None };
        if entry.wanted.at == wanted.at {
            return Some(delivery);
        }
        self.budget.retained = self.budget.retained.saturating_sub(delivery.raw.len() as u64);
        None
    }

    fn set_received(&mut self, height: Height, delivery: Delivery) {
        if let Some(entry) = self.entries.get_mut(&height) {
            entry.stage = Stage::Received(delivery);
            self.received.insert(height);
        }
    }

    fn set_waiting(&mut self, height: Height) {
        if let Some(entry) = self.entries.get_mut(&height) {
            entry.stage = Stage::Waiting;
            self.waiting.insert(height);
        }
    }

    /// Lets the highest bodies go until what is retained fits; the lowest that is not being committed stays, and so do
    /// those the store or a checker holds.
    fn evict(&mut self) {
        while self.budget.retained > self.budget.retained_limit {
            let is_committing = |entry: &Entry| matches!(entry.stage, Stage::Committing(_));
            let keep =
                self.entries.iter().find(|(_, entry)| !is_committing(entry)).map(|(height, _)| *height);
            let is_movable =
                |entry: &Entry| matches!(entry.stage, Stage::Received(_) | Stage::Ready(_) | Stage::Stray(_));
            let highest = self.entries.iter().rev().find(|(_, entry)| is_movable(entry));
            let Some(height) = highest.map(|(height, _)| *height).filter(|height| Some(*height) != keep)
            else {
                return;
            };
            let is_stray = self.entries.get(&height).is_some_and(|e| matches!(e.stage, Stage::Stray(_)));
            if is_stray {
                self.drop_entry(height);
            } else {
                self.let_go(height);
                self.set_waiting(height);
            }
        }
    }

    /// Takes a body out of the books; its stage is the caller's to set.
    fn let_go(&mut self, height: Height) {
        let Some(entry) = self.entries.get(&height) else { return };
        match &entry.stage {
            Stage::Waiting | Stage::Deferred(_) => {}
            Stage::Open => {
                self.budget.in_flight = self.budget.in_flight.saturating_sub(entry.wanted.size_hint.into());
            }
            Stage::Received(delivery)
            | Stage::Checking(delivery)
            | Stage::Ready(delivery)
            | Stage::Committing(delivery)
            | Stage::Stray(delivery) => {
                self.budget.retained = self.budget.retained.saturating_sub(delivery.raw.len() as u64);
            }
        }
        for set in [&mut self.waiting, &mut self.deferred, &mut self.open, &mut self.received] {
            set.remove(&height);
        }
    }

    fn drop_entry(&mut self, height: Height) {
        self.let_go(height);
        self.entries.remove(&height);
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a fault in a test fails the test"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zakura_header_sync::chain::BlockHash;

    const TIP: u32 = 60;
    const LIMIT: u64 = 4_000;
    const LARGEST: usize = 1_500;

    fn height(height: u32) -> Height {
        Height::new(height).unwrap()
    }

    /// The block of a branch; both branches share the lowest twenty.
    fn at(number: u32, branch: u8) -> BlockRef {
        let branch = if number <= 20 { 0 } else { branch };
        let mut hash = [branch; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        BlockRef { height: height(number), hash: BlockHash(hash) }
    }

    fn source() -> Source {
        Source { session: Fence::mint(), peer: PeerId::new([1; 32]) }
    }

    fn sequencer() -> Sequencer {
        Sequencer::new(at(0, 0), LIMIT, LIMIT)
    }

    fn wanted(numbers: std::ops::RangeInclusive<u32>, branch: u8) -> Vec<Wanted> {
        numbers.map(|number| Wanted { at: at(number, branch), size_hint: 600 }).collect()
    }

    fn bytes(size: usize) -> Bytes {
        vec![0; size].into()
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn check_all(sequencer: &mut Sequencer) {
        for (at, delivery) in sequencer.next_check(100, u64::MAX) {
            assert!(sequencer.checked(at, &delivery));
            sequencer.accept(at, delivery);
        }
    }

    /// The books agree with the entries, and every planned height is in one stage.
    fn audit(sequencer: &Sequencer) -> Result<(), String> {
        let (mut retained, mut in_flight) = (0, 0);
        let mut sets: [BTreeSet<Height>; 4] = Default::default();
        for (height, entry) in &sequencer.entries {
            if *height <= sequencer.committed.height {
                return Err(format!("{height} is committed and still here"));
            }
            let set = match &entry.stage {
                Stage::Waiting => Some(0),
                Stage::Deferred(_) => Some(1),
                Stage::Open => Some(2),
                Stage::Received(_) => Some(3),
                Stage::Checking(_) | Stage::Ready(_) | Stage::Committing(_) | Stage::Stray(_) => None,
            };
            if let Some(set) = set {
                sets[set].insert(*height);
            }
            match &entry.stage {
                Stage::Waiting | Stage::Deferred(_) => {}
                Stage::Open => in_flight += u64::from(entry.wanted.size_hint),
                Stage::Received(held)
                | Stage::Checking(held)
                | Stage::Ready(held)
                | Stage::Committing(held)
                | Stage::Stray(held) => retained += held.raw.len() as u64,
            }
        }
        let books = [&sequencer.waiting, &sequencer.deferred, &sequencer.open, &sequencer.received];
        if books.into_iter().zip(&sets).any(|(book, set)| book != set) {
            return Err(format!("stages {sets:?} are booked as {books:?}"));
        }
        let booked = (sequencer.budget.retained, sequencer.budget.in_flight);
        if booked != (retained, in_flight) {
            return Err(format!("{booked:?} booked, {:?} there", (retained, in_flight)));
        }
        if retained > LIMIT + LARGEST as u64 {
            return Err(format!("{retained} bytes retained"));
        }
        let planned = sequencer.committed.height.get() + 1..=sequencer.planned.get();
        match planned.map(height).find(|height| !sequencer.entries.contains_key(height)) {
            Some(lost) => Err(format!("{lost} is lost")),
            None => Ok(()),
        }
    }

    #[test]
    fn bodies_in_any_order_are_committed_in_order() {
        let mut sequencer = sequencer();
        sequencer.plan(wanted(1..=3, 0), height(3));
        sequencer.admit(now());
        assert_eq!(sequencer.take_changes().len(), 3);
        for number in [3, 2] {
            assert_eq!(sequencer.receive(at(number, 0), bytes(10), source(), true), Receipt::Kept);
        }
        check_all(&mut sequencer);
        assert_eq!(sequencer.next_run(10, 1_000), []);
        assert_eq!(sequencer.foremost(), Foremost::Missing(height(1)));
        let copy = at(3, 0);
        assert_eq!(sequencer.receive(copy, bytes(10), source(), false), Receipt::Surplus);
        assert_eq!(sequencer.receive(at(1, 0), bytes(10), source(), true), Receipt::Kept);
        check_all(&mut sequencer);
        let heights: Vec<_> = sequencer.next_run(2, 1_000).iter().map(|body| body.at.height.get()).collect();
        assert_eq!(heights, [1, 2], "as many as fit");
        sequencer.advance(at(2, 0));
        assert_eq!(sequencer.next_run(2, 1_000).len(), 1);
        assert_eq!(sequencer.take_changes(), [QueueChange::AdvanceFloor(height(2))]);
    }

    #[test]
    fn only_what_will_fit_may_be_asked_for_but_the_floor_always() {
        let mut sequencer = sequencer();
        sequencer.plan(wanted(1..=20, 0), height(20));
        sequencer.admit(now());
        assert_eq!(sequencer.take_changes().len(), 6, "six times 600 bytes");
        for number in 2..=6 {
            sequencer.receive(at(number, 0), bytes(600), source(), true);
        }
        sequencer.admit(now());
        assert_eq!(sequencer.take_changes(), []);
        sequencer.reject(at(2, 0));
        assert!(sequencer.budget.retained <= LIMIT);
    }

    #[test]
    fn while_the_store_has_bodies_to_commit_nothing_more_is_asked_for_than_fits() {
        let mut sequencer = sequencer();
        sequencer.plan(wanted(1..=20, 0), height(20));
        sequencer.admit(now());
        assert_eq!(sequencer.take_changes().len(), 6);
        for number in 1..=6 {
            sequencer.receive(at(number, 0), bytes(600), source(), true);
        }
        sequencer.admit(now());
        assert_eq!(sequencer.take_changes(), [], "the store is slow, and memory is full");
        check_all(&mut sequencer);
        assert_eq!(sequencer.next_run(2, 10_000).len(), 2);
        sequencer.advance(at(2, 0));
        sequencer.admit(now());
        assert_eq!(sequencer.take_changes().len(), 3, "the floor advances, and two more fit");
    }

    #[test]
    fn bodies_larger_than_hinted_push_the_highest_out() {
        let mut sequencer = sequencer();
        sequencer.plan(wanted(1..=6, 0), height(6));
        sequencer.admit(now());
        for number in (1..=6).rev() {
            sequencer.receive(at(number, 0), bytes(LARGEST), source(), true);
            assert!(sequencer.budget.retained <= LIMIT);
        }
        let kept: Vec<_> = sequencer.received.iter().map(|height| height.get()).collect();
        assert_eq!(kept, [1, 2], "what is needed first");
        sequencer.take_changes();
        check_all(&mut sequencer);
        assert_eq!(sequencer.next_run(10, 10_000).len(), 2);
        sequencer.advance(at(2, 0));
        sequencer.admit(now());
        let again = sequencer.take_changes();
        assert!(matches!(again[1], QueueChange::Reopen(wanted) if wanted.size_hint == 1_500), "{again:?}");
    }

    #[test]
    fn a_reorg_keeps_what_both_branches_have() {
        let mut sequencer = sequencer();
        sequencer.plan(wanted(1..=22, 1), height(22));
        for number in 19..=22 {
            sequencer.receive(at(number, 1), bytes(10), source(), false);
        }
        sequencer.reset(at(0, 0));
        sequencer.plan(wanted(1..=22, 2), height(22));
        let kept: Vec<_> = sequencer.received.iter().map(|height| height.get()).collect();
        assert_eq!(kept, [19, 20]);
        assert_eq!(audit(&sequencer), Ok(()));
    }

    #[test]
    fn a_verdict_on_a_body_that_is_gone_changes_nothing() {
        let mut sequencer = sequencer();
        sequencer.plan(wanted(1..=1, 0), height(1));
        sequencer.receive(at(1, 0), bytes(10), source(), false);
        let (at_one, old) = sequencer.next_check(1, 100).remove(0);
        sequencer.reset(at(0, 0));
        sequencer.plan(wanted(1..=1, 0), height(1));
        assert!(!sequencer.checked(at_one, &old), "it is to be checked again");
        assert_eq!((sequencer.checking(), sequencer.next_check(1, 100).len()), (0, 1));
    }

    #[test]
    fn a_verdict_on_an_earlier_copy_is_not_one_on_this_copy() {
        let mut sequencer = sequencer();
        let mut bring = |branch: u8| {
            sequencer.reset(at(20, 0));
            sequencer.plan(wanted(21..=21, branch), height(21));
            sequencer.receive(at(21, branch), bytes(10), source(), false);
            sequencer.next_check(1, 100)
        };
        let first = bring(1).remove(0);
        bring(2);
        let second = bring(1).remove(0);
        assert!(!sequencer.checked(first.0, &first.1));
        assert!(sequencer.checked(second.0, &second.1));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Plan(u32),
        Receive { number: u32, branch: u8, size: usize, in_time: bool },
        Check(usize),
        Judge { nth: usize, verdict: u8 },
        Commit { blocks: usize, outcome: u8 },
        Reset(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let receive = (1..=TIP, 0..3_u8, 1..LARGEST, any::<bool>())
            .prop_map(|(number, branch, size, in_time)| Step::Receive { number, branch, size, in_time });
        let step = prop_oneof![
            2 => (1..30_u32).prop_map(Step::Plan),
            8 => receive,
            3 => (1..9_usize).prop_map(Step::Check),
            6 => (0..9_usize, 0..8_u8).prop_map(|(nth, verdict)| Step::Judge { nth, verdict }),
            3 => (1..9_usize, 0..6_u8).prop_map(|(blocks, outcome)| Step::Commit { blocks, outcome }),
            1 => (1..3_u8).prop_map(Step::Reset),
        ];
        prop::collection::vec(step, 1..150)
    }

    proptest! {
        #[test]
        fn the_books_balance_and_runs_are_contiguous(steps in steps()) {
            let (mut sequencer, mut branch, mut checking) = (sequencer(), 1, Vec::new());
            let now = now();
            for step in steps {
                match step {
                    Step::Plan(count) => {
                        let from = sequencer.planned().get() + 1;
                        let up_to = (from + count).min(TIP);
                        if from <= up_to {
                            sequencer.plan(wanted(from..=up_to, branch), height(up_to));
                        }
                    }
                    Step::Receive { number, branch, size, in_time } => {
                        let receipt = sequencer.receive(at(number, branch), bytes(size), source(), in_time);
                        prop_assert!(receipt == Receipt::Surplus || number <= sequencer.planned().get());
                    }
                    Step::Check(count) => checking.extend(sequencer.next_check(count, 3_000)),
                    Step::Judge { nth, verdict } if nth < checking.len() => {
                        let (at, delivery) = checking.remove(nth);
                        if sequencer.checked(at, &delivery) {
                            match verdict {
                                0 => sequencer.reject(at),
                                1 => sequencer.defer(at, now),
                                2 => { sequencer.reject(at); sequencer.distrust(delivery.from.session); }
                                _ => sequencer.accept(at, delivery),
                            }
                        }
                    }
                    Step::Judge { .. } => {}
                    Step::Commit { blocks, outcome } => {
                        let run = sequencer.next_run(blocks, 3_000);
                        let first = sequencer.committed().height.get() + 1;
                        for (number, body) in (first..).zip(&run) {
                            prop_assert_eq!(body.at, at(number, branch));
                        }
                        match (run.last(), outcome) {
                            (None, _) | (_, 0) => sequencer.uncommit(),
                            (Some(_), 1) => sequencer.advance(run[0].at),
                            (Some(last), _) => sequencer.advance(last.at),
                        }
                    }
                    Step::Reset(to) => {
                        branch = to;
                        let kept = sequencer.committed().height.get().min(20);
                        sequencer.reset(at(kept, branch));
                    }
                }
                sequencer.admit(now);
                prop_assert_eq!(audit(&sequencer), Ok(()));
            }
            let held: u64 = checking.iter().map(|(_, delivery)| delivery.raw.len() as u64).sum();
            prop_assert_eq!(sequencer.checking(), held);
        }
    }
}
