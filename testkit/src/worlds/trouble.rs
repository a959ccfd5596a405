//! What goes wrong in a world, and right again.

use super::{connections::VERDICT, event::Event, plan::Fault, world::World};
use crate::sim::NodeIndex;
use rand_core::Rng;
use std::collections::BTreeSet;

impl World {
    pub(super) fn fault(&mut self, number: usize) {
        let Some((_, fault)) = self.plan.faults.get(number).cloned() else { return };
        self.judge.fault(self.now, &fault);
        match fault {
            Fault::Cut(from, to) => self.wires.links.cut(from, to),
            Fault::Heal(from, to) => self.wires.links.heal(from, to),
            Fault::Split(part) => self.across(&part).for_each(|(a, b)| self.wires.links.cut(a, b)),
            Fault::Rejoin(part) => self.across(&part).for_each(|(a, b)| self.wires.links.heal(a, b)),
            Fault::Crash(index) => self.crash(index),
            Fault::Doom(index, writes) => drop(self.labour.doomed.insert(index, writes)),
            Fault::Leave(index) => {
                self.say_goodbye(index);
                self.crash(index);
            }
            Fault::Start(index) => self.begin_life(index),
            Fault::Wedge(index) => {
                if self.is_up(index) {
                    self.asleep.entry(index).or_default();
                    self.wires.close_ears(index);
                }
            }
            Fault::Unwedge(index) => self.wake_up(index),
            Fault::Access(index, access) => self.wires.links.set_access(index, access),
            Fault::Slow(index, times) => drop(self.labour.slowness.insert(index, times)),
            Fault::SlowStore(index, most) => drop(self.labour.store_delay.insert(index, most)),
            Fault::Store(index, faults) => {
                if let Some(node) = self.node(index) {
                    node.store.set_faults(|now| *now = faults.over(*now));
                }
            }
            Fault::Clock(index, ahead) => {
                if let Some(node) = self.node_mut(index) {
                    node.ahead = ahead;
                }
            }
            Fault::Mine(index, branch) => self.mine(index, branch),
        }
    }

    /// Every directed pair with one end in `part` and the other outside.
    fn across(&self, part: &BTreeSet<NodeIndex>) -> impl Iterator<Item = (NodeIndex, NodeIndex)> + use<> {
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.indices().into_iter().partition(|index| part.contains(index));
        let pairs = move |a: NodeIndex| outside.clone().into_iter().flat_map(move |b| [(a, b), (b, a)]);
        inside.into_iter().flat_map(pairs)
    }

    /// Stops a node as a power cut would.
    fn crash(&mut self, index: NodeIndex) {
        self.wires.links.set_up(index, false);
        drop(self.wires.open_ears(self.now, index));
        self.asleep.remove(&index);
        let under_way = self.labour.stop(index);
        self.set_clock(index);
        let Some(node) = self.nodes.get_mut(usize::from(index.0)) else { return };
        node.crash();
        match node.store.lose_power(under_way, &mut self.rng) {
            Ok(torn) => {
                torn.iter().for_each(|job| self.judge.count(format!("torn: {job}")));
                self.judge.told("I-C2", self.now, self.steps, Ok(1));
            }
            Err(why) => self.judge.told("I-C2", self.now, self.steps, Err(format!("{index}: {why}"))),
        }
    }

    /// A doomed node's power fails while it writes.
    pub(super) fn power_cut(&mut self, index: NodeIndex, epoch: u32) {
        if self.node(index).is_some_and(|node| node.is_up() && node.epoch == epoch) {
            self.crash(index);
            let pause = 50_000_000 + u64::from(self.rng.next_u32() % 2_000_000_000);
            self.agenda.enter(self.now.saturating_add(pause), Event::PowerBack(index));
        }
    }

    /// Starts a node that does not run over what its store holds.
    pub(super) fn begin_life(&mut self, index: NodeIndex) {
        if self.is_up(index) {
            return;
        }
        self.forget_last_life(index);
        self.boot(index);
        self.reconnect(index);
    }

    /// A miner's node tells its own services of its new blocks by starting anew over the store.
    fn mine(&mut self, index: NodeIndex, branch: usize) {
        self.crash(index);
        if let (Some(node), Some(branch)) = (self.node(index), self.plan.branches.get(branch)) {
            node.store.adopt(branch);
        }
        self.begin_life(index);
    }

    /// Whose ears are closed and who therefore does not notice this event yet.
    pub(super) fn sleeper(&self, event: &Event) -> Option<NodeIndex> {
        let sleeps = |index: &NodeIndex| self.asleep.contains_key(index);
        match event {
            Event::Wake(index, _)
            | Event::Done(index, _)
            | Event::Dial(index, _)
            | Event::Finished(_, index)
            | Event::Closed(_, index) => Some(*index).filter(sleeps),
            Event::Reopen((wire, _)) => {
                let (from, to) = self.wires.ends(*wire)?;
                [from, to].into_iter().find(sleeps)
            }
            Event::Verdict((wire, _), _, culprit) => self.other_end(*wire, *culprit).filter(sleeps),
            Event::Wire(_) | Event::PowerCut(..) | Event::PowerBack(_) | Event::Fault(_) | Event::Sweep => {
                None
            }
        }
    }

    /// A node that was wedged goes on: all that it missed it notices now.
    fn wake_up(&mut self, index: NodeIndex) {
        let Some(missed) = self.asleep.remove(&index) else { return };
        for event in missed {
            match event {
                Event::Dial(from, to) => self.enter_dial(from, to, self.now),
                Event::Verdict(..) => self.agenda.enter(self.now.saturating_add(VERDICT), event),
                _ => self.agenda.enter_in_order(self.now, event),
            }
        }
        for (lane, bytes) in self.wires.open_ears(self.now, index) {
            self.deliver(lane, bytes);
        }
        self.settle(index);
    }
}
