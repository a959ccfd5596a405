//! The judge: looks on, asks each invariant when it is its turn, counts, and remembers the last events.

use super::{
    breach::Breach,
    chain::Reference,
    registry::{INVARIANTS, Look},
    sight::{Ending, Finale, Finding, Record, Sight},
};
use crate::{
    sim::NodeIndex,
    worlds::{
        habits::Habit,
        node::Node,
        plan::{Fault, Plan},
    },
};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use zakura_block_sync::ports::BlockStore as _;
use zakura_header_sync::chain::BlockRef;
use zakura_transport::{
    Exit,
    routine::{Fill, Stand},
};

/// Events kept for the tail of a report.
const TAIL: usize = 200;

/// How many turns of a node lie between two looks into its books: they cost as much as they hold.
const BOOKS_EVERY: u64 = 64;

/// How long a node may have had no turn before it counts as quiet, in nanoseconds.
const QUIET: u64 = 1_000_000_000;

/// How often quiet nodes are looked for, in nanoseconds.
const ROUND: u64 = 500_000_000;

/// How often all nodes are surveyed, in nanoseconds; some rounds.
const SURVEY: u64 = 5_000_000_000;

/// Looks on and counts.
#[derive(Debug)]
pub struct Judge {
    seed: u64,
    calm_from: u64,
    habits: Vec<Habit>,
    reference: Reference,
    records: Vec<Record>,
    breaches: Vec<Breach>,
    tail: VecDeque<(u64, String)>,
    seen: BTreeMap<String, u64>,
    /// How often each invariant had something to look at.
    checked: Vec<u64>,
    convicted: BTreeMap<NodeIndex, u64>,
    wronged: BTreeMap<NodeIndex, u64>,
    /// A running hash of all that was sent.
    digest: blake2b_simd::State,
    fullest: BTreeMap<&'static str, (u64, u64)>,
}

impl Judge {
    /// At the beginning of a world.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            calm_from: plan.faults.last().map_or(0, |(at, _)| *at),
            habits: plan.members.iter().map(|member| member.habit).collect(),
            reference: Reference::of(plan),
            records: plan.members.iter().map(|_| Record::default()).collect(),
            breaches: Vec::new(),
            tail: VecDeque::new(),
            seen: BTreeMap::new(),
            checked: vec![0; INVARIANTS.len()],
            convicted: BTreeMap::new(),
            wronged: BTreeMap::new(),
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

    /// How often each of [`INVARIANTS`] had something to look at.
    #[must_use]
    pub fn checked(&self) -> &[u64] {
        &self.checked
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

    /// What the `number`th invariant found.
    fn found(&mut self, at: u64, step: u64, number: usize, finding: Finding) {
        let Some(invariant) = INVARIANTS.get(number) else { return };
        match finding {
            Ok(things) => {
                if let Some(checked) = self.checked.get_mut(number) {
                    *checked = checked.saturating_add(u64::from(things > 0));
                }
            }
            Err(seen) => {
                let (invariant, seed) = (invariant.id, self.seed);
                self.note(at, format!("BREACH of {invariant}: {seen}"));
                self.breaches.push(Breach { invariant, seed, step, at, seen });
            }
        }
    }

    /// The world has looked at something by itself.
    pub fn told(&mut self, invariant: &'static str, at: u64, step: u64, finding: Result<u64, String>) {
        let number = INVARIANTS.iter().position(|known| known.id == invariant);
        self.found(at, step, number.unwrap_or(usize::MAX), finding);
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
        let (ours, theirs) = (self.habit(us), self.habit(peer));
        self.note(at, format!("{us} ends with {peer} ({theirs}): {exit:?}"));
        match exit {
            Exit::Violation(violation) => {
                self.count(format!("exit: violation {}", violation.rule()));
                *self.convicted.entry(peer).or_default() += 1;
                if ours.is_honest() && theirs.is_honest() {
                    *self.wronged.entry(peer).or_default() += 1;
                }
                if let Some(record) = self.records.get_mut(usize::from(us.0)) {
                    record.convicted = Some(step);
                }
            }
            Exit::Panicked(_) => self.count("exit: panicked".into()),
            Exit::Local(why) => self.count(format!("exit: local, {why}")),
            Exit::Closed { reopen } => self.count(format!("exit: closed, reopen {reopen}")),
        }
        let ending = Ending { us: (us, ours), peer: (peer, theirs), exit };
        for (number, invariant) in INVARIANTS.iter().enumerate() {
            if let Look::Exit(look) = invariant.look {
                self.found(at, step, number, look(&ending));
            }
        }
    }

    /// Who broke a rule on a connection is not connected by it any more, or is still by `us` (I-B4).
    pub fn closed(&mut self, at: u64, step: u64, peer: NodeIndex, us: Option<NodeIndex>) {
        let habit = self.habit(peer);
        let open = |us| Err(format!("{peer} ({habit}) broke a rule, and {us} has not closed the connection"));
        self.told("I-B4", at, step, us.map_or(Ok(1), open));
    }

    /// Looks at a node after its turn.
    pub fn look(&mut self, at: u64, step: u64, node: &Node) {
        self.observe(at, step, node, &[], |looks, look| match look {
            Look::Turn(look) => Some(look),
            Look::Books(look) if looks.is_multiple_of(BOOKS_EVERY) => Some(look),
            _ => None,
        });
        let Some(record) = self.records.get_mut(usize::from(node.index.0)) else { return };
        let committed = node.store.acknowledged();
        let before = record.committed.replace(committed);
        if before.is_some_and(|before| before != committed) {
            self.note(at, format!("{} has bodies up to {committed}", node.index));
        }
    }

    /// The next thing happens at `next`: until then the world is as it is now.
    pub fn before(&mut self, now: u64, next: u64, step: u64, nodes: &[Node]) {
        if next / ROUND == now / ROUND {
            return;
        }
        for node in nodes {
            let rested = next.saturating_sub(node.turned_at);
            self.observe(now, step, node, nodes, |_, look| match look {
                Look::Quiet(look) if rested >= QUIET => Some(look),
                Look::Survey(look) if next / SURVEY > now / SURVEY => Some(look),
                _ => None,
            });
        }
    }

    /// Shows a node to the invariants that `choose` names.
    fn observe(
        &mut self,
        at: u64,
        step: u64,
        node: &Node,
        nodes: &[Node],
        choose: impl Fn(u64, Look) -> Option<fn(&mut Sight<'_>) -> Finding>,
    ) {
        let Some(now) = node.now.filter(|_| node.is_up()) else { return };
        let Some(record) = self.records.get_mut(usize::from(node.index.0)) else { return };
        if record.epoch != node.epoch {
            let (looks, committed) = (record.looks, record.committed);
            let heard = node.watch.heard();
            *record = Record { looks, committed, heard, epoch: node.epoch, ..Record::default() };
        }
        let is_turn = nodes.is_empty();
        record.looks = record.looks.saturating_add(u64::from(is_turn));
        let fills = if is_turn { fills(node) } else { Vec::new() };
        let (looks, stands, calm_from) = (record.looks, stands(node), self.calm_from);
        let best = self.reference.best();
        let mut sight = Sight { at, now, step, node, stands, fills: &fills, record, nodes, calm_from, best };
        let mut broken = Vec::new();
        for ((number, invariant), checked) in INVARIANTS.iter().enumerate().zip(&mut self.checked) {
            match choose(looks, invariant.look).map(|look| look(&mut sight)) {
                Some(Ok(things)) => *checked = checked.saturating_add(u64::from(things > 0)),
                Some(Err(seen)) => broken.push((number, seen)),
                None => {}
            }
        }
        if is_turn {
            (sight.record.stands, sight.record.heard) = (Some(stands), node.watch.heard());
        }
        self.remember_fullest(&fills);
        for (number, seen) in broken {
            self.found(at, step, number, Err(format!("{}: {seen}", node.index)));
        }
    }

    fn remember_fullest(&mut self, fills: &[Fill]) {
        for fill in fills {
            let fullest = self.fullest.entry(fill.name).or_default();
            if fill.holds > fullest.0 {
                *fullest = (fill.holds, fill.cap);
            }
        }
    }

    /// At the end: whose habit showed, who was convicted, who had to arrive and has not.
    pub fn close(
        &mut self,
        at: u64,
        step: u64,
        nodes: &[Node],
        goal: BlockRef,
        (late, travellers): (&[NodeIndex], &[NodeIndex]),
    ) {
        for node in nodes {
            if node.acts > 0 || (node.epoch > 0 && node.habit.is_of_nature()) {
                self.count(format!("habit: {}", node.habit));
            }
            if self.convictions(node.index) > 0 {
                self.count(format!("convicted: {}", node.habit));
            }
        }
        self.conclude(at, step, (nodes, goal, late, travellers), |look| match look {
            Look::End(look) => Some(look),
            _ => None,
        });
    }

    /// After the end: every session was ended, and every job came back.
    pub fn drained(&mut self, at: u64, step: u64, nodes: &[Node], goal: BlockRef) {
        self.conclude(at, step, (nodes, goal, &[], &[]), |look| match look {
            Look::Drained(look) => Some(look),
            _ => None,
        });
    }

    fn conclude(
        &mut self,
        at: u64,
        step: u64,
        (nodes, goal, late, travellers): (&[Node], BlockRef, &[NodeIndex], &[NodeIndex]),
        choose: impl Fn(Look) -> Option<fn(&Finale<'_>) -> Finding>,
    ) {
        for (number, invariant) in INVARIANTS.iter().enumerate() {
            let Some(look) = choose(invariant.look) else { continue };
            let (reference, wronged) = (&self.reference, &self.wronged);
            let finding = look(&Finale { nodes, late, travellers, goal, reference, wronged });
            self.found(at, step, number, finding);
        }
    }
}

fn stands(node: &Node) -> [Stand; 2] {
    let mut stands = node.services().map(zakura_transport::routine::SteppedService::stand);
    [stands.next().unwrap_or_default(), stands.next().unwrap_or_default()]
}

fn fills(node: &Node) -> Vec<Fill> {
    node.services().flat_map(zakura_transport::routine::SteppedService::fills).collect()
}
