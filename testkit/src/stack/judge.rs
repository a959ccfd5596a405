//! Who looks on while real nodes live a plan. Each invariant is a function, named as `THREATS` names it; what breaks one is
//! told with the world's seed, its time and its last events. What ought to happen now and then is counted.
//!
//! Ground truth is the plan's: who is honest, and which identity is whose.

use crate::{
    sim::{Departure, Heard, NodeIndex, World},
    worlds::{
        habits::Habit,
        judge::Breach,
        plan::{Fault, Plan},
        store::NodeStore,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};
use zakura::{census::Count, node::NodeHandle};
use zakura_block_sync::ports::BlockStore as _;
use zakura_header_sync::{chain::BlockRef, ports::HeaderChain as _};
use zakura_transport::{CloseReason, Direction, Fence, PeerEvent, PeerId, PeerInfo, Violation};

/// The time over which handshakes of a pair are averaged (I-V5).
const WINDOW: Duration = Duration::from_secs(600);
/// Handshakes of a pair in it at most: one in 10 s.
const HANDSHAKES: usize = 60;

/// After this time without an event a connection that ended has no task left: its sessions have 5 s.
const SETTLED: Duration = Duration::from_secs(12);

/// After this time without an event both ends of a connection know that it is there, or that it is not: whoever holds a
/// connection that the other end has forgotten loses it by QUIC's 150 s, counted from its next keep-alive.
pub const AGREED: Duration = Duration::from_secs(165);

/// Looks on and counts.
#[derive(Debug)]
pub struct Judge {
    seed: u64,
    habits: Vec<Habit>,
    names: BTreeMap<PeerId, NodeIndex>,
    breaches: Vec<Breach>,
    /// Events of the world so far.
    step: u64,
    seen: BTreeMap<String, u64>,
    convicted: BTreeSet<NodeIndex>,
    /// Registered connections, as their nodes told of them.
    open: BTreeMap<(NodeIndex, NodeIndex), Fence>,
    /// When a node last spoke of another one.
    spoke: BTreeMap<(NodeIndex, NodeIndex), Duration>,
    /// When a pair last shook hands, the smaller number first.
    handshakes: BTreeMap<(NodeIndex, NodeIndex), VecDeque<Duration>>,
    /// What a node was last seen to have durable.
    committed: BTreeMap<NodeIndex, BlockRef>,
}

impl Judge {
    /// At the beginning of a world.
    #[must_use]
    pub fn new(plan: &Plan, names: BTreeMap<PeerId, NodeIndex>) -> Self {
        Self {
            seed: plan.seed,
            habits: plan.members.iter().map(|member| member.habit).collect(),
            names,
            breaches: Vec::new(),
            step: 0,
            seen: BTreeMap::new(),
            convicted: BTreeSet::new(),
            open: BTreeMap::new(),
            spoke: BTreeMap::new(),
            handshakes: BTreeMap::new(),
            committed: BTreeMap::new(),
        }
    }

    /// What did not hold.
    #[must_use]
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// How often what was seen, and who was convicted.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<String, u64> {
        let mut seen = self.seen.clone();
        for node in &self.convicted {
            *seen.entry(format!("convicted: {}", self.habit(*node))).or_default() += 1;
        }
        seen
    }

    /// The world has had so many events: what is found from now on is found there.
    pub const fn turn_to(&mut self, step: u64) {
        self.step = step;
    }

    /// Counts something.
    pub fn count(&mut self, what: String) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Something does not hold.
    pub fn breach(&mut self, invariant: &'static str, at: Duration, seen: String) {
        let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.breaches.push(Breach { invariant, seed: self.seed, step: self.step, at, seen });
    }

    fn habit(&self, node: NodeIndex) -> Habit {
        self.habits.get(usize::from(node.0)).copied().unwrap_or(Habit::Honest)
    }

    /// A fault of the plan has happened.
    pub fn befell(&mut self, fault: &Fault) {
        self.count(format!("fault: {}", fault.name()));
        match fault {
            // What it was connected with it told to nobody.
            Fault::Crash(node) | Fault::Start(node) | Fault::Mine(node, _) => self.begin_life(*node),
            _ => {}
        }
    }

    fn begin_life(&mut self, node: NodeIndex) {
        self.open.retain(|(of, _), _| *of != node);
    }

    /// A node said something of its connections.
    pub fn hear(&mut self, heard: Heard) {
        let Heard { node, at, event } = heard;
        match event {
            Ok(PeerEvent::Connected(peer)) => self.connected(at, node, &peer),
            Ok(PeerEvent::Disconnected { peer, reason }) => self.lost(at, node, &peer, &reason),
            Ok(PeerEvent::DialFailed { peer, reason }) => self.not_reached(at, node, peer.id, &reason),
            Ok(PeerEvent::Refused { peer, reason, .. }) => {
                self.count(format!("refused: {reason}"));
                // No place, or another connection that counts, is no verdict on the peer.
                if let CloseReason::HandshakeRefused(refusal) = reason {
                    self.no_honest_peer_is_refused(at, node, peer, &refusal.to_string());
                }
            }
            Ok(_) => self.count("another event".into()),
            Err(missed) => {
                self.breach("the judge hears everything", at, format!("{missed} events of {node}"))
            }
        }
    }

    fn connected(&mut self, at: Duration, us: NodeIndex, peer: &PeerInfo) {
        self.count("connected".into());
        let Some(them) = self.names.get(&peer.id).copied() else {
            return self.breach("identities are the plan's", at, format!("{us} met {}", peer.id));
        };
        self.spoke.insert((us, them), at);
        if peer.direction == Direction::Outbound {
            self.handshakes_are_rare(at, us, them);
        }
        self.one_connection_for_a_pair(at, (us, them), peer.connection);
    }

    fn lost(&mut self, at: Duration, us: NodeIndex, peer: &PeerInfo, reason: &CloseReason) {
        self.count(format!("lost: {}", kind(reason)));
        let Some(them) = self.names.get(&peer.id).copied() else { return };
        self.spoke.insert((us, them), at);
        if self.open.get(&(us, them)) == Some(&peer.connection) {
            self.open.remove(&(us, them));
        }
        match reason {
            CloseReason::Violation { stream, violation } => {
                self.count(format!("violation: {}", violation.rule()));
                if self.habit(us).is_honest() {
                    self.convicted.insert(them);
                }
                self.no_honest_peer_is_blamed(at, (us, them), stream, violation);
                self.every_penalty_has_evidence(at, (us, them), violation);
            }
            CloseReason::Panicked { stream, message } => {
                self.breach("no routine panics", at, format!("{us} with {them}, {stream}: {message}"));
            }
            _ => {}
        }
    }

    fn not_reached(&mut self, at: Duration, us: NodeIndex, peer: PeerId, reason: &CloseReason) {
        self.count(format!("not reached: {}", kind(reason)));
        let Some(them) = self.names.get(&peer).copied() else { return };
        self.spoke.insert((us, them), at);
        self.handshakes_are_rare(at, us, them);
        if let CloseReason::HandshakeRefused(refusal) = reason {
            self.no_honest_peer_is_refused(at, us, peer, &refusal.to_string());
        }
    }

    /// I-B1.
    fn no_honest_peer_is_blamed(
        &mut self,
        at: Duration,
        (us, them): (NodeIndex, NodeIndex),
        stream: &str,
        violation: &Violation,
    ) {
        let habit = self.habit(them);
        if habit.is_honest() && self.habit(us).is_honest() {
            let seen = format!("{us} blames {them}, who is {habit}, on {stream}: {violation}");
            self.breach("I-B1 no honest peer is blamed", at, seen);
        }
    }

    /// I-B1 of handshakes, which no habit reaches.
    fn no_honest_peer_is_refused(&mut self, at: Duration, us: NodeIndex, peer: PeerId, why: &str) {
        let them = self.names.get(&peer).map_or_else(|| peer.to_string(), ToString::to_string);
        self.breach("I-B1 no honest peer is refused", at, format!("{us} refuses {them}: {why}"));
    }

    /// I-B2.
    fn every_penalty_has_evidence(
        &mut self,
        at: Duration,
        (us, them): (NodeIndex, NodeIndex),
        violation: &Violation,
    ) {
        if violation.rule().is_empty() || violation.evidence().is_empty() {
            let seen = format!("{us} closed {them} for {violation}");
            self.breach("I-B2 every penalty carries evidence", at, seen);
        }
    }

    /// I-L3, as the nodes tell it: a second connection only after the end of the first.
    fn one_connection_for_a_pair(
        &mut self,
        at: Duration,
        (us, them): (NodeIndex, NodeIndex),
        connection: Fence,
    ) {
        if self.open.insert((us, them), connection).is_some() {
            let seen = format!("{us} has a second one with {them}");
            self.breach("I-L3 one connection for a pair", at, seen);
        }
    }

    /// I-V5: attempts that failed count too.
    fn handshakes_are_rare(&mut self, at: Duration, us: NodeIndex, them: NodeIndex) {
        let times = self.handshakes.entry((us.min(them), us.max(them))).or_default();
        times.push_back(at);
        while times.front().is_some_and(|first| at.saturating_sub(*first) > WINDOW) {
            times.pop_front();
        }
        if times.len() > HANDSHAKES {
            let seen = format!("{us} and {them}: {} in the last {WINDOW:?}", times.len());
            self.breach("I-V5 a pair shakes hands once in 10 s at most", at, seen);
        }
    }

    /// Looks at a node between its turns.
    pub fn look(&mut self, at: Duration, node: NodeIndex, store: &NodeStore, handle: Option<&NodeHandle>) {
        self.commits_extend(at, node, store);
        if let Some(handle) = handle {
            self.what_is_published_is_stored(at, node, store, handle);
        }
    }

    /// I-C1: what is committed grows by what continues it, unless the chain changed under it.
    fn commits_extend(&mut self, at: Duration, node: NodeIndex, store: &NodeStore) {
        let committed = store.acknowledged();
        let Some(before) = self.committed.insert(node, committed) else { return };
        if before == committed {
            return;
        }
        let is_kept = store.hash_at(before.height) == Some(before.hash);
        if committed.height < before.height && is_kept {
            let seen = format!("{node} went back from {before} to {committed} on the same chain");
            self.breach("I-C1 the committed body does not go back", at, seen);
        }
        if store.hash_at(committed.height) != Some(committed.hash) {
            let seen = format!("{node} committed {committed}, which is not on its chain");
            self.breach("I-C1 what is committed is on the chain", at, seen);
        }
        if let Err(seen) = store.check(committed.height.min(before.height).saturating_sub(1)) {
            self.breach("I-C1 blocks link", at, format!("{node}: {seen}"));
        }
    }

    /// I-C2: what is told is durable.
    fn what_is_published_is_stored(
        &mut self,
        at: Duration,
        node: NodeIndex,
        store: &NodeStore,
        handle: &NodeHandle,
    ) {
        let (told, stored) = (handle.headers().views().get(), store.view());
        if told.fence == stored.fence && told.tip.height > stored.tip.height {
            let seen = format!("{node} tells of {} and has {}", told.tip, stored.tip);
            self.breach("I-C2 a published view is durable", at, seen);
        }
        let committed = handle.blocks().committed().get();
        // A commit that a reorg took away is still told of until the commit under way is over.
        let is_ours = store.hash_at(committed.height) == Some(committed.hash);
        if is_ours && committed.height > store.acknowledged().height {
            let seen = format!("{node} tells of bodies up to {committed}");
            self.breach("I-C2 a published commit is durable", at, seen);
        }
    }

    /// Looks at nodes that had time to come to rest.
    pub fn look_at_rest(&mut self, at: Duration, world: &World<NodeStore>) {
        let nodes = world.nodes();
        for node in &nodes {
            let Ok(handle) = world.handle(*node) else { continue };
            let last = self.spoke.iter().filter(|((of, _), _)| of == node).map(|(_, at)| *at).max();
            if at.saturating_sub(last.unwrap_or_default()) >= SETTLED {
                self.one_session_for_a_kind(at, *node, handle);
            }
        }
        for (a, b) in nodes.iter().flat_map(|a| nodes.iter().map(move |b| (*a, *b))).filter(|(a, b)| a < b) {
            self.both_ends_agree(at, world, (a, b));
        }
    }

    /// I-L3 and I-R4: a task for each connection, and one for each of its two sessions at most.
    fn one_session_for_a_kind(&mut self, at: Duration, node: NodeIndex, handle: &NodeHandle) {
        let count = match handle.census().count() {
            Ok(count) => count,
            Err(broken) => {
                return self.breach("I-W1 every height is in one place", at, format!("{node}: {broken}"));
            }
        };
        let of = |name| count.tasks.iter().find(|task| task.0 == name).map_or(0, |task| task.1);
        let (peers, connections) = (handle.peers().len(), of("connection"));
        // A reactor bears its stream's name.
        let sessions = ["header_sync", "block-sync"].map(|name| of(name).saturating_sub(1));
        if connections != peers || sessions.iter().any(|sessions| *sessions > peers) {
            let seen = format!("{node} has {peers} peers, {connections} connections, {sessions:?} sessions");
            self.breach("I-L3 one session for each kind of a peer", at, seen);
        }
        self.count("looked at rest".into());
    }

    /// I-L3 across a pair: neither end holds what the other has forgotten.
    fn both_ends_agree(&mut self, at: Duration, world: &World<NodeStore>, (a, b): (NodeIndex, NodeIndex)) {
        let (Ok(left), Ok(right)) = (world.handle(a), world.handle(b)) else { return };
        let last = [(a, b), (b, a)].into_iter().filter_map(|pair| self.spoke.get(&pair)).max();
        if last.is_none_or(|last| at.saturating_sub(*last) < AGREED) {
            return;
        }
        let knows = |handle: &NodeHandle, other: &NodeHandle| {
            handle.peers().iter().any(|peer| peer.id == other.local_peer().id)
        };
        let (from_a, from_b) = (knows(left, right), knows(right, left));
        if from_a != from_b {
            let seen = format!("{a} holds a connection with {b}: {from_a}; {b} with {a}: {from_b}");
            self.breach("I-L3 both ends of a pair agree", at, seen);
        }
        self.count("pairs that agree".into());
    }

    /// The world has run out of time and a node has not arrived (I-V1).
    pub fn stranded(
        &mut self,
        at: Duration,
        (node, goal): (NodeIndex, BlockRef),
        store: &NodeStore,
        handle: Option<&NodeHandle>,
    ) {
        let (headers, bodies) = (store.view().tip, store.acknowledged());
        let why = handle.map(|handle| {
            let (targets, fault) =
                (handle.headers().status().targets.clone(), handle.headers().status().local_fault.clone());
            format!(
                "{:?}, targets {targets:?}, {fault:?}, {} peers",
                handle.blocks().status().verdict,
                handle.peers().len()
            )
        });
        let seen = format!(
            "{node} ({}) has headers up to {headers} and bodies up to {bodies}, not {goal}; {}",
            self.habit(node),
            why.unwrap_or_else(|| "it does not run".into()),
        );
        self.breach("I-V1 whoever can arrive does", at, seen);
    }

    /// I-L5 and the end of I-R4: who stopped did so in order and holds nothing.
    pub fn nothing_is_left(&mut self, at: Duration, node: NodeIndex, departure: Departure) {
        let Departure { end, left } = departure;
        if let Err(error) = end {
            self.breach("I-L5 a node stops in order", at, format!("{node}: {error}"));
        }
        match left {
            Ok(left) if left == Count::default() => self.count("stopped with nothing left".into()),
            Ok(left) => self.breach("I-L5 nothing is left", at, format!("{node}: {left:?}")),
            Err(broken) => self.breach("I-W1 every height is in one place", at, format!("{node}: {broken}")),
        }
    }
}

/// A reason without its particulars.
const fn kind(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Violation { .. } => "violation",
        CloseReason::Panicked { .. } => "panic",
        CloseReason::Duplicate => "duplicate",
        CloseReason::Idle => "idle",
        CloseReason::Local => "by us",
        CloseReason::Full => "full",
        CloseReason::TooOften => "too often",
        CloseReason::Displaced => "displaced",
        CloseReason::Banned => "banned",
        CloseReason::NotNamed => "not named",
        CloseReason::Remote { .. } => "by the peer",
        CloseReason::Timeout => "timeout",
        CloseReason::Reset => "reset",
        CloseReason::Transport(_) => "transport",
        CloseReason::HandshakeRefused(_) => "handshake refused",
        CloseReason::LimitsTooSmall => "limits too small",
        CloseReason::WrongIdentity => "wrong identity",
        CloseReason::NotDialled(_) => "not dialled",
        _ => "another reason",
    }
}
