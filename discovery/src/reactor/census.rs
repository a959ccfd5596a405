//! Who is connected, and what its exchanges came to.

use crate::{machine::Bucket, status::Exchanges, wire::Summary};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use zakura_transport::{Direction, Fence, PeerId, PeerInfo};

/// A connection that stands this long is a success (wire 5.1).
const HEALTHY: Duration = Duration::from_secs(60);

/// Rounds missed in a row after which a connection has no discovery any more (wire 5.1).
const MAX_MISSED: u32 = 3;

/// Sessions of one connection at once, and one more after each interval: a peer that opens its stream again and again
/// would have fresh credit each time.
const SESSIONS: u32 = 8;
const SESSION_EVERY: Duration = Duration::from_secs(30);

/// New nodes that one connection may add to the book at once, and one more after each interval. Stops it from turning the
/// book over.
const ADDITIONS: u32 = 1_000;
const ADDITION_EVERY: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Debug)]
struct Connected {
    info: PeerInfo,
    since: Instant,
    /// Whether it was counted as a success.
    is_proven: bool,
    missed_in_a_row: u32,
    sessions: Bucket,
    additions: Bucket,
    exchanges: Exchanges,
    summaries_until: Instant,
}

/// A connection that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    /// Whether it did not stand long enough to be a success.
    pub(super) fell_short: bool,
    pub(super) direction: Direction,
}

/// Every connection, by peer.
#[derive(Debug, Default)]
pub(super) struct Census {
    peers: BTreeMap<PeerId, Connected>,
}

impl Census {
    /// A connection stands. Whether it was not known yet; it takes the place of an older one with the peer.
    pub(super) fn connected(&mut self, now: Instant, info: PeerInfo) -> bool {
        if self.peers.get(&info.id).is_some_and(|known| known.info.connection >= info.connection) {
            return false;
        }
        let id = info.id;
        let exchanges = Exchanges { peer: id, complete: 0, missed: 0, last: None, summaries: Vec::new() };
        let fresh = Connected {
            info,
            since: now,
            is_proven: false,
            missed_in_a_row: 0,
            sessions: Bucket::new(now, SESSIONS, SESSION_EVERY),
            additions: Bucket::new(now, ADDITIONS, ADDITION_EVERY),
            exchanges,
            summaries_until: now,
        };
        self.peers.insert(id, fresh);
        true
    }

    /// A connection is gone, unless another one with the peer stands already.
    pub(super) fn disconnected(&mut self, id: PeerId, connection: Fence) -> Option<Gone> {
        let peer = self.peers.get(&id).filter(|peer| peer.info.connection == connection)?;
        let gone = Gone { fell_short: !peer.is_proven, direction: peer.info.direction };
        self.peers.remove(&id);
        Some(gone)
    }

    /// Connections that stand no more, by what stands now.
    pub(super) fn missing(&self, standing: &[PeerInfo]) -> Vec<(PeerId, Fence)> {
        let stands: BTreeSet<_> = standing.iter().map(|info| (info.id, info.connection)).collect();
        let known = self.peers.iter().map(|(id, peer)| (*id, peer.info.connection));
        known.filter(|place| !stands.contains(place)).collect()
    }

    /// Connections that have just stood long enough.
    pub(super) fn proven(&mut self, now: Instant) -> Vec<(PeerId, Direction)> {
        let mut proven = Vec::new();
        for (id, peer) in &mut self.peers {
            if !peer.is_proven && now.saturating_duration_since(peer.since) >= HEALTHY {
                peer.is_proven = true;
                proven.push((*id, peer.info.direction));
            }
            if peer.summaries_until <= now {
                peer.exchanges.summaries.clear();
            }
        }
        proven
    }

    /// Whether one more session of this connection is let in.
    pub(super) fn may_open(&mut self, now: Instant, id: PeerId) -> bool {
        self.peers.get_mut(&id).is_some_and(|peer| peer.sessions.take(now))
    }

    /// Whether one more node may be added on this peer's word.
    pub(super) fn may_add(&mut self, now: Instant, id: PeerId) -> bool {
        self.peers.get_mut(&id).is_some_and(|peer| peer.additions.take(now))
    }

    /// A round is complete.
    pub(super) fn exchanged(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.missed_in_a_row = 0;
            peer.exchanges.complete = peer.exchanges.complete.saturating_add(1);
            peer.exchanges.last = Some(now);
        }
    }

    /// A round is not complete in time. Whether discovery may be tried again on this connection.
    pub(super) fn missed(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        peer.missed_in_a_row = peer.missed_in_a_row.saturating_add(1);
        peer.exchanges.missed = peer.exchanges.missed.saturating_add(1);
        peer.missed_in_a_row < MAX_MISSED
    }

    pub(super) fn told(&mut self, id: PeerId, summaries: Vec<Summary>, until: Instant) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.exchanges.summaries = summaries;
            peer.summaries_until = until;
        }
    }

    pub(super) fn info(&self, id: PeerId) -> Option<&PeerInfo> {
        self.peers.get(&id).map(|peer| &peer.info)
    }

    pub(super) fn ids(&self) -> BTreeSet<PeerId> {
        self.peers.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn outbound(&self) -> usize {
        self.peers.values().filter(|peer| peer.info.direction == Direction::Outbound).count()
    }

    pub(super) fn exchanges(&self) -> Vec<Exchanges> {
        self.peers.values().map(|peer| peer.exchanges.clone()).collect()
    }
}
