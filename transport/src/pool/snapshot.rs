//! Who is connected, for everybody to read. The one lock of the pool: a read copies, a write splices.

use crate::{PeerId, PeerInfo, Role, connection::Requester, observe::Recorder};
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Records of past connections that are kept: stops identities, which cost nothing, from filling our memory.
const PAST: usize = 64;
/// Of those, the most of one peer: stops a peer that comes and goes from wiping out what others did.
const PAST_OF_A_PEER: usize = 4;

/// The registered connections, and the records of the last ones that were. Only the pool writes.
#[derive(Clone, Default)]
pub(crate) struct Snapshot(Arc<RwLock<Roll>>);

#[derive(Default)]
struct Roll {
    live: BTreeMap<PeerId, (PeerInfo, Requester)>,
    /// The oldest first.
    past: Past,
}

#[derive(Default)]
struct Past(VecDeque<Arc<Recorder>>);

impl Past {
    /// Keeps a record. What gives way is returned, to be dropped elsewhere.
    fn keep(&mut self, record: Arc<Recorder>) -> Option<Arc<Recorder>> {
        let of_peer = |other: &Arc<Recorder>| other.peer() == record.peer();
        let first = match self.0.iter().filter(|other| of_peer(other)).count() >= PAST_OF_A_PEER {
            true => self.0.iter().position(of_peer),
            false => (self.0.len() >= PAST).then_some(0),
        };
        let gone = first.and_then(|index| self.0.remove(index));
        self.0.push_back(record);
        gone
    }
}

impl Snapshot {
    pub(super) fn insert(&self, info: PeerInfo, requester: Requester) {
        let before = self.0.write().live.insert(info.id, (info, requester));
        drop(before);
    }

    pub(super) fn set_role(&self, id: PeerId, role: Role) {
        if let Some((info, _)) = self.0.write().live.get_mut(&id) {
            info.role = role;
        }
    }

    pub(super) fn remove(&self, id: PeerId) {
        let mut roll = self.0.write();
        let before = roll.live.remove(&id);
        let gone =
            before.as_ref().and_then(|(_, requester)| roll.past.keep(Arc::clone(requester.recorder())));
        drop(roll);
        drop((before, gone));
    }

    /// Every registered peer, by id.
    pub(crate) fn peers(&self) -> Vec<PeerInfo> {
        self.0.read().live.values().map(|(info, _)| info.clone()).collect()
    }

    /// A way to ask a peer.
    pub(crate) fn requester(&self, id: PeerId) -> Option<Requester> {
        self.0.read().live.get(&id).map(|(_, requester)| requester.clone())
    }

    /// A way to ask every registered peer, by id.
    pub(crate) fn requesters(&self) -> Vec<Requester> {
        self.0.read().live.values().map(|(_, requester)| requester.clone()).collect()
    }

    /// The records of a peer's connections that are kept, the oldest first and the one that stands last.
    pub(crate) fn records(&self, id: PeerId) -> Vec<Arc<Recorder>> {
        let roll = self.0.read();
        let past = roll.past.0.iter().filter(|record| record.peer() == id);
        past.chain(roll.live.get(&id).map(|(_, requester)| requester.recorder())).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, Direction, Fence};

    fn record(peer: u8) -> Arc<Recorder> {
        let info = PeerInfo {
            id: PeerId::new([peer; 32]),
            addr: "127.0.0.1:1".parse().unwrap(),
            direction: Direction::Inbound,
            role: crate::Role::Inbound,
            connection: Fence::mint(),
            capabilities: Capabilities::NONE,
        };
        Arc::new(Recorder::new(info, tokio::time::Instant::now().into_std()))
    }

    #[test]
    fn the_oldest_of_many_past_connections_gives_way() {
        let mut past = Past::default();
        for peer in 0..100 {
            drop(past.keep(record(peer)));
        }
        let kept: Vec<_> = past.0.iter().map(|record| record.peer().as_bytes()[0]).collect();
        assert_eq!(kept, (36..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_peer_that_comes_and_goes_does_not_wipe_out_the_others() {
        let mut past = Past::default();
        drop(past.keep(record(1)));
        for _ in 0..1_000 {
            drop(past.keep(record(2)));
        }
        let kept: Vec<_> = past.0.iter().map(|record| record.peer().as_bytes()[0]).collect();
        assert_eq!(kept, [1, 2, 2, 2, 2]);
    }
}
