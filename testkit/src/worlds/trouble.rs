//! What goes wrong in a world, and right again.

use super::{plan::Fault, world::World};
use crate::sim::NodeIndex;
use rand_core::Rng;

impl World {
    pub(super) fn fault(&mut self, number: usize) {
        let Some((_, fault)) = self.plan.faults.get(number).cloned() else { return };
        self.judge.fault(self.now, &fault);
        match fault {
            Fault::Cut(from, to) => self.wires.links.cut(from, to),
            Fault::Heal(from, to) => self.wires.links.heal(from, to),
            Fault::Crash(index) => self.crash(index),
            Fault::Start(index) => {
                if !self.is_up(index) {
                    self.forget_last_life(index);
                    self.boot(index);
                    self.reconnect(index);
                }
            }
            Fault::Access(index, access) => self.wires.links.set_access(index, access),
            Fault::Slow(index, times) => {
                self.slowness.insert(index, times);
            }
            Fault::Store(index, faults) => {
                if let Some(node) = self.node(index) {
                    node.store.set_faults(|now| *now = faults.over(*now));
                }
            }
            Fault::Mine(index, branch) => {
                if let (Some(node), Some(branch)) = (self.node(index), self.plan.branches.get(branch)) {
                    node.store.adopt(branch, branch.tip().at.height);
                }
                // A miner's node tells its own services of the new block by starting anew over the store.
                self.crash(index);
                self.forget_last_life(index);
                self.boot(index);
                self.reconnect(index);
            }
        }
    }

    pub(super) fn crash(&mut self, index: NodeIndex) {
        if let Some(node) = self.node_mut(index) {
            node.crash();
        }
        self.wires.links.set_up(index, false);
        let mine: Vec<_> = self.jobs.keys().filter(|(of, _)| *of == index).copied().collect();
        for job in mine.into_iter().filter_map(|key| self.jobs.remove(&key)) {
            // What was being written when the power went is on the disk or is not; nobody hears which.
            if self.rng.next_u32().is_multiple_of(2) {
                drop(job.1.run());
            }
        }
        self.workers.remove(&index);
    }
}
