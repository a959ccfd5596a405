//! Work of a world's nodes: each has two workers, and what a job costs is reckoned, not measured.

use super::{event::Event, world::World};
use crate::sim::NodeIndex;
use zakura_transport::routine::SteppedJob;

impl World {
    /// Gives a job to the node's next free worker.
    pub(super) fn employ(&mut self, index: NodeIndex, service: usize, job: SteppedJob) {
        let slow = self.slowness.get(&index).copied().unwrap_or(1);
        let cost = self.plan.cost(job.name, job.items).saturating_mul(slow);
        let workers = self.workers.entry(index).or_default();
        let Some(worker) = workers.iter_mut().min() else { return };
        *worker = (*worker).max(self.now).saturating_add(cost);
        self.hired = self.hired.saturating_add(1);
        self.jobs.insert((index, self.hired), (service, job));
        self.agenda.enter(*worker, Event::Done(index, self.hired));
    }

    /// A job's time is over: it is done now, as far as anybody can tell.
    pub(super) fn job_done(&mut self, index: NodeIndex, number: u64) {
        let Some((service, job)) = self.jobs.remove(&(index, number)) else { return };
        let now = self.instant();
        if let Some(node) = self.node_mut(index) {
            node.done(now, service, job);
            self.settle(index);
        }
    }
}
