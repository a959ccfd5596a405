//! Connections of a world: who dials whom and when again, streams and their ends, and what becomes of a line that is dead.

use super::{
    event::Event,
    habits::{BODIES, HEADERS},
    node::{Node, Seat},
    wires::WireId,
    world::World,
};
use crate::sim::NodeIndex;
use rand_core::Rng;
use std::net::SocketAddr;
use zakura_transport::{Action, Capabilities, Direction, Exit, Fence, PeerInfo, Role};

/// How often dead connections are looked for.
pub(super) const SWEEP: u64 = 5_000_000_000;

/// How long it may take until a connection is closed on which a rule was broken.
pub(super) const VERDICT: u64 = 5_000_000_000;

/// Pauses between dials: 1 s doubling to 30 s (wire 7.2).
const REDIAL: u64 = 1_000_000_000;
const REDIAL_MOST: u64 = 30_000_000_000;

/// Pauses before a stream is opened again: 250 ms doubling to 8 s (wire 4.4).
const REOPEN: u64 = 250_000_000;
const REOPEN_MOST: u64 = 8_000_000_000;

/// How long a handshake takes beside two trips.
const HANDSHAKE: u64 = 2_000_000;

impl World {
    pub(super) fn other_end(&self, wire: WireId, end: NodeIndex) -> Option<NodeIndex> {
        let (from, to) = self.wires.ends(wire)?;
        Some(if from == end { to } else { from })
    }

    /// Whoever received what proves itself has closed the connection, if all of it has come.
    pub(super) fn verdict(&mut self, seat: Seat, stream: u32, culprit: NodeIndex) {
        let (wire, service) = seat;
        let Some(victim) = self.other_end(wire, culprit) else {
            self.judge.closed(self.now, self.steps, culprit, None);
            return;
        };
        let hears = |node: &Node| node.habit.is_honest() && node.is_up() && node.sits(seat);
        let is_same = self.wires.stream(wire, service) == stream;
        if is_same && self.node(victim).is_some_and(hears) && self.wires.is_quiet(wire) {
            self.judge.closed(self.now, self.steps, culprit, Some(victim));
        }
    }

    /// Finds out connections that are dead.
    pub(super) fn sweep(&mut self) {
        for wire in self.wires.dead(self.now) {
            let ends = self.wires.ends(wire);
            self.lose(wire);
            if let Some((from, to)) = ends {
                self.redial(from, to);
            }
        }
        self.agenda.enter(self.now.saturating_add(SWEEP), Event::Sweep);
    }

    /// A node dials another, unless it is connected or another dial to it is due.
    pub(super) fn dial(&mut self, from: NodeIndex, to: NodeIndex) {
        if self.dialling.get(&(from, to)) != Some(&self.now) {
            return;
        }
        self.dialling.remove(&(from, to));
        let connected =
            self.wires.of(from).into_iter().any(|wire| {
                self.wires.ends(wire).is_some_and(|ends| ends == (from, to) || ends == (to, from))
            });
        if connected || !self.is_up(from) {
            return;
        }
        let reaches = self.wires.links.reaches(from, to) && self.wires.links.reaches(to, from);
        if !self.is_up(to) || !reaches || self.asleep.contains_key(&to) {
            self.redial(from, to);
            return;
        }
        let wire = self.wires.open(self.now, from, to);
        self.judge.connected(self.now, from, to);
        let trips = self.plan.path(from, to).latency * 4;
        let takes = HANDSHAKE.saturating_add(u64::try_from(trips.as_nanos()).unwrap_or(u64::MAX));
        for service in [HEADERS, BODIES] {
            let at = self.now.saturating_add(takes);
            self.agenda.enter(at, Event::Reopen((wire, service)));
        }
    }

    pub(super) fn redial(&mut self, from: NodeIndex, to: NodeIndex) {
        let pause = self.redial.entry((from, to)).or_insert(REDIAL);
        let jitter = u64::from(self.rng.next_u32()) % (*pause / 4).max(1);
        let at = self.now.saturating_add(*pause).saturating_add(jitter);
        *pause = pause.saturating_mul(2).min(REDIAL_MOST);
        self.enter_dial(from, to, at);
    }

    /// Enters a dial, in place of one that was to come.
    pub(super) fn enter_dial(&mut self, from: NodeIndex, to: NodeIndex, at: u64) {
        self.dialling.insert((from, to), at);
        self.agenda.enter(at, Event::Dial(from, to));
    }

    pub(super) fn open_stream(&mut self, seat: Seat) {
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
                role: Role::stranger(direction),
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
    pub(super) fn ended(&mut self, index: NodeIndex, seat: Seat, peer: NodeIndex, exit: Exit) {
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
    pub(super) fn hang_up(&mut self, wire: WireId, index: NodeIndex) {
        if let Some(node) = self.node_mut(index) {
            for service in [HEADERS, BODIES] {
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
    pub(super) fn lose(&mut self, wire: WireId) {
        let Some((from, to)) = self.wires.ends(wire) else { return };
        self.wires.close(wire);
        for index in [from, to] {
            if let Some(node) = self.node_mut(index) {
                for service in [HEADERS, BODIES] {
                    node.cut((wire, service));
                }
            }
            self.settle(index);
        }
        self.reopened.retain(|(of, _), _| *of != wire);
    }

    /// Closes every connection of a node with a word to the other side.
    pub(super) fn say_goodbye(&mut self, index: NodeIndex) {
        for wire in self.wires.of(index) {
            let ends = self.wires.ends(wire);
            self.lose(wire);
            if let Some((from, to)) = ends {
                self.redial(from, to);
            }
        }
    }

    /// The others learn that a node has begun a new life: what they still hold of the last one is reset at once (wire 1.5).
    pub(super) fn forget_last_life(&mut self, index: NodeIndex) {
        for wire in self.wires.of(index) {
            self.lose(wire);
        }
    }

    pub(super) fn reconnect(&mut self, index: NodeIndex) {
        for (from, to) in self.plan.dials.clone() {
            if from == index || to == index {
                self.redial.remove(&(from, to));
                let at = self.now.saturating_add(u64::from(self.rng.next_u32() % 300_000_000));
                self.enter_dial(from, to, at);
            }
        }
    }
}
