//! Work of a world's nodes: each has two workers, and what a job costs is reckoned, not measured.

use super::{event::Event, world::World};
use crate::sim::NodeIndex;
use rand_core::Rng;
use std::{collections::BTreeMap, time::Duration};
use zakura_transport::routine::SteppedJob;

/// Who does what until when, and how fast.
#[derive(Debug, Default)]
pub(super) struct Labour {
    /// When each of a node's workers is free.
    workers: BTreeMap<NodeIndex, [u64; 2]>,
    /// Work that is being done, by node and number.
    jobs: BTreeMap<(NodeIndex, u64), (usize, SteppedJob)>,
    hired: u64,
    /// How many times slower a node's work is.
    pub(super) slowness: BTreeMap<NodeIndex, u64>,
    /// How much longer each of its jobs with the store takes, at most.
    pub(super) store_delay: BTreeMap<NodeIndex, Duration>,
    /// Nodes that lose their power after so many writes more.
    pub(super) doomed: BTreeMap<NodeIndex, u32>,
}

impl Labour {
    /// Everybody drops what they do. What a node was doing comes back.
    pub(super) fn stop(&mut self, index: NodeIndex) -> Vec<SteppedJob> {
        self.workers.remove(&index);
        let mine: Vec<_> = self.jobs.range((index, 0)..=(index, u64::MAX)).map(|(key, _)| *key).collect();
        mine.into_iter().filter_map(|key| self.jobs.remove(&key)).map(|(_, job)| job).collect()
    }
}

/// What a job costs, in nanoseconds: proof-of-work 100 us a header, a durable write 2 ms, a read 20 us.
fn cost(name: &str, items: usize) -> u64 {
    let items = u64::try_from(items).unwrap_or(u64::MAX);
    match name {
        "header check" => items.saturating_mul(100_000),
        "header store" | "body commit" => items.saturating_mul(10_000).saturating_add(2_000_000),
        "body check" => items.saturating_mul(30_000),
        _ => 50_000,
    }
}

/// Whether a job changes the store.
fn writes(name: &str) -> bool {
    matches!(name, "header store" | "body commit")
}

/// Whether a job touches the store: all do but those that only burn.
fn touches_store(name: &str) -> bool {
    !matches!(name, "header check" | "body check")
}

impl World {
    /// Gives a job to the node's next free worker.
    pub(super) fn employ(&mut self, index: NodeIndex, service: usize, job: SteppedJob) {
        let slow = self.labour.slowness.get(&index).copied().unwrap_or(1);
        let mut cost = cost(job.name, job.items).saturating_mul(slow);
        let delay = self.labour.store_delay.get(&index).copied().unwrap_or_default();
        if touches_store(job.name) && !delay.is_zero() {
            // A tenth of it to all of it.
            let tenths = 1 + self.rng.next_u32() % 10;
            let delay = delay * tenths / 10;
            cost = cost.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
        }
        if writes(job.name) {
            self.doom_comes_nearer(index, cost);
        }
        let labour = &mut self.labour;
        let Some(worker) = labour.workers.entry(index).or_default().iter_mut().min() else { return };
        *worker = (*worker).max(self.now).saturating_add(cost);
        labour.hired = labour.hired.saturating_add(1);
        labour.jobs.insert((index, labour.hired), (service, job));
        self.agenda.enter(*worker, Event::Done(index, labour.hired));
    }

    /// A node begins a write: in the last one of a doomed node the power fails, unless calm has begun.
    fn doom_comes_nearer(&mut self, index: NodeIndex, job_takes: u64) {
        let Some(left) = self.labour.doomed.get_mut(&index) else { return };
        if *left > 0 {
            *left -= 1;
            return;
        }
        self.labour.doomed.remove(&index);
        let Some(epoch) = self.node(index).filter(|_| self.now < self.plan.calm).map(|node| node.epoch)
        else {
            return;
        };
        let at = self.now.saturating_add(self.rng.next_u64() % job_takes.max(1));
        self.agenda.enter(at, Event::PowerCut(index, epoch));
    }

    /// Ends every session and lets every job come back, as a stop would: what is held after that is lost.
    pub fn wind_up(&mut self) {
        self.indices().into_iter().for_each(|index| self.forget_last_life(index));
        while let Some((index, number)) = self.labour.jobs.keys().next().copied() {
            self.job_done(index, number);
        }
    }

    /// A job's time is over: it is done now, as far as anybody can tell.
    pub(super) fn job_done(&mut self, index: NodeIndex, number: u64) {
        let Some((service, job)) = self.labour.jobs.remove(&(index, number)) else { return };
        let now = self.instant();
        self.set_clock(index);
        if let Some(node) = self.node_mut(index) {
            node.done(now, service, job);
            self.settle(index);
        }
    }
}
