//! The next dial.

use super::targets::Targets;
use crate::book::{Book, Entry, Secret};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use zakura_transport::{PeerAddr, PeerId};

/// Dials under way at once (wire 5.1). Stops a book of dead addresses from taking every place for outbound peers.
const MAX_FLYING: usize = 4;

/// A dial whose outcome nobody told by now has failed: the transport gives it ten seconds at most (wire 5.1).
const FLIGHT: Duration = Duration::from_secs(15);

/// Places for outbound peers that discovery leaves to named peers, if there are enough (wire 5.1).
const HEADROOM: usize = 4;

/// How many peers to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Outbound peers that discovery dials up to, named ones counted.
    pub(crate) target_outbound: usize,
    /// Places for outbound peers.
    pub(crate) max_outbound: usize,
    /// Named peers, each of which may want a place.
    pub(crate) named: usize,
}

impl Limits {
    /// Discovery dials while fewer outbound peers than this are connected or being dialled.
    fn ceiling(self) -> usize {
        let headroom = HEADROOM.min(self.max_outbound / 2).max(self.named);
        self.target_outbound.min(self.max_outbound.saturating_sub(headroom))
    }
}

/// What a choice depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) book: &'a Book,
    /// Who is connected, whoever dialled.
    pub(crate) connected: &'a BTreeSet<PeerId>,
    /// How many of them we dialled.
    pub(crate) outbound: usize,
    /// Where we ourselves are reached: never dialled, whatever a record says.
    pub(crate) own: &'a BTreeSet<SocketAddr>,
    /// The wall clock, for the expiry of records.
    pub(crate) unix: u64,
}

/// How a dial of ours ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A connection with the peer stands.
    Connected,
    /// There is none, and the peer or its address may be why.
    Failed,
    /// There is none, and the peer has nothing to do with it.
    NotTried,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    addr: SocketAddr,
    until: Instant,
}

/// Chooses dials and knows which are under way.
#[derive(Debug)]
pub(crate) struct Plan {
    limits: Limits,
    secret: Secret,
    targets: Targets,
    flying: BTreeMap<PeerId, Flight>,
    jitter: ChaCha8Rng,
}

impl Plan {
    pub(crate) fn new(limits: Limits, secret: Secret, seed: u64) -> Self {
        let jitter = ChaCha8Rng::seed_from_u64(seed);
        Self { limits, secret, targets: Targets::default(), flying: BTreeMap::new(), jitter }
    }

    /// Dials under way.
    pub(crate) fn flying(&self) -> usize {
        self.flying.len()
    }

    /// A number that spreads pauses.
    pub(crate) fn jitter(&mut self) -> u64 {
        self.jitter.next_u64()
    }

    /// The next peer to dial now; it counts as being dialled from here on.
    pub(crate) fn next(&mut self, now: Instant, scene: Scene<'_>) -> Option<PeerAddr> {
        let busy = scene.outbound.saturating_add(self.flying.len());
        if self.flying.len() >= MAX_FLYING || busy >= self.limits.ceiling() {
            return None;
        }
        let candidates = scene.book.iter().filter_map(|(id, entry)| {
            let free = !entry.is_named && !scene.connected.contains(&id) && !self.flying.contains_key(&id);
            let addr = free.then(|| self.address(now, scene, entry)).flatten()?;
            Some((self.order(id, entry), PeerAddr { id, addr }))
        });
        let (_, peer) = candidates.min_by_key(|(order, _)| *order)?;
        let until = now.checked_add(FLIGHT).unwrap_or(now);
        self.flying.insert(peer.id, Flight { addr: peer.addr, until });
        self.targets.dialled(now, peer.addr);
        Some(peer)
    }

    /// Where a node may be dialled now: the first of its addresses that is not resting.
    fn address(&self, now: Instant, scene: Scene<'_>, entry: &Entry) -> Option<SocketAddr> {
        let may = |addr: &SocketAddr| {
            entry.attempts.allow(now, addr.ip())
                && !scene.own.contains(addr)
                && self.targets.allow(now, *addr)
        };
        if entry.holds(scene.unix) { entry.addresses().find(may) } else { None }
    }

    /// The order in which nodes are dialled (wire 5.1): the latest success, the fewest failures, the latest seen, and then
    /// by chance, which the secret decides.
    fn order(&self, id: PeerId, entry: &Entry) -> (Reverse<Option<Instant>>, u32, Reverse<Instant>, u64) {
        let attempts = &entry.attempts;
        let chance = self.secret.hash(&[b"dial", id.as_bytes()]);
        (Reverse(attempts.success()), attempts.failures(), Reverse(entry.seen), chance)
    }

    /// A dial to this peer has ended. Where it went, if it was one of ours; pauses are noted in the book.
    pub(crate) fn landed(
        &mut self,
        now: Instant,
        book: &mut Book,
        id: PeerId,
        outcome: Outcome,
    ) -> Option<SocketAddr> {
        let flight = self.flying.remove(&id)?;
        let jitter = self.jitter();
        match outcome {
            Outcome::Connected => book.confirm(id),
            Outcome::Failed => {
                if let Some(attempts) = book.attempts_mut(id) {
                    attempts.failed(now, flight.addr.ip(), jitter);
                }
            }
            Outcome::NotTried => {}
        }
        Some(flight.addr)
    }

    /// Notes dials whose outcome nobody told, and forgets targets that have rested.
    pub(crate) fn tick(&mut self, now: Instant, book: &mut Book) {
        let lost: Vec<_> =
            self.flying.iter().filter(|(_, flight)| flight.until <= now).map(|(id, _)| *id).collect();
        for id in lost {
            self.landed(now, book, id, Outcome::Failed);
        }
        self.targets.prune(now);
    }
}
