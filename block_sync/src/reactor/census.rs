//! Who is here, what can be asked of them, and what each has contributed.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::{
    machine::{Input, Pulse},
    status::PeerProgress,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use zakura_header_sync::chain::{Height, HeightRange};
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;
use zakura_transport::{Conviction, Convictions, Fence, PeerId, Violation, routine::Mailbox};

/// Peers remembered after they left. Stops identities, which are free, from filling memory.
const MAX_PEERS: usize = 512;

/// How long a new session counts as one that may yet turn out useful.
const HOPE: Duration = Duration::from_secs(3);

/// The rule's name for a body that fails its check.
const WRONG_BODY: &str = "body does not match its header";

#[derive(Debug)]
struct Session {
    peer: PeerId,
    mailbox: Mailbox<Input>,
    joined: Instant,
    has_spoken: bool,
    range: Option<HeightRange>,
}

impl Session {
    fn is_hopeful(&self, now: Instant) -> bool {
        !self.has_spoken && now.saturating_duration_since(self.joined) < HOPE
    }
}

/// Sessions and peers.
#[derive(Debug, Default)]
pub(super) struct Census {
    sessions: BTreeMap<Fence, Session>,
    peers: BTreeMap<PeerId, PeerProgress>,
    convictions: Convictions,
}

impl Census {
    pub(super) fn join(&mut self, now: Instant, session: Fence, peer: PeerId, mailbox: Mailbox<Input>) {
        let session_is = Session { peer, mailbox, joined: now, has_spoken: false, range: None };
        self.sessions.insert(session, session_is);
        self.make_room();
        self.peers.entry(peer).or_insert_with(|| newcomer(peer)).connected = true;
    }

    /// How full it is. Peers with a session stay whatever the cap says.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self) -> [Fill; 2] {
        let peers_cap = MAX_PEERS.max(self.sessions.len());
        [
            Fill::new("block_sync.peers", self.peers.len(), peers_cap),
            self.convictions.fill("block_sync.convictions"),
        ]
    }

    /// How many guilty peers it remembers.
    #[cfg(feature = "simulation")]
    pub(super) fn guilty(&self) -> u64 {
        self.convictions.fill("").holds
    }

    /// Peers that count as connected, beside those that have a session.
    #[cfg(feature = "simulation")]
    pub(super) fn recount(&self) -> zakura_transport::routine::Recount {
        let connected = self.peers.values().filter(|progress| progress.connected).count();
        let present: std::collections::BTreeSet<_> =
            self.sessions.values().map(|session| session.peer).collect();
        zakura_transport::routine::Recount::of("block_sync.connected", connected, present.len())
    }

    pub(super) fn leave(&mut self, session: Fence) {
        let Some(Session { peer, .. }) = self.sessions.remove(&session) else { return };
        let is_here = self.sessions.values().any(|other| other.peer == peer);
        if let Some(progress) = self.peers.get_mut(&peer) {
            progress.connected = is_here;
            progress.in_flight = 0;
        }
    }

    pub(super) fn set_range(&mut self, session: Fence, range: Option<HeightRange>) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.range = range;
            session.has_spoken = true;
        }
    }

    pub(super) fn peer(&self, session: Fence) -> Option<PeerId> {
        self.sessions.get(&session).map(|session| session.peer)
    }

    pub(super) fn mailbox(&self, session: Fence) -> Option<&Mailbox<Input>> {
        self.sessions.get(&session).map(|session| &session.mailbox)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The highest body that a peer claims to have.
    pub(super) fn highest(&self) -> Option<Height> {
        self.sessions.values().filter_map(|session| session.range).map(HeightRange::last).max()
    }

    /// Sessions that have `floor` and may be asked.
    pub(super) fn useful(&self, floor: Height) -> u32 {
        let able = self.sessions.values().filter(|session| session.range.is_some_and(|r| r.last() >= floor));
        u32::try_from(able.count()).unwrap_or(u32::MAX)
    }

    /// Sessions so new that they may yet say they have it.
    pub(super) fn hopeful(&self, now: Instant) -> u32 {
        let new = self.sessions.values().filter(|session| session.is_hopeful(now));
        u32::try_from(new.count()).unwrap_or(u32::MAX)
    }

    /// Whether a peer besides these has `height` and may be asked, or may yet say so.
    pub(super) fn others_have(&self, now: Instant, height: Height, besides: &[PeerId]) -> bool {
        let mut others = self.sessions.values().filter(|session| !besides.contains(&session.peer));
        others.any(|other| other.is_hopeful(now) || other.range.is_some_and(|range| range.contains(height)))
    }

    /// A body of this peer was kept.
    pub(super) fn delivered(&mut self, session: Fence, bytes: u64) {
        self.update(session, |progress| {
            progress.blocks = progress.blocks.saturating_add(1);
            progress.bytes = progress.bytes.saturating_add(bytes);
        });
    }

    /// Bodies were sent to this peer.
    pub(super) fn served(&mut self, session: Fence, blocks: u32, bytes: u64) {
        self.update(session, |progress| {
            progress.served_blocks = progress.served_blocks.saturating_add(blocks.into());
            progress.served_bytes = progress.served_bytes.saturating_add(bytes);
        });
    }

    /// A machine's newest numbers.
    pub(super) fn pulse(&mut self, session: Fence, pulse: Pulse) {
        self.update(session, |progress| {
            progress.rate = pulse.rate;
            progress.round_trip = pulse.round_trip;
            progress.in_flight = pulse.in_flight;
            progress.window = pulse.window;
            progress.reliability = pulse.reliability;
            progress.timeouts = pulse.timeouts;
            progress.refusals = pulse.refusals;
            progress.useless = pulse.useless;
        });
    }

    /// A body of this peer is provably wrong.
    pub(super) fn convict(&mut self, peer: PeerId, evidence: String) {
        self.convictions.add(peer, &Violation::proven_invalid(WRONG_BODY, evidence));
    }

    pub(super) fn per_peer(&self) -> Vec<PeerProgress> {
        self.peers.values().cloned().collect()
    }

    pub(super) fn convictions(&self) -> Vec<Conviction> {
        self.convictions.to_vec()
    }

    fn update(&mut self, session: Fence, change: impl FnOnce(&mut PeerProgress)) {
        let peer = self.sessions.get(&session).map(|session| session.peer);
        if let Some(progress) = peer.and_then(|peer| self.peers.get_mut(&peer)) {
            change(progress);
        }
    }

    /// Forgets those who left and gave least.
    fn make_room(&mut self) {
        while self.peers.len() >= MAX_PEERS {
            let gone = self.peers.values().filter(|progress| !progress.connected);
            let Some(least) = gone.min_by_key(|progress| progress.blocks).map(|progress| progress.peer)
            else {
                return;
            };
            self.peers.remove(&least);
        }
    }
}

const fn newcomer(peer: PeerId) -> PeerProgress {
    PeerProgress {
        peer,
        connected: true,
        blocks: 0,
        bytes: 0,
        served_blocks: 0,
        served_bytes: 0,
        rate: 0,
        round_trip: Duration::ZERO,
        in_flight: 0,
        window: 0,
        reliability: 0,
        timeouts: 0,
        refusals: 0,
        useless: 0,
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "an overflow in a test fails the test"
)]
mod tests {
    use super::*;
    use zakura_transport::routine::inlet;

    #[test]
    fn contributions_outlive_sessions_and_stay_bounded() {
        let now = tokio::time::Instant::now().into_std();
        let mut census = Census::default();
        let id = |n: u16| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            PeerId::new(bytes)
        };
        for n in 0..1_000 {
            let session = Fence::mint();
            census.join(now, session, id(n), inlet(1).0);
            if n == 0 {
                census.delivered(session, 7);
            }
            census.leave(session);
        }
        let peers = census.per_peer();
        assert_eq!(peers.len(), MAX_PEERS);
        assert!(peers.iter().all(|progress| !progress.connected));
        assert_eq!((peers[0].peer, peers[0].bytes), (id(0), 7));
    }

    #[test]
    fn only_peers_with_the_floor_count() {
        let now = tokio::time::Instant::now().into_std();
        let (mut census, session) = (Census::default(), Fence::mint());
        census.join(now, session, PeerId::new([1; 32]), inlet(1).0);
        let height = |n| Height::new(n).unwrap();
        assert_eq!((census.useful(height(5)), census.hopeful(now)), (0, 1));
        assert_eq!(census.hopeful(now + HOPE), 0, "silence is no promise");
        census.set_range(session, HeightRange::new(height(0), height(5)));
        assert_eq!((census.useful(height(5)), census.useful(height(6)), census.hopeful(now)), (1, 0, 0));
    }
}
