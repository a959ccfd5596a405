//! Connections of a world: ordered, reliable bytes over the same links that datagrams take in the real stack.
//!
//! What a link loses is sent again after a while, and what comes too early waits. A connection over which nothing has
//! come through for [`IDLE`] is dead, as QUIC's is.

use crate::sim::{DropReason, LinkModel, NodeIndex, Offer};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// QUIC's idle timeout (wire 1.4).
pub const IDLE: Duration = Duration::from_secs(150);

/// Bytes of one piece on a wire: the queue of the thinnest link (100 ms at 1 Mbit/s) takes one, and it cuts frames where it
/// happens to.
const PIECE: usize = 8 * 1024;

/// Bytes sent and not read on one stream in one direction, at most (QUIC's windows); and bytes that wait to be sent.
const WINDOW: usize = 1024 * 1024;

/// The wait for room in the queue of one's own link.
const ROOM: u64 = 20_000_000;

/// The first wait before lost bytes are sent again; it doubles to [`RETRY_MOST`].
const RETRY: u64 = 200_000_000;
const RETRY_MOST: u64 = 10_000_000_000;

/// A connection's number, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireId(pub u64);

/// One direction of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The connection.
    pub wire: WireId,
    /// The service whose stream it is.
    pub service: usize,
    /// Towards the one that was dialled.
    pub forward: bool,
}

/// A piece on its way.
#[derive(Debug, Clone)]
pub struct Piece {
    lane: Lane,
    /// The stream's number on this lane: what was sent for one that is over is dropped.
    stream: u32,
    sequence: u64,
    bytes: Bytes,
}

/// What the world is to do for a wire.
#[derive(Debug, Clone)]
pub enum Signal {
    /// Look again at what waits to be sent.
    Retry(Lane, u32),
    /// A piece has reached the receiver's access link.
    Arrives(Piece),
    /// A piece is there.
    Lands(Piece),
}

#[derive(Debug, Default)]
struct Flow {
    stream: u32,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    next: u64,
    wait: u64,
    retrying: bool,
    expected: u64,
    early: BTreeMap<u64, Bytes>,
    /// Bytes sent and not read.
    unread: usize,
}

impl Flow {
    /// Whether all that was sent has come.
    fn is_quiet(&self) -> bool {
        self.unsent.is_empty() && self.expected == self.next
    }

    /// What can be read now, in order.
    fn read(&mut self) -> Vec<Bytes> {
        let mut ready = Vec::new();
        while let Some(bytes) = self.early.remove(&self.expected) {
            self.expected = self.expected.saturating_add(1);
            self.unread = self.unread.saturating_sub(bytes.len());
            ready.push(bytes);
        }
        ready
    }
}

#[derive(Debug)]
struct Wire {
    from: NodeIndex,
    to: NodeIndex,
    heard_at: u64,
    flows: BTreeMap<(usize, bool), Flow>,
}

/// All wires, over one link model.
#[derive(Debug)]
pub struct Wires {
    /// The links.
    pub links: LinkModel,
    open: BTreeMap<WireId, Wire>,
    next: u64,
    /// Signals for the agenda: when, and what.
    due: Vec<(u64, Signal)>,
    /// Nodes that do not read.
    deaf: BTreeSet<NodeIndex>,
}

impl Wires {
    /// No wires yet.
    #[must_use]
    pub const fn new(links: LinkModel) -> Self {
        Self { links, open: BTreeMap::new(), next: 0, due: Vec::new(), deaf: BTreeSet::new() }
    }

    /// A new connection.
    pub fn open(&mut self, now: u64, from: NodeIndex, to: NodeIndex) -> WireId {
        let id = WireId(self.next);
        self.next = self.next.saturating_add(1);
        self.open.insert(id, Wire { from, to, heard_at: now, flows: BTreeMap::new() });
        id
    }

    /// How often a stream was begun anew: what was sent on one before is lost.
    #[must_use]
    pub fn stream(&self, wire: WireId, service: usize) -> u32 {
        let flow = self.open.get(&wire).and_then(|wire| wire.flows.get(&(service, true)));
        flow.map_or(0, |flow| flow.stream)
    }

    /// Whether everything that was sent on a connection has been received.
    #[must_use]
    pub fn is_quiet(&self, id: WireId) -> bool {
        self.open.get(&id).is_none_or(|wire| wire.flows.values().all(Flow::is_quiet))
    }

    /// Forgets a connection and all that is under way on it.
    pub fn close(&mut self, id: WireId) {
        self.open.remove(&id);
    }

    /// Who dialled and who was dialled, while the connection is open.
    #[must_use]
    pub fn ends(&self, id: WireId) -> Option<(NodeIndex, NodeIndex)> {
        self.open.get(&id).map(|wire| (wire.from, wire.to))
    }

    /// Begins a stream anew in both directions.
    pub fn restart_stream(&mut self, wire: WireId, service: usize) {
        let Some(wire) = self.open.get_mut(&wire) else { return };
        for forward in [false, true] {
            let flow = wire.flows.entry((service, forward)).or_default();
            let stream = flow.stream.wrapping_add(1);
            *flow = Flow { stream, ..Flow::default() };
        }
    }

    /// Whether a stream takes more bytes in this direction.
    #[must_use]
    pub fn has_room(&self, lane: Lane) -> bool {
        let flow = self.open.get(&lane.wire).and_then(|wire| wire.flows.get(&(lane.service, lane.forward)));
        flow.is_none_or(|flow| flow.unsent_bytes < WINDOW)
    }

    /// Sends bytes, in pieces.
    pub fn send(&mut self, now: u64, lane: Lane, mut bytes: Bytes) {
        let Some(wire) = self.open.get_mut(&lane.wire) else { return };
        let flow = wire.flows.entry((lane.service, lane.forward)).or_default();
        flow.unsent_bytes = flow.unsent_bytes.saturating_add(bytes.len());
        while !bytes.is_empty() {
            flow.unsent.push_back(bytes.split_to(bytes.len().min(PIECE)));
        }
        self.pump(now, lane);
    }

    /// Does what a signal asks for. The bytes that a stream may read now come back.
    pub fn signal(&mut self, now: u64, signal: Signal) -> Option<(Lane, Vec<Bytes>)> {
        match signal {
            Signal::Retry(lane, stream) => {
                let flow = self.flow(lane).filter(|flow| flow.stream == stream)?;
                flow.retrying = false;
                self.pump(now, lane);
                None
            }
            Signal::Arrives(piece) => {
                let (from, to) = self.direction(piece.lane)?;
                if !self.links.is_up(to) {
                    self.due.push((now.saturating_add(RETRY_MOST), Signal::Arrives(piece)));
                    return None;
                }
                match self.links.arrive(now, from, to, piece.bytes.len()) {
                    Ok(at) => self.due.push((at, Signal::Lands(piece))),
                    Err(_) => self.due.push((now.saturating_add(RETRY), Signal::Arrives(piece))),
                }
                None
            }
            Signal::Lands(piece) => self.land(now, piece),
        }
    }

    /// Connections over which nothing has come for too long although something was sent.
    #[must_use]
    pub fn dead(&self, now: u64) -> Vec<WireId> {
        let limit = u64::try_from(IDLE.as_nanos()).unwrap_or(u64::MAX);
        let is_dead = |wire: &Wire| now.saturating_sub(wire.heard_at) > limit;
        let stuck = |wire: &Wire| wire.flows.values().any(|flow| !flow.is_quiet());
        self.open.iter().filter(|(_, wire)| is_dead(wire) && stuck(wire)).map(|(id, _)| *id).collect()
    }

    /// What is to be entered into the agenda.
    pub fn take_due(&mut self) -> Vec<(u64, Signal)> {
        std::mem::take(&mut self.due)
    }

    /// Every connection of a node.
    #[must_use]
    pub fn of(&self, node: NodeIndex) -> Vec<WireId> {
        self.open.iter().filter(|(_, wire)| wire.from == node || wire.to == node).map(|(id, _)| *id).collect()
    }

    fn flow(&mut self, lane: Lane) -> Option<&mut Flow> {
        self.open.get_mut(&lane.wire)?.flows.get_mut(&(lane.service, lane.forward))
    }

    fn direction(&self, lane: Lane) -> Option<(NodeIndex, NodeIndex)> {
        let wire = self.open.get(&lane.wire)?;
        Some(if lane.forward { (wire.from, wire.to) } else { (wire.to, wire.from) })
    }

    /// Offers what is unsent to the link until it refuses.
    fn pump(&mut self, now: u64, lane: Lane) {
        let Some((from, to)) = self.direction(lane) else { return };
        let Some(wire) = self.open.get_mut(&lane.wire) else { return };
        let Some(flow) = wire.flows.get_mut(&(lane.service, lane.forward)) else { return };
        while !flow.retrying
            && flow.unread < WINDOW
            && let Some(bytes) = flow.unsent.front()
        {
            match self.links.offer(now, from, to, bytes.len()) {
                Offer::Arrives { at, .. } => {
                    let Some(bytes) = flow.unsent.pop_front() else { return };
                    flow.unsent_bytes = flow.unsent_bytes.saturating_sub(bytes.len());
                    flow.unread = flow.unread.saturating_add(bytes.len());
                    let piece = Piece { lane, stream: flow.stream, sequence: flow.next, bytes };
                    flow.next = flow.next.saturating_add(1);
                    flow.wait = RETRY;
                    self.due.push((at, Signal::Arrives(piece)));
                }
                Offer::Drop(DropReason::UpQueue) => {
                    flow.retrying = true;
                    self.due.push((now.saturating_add(ROOM), Signal::Retry(lane, flow.stream)));
                }
                Offer::Drop(_) => {
                    flow.retrying = true;
                    let wait = flow.wait.clamp(RETRY, RETRY_MOST);
                    flow.wait = wait.saturating_mul(2);
                    self.due.push((now.saturating_add(wait), Signal::Retry(lane, flow.stream)));
                }
            }
        }
    }

    fn land(&mut self, now: u64, piece: Piece) -> Option<(Lane, Vec<Bytes>)> {
        let lane = piece.lane;
        let wire = self.open.get_mut(&lane.wire)?;
        wire.heard_at = now;
        let flow = wire.flows.get_mut(&(lane.service, lane.forward))?;
        if flow.stream != piece.stream {
            return None;
        }
        flow.early.insert(piece.sequence, piece.bytes);
        let receiver = if lane.forward { wire.to } else { wire.from };
        if self.deaf.contains(&receiver) {
            return None;
        }
        let was_closed = flow.unread >= WINDOW;
        let ready = flow.read();
        if was_closed && flow.unread < WINDOW {
            self.due.push((now, Signal::Retry(lane, flow.stream)));
        }
        (!ready.is_empty()).then_some((lane, ready))
    }

    /// From now on a node does not read what comes: it waits, and those who send notice when their windows are full.
    pub fn close_ears(&mut self, node: NodeIndex) {
        self.deaf.insert(node);
    }

    /// A node reads again. What has come meanwhile comes back.
    pub fn open_ears(&mut self, now: u64, node: NodeIndex) -> Vec<(Lane, Vec<Bytes>)> {
        if !self.deaf.remove(&node) {
            return Vec::new();
        }
        let mut heard = Vec::new();
        for (id, wire) in &mut self.open {
            for ((service, forward), flow) in &mut wire.flows {
                if (if *forward { wire.to } else { wire.from }) != node {
                    continue;
                }
                let lane = Lane { wire: *id, service: *service, forward: *forward };
                let ready = flow.read();
                if !ready.is_empty() {
                    heard.push((lane, ready));
                    self.due.push((now, Signal::Retry(lane, flow.stream)));
                }
            }
        }
        heard
    }
}
