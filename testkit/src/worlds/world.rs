//! A world: nodes, wires, faults, and an agenda that a seed decides. It runs the machines, reactors and codecs that ship,
//! without a runtime and without a socket.

use super::{
    agenda::Agenda,
    habits::Habit,
    judge::Judge,
    node::{Node, Outcome, Seat},
    plan::{Fault, Plan},
    wires::{Lane, Signal, WireId, Wires},
};
use crate::sim::{LinkModel, NodeIndex, Seed};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};
use zakura_header_sync::chain::BlockRef;
use zakura_transport::{Action, Capabilities, Direction, Exit, Fence, PeerId, PeerInfo, routine::SteppedJob};

/// What happens in a world.
enum Event {
    /// Something about a wire.
    Wire(Signal),
    /// A node asked to be looked at.
    Wake(NodeIndex, u32),
    /// A job of a node is done.
    Done(NodeIndex, u64),
    /// A node dials another.
    Dial(NodeIndex, NodeIndex),
    /// A connection's stream is opened again.
    Reopen(Seat),
    /// The other side hears that a session ended.
    Finished(Seat, NodeIndex),
    /// The other side hears that a connection is closed.
    Closed(WireId, NodeIndex),
    /// A peer has broken a rule on this connection; by now it has been seen.
    Verdict(Seat, u32, NodeIndex),
    /// A fault of the plan.
    Fault(usize),
    /// Connections that are dead are found out.
    Sweep,
}

/// How often dead connections are looked for.
const SWEEP: u64 = 5_000_000_000;

/// How long it may take until a connection is closed on which a rule was broken.
const VERDICT: u64 = 5_000_000_000;

/// Pauses between dials: 1 s doubling to 30 s (wire 7.2).
const REDIAL: u64 = 1_000_000_000;
const REDIAL_MOST: u64 = 30_000_000_000;

/// Pauses before a stream is opened again: 250 ms doubling to 8 s (wire 4.4).
const REOPEN: u64 = 250_000_000;
const REOPEN_MOST: u64 = 8_000_000_000;

/// How long a handshake takes beside two trips.
const HANDSHAKE: u64 = 2_000_000;

/// A running world.
pub struct World {
    plan: Plan,
    start: Instant,
    now: u64,
    steps: u64,
    nodes: Vec<Node>,
    wires: Wires,
    agenda: Agenda<Event>,
    rng: ChaCha8Rng,
    /// Pauses of dialling pairs.
    redial: BTreeMap<(NodeIndex, NodeIndex), u64>,
    /// How often a stream was opened again.
    reopened: BTreeMap<Seat, u32>,
    /// When each of a node's workers is free.
    workers: BTreeMap<NodeIndex, [u64; 2]>,
    /// Work that is being done, by node and number.
    jobs: BTreeMap<(NodeIndex, u64), (usize, SteppedJob)>,
    hired: u64,
    /// How many times slower a node's work is.
    slowness: BTreeMap<NodeIndex, u64>,
    judge: Judge,
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
            nodes.push(Node::new((index, id, member.habit), store, plan.config.clone(), rng));
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
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            hired: 0,
            slowness: BTreeMap::new(),
            judge,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for index in self.indices() {
            self.boot(index);
        }
        for (from, to) in self.plan.dials.clone() {
            let at = u64::from(self.rng.next_u32() % 500_000_000);
            self.agenda.enter(at, Event::Dial(from, to));
        }
        for (number, (at, _)) in self.plan.faults.iter().enumerate() {
            self.agenda.enter(*at, Event::Fault(number));
        }
        self.agenda.enter(SWEEP, Event::Sweep);
    }

    fn indices(&self) -> Vec<NodeIndex> {
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
        self.now = self.now.max(at);
        self.steps = self.steps.saturating_add(1);
        self.happen(event);
        for (at, signal) in self.wires.take_due() {
            self.agenda.enter_in_order(at, Event::Wire(signal));
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wire(signal) => self.wire(signal),
            Event::Wake(index, epoch) => {
                if let Some(node) = self.node_mut(index).filter(|node| node.epoch == epoch) {
                    node.wake_entered = None;
                    self.settle(index);
                }
            }
            Event::Done(index, number) => {
                let Some((service, job)) = self.jobs.remove(&(index, number)) else { return };
                let now = self.instant();
                if let Some(node) = self.node_mut(index) {
                    node.done(now, service, job);
                    self.settle(index);
                }
            }
            Event::Dial(from, to) => self.dial(from, to),
            Event::Reopen(seat) => self.open_stream(seat),
            Event::Finished(seat, index) => {
                if let Some(node) = self.node_mut(index) {
                    node.finish(seat);
                    self.settle(index);
                }
            }
            Event::Closed(wire, index) => self.hang_up(wire, index),
            Event::Verdict((wire, service), stream, culprit) => {
                let victim = self.other_end(wire, culprit);
                let hears = victim
                    .and_then(|victim| self.node(victim))
                    .is_some_and(|node| node.sits((wire, service)));
                if hears && self.wires.stream(wire, service) == stream {
                    self.verdict(wire, culprit);
                }
            }
            Event::Fault(number) => self.fault(number),
            Event::Sweep => {
                for wire in self.wires.dead(self.now) {
                    let ends = self.wires.ends(wire);
                    self.lose(wire);
                    if let Some((from, to)) = ends {
                        self.redial(from, to);
                    }
                }
                self.agenda.enter(self.now.saturating_add(SWEEP), Event::Sweep);
            }
        }
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    fn node_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(usize::from(index.0))
    }

    fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(usize::from(index.0))
    }

    fn is_up(&self, index: NodeIndex) -> bool {
        self.node(index).is_some_and(Node::is_up)
    }

    fn boot(&mut self, index: NodeIndex) {
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
        let Some((lane, bytes)) = landed else { return };
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
    fn settle(&mut self, index: NodeIndex) {
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

    fn other_end(&self, wire: WireId, end: NodeIndex) -> Option<NodeIndex> {
        let (from, to) = self.wires.ends(wire)?;
        Some(if from == end { to } else { from })
    }

    /// Whoever received what proves itself has closed the connection, if all of it has come.
    fn verdict(&mut self, wire: WireId, culprit: NodeIndex) {
        let Some(victim) = self.other_end(wire, culprit) else { return };
        let is_honest = self.node(victim).is_some_and(|node| node.habit.is_honest() && node.is_up());
        if is_honest && self.wires.is_quiet(wire) {
            self.judge.still_connected(self.now, self.steps, (victim, culprit));
        }
    }

    /// Gives a job to the node's next free worker.
    fn employ(&mut self, index: NodeIndex, service: usize, job: SteppedJob) {
        let slow = self.slowness.get(&index).copied().unwrap_or(1);
        let cost = self.plan.cost(job.name, job.items).saturating_mul(slow);
        let workers = self.workers.entry(index).or_default();
        let Some(worker) = workers.iter_mut().min() else { return };
        *worker = (*worker).max(self.now).saturating_add(cost);
        self.hired = self.hired.saturating_add(1);
        self.jobs.insert((index, self.hired), (service, job));
        self.agenda.enter(*worker, Event::Done(index, self.hired));
    }

    fn dial(&mut self, from: NodeIndex, to: NodeIndex) {
        let connected =
            self.wires.of(from).into_iter().any(|wire| {
                self.wires.ends(wire).is_some_and(|ends| ends == (from, to) || ends == (to, from))
            });
        if connected || !self.is_up(from) {
            return;
        }
        let reaches = self.wires.links.reaches(from, to) && self.wires.links.reaches(to, from);
        if !self.is_up(to) || !reaches {
            self.redial(from, to);
            return;
        }
        let wire = self.wires.open(self.now, from, to);
        self.judge.connected(self.now, from, to);
        for service in [super::habits::HEADERS, super::habits::BODIES] {
            let at = self.now.saturating_add(HANDSHAKE);
            self.agenda.enter(at, Event::Reopen((wire, service)));
        }
    }

    fn redial(&mut self, from: NodeIndex, to: NodeIndex) {
        let pause = self.redial.entry((from, to)).or_insert(REDIAL);
        let jitter = u64::from(self.rng.next_u32()) % (*pause / 4).max(1);
        let at = self.now.saturating_add(*pause).saturating_add(jitter);
        *pause = pause.saturating_mul(2).min(REDIAL_MOST);
        self.agenda.enter(at, Event::Dial(from, to));
    }

    fn open_stream(&mut self, seat: Seat) {
        let (wire, service) = seat;
        let Some((from, to)) = self.wires.ends(wire) else { return };
        self.wires.restart_stream(wire, service);
        let now = self.instant();
        for (index, peer, direction) in [(from, to, Direction::Outbound), (to, from, Direction::Inbound)] {
            let Some(id) = self.node(peer).map(|node| node.id) else { continue };
            let info = PeerInfo {
                id,
                addr: SocketAddr::from(([10, 0, 0, 1], peer.0)),
                direction,
                connection: Fence::mint(),
                capabilities: Capabilities::BLOCK_SYNC | Capabilities::HEADER_SYNC,
            };
            if let Some(node) = self.node_mut(index) {
                node.cut(seat);
                node.open(now, seat, peer, &info);
            }
        }
        self.settle(from);
        self.settle(to);
    }

    /// A session of `index` with `peer` ended by itself.
    fn ended(&mut self, index: NodeIndex, seat: Seat, peer: NodeIndex, exit: Exit) {
        if let Some(node) = self.node_mut(index) {
            node.cut(seat);
        }
        self.judge.exit(self.now, self.steps, (index, peer), &exit);
        match exit.action() {
            Action::CloseConnection => {
                self.agenda.enter(self.now.saturating_add(HANDSHAKE), Event::Closed(seat.0, peer));
                self.hang_up(seat.0, index);
            }
            Action::Park { reopen } => {
                self.agenda.enter(self.now.saturating_add(HANDSHAKE), Event::Finished(seat, peer));
                let times = self.reopened.entry(seat).or_default();
                let pause = REOPEN.saturating_mul(1 << (*times).min(10)).min(REOPEN_MOST);
                *times = times.saturating_add(1);
                if reopen {
                    self.agenda.enter(self.now.saturating_add(pause), Event::Reopen(seat));
                }
            }
        }
    }

    /// One side of a connection is over.
    fn hang_up(&mut self, wire: WireId, index: NodeIndex) {
        if let Some(node) = self.node_mut(index) {
            for service in [super::habits::HEADERS, super::habits::BODIES] {
                node.cut((wire, service));
            }
        }
        if let Some((from, to)) = self.wires.ends(wire) {
            self.lose(wire);
            self.redial(from, to);
        }
        self.settle(index);
    }

    /// A connection is gone for both.
    fn lose(&mut self, wire: WireId) {
        let Some((from, to)) = self.wires.ends(wire) else { return };
        self.wires.close(wire);
        for index in [from, to] {
            if let Some(node) = self.node_mut(index) {
                for service in [super::habits::HEADERS, super::habits::BODIES] {
                    node.cut((wire, service));
                }
            }
            self.settle(index);
        }
        self.reopened.retain(|(of, _), _| *of != wire);
    }

    fn fault(&mut self, number: usize) {
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

    fn crash(&mut self, index: NodeIndex) {
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

    /// The others learn that a node has begun a new life: what they still hold of the last one is reset at once (wire 1.5).
    fn forget_last_life(&mut self, index: NodeIndex) {
        for wire in self.wires.of(index) {
            self.lose(wire);
        }
    }

    fn reconnect(&mut self, index: NodeIndex) {
        for (from, to) in self.plan.dials.clone() {
            if from == index || to == index {
                self.redial.remove(&(from, to));
                let at = self.now.saturating_add(u64::from(self.rng.next_u32() % 300_000_000));
                self.agenda.enter(at, Event::Dial(from, to));
            }
        }
    }

    /// What every honest full node should end on: the honest branch with the most work.
    #[must_use]
    pub fn goal(&self) -> BlockRef {
        self.plan.goal()
    }

    /// Whether a node has every body up to the goal.
    #[must_use]
    pub fn has_arrived(&self, index: NodeIndex) -> bool {
        use zakura_block_sync::ports::BlockStore as _;
        self.node(index).is_some_and(|node| node.store.acknowledged() == self.goal())
    }

    /// The nodes that have to arrive.
    pub fn travellers(&self) -> impl Iterator<Item = NodeIndex> {
        let must = |node: &&Node| node.habit == Habit::Honest || node.habit == Habit::Restarting;
        self.nodes.iter().filter(must).map(|node| node.index)
    }
}
