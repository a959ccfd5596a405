//! A world: nodes, wires, faults, and an agenda that a seed decides. It runs the machines, reactors and codecs that ship,
//! without a runtime and without a socket.

use super::{
    agenda::Agenda,
    connections::{SWEEP, VERDICT},
    event::Event,
    judge::Judge,
    labour::Labour,
    node::{Node, Outcome, Seat},
    plan::Plan,
    sayings::Sayings,
    wires::{Lane, Signal, Wires},
};
use crate::sim::{LinkModel, NodeIndex, Seed};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use zakura_header_sync::chain::BlockRef;
use zakura_transport::PeerId;

/// A running world.
pub struct World {
    pub(super) plan: Plan,
    pub(super) start: Instant,
    pub(super) now: u64,
    pub(super) steps: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) wires: Wires,
    pub(super) agenda: Agenda<Event>,
    pub(super) rng: ChaCha8Rng,
    /// Pauses of dialling pairs.
    pub(super) redial: BTreeMap<(NodeIndex, NodeIndex), u64>,
    /// How often a stream was opened again.
    pub(super) reopened: BTreeMap<Seat, u32>,
    /// Dials to come: an older one does not count.
    pub(super) dialling: BTreeMap<(NodeIndex, NodeIndex), u64>,
    pub(super) labour: Labour,
    /// Nodes that are wedged, and what they do not notice.
    pub(super) asleep: BTreeMap<NodeIndex, Vec<Event>>,
    sayings: Sayings,
    pub(super) judge: Judge,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl World {
    /// A world as a plan describes it, before anything has happened.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let seed = Seed::root(plan.seed);
        let start = tokio::time::Instant::now().into_std();
        let mut wires = Wires::new(LinkModel::new(seed.child("links"), plan.usual_path()));
        let mut nodes = Vec::new();
        for (number, member) in (0_u64..).zip(&plan.members) {
            let index = wires.links.attach(member.access, crate::sim::Nat::Open);
            let store = plan.store(member);
            member.habit.prepare(&store, plan.trunk().tip().at.height);
            let id = PeerId::new(seed.nth("identity", number).bytes());
            let rng = seed.nth("habit", number).rng();
            let mut node = Node::new((index, id, member.habit), store, plan.config.clone(), rng);
            node.ahead = member.clock;
            nodes.push(node);
        }
        plan.shape_paths(&mut wires.links);
        let agenda = Agenda::new(seed.child("agenda").rng());
        let judge = Judge::new(&plan);
        let mut world = Self {
            start,
            now: 0,
            steps: 0,
            nodes,
            wires,
            agenda,
            rng: seed.child("world").rng(),
            redial: BTreeMap::new(),
            reopened: BTreeMap::new(),
            dialling: BTreeMap::new(),
            labour: Labour::default(),
            asleep: BTreeMap::new(),
            sayings: Sayings::default(),
            judge,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for index in self.indices() {
            if !self.plan.absent.contains(&index) {
                self.boot(index);
            }
        }
        for (from, to) in self.plan.dials.clone() {
            let at = u64::from(self.rng.next_u32() % 500_000_000);
            self.enter_dial(from, to, at);
        }
        for (number, (at, _)) in self.plan.faults.iter().enumerate() {
            self.agenda.enter(*at, Event::Fault(number));
        }
        self.agenda.enter(SWEEP, Event::Sweep);
    }

    pub(super) fn indices(&self) -> Vec<NodeIndex> {
        self.nodes.iter().map(|node| node.index).collect()
    }

    /// The virtual time, in nanoseconds.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Events that have happened.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Who has seen what.
    #[must_use]
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The judge, to close the case.
    pub const fn judge_mut(&mut self) -> &mut Judge {
        &mut self.judge
    }

    /// Lets the judge look at all nodes.
    pub fn with_judge(&mut self, look: impl FnOnce(&[Node], &mut Judge)) {
        look(&self.nodes, &mut self.judge);
    }

    /// What this world is made from.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Lets the next thing happen. False if nothing is left.
    pub fn step(&mut self) -> bool {
        let Some((at, event)) = self.agenda.take_next() else { return false };
        self.judge.before(self.now, at, self.steps, &self.nodes);
        self.now = self.now.max(at);
        self.steps = self.steps.saturating_add(1);
        self.happen(event);
        for (at, signal) in self.wires.take_due() {
            self.agenda.enter_in_order(at, Event::Wire(signal));
        }
        true
    }

    fn happen(&mut self, event: Event) {
        if let Some(missed) = self.sleeper(&event).and_then(|index| self.asleep.get_mut(&index)) {
            missed.push(event);
            return;
        }
        match event {
            Event::Wire(signal) => self.wire(signal),
            Event::Wake(index, epoch) => {
                let now = self.now;
                // What was entered before an earlier one was asked for does not count.
                let is_due = |node: &&mut Node| node.epoch == epoch && node.wake_entered == Some(now);
                if let Some(node) = self.node_mut(index).filter(is_due) {
                    node.wake_entered = None;
                    self.settle(index);
                }
            }
            Event::Done(index, number) => self.job_done(index, number),
            Event::Dial(from, to) => self.dial(from, to),
            Event::Reopen(seat) => self.open_stream(seat),
            Event::Finished(seat, index) => {
                if let Some(node) = self.node_mut(index) {
                    node.finish(seat);
                    self.settle(index);
                }
            }
            Event::Closed(wire, index) => self.hang_up(wire, index),
            Event::Verdict(seat, stream, culprit) => self.verdict(seat, stream, culprit),
            Event::PowerCut(index, epoch) => self.power_cut(index, epoch),
            Event::PowerBack(index) => self.begin_life(index),
            Event::Fault(number) => self.fault(number),
            Event::Sweep => self.sweep(),
        }
    }

    pub(super) fn instant(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    /// Lets a node's wall clock show what it shows now.
    pub(super) fn set_clock(&self, index: NodeIndex) {
        if let Some(node) = self.node(index) {
            let now = self.plan.epoch.saturating_add(self.now / 1_000_000_000);
            node.store.clock().set(now.saturating_add_signed(node.ahead));
        }
    }

    pub(super) fn node_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(usize::from(index.0))
    }

    pub(super) fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(usize::from(index.0))
    }

    pub(super) fn is_up(&self, index: NodeIndex) -> bool {
        self.node(index).is_some_and(Node::is_up)
    }

    pub(super) fn boot(&mut self, index: NodeIndex) {
        let now = self.instant();
        self.wires.links.set_up(index, true);
        if let Some(node) = self.node_mut(index) {
            node.start(now);
        }
        self.settle(index);
    }

    fn wire(&mut self, signal: Signal) {
        let retried = if let Signal::Retry(lane, _) = &signal { Some(*lane) } else { None };
        let landed = self.wires.signal(self.now, signal);
        if let Some(lane) = retried
            && let Some((from, to)) = self.wires.ends(lane.wire)
        {
            // There may be room now for what its routine holds back.
            self.settle(if lane.forward { from } else { to });
        }
        if let Some((lane, bytes)) = landed {
            self.deliver(lane, bytes);
        }
    }

    /// Bytes are there for whoever is at the end of a lane.
    pub(super) fn deliver(&mut self, lane: Lane, bytes: Vec<Bytes>) {
        let Some((from, to)) = self.wires.ends(lane.wire) else { return };
        let receiver = if lane.forward { to } else { from };
        if !self.is_up(receiver) {
            return;
        }
        let seat = (lane.wire, lane.service);
        let fault = self.node_mut(receiver).and_then(|node| node.receive(seat, bytes));
        if let Some((peer, exit)) = fault {
            self.ended(receiver, seat, peer, exit);
        }
        self.settle(receiver);
    }

    /// Lets a node do all that is due, and carries out what comes of it.
    pub(super) fn settle(&mut self, index: NodeIndex) {
        if self.asleep.contains_key(&index) {
            return;
        }
        let (start, now) = (self.start, self.now);
        let Some(node) = self.nodes.get_mut(usize::from(index.0)) else { return };
        let wires = &self.wires;
        let lane = |(wire, service): Seat| {
            wires.ends(wire).map(|(from, _)| Lane { wire, service, forward: from == index })
        };
        let outcome = node.turn(start, now, |seat| lane(seat).is_none_or(|lane| wires.has_room(lane)));
        let Outcome { bytes, acts, exits, jobs, wake } = outcome;
        if self.nodes.get(usize::from(index.0)).is_some_and(|node| node.habit.proves_itself()) {
            for seat in acts {
                let (at, stream) = (self.now.saturating_add(VERDICT), self.wires.stream(seat.0, seat.1));
                self.agenda.enter(at, Event::Verdict(seat, stream, index));
            }
        }
        for (seat, bytes) in bytes {
            self.send(index, seat, bytes);
        }
        for (service, job) in jobs {
            self.employ(index, service, job);
        }
        for (seat, peer, exit) in exits {
            self.ended(index, seat, peer, exit);
        }
        if let Some(wake) = wake {
            self.enter_wake(index, wake);
        }
        if let Some(node) = self.nodes.get(usize::from(index.0)) {
            self.judge.look(self.now, self.steps, node);
            for saying in self.sayings.listen(node) {
                self.judge.count(saying);
            }
        }
    }

    fn enter_wake(&mut self, index: NodeIndex, wake: u64) {
        // A wake of this very instant has had its turn.
        let wake = wake.max(self.now.saturating_add(1_000));
        let Some(node) = self.node_mut(index) else { return };
        if node.wake_entered.is_none_or(|entered| wake < entered) {
            node.wake_entered = Some(wake);
            let epoch = node.epoch;
            self.agenda.enter(wake, Event::Wake(index, epoch));
        }
    }

    fn send(&mut self, index: NodeIndex, (wire, service): Seat, bytes: Bytes) {
        let Some((from, _)) = self.wires.ends(wire) else { return };
        self.judge.sent(self.now, index, service, &bytes);
        self.wires.send(self.now, Lane { wire, service, forward: from == index }, bytes);
    }

    /// What every honest full node should end on: the honest branch with the most work.
    #[must_use]
    pub fn goal(&self) -> BlockRef {
        self.plan.goal()
    }

    /// Whether a node has the goal and every body up to there.
    #[must_use]
    pub fn has_arrived(&self, index: NodeIndex) -> bool {
        self.node(index).is_some_and(|node| node.store.reaches(self.goal()))
    }

    /// The nodes that have to arrive.
    pub fn travellers(&self) -> impl Iterator<Item = NodeIndex> {
        let must = |node: &&Node| node.habit.has_to_arrive() && !self.plan.absent.contains(&node.index);
        self.nodes.iter().filter(must).map(|node| node.index)
    }
}
