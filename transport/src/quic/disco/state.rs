//! Who is pinged when, and whose datagrams are opened. Pure: time and chance come from outside.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use super::{
    intake::Intake,
    wire::{Message, Nonce, Pair, Refused, TxId},
};
use crate::{PeerId, connection::Pace};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// Pause between pings to a connected peer that speaks disco (wire 1.6).
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A peer that has said nothing in disco for so long is pinged no more (wire 1.6).
const ACTIVE: Duration = Duration::from_secs(45);
/// Pings of one dial. QUIC repeats its Initial a dozen times before it gives up: stops a peer that provokes Initials from
/// drawing more out of us.
const MAX_DIAL_PINGS: u32 = 32;
/// Dials and connections that are told apart, at most: bounds what one look for an address costs.
const MAX_NEIGHBOURS: usize = 1024;
/// Disco datagrams of one dialled or connected address that we open in a second, and at once. They are not counted among
/// strangers', so a flood of strangers does not silence our peers.
const NEIGHBOUR_PER_S: u32 = 2;
const NEIGHBOUR_BURST: u32 = 8;
/// Peers that pinged and are not connected, remembered until they are: stops a flood of pings from growing us.
const MAX_NEWCOMERS: usize = 1024;
/// Pings whose pong would be known as one.
const MAX_ASKED: usize = 1024;
/// Datagrams that wait for the socket to take them, the oldest dropped first: each is stale after a second, and another
/// ping will follow.
const MAX_PARKED: usize = 64;

/// Where a datagram goes, and the address of ours that it leaves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::quic) struct Path {
    pub(in crate::quic) remote: SocketAddr,
    pub(in crate::quic) local: Option<IpAddr>,
}

/// Names a dial or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::quic) struct Ticket(u64);

/// A ping to be sealed and sent.
pub(in crate::quic) struct Due {
    pub(in crate::quic) to: Path,
    pub(in crate::quic) pair: Pair,
    pub(in crate::quic) message: Message,
    pub(in crate::quic) nonce: Nonce,
}

/// What follows from a valid ping.
#[derive(Debug, Clone, Copy)]
pub(in crate::quic) struct Heard {
    /// For the pong.
    pub(in crate::quic) nonce: Nonce,
    /// Whether heartbeats to its sender begin.
    pub(in crate::quic) begins: bool,
}

/// What happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::quic) struct Counters {
    pings_heard: u64,
    pings_sent: u64,
    /// Answers to our pings.
    pongs_heard: u64,
    /// Pongs that answer no ping of ours.
    pongs_strange: u64,
    /// Datagrams that the socket took too late.
    dropped: u64,
    refused: BTreeMap<Refused, u64>,
}

/// Everything disco remembers.
pub(in crate::quic) struct State {
    rng: ChaCha20Rng,
    tickets: u64,
    neighbours: BTreeMap<Ticket, Neighbour>,
    newcomers: VecDeque<Newcomer>,
    asked: VecDeque<(PeerId, TxId)>,
    strangers: Intake,
    parked: VecDeque<(Path, Vec<u8>)>,
    counters: Counters,
}

/// A dial or a connection of ours.
struct Neighbour {
    peer: PeerId,
    path: Path,
    pair: Option<Pair>,
    allowance: Pace,
    role: Role,
}

enum Role {
    Dialling { pings: u32 },
    Connected { beat: Option<Beat> },
}

/// Heartbeats to a peer that speaks disco.
struct Beat {
    heard: Instant,
    next: Instant,
}

struct Newcomer {
    peer: PeerId,
    pair: Pair,
    at: Instant,
}

impl State {
    pub(in crate::quic) fn new(rng: ChaCha20Rng, now: Instant) -> Self {
        Self {
            rng,
            tickets: 0,
            neighbours: BTreeMap::new(),
            newcomers: VecDeque::new(),
            asked: VecDeque::new(),
            strangers: Intake::new(now),
            parked: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub(in crate::quic) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A dial begins: Initials to this address are preceded by pings. None if there are too many.
    pub(in crate::quic) fn dialling(
        &mut self,
        peer: PeerId,
        remote: SocketAddr,
        pair: Pair,
        now: Instant,
    ) -> Option<Ticket> {
        let path = Path { remote, local: None };
        self.meet(peer, path, Some(pair), Role::Dialling { pings: 0 }, now)
    }

    /// A connection stands: if its peer speaks disco, it is pinged from now on. None if there are too many.
    pub(in crate::quic) fn connected(&mut self, peer: PeerId, path: Path, now: Instant) -> Option<Ticket> {
        let fresh = |newcomer: &&Newcomer| {
            newcomer.peer == peer && now.saturating_duration_since(newcomer.at) < ACTIVE
        };
        let newcomer = self.newcomers.iter().rev().find(fresh);
        let beat = newcomer.map(|newcomer| Beat { heard: newcomer.at, next: later(now, HEARTBEAT) });
        let pair = newcomer.map(|newcomer| newcomer.pair.clone()).or_else(|| self.pair_of(peer));
        self.meet(peer, path, pair, Role::Connected { beat }, now)
    }

    fn meet(
        &mut self,
        peer: PeerId,
        path: Path,
        pair: Option<Pair>,
        role: Role,
        now: Instant,
    ) -> Option<Ticket> {
        if self.neighbours.len() >= MAX_NEIGHBOURS {
            return None;
        }
        self.tickets = self.tickets.saturating_add(1);
        let allowance = Pace::new(now, NEIGHBOUR_PER_S, NEIGHBOUR_BURST);
        let ticket = Ticket(self.tickets);
        self.neighbours.insert(ticket, Neighbour { peer, path, pair, allowance, role });
        Some(ticket)
    }

    /// The dial or connection is over.
    pub(in crate::quic) fn forget(&mut self, ticket: Ticket) {
        self.neighbours.remove(&ticket);
    }

    /// The pings that go out just before an Initial to this address.
    pub(in crate::quic) fn announce(&mut self, to: Path) -> Vec<Due> {
        let mut peers = Vec::new();
        for neighbour in self.neighbours.values_mut().filter(|neighbour| neighbour.is_at(to.remote)) {
            if let (Role::Dialling { pings }, Some(pair)) = (&mut neighbour.role, &neighbour.pair)
                && *pings < MAX_DIAL_PINGS
            {
                *pings = pings.saturating_add(1);
                peers.push((neighbour.peer, pair.clone()));
            }
        }
        peers.into_iter().map(|(peer, pair)| self.ask(peer, to, pair)).collect()
    }

    /// The heartbeats that are due, and when the next one is.
    pub(in crate::quic) fn beats(&mut self, now: Instant) -> (Vec<Due>, Option<Instant>) {
        let mut peers = Vec::new();
        for neighbour in self.neighbours.values_mut() {
            let (Role::Connected { beat }, Some(pair)) = (&mut neighbour.role, &neighbour.pair) else {
                continue;
            };
            if beat.as_ref().is_some_and(|beat| now.saturating_duration_since(beat.heard) >= ACTIVE) {
                *beat = None;
            }
            if let Some(beat) = beat.as_mut().filter(|beat| beat.next <= now) {
                beat.next = later(now, HEARTBEAT);
                peers.push((neighbour.peer, neighbour.path, pair.clone()));
            }
        }
        let due = peers.into_iter().map(|(peer, path, pair)| self.ask(peer, path, pair)).collect();
        (due, self.next_beat())
    }

    fn next_beat(&self) -> Option<Instant> {
        let beats = self.neighbours.values().filter_map(|neighbour| match &neighbour.role {
            Role::Connected { beat: Some(beat) } => Some(beat.next),
            Role::Connected { beat: None } | Role::Dialling { .. } => None,
        });
        beats.min()
    }

    fn ask(&mut self, peer: PeerId, to: Path, pair: Pair) -> Due {
        let (mut tx, mut nonce) = (TxId::default(), Nonce::default());
        self.rng.fill_bytes(&mut tx);
        self.rng.fill_bytes(&mut nonce);
        keep(&mut self.asked, MAX_ASKED, (peer, tx));
        self.counters.pings_sent = self.counters.pings_sent.saturating_add(1);
        Due { to, pair, message: Message::Ping(tx), nonce }
    }

    /// Whether a datagram from this address is opened, and the key if it is known already.
    pub(in crate::quic) fn admit(
        &mut self,
        from: SocketAddr,
        sender: PeerId,
        now: Instant,
    ) -> Result<Option<Pair>, Refused> {
        let neighbour = self.neighbours.values().find(|neighbour| neighbour.is_at(from));
        let admitted = match neighbour {
            Some(neighbour) => neighbour.allowance.take(now).is_ok(),
            None => self.strangers.take(from.ip(), now),
        };
        if admitted { Ok(self.pair_of(sender)) } else { Err(Refused::Rate) }
    }

    fn pair_of(&self, peer: PeerId) -> Option<Pair> {
        let mut known = self.neighbours.values().filter(|neighbour| neighbour.peer == peer);
        known.find_map(|neighbour| neighbour.pair.clone())
    }

    /// A valid ping came.
    pub(in crate::quic) fn heard_ping(&mut self, sender: PeerId, pair: Pair, now: Instant) -> Heard {
        self.counters.pings_heard = self.counters.pings_heard.saturating_add(1);
        let (mut is_connected, mut begins) = (false, false);
        for neighbour in self.neighbours.values_mut().filter(|neighbour| neighbour.peer == sender) {
            neighbour.pair.get_or_insert_with(|| pair.clone());
            if let Role::Connected { beat } = &mut neighbour.role {
                is_connected = true;
                begins |= beat.is_none();
                beat.get_or_insert_with(|| Beat { heard: now, next: later(now, HEARTBEAT) }).heard = now;
            }
        }
        if !is_connected {
            keep(&mut self.newcomers, MAX_NEWCOMERS, Newcomer { peer: sender, pair, at: now });
        }
        let mut nonce = Nonce::default();
        self.rng.fill_bytes(&mut nonce);
        Heard { nonce, begins }
    }

    /// A pong came. It keeps heartbeats alive and changes nothing else.
    pub(in crate::quic) fn heard_pong(&mut self, sender: PeerId, tx: TxId, now: Instant) {
        let Some(at) = self.asked.iter().position(|asked| *asked == (sender, tx)) else {
            self.counters.pongs_strange = self.counters.pongs_strange.saturating_add(1);
            return;
        };
        self.asked.remove(at);
        self.counters.pongs_heard = self.counters.pongs_heard.saturating_add(1);
        for neighbour in self.neighbours.values_mut().filter(|neighbour| neighbour.peer == sender) {
            if let Role::Connected { beat: Some(beat) } = &mut neighbour.role {
                beat.heard = now;
            }
        }
    }

    /// A datagram was ignored.
    pub(in crate::quic) fn refused(&mut self, why: Refused) {
        let count = self.counters.refused.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    /// Keeps a datagram that the socket does not take yet.
    pub(in crate::quic) fn park(&mut self, to: Path, datagram: Vec<u8>) {
        if keep(&mut self.parked, MAX_PARKED, (to, datagram)) {
            self.counters.dropped = self.counters.dropped.saturating_add(1);
        }
    }

    /// Everything that waits for the socket, oldest first.
    pub(in crate::quic) fn unpark(&mut self) -> VecDeque<(Path, Vec<u8>)> {
        std::mem::take(&mut self.parked)
    }

    /// Whether something waits for the socket.
    pub(in crate::quic) fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }
}

impl Neighbour {
    /// An IPv4 address in its own form and in IPv6's is the same.
    fn is_at(&self, addr: SocketAddr) -> bool {
        let (ours, theirs) = (self.path.remote, addr);
        ours.port() == theirs.port() && ours.ip().to_canonical() == theirs.ip().to_canonical()
    }
}

/// Adds to a queue of bounded length; true if the oldest had to go.
fn keep<T>(queue: &mut VecDeque<T>, most: usize, item: T) -> bool {
    let is_full = queue.len() >= most;
    if is_full {
        queue.pop_front();
    }
    queue.push_back(item);
    is_full
}

fn later(now: Instant, pause: Duration) -> Instant {
    now.checked_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::{super::wire::Keys, *};
    use crate::Identity;
    use rand_core::SeedableRng;

    const LOCAL: Option<IpAddr> = None;

    fn keys(seed: u8) -> Keys {
        Keys::new(&Identity::from_seed([seed; 32]).unwrap())
    }

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 8234))
    }

    fn path(last: u8) -> Path {
        Path { remote: addr(last), local: LOCAL }
    }

    fn start() -> (State, Instant) {
        let now = tokio::time::Instant::now().into_std();
        (State::new(ChaCha20Rng::from_seed([7; 32]), now), now)
    }

    /// A peer's id, and the key that we (seed 1) share with it.
    fn peer(seed: u8) -> (PeerId, Pair) {
        let id = keys(seed).id();
        (id, keys(1).pair(id).unwrap())
    }

    fn tx(due: &Due) -> TxId {
        match due.message {
            Message::Ping(tx) => tx,
            Message::Pong(..) => panic!("only pings are due"),
        }
    }

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn every_initial_of_a_dial_is_announced_and_none_after_it() {
        let (mut state, now) = start();
        let (id, pair) = peer(2);
        assert!(state.announce(path(2)).is_empty());
        let ticket = state.dialling(id, addr(2), pair, now).unwrap();
        let (first, again) = (state.announce(path(2)), state.announce(path(2)));
        assert_eq!((first.len(), again.len(), first[0].to), (1, 1, path(2)));
        assert!(tx(&first[0]) != tx(&again[0]) && first[0].nonce != again[0].nonce, "nothing is used twice");
        assert!(state.announce(path(3)).is_empty(), "another address");
        let mapped = "[::ffff:10.0.0.2]:8234".parse().unwrap();
        assert_eq!(state.announce(Path { remote: mapped, local: LOCAL }).len(), 1, "the same in IPv6's form");
        let sent = (0..1000).filter(|_| !state.announce(path(2)).is_empty()).count();
        assert_eq!(sent, 29, "whatever provokes them");
        state.forget(ticket);
        assert!(state.announce(path(2)).is_empty());
        assert!(state.neighbours.is_empty());
    }

    #[test]
    fn a_connected_peer_is_pinged_every_five_seconds_once_it_has_pinged() {
        let (mut state, now) = start();
        let (id, pair) = peer(2);
        let ticket = state.connected(id, path(2), now).unwrap();
        assert!(matches!(state.beats(now + seconds(100)), (due, None) if due.is_empty()), "it never spoke");
        assert!(state.heard_ping(id, pair.clone(), now).begins);
        assert!(!state.heard_ping(id, pair, now).begins);
        assert_eq!(state.beats(now).1, Some(now + seconds(5)));
        for beat in 1..=8 {
            let (due, next) = state.beats(now + seconds(5 * beat));
            assert_eq!((due.len(), due[0].to), (1, path(2)));
            assert_eq!(next, Some(now + seconds(5 * beat + 5)));
        }
        // 45 s without a word from it.
        assert!(matches!(state.beats(now + seconds(45)), (due, None) if due.is_empty()));
        state.forget(ticket);
        assert!(state.neighbours.is_empty());
    }

    #[test]
    fn a_ping_before_the_connection_counts_and_a_pong_keeps_the_heartbeat_alive() {
        let (mut state, now) = start();
        let (id, pair) = peer(2);
        state.heard_ping(id, pair, now);
        state.connected(id, path(2), now + seconds(1)).unwrap();
        for beat in 1..100 {
            let later = now + seconds(5 * beat + 1);
            let (due, _) = state.beats(later);
            assert_eq!(due.len(), 1, "beat {beat}");
            state.heard_pong(id, tx(&due[0]), later);
        }
        assert_eq!(state.counters.pongs_heard, 99);
    }

    #[test]
    fn a_pong_that_answers_nothing_is_counted_and_changes_nothing() {
        let (mut state, now) = start();
        let ((id, pair), (other, _)) = (peer(2), peer(3));
        state.connected(id, path(2), now).unwrap();
        state.heard_ping(id, pair, now);
        let (due, _) = state.beats(now + seconds(5));
        let late = now + seconds(40);
        state.heard_pong(id, [0; 12], late);
        state.heard_pong(other, tx(&due[0]), late);
        assert_eq!((state.counters.pongs_heard, state.counters.pongs_strange), (0, 2));
        state.heard_pong(id, tx(&due[0]), now + seconds(6));
        state.heard_pong(id, tx(&due[0]), late);
        assert_eq!((state.counters.pongs_heard, state.counters.pongs_strange), (1, 3), "once");
        assert_eq!(state.beats(now + seconds(52)).1, None, "6 s and 45 s are over");
    }

    #[test]
    fn an_old_ping_does_not_begin_a_heartbeat() {
        let (mut state, now) = start();
        let (id, pair) = peer(2);
        state.heard_ping(id, pair, now);
        state.connected(id, path(2), now + seconds(45)).unwrap();
        assert_eq!(state.beats(now + seconds(45)).1, None);
    }

    #[test]
    fn a_flood_of_strangers_leaves_our_peers_their_share() {
        let (mut state, now) = start();
        let (id, pair) = peer(2);
        state.connected(id, path(2), now).unwrap();
        let (stranger, _) = peer(3);
        let flood = (0..100_000_u32).map(|n| SocketAddr::from(((0x0b00_0000 + n).to_be_bytes(), 1)));
        let opened = flood.filter(|from| state.admit(*from, stranger, now).is_ok()).count();
        assert_eq!(opened, 256);
        assert!(state.admit(addr(2), id, now).unwrap().is_none());
        state.heard_ping(id, pair, now);
        assert!(state.admit(addr(2), id, now).unwrap().is_some(), "its key is kept");
        let more = (0..100).filter(|_| state.admit(addr(2), id, now).is_ok()).count();
        assert_eq!(more, 6, "a peer has a bound, too");
    }

    #[test]
    fn what_strangers_leave_behind_is_bounded() {
        let (mut state, now) = start();
        let (id, pair) = peer(2);
        for count in 0..5000 {
            state.heard_ping(PeerId::new([u8::try_from(count % 250).unwrap(); 32]), pair.clone(), now);
            state.park(path(3), vec![0; 111]);
            let path = path(u8::try_from(count % 250).unwrap());
            let _ticket = state.dialling(id, path.remote, pair.clone(), now);
            drop(state.announce(path));
        }
        assert_eq!(state.newcomers.len(), MAX_NEWCOMERS);
        assert_eq!(state.neighbours.len(), MAX_NEIGHBOURS);
        assert_eq!(state.asked.len(), MAX_ASKED);
        assert_eq!(state.counters.dropped, 5000 - 64);
        assert_eq!(state.unpark().len(), MAX_PARKED);
        assert!(!state.is_parked());
    }
}
