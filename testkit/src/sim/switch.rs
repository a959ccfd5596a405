//! Where every simulated socket is plugged in.
//!
//! Sockets are called from their nodes' tasks and share one switch, so its state has a lock: the only one of a world. It is
//! never held while a task is woken.

use super::{
    link::{Access, DropReason, LinkModel, Nat, NodeIndex, Offer},
    trace::{DatagramNumber, Trace, TraceReport, What},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use zakura_transport::DatagramSocket;

/// Bytes that wait to be read at one node (what Linux gives a socket by default); more are dropped.
const INBOX_BYTES: usize = 212_992;

/// A datagram under way.
#[derive(Debug, Clone)]
struct Datagram {
    number: DatagramNumber,
    from: NodeIndex,
    to: NodeIndex,
    /// Where the receiver sees it come from.
    source: SocketAddr,
    /// The port it was sent to.
    port: u16,
    bytes: Arc<[u8]>,
}

impl Datagram {
    /// The same with one bit turned over.
    fn spoiled(self, place: usize) -> Self {
        let mut bytes = self.bytes.to_vec();
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << (place % 8);
        }
        Self { bytes: bytes.into(), ..self }
    }
}

/// Where a datagram is.
#[derive(Debug)]
enum Stage {
    /// Before the receiver's access link.
    Arriving,
    /// Behind it.
    Delivered,
}

#[derive(Debug)]
struct Plug {
    addr: SocketAddr,
    /// Raised whenever the node stops: a socket of an earlier life reads and sends nothing.
    life: u64,
    inbox: VecDeque<Datagram>,
    inbox_bytes: usize,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    links: LinkModel,
    trace: Trace,
    plugs: Vec<Plug>,
    addresses: BTreeMap<SocketAddr, NodeIndex>,
    /// What happens next, by time and then by the order in which it was decided. Bounded by what the queues of all
    /// access links hold and what their rates put on the paths within one latency.
    due: BTreeMap<(u64, u64), (Stage, Datagram)>,
    decided: u64,
    sent: DatagramNumber,
    /// When the pump wakes by itself.
    armed: Option<u64>,
    drops: BTreeMap<DropReason, u64>,
    spoiled: u64,
}

impl State {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn schedule(&mut self, at: u64, stage: Stage, datagram: Datagram) {
        let order = self.decided;
        self.decided = order.saturating_add(1);
        self.due.insert((at, order), (stage, datagram));
    }

    fn drop(&mut self, at: u64, datagram: &Datagram, reason: DropReason) {
        let count = self.drops.entry(reason).or_default();
        *count = count.saturating_add(1);
        self.trace.push(at, What::Dropped { datagram: datagram.number, to: datagram.to, reason });
    }

    /// Puts a datagram on its way. Whether the pump must wake earlier than it meant to.
    fn send(&mut self, from: NodeIndex, to: SocketAddr, bytes: &[u8]) -> bool {
        let now = self.now();
        let number = self.sent;
        self.sent = number.saturating_add(1);
        let (known, port) = (self.addresses.get(&to).copied(), to.port());
        let to = known.unwrap_or(NodeIndex(u16::MAX));
        self.trace.sent(now, number, (from, to), bytes);
        let offer = known.map(|to| self.links.offer(now, from, to, bytes.len()));
        let source = self.seen_from(from, to);
        let datagram = Datagram { number, from, to, source, port, bytes: Arc::from(bytes) };
        match offer {
            None => self.drop(now, &datagram, DropReason::Nowhere),
            Some(Offer::Drop(reason)) => self.drop(now, &datagram, reason),
            Some(Offer::Arrives { at, again, spoiled }) => {
                if let Some(again) = again {
                    self.schedule(again, Stage::Arriving, datagram.clone());
                }
                let datagram = match spoiled {
                    Some(place) => {
                        self.spoiled = self.spoiled.saturating_add(1);
                        self.trace.push(now, What::Spoiled { datagram: number, to });
                        datagram.spoiled(place)
                    }
                    None => datagram,
                };
                self.schedule(at, Stage::Arriving, datagram);
                return self.armed.is_none_or(|armed| at < armed);
            }
        }
        false
    }

    /// The address at which `to` sees `from`. Whoever writes there writes to that node.
    fn seen_from(&mut self, from: NodeIndex, to: NodeIndex) -> SocketAddr {
        let own = self.plugs.get(usize::from(from.0)).map(|plug| plug.addr);
        let mut source = own.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        if let Some(port) = self.links.port_seen(from, to) {
            source.set_port(port);
            self.addresses.insert(source, from);
        }
        source
    }

    /// Whether it is aimed at the port that its receiver shows its sender.
    fn is_aimed(&self, datagram: &Datagram) -> bool {
        self.links.port_seen(datagram.to, datagram.from).is_none_or(|port| port == datagram.port)
    }

    /// Lets happen what is due, and gives the reader to wake, if any.
    fn step(&mut self, at: u64, stage: &Stage, datagram: Datagram) -> Option<Waker> {
        if !self.links.is_up(datagram.to) {
            self.drop(at, &datagram, DropReason::Down);
            return None;
        }
        match stage {
            Stage::Arriving if !self.is_aimed(&datagram) => {
                self.drop(at, &datagram, DropReason::Nat);
                None
            }
            Stage::Arriving => {
                match self.links.arrive(at, datagram.from, datagram.to, datagram.bytes.len()) {
                    Ok(then) => self.schedule(then, Stage::Delivered, datagram),
                    Err(reason) => self.drop(at, &datagram, reason),
                }
                None
            }
            Stage::Delivered => self.deliver(at, datagram),
        }
    }

    fn deliver(&mut self, at: u64, datagram: Datagram) -> Option<Waker> {
        let plug = self.plugs.get_mut(usize::from(datagram.to.0))?;
        if plug.inbox_bytes.saturating_add(datagram.bytes.len()) > INBOX_BYTES {
            self.drop(at, &datagram, DropReason::Inbox);
            return None;
        }
        plug.inbox_bytes = plug.inbox_bytes.saturating_add(datagram.bytes.len());
        let event = What::Delivered { datagram: datagram.number, to: datagram.to };
        plug.inbox.push_back(datagram);
        let reader = plug.reader.take();
        self.trace.push(at, event);
        reader
    }
}

/// The network that a world's sockets are plugged into. Clones are the same switch.
#[derive(Debug, Clone)]
pub struct Switch {
    state: Arc<Mutex<State>>,
    earlier: Arc<Notify>,
}

/// How many datagrams there were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Sent by all nodes.
    pub sent: u64,
    /// Lost, by reason.
    pub drops: BTreeMap<DropReason, u64>,
    /// Come through with a wrong byte.
    pub spoiled: u64,
}

impl Switch {
    /// A switch without nodes, whose time begins now.
    #[must_use]
    pub fn new(links: LinkModel, trace: Trace) -> Self {
        let state = State {
            begun: Instant::now(),
            links,
            trace,
            plugs: Vec::new(),
            addresses: BTreeMap::new(),
            due: BTreeMap::new(),
            decided: 0,
            sent: 0,
            armed: None,
            drops: BTreeMap::new(),
            spoiled: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), earlier: Arc::default() }
    }

    /// Plugs the next node in, at its address. It is down until it is [raised](Self::raise).
    #[must_use]
    pub fn attach(&self, addr: SocketAddr, access: Access, nat: Nat) -> NodeIndex {
        let mut state = self.state.lock();
        let node = state.links.attach(access, nat);
        state.addresses.insert(addr, node);
        let plug = Plug { addr, life: 0, inbox: VecDeque::new(), inbox_bytes: 0, reader: None };
        state.plugs.push(plug);
        node
    }

    /// Brings a node up, and gives the socket of its new life.
    #[must_use]
    pub fn raise(&self, node: NodeIndex) -> Arc<dyn DatagramSocket> {
        let mut state = self.state.lock();
        state.links.set_up(node, true);
        let (life, addr) = state
            .plugs
            .get(usize::from(node.0))
            .map_or((0, SocketAddr::from(([0, 0, 0, 0], 0))), |plug| (plug.life, plug.addr));
        Arc::new(SimSocket { switch: self.clone(), node, life, addr })
    }

    /// Takes a node down: what it would still send is lost, and what it has not read is gone.
    pub fn fell(&self, node: NodeIndex) {
        let mut state = self.state.lock();
        state.links.set_up(node, false);
        if let Some(plug) = state.plugs.get_mut(usize::from(node.0)) {
            plug.life = plug.life.saturating_add(1);
            plug.inbox_bytes = 0;
            plug.inbox.clear();
            plug.reader = None;
        }
    }

    /// Changes links.
    pub fn rewire(&self, change: impl FnOnce(&mut LinkModel)) {
        change(&mut self.state.lock().links);
    }

    /// Writes an event into the trace.
    pub fn say(&self, node: Option<NodeIndex>, text: String) {
        let mut state = self.state.lock();
        let now = state.now();
        state.trace.push(now, What::Said { node, text });
    }

    /// Time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.state.lock().begun.elapsed()
    }

    /// The node at an address.
    #[must_use]
    pub fn node_at(&self, addr: SocketAddr) -> Option<NodeIndex> {
        self.state.lock().addresses.get(&addr).copied()
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.state.lock().trace.count()
    }

    /// What happened so far.
    #[must_use]
    pub fn report(&self) -> (TraceReport, Traffic) {
        let state = self.state.lock();
        let traffic = Traffic { sent: state.sent, drops: state.drops.clone(), spoiled: state.spoiled };
        (state.trace.report(), traffic)
    }

    /// Lets everything happen that is due by now, and gives the time of what comes next.
    pub(super) fn advance(&self) -> Option<Instant> {
        loop {
            let reader = {
                let mut state = self.state.lock();
                let now = state.now();
                let Some(next) = state.due.first_entry() else {
                    state.armed = None;
                    return None;
                };
                let (at, _) = *next.key();
                if at > now {
                    state.armed = Some(at);
                    return Some(state.begun + Duration::from_nanos(at));
                }
                let (stage, datagram) = next.remove();
                state.step(at, &stage, datagram)
            };
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }

    /// Rings when something was sent that is due before the pump meant to wake.
    pub(super) fn earlier(&self) -> Arc<Notify> {
        Arc::clone(&self.earlier)
    }
}

/// One life of a node's socket.
#[derive(Debug)]
struct SimSocket {
    switch: Switch,
    node: NodeIndex,
    life: u64,
    addr: SocketAddr,
}

impl SimSocket {
    fn is_dead(&self, state: &State) -> bool {
        state.plugs.get(usize::from(self.node.0)).is_none_or(|plug| plug.life != self.life)
    }
}

impl DatagramSocket for SimSocket {
    fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let is_earlier = {
            let mut state = self.switch.state.lock();
            !self.is_dead(&state) && state.send(self.node, to, datagram)
        };
        if is_earlier {
            self.switch.earlier.notify_one();
        }
        Ok(())
    }

    fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut state = self.switch.state.lock();
        if self.is_dead(&state) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Some(plug) = state.plugs.get_mut(usize::from(self.node.0)) else { return Poll::Pending };
        while let Some(datagram) = plug.inbox.pop_front() {
            let length = datagram.bytes.len();
            plug.inbox_bytes = plug.inbox_bytes.saturating_sub(length);
            // One that is longer than the buffer is lost, as UDP loses it.
            let Some(room) = buffer.get_mut(..length) else { continue };
            room.copy_from_slice(&datagram.bytes);
            return Poll::Ready(Ok((length, datagram.source)));
        }
        plug.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}
