//! Who looks on. Each invariant is a function with its name from `THREATS`; what breaks one is told with the step and the
//! last events. Things that ought to happen now and then are counted.

use super::{
    habits::Habit,
    node::Node,
    plan::{Fault, Plan},
};
use crate::sim::NodeIndex;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};
use zakura_block_sync::ports::BlockStore as _;
use zakura_header_sync::{chain::BlockRef, ports::HeaderChain as _};
use zakura_transport::Exit;

/// Events kept for the tail of a report.
const TAIL: usize = 200;

/// How often the queues' own books are checked: they cost as much as they hold.
const BOOKS_EVERY: u64 = 64;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Its name.
    pub invariant: &'static str,
    /// The step.
    pub step: u64,
    /// The virtual time, in nanoseconds.
    pub at: u64,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at step {} ({} ms): {}", self.invariant, self.step, self.at / 1_000_000, self.seen)
    }
}

/// What one node was seen to have.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    committed: Option<BlockRef>,
    epoch: u32,
}

/// Looks on and counts.
#[derive(Debug)]
pub struct Judge {
    habits: Vec<Habit>,
    records: BTreeMap<NodeIndex, Record>,
    breaches: Vec<Breach>,
    tail: VecDeque<(u64, String)>,
    seen: BTreeMap<String, u64>,
    convicted: BTreeMap<NodeIndex, u64>,
    /// A running hash of all that was sent.
    digest: blake2b_simd::State,
    fullest: BTreeMap<&'static str, (u64, u64)>,
}

impl Judge {
    /// At the beginning of a world.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            habits: plan.members.iter().map(|member| member.habit).collect(),
            records: BTreeMap::new(),
            breaches: Vec::new(),
            tail: VecDeque::new(),
            seen: BTreeMap::new(),
            convicted: BTreeMap::new(),
            digest: blake2b_simd::Params::new().hash_length(16).to_state(),
            fullest: BTreeMap::new(),
        }
    }

    /// What did not hold.
    #[must_use]
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// How often what was seen.
    #[must_use]
    pub const fn seen(&self) -> &BTreeMap<String, u64> {
        &self.seen
    }

    /// The last events.
    pub fn tail(&self) -> impl Iterator<Item = &(u64, String)> {
        self.tail.iter()
    }

    /// The hash of all that was sent and seen.
    #[must_use]
    pub fn digest(&self) -> String {
        self.digest.finalize().to_hex().to_string()
    }

    /// How full everything that has a cap ever was.
    #[must_use]
    pub const fn fullest(&self) -> &BTreeMap<&'static str, (u64, u64)> {
        &self.fullest
    }

    /// How many sessions ended in this peer's proven fault.
    #[must_use]
    pub fn convictions(&self, peer: NodeIndex) -> u64 {
        self.convicted.get(&peer).copied().unwrap_or_default()
    }

    fn habit(&self, index: NodeIndex) -> Habit {
        self.habits.get(usize::from(index.0)).copied().unwrap_or(Habit::Honest)
    }

    fn note(&mut self, at: u64, event: String) {
        self.digest.update(&at.to_le_bytes()).update(event.as_bytes());
        if self.tail.len() >= TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back((at, event));
    }

    /// Counts something that happened.
    pub fn count(&mut self, what: String) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Something does not hold.
    pub fn breach(&mut self, invariant: &'static str, at: u64, step: u64, seen: String) {
        self.note(at, format!("BREACH of {invariant}: {seen}"));
        self.breaches.push(Breach { invariant, step, at, seen });
    }

    /// Bytes went out.
    pub fn sent(&mut self, at: u64, from: NodeIndex, service: usize, bytes: &Bytes) {
        self.digest.update(&at.to_le_bytes()).update(&from.0.to_le_bytes()).update(bytes);
        let kind = bytes.first().copied().unwrap_or_default();
        self.note(at, format!("{from} sends {service}/{kind}, {} bytes", bytes.len()));
    }

    /// Two nodes are connected.
    pub fn connected(&mut self, at: u64, from: NodeIndex, to: NodeIndex) {
        self.count("connected".into());
        self.note(at, format!("{from} is connected to {to}"));
    }

    /// A fault of the plan.
    pub fn fault(&mut self, at: u64, fault: &Fault) {
        self.count(format!("fault: {}", fault.name()));
        self.note(at, format!("{fault:?}"));
    }

    /// A session of `us` with `peer` ended by itself.
    pub fn exit(&mut self, at: u64, step: u64, (us, peer): (NodeIndex, NodeIndex), exit: &Exit) {
        self.note(at, format!("{us} ends with {peer} ({}): {exit:?}", self.habit(peer)));
        match exit {
            Exit::Violation(violation) => {
                self.count(format!("exit: violation {}", violation.rule()));
                *self.convicted.entry(peer).or_default() += 1;
                self.no_honest_peer_is_blamed(at, step, (us, peer), violation.rule(), violation.evidence());
                if violation.rule().is_empty() || violation.evidence().is_empty() {
                    self.breach("I-B2 every penalty carries evidence", at, step, format!("{violation}"));
                }
            }
            Exit::Panicked(message) => {
                self.breach("no routine panics", at, step, format!("{us} with {peer}: {message}"));
            }
            Exit::Local(why) => self.count(format!("exit: local, {why}")),
            Exit::Closed { reopen } => self.count(format!("exit: closed, reopen {reopen}")),
        }
    }

    /// I-B1.
    fn no_honest_peer_is_blamed(
        &mut self,
        at: u64,
        step: u64,
        (us, peer): (NodeIndex, NodeIndex),
        rule: &str,
        evidence: &str,
    ) {
        let habit = self.habit(peer);
        if habit.is_honest() && self.habit(us).is_honest() {
            let seen = format!("{us} blames {peer}, who is {habit}: {rule}: {evidence}");
            self.breach("I-B1 no honest peer is blamed", at, step, seen);
        }
    }

    /// Looks at a node after its turn.
    pub fn look(&mut self, at: u64, step: u64, node: &Node) {
        if !node.is_up() {
            return;
        }
        self.everything_keeps_its_cap(at, step, node);
        if step.is_multiple_of(BOOKS_EVERY) {
            self.books_are_right(at, step, node);
        }
        self.commits_extend(at, step, node);
        self.what_is_published_is_stored(at, step, node);
    }

    /// I-R3.
    fn everything_keeps_its_cap(&mut self, at: u64, step: u64, node: &Node) {
        for fill in node.services().flat_map(|service| service.fills()) {
            let fullest = self.fullest.entry(fill.name).or_default();
            if fill.holds > fullest.0 {
                *fullest = (fill.holds, fill.cap);
            }
            if fill.holds > fill.cap {
                let seen = format!("{} of {} holds {} of {}", fill.name, node.index, fill.holds, fill.cap);
                self.breach("I-R3 everything keeps its cap", at, step, seen);
            }
        }
    }

    /// I-W1, I-W2 of the range queues.
    fn books_are_right(&mut self, at: u64, step: u64, node: &Node) {
        let faults: Vec<_> = node.services().filter_map(|service| service.check().err()).collect();
        for fault in faults {
            self.breach("I-W1 every height is in one place", at, step, format!("{}: {fault}", node.index));
        }
    }

    /// I-C1: what is committed grows by what continues it, unless the chain changed under it.
    fn commits_extend(&mut self, at: u64, step: u64, node: &Node) {
        let committed = node.store.acknowledged();
        let record = self.records.entry(node.index).or_default();
        if record.committed == Some(committed) && record.epoch == node.epoch {
            return;
        }
        let before =
            std::mem::replace(record, Record { committed: Some(committed), epoch: node.epoch }).committed;
        let Some(before) = before else { return };
        self.note(at, format!("{} has bodies up to {committed}", node.index));
        let is_kept = node.store.hash_at(before.height) == Some(before.hash);
        if committed.height < before.height && is_kept {
            let seen = format!("{} went back from {before} to {committed} on the same chain", node.index);
            self.breach("I-C1 the committed body does not go back", at, step, seen);
        }
        if node.store.hash_at(committed.height) != Some(committed.hash) {
            let seen = format!("{} committed {committed}, which is not on its chain", node.index);
            self.breach("I-C1 what is committed is on the chain", at, step, seen);
        }
        let from = committed.height.min(before.height).saturating_sub(1);
        if let Err(seen) = node.store.check(from) {
            self.breach("I-C1 blocks link", at, step, format!("{}: {seen}", node.index));
        }
        if let Some(foul) = node.store.foul() {
            let seen = format!("{} committed another body than the header of {foul} asks for", node.index);
            self.breach("I-C1 a committed body is its header's", at, step, seen);
        }
    }

    /// I-C2: a view that is told is durable.
    fn what_is_published_is_stored(&mut self, at: u64, step: u64, node: &Node) {
        let Some((headers, bodies)) = &node.handles else { return };
        let told = headers.views().get();
        let stored = node.store.view();
        if told.fence == stored.fence && told.tip.height > stored.tip.height {
            let seen = format!("{} tells of {} and has {}", node.index, told.tip, stored.tip);
            self.breach("I-C2 a published view is durable", at, step, seen);
        }
        let committed = bodies.committed().get();
        // A commit that a reorg took away is still told of until the commit under way is over.
        let is_ours = node.store.hash_at(committed.height) == Some(committed.hash);
        if is_ours && committed.height > node.store.acknowledged().height {
            let seen = format!("{} tells of bodies up to {committed}", node.index);
            self.breach("I-C2 a published commit is durable", at, step, seen);
        }
    }

    /// I-B4: whoever broke a rule on a connection is not connected by it any more.
    pub fn still_connected(&mut self, at: u64, step: u64, (us, peer): (NodeIndex, NodeIndex)) {
        let seen =
            format!("{peer} ({}) broke a rule, and {us} has not closed the connection", self.habit(peer));
        self.breach("I-B4 who broke a rule was closed", at, step, seen);
    }

    /// At the end: whose habit showed, and who was convicted.
    pub fn close(&mut self, nodes: &[Node]) {
        for node in nodes {
            if node.acts > 0 || (node.epoch > 0 && node.habit.is_of_nature()) {
                self.count(format!("habit: {}", node.habit));
            }
            if self.convictions(node.index) > 0 {
                self.count(format!("convicted: {}", node.habit));
            }
        }
    }

    /// The world has run out of time and `node` has not arrived (I-V1).
    pub fn stranded(&mut self, at: u64, step: u64, node: &Node, goal: BlockRef) {
        let (headers, bodies) = (node.store.view().tip, node.store.acknowledged());
        let why = node.handles.as_ref().map(|(_, bodies)| format!("{:?}", bodies.status().verdict));
        let seen = format!(
            "{} ({}) has headers up to {headers} and bodies up to {bodies}, not {goal}; {}; {} sessions",
            node.index,
            node.habit,
            why.unwrap_or_else(|| "it does not run".into()),
            node.sessions()
        );
        self.breach("I-V1 whoever can arrive does", at, step, seen);
    }
}
