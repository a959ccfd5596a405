//! Who is connected, for everybody to read. The one lock of the pool: a read copies, a write splices.

use crate::{PeerId, PeerInfo, connection::Requester};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// The registered connections. Only the pool writes.
#[derive(Clone, Default)]
pub(crate) struct Snapshot(Arc<RwLock<BTreeMap<PeerId, (PeerInfo, Requester)>>>);

impl Snapshot {
    pub(super) fn insert(&self, info: PeerInfo, requester: Requester) {
        let before = self.0.write().insert(info.id, (info, requester));
        drop(before);
    }

    pub(super) fn remove(&self, id: PeerId) {
        let before = self.0.write().remove(&id);
        drop(before);
    }

    /// Every registered peer, by id.
    pub(crate) fn peers(&self) -> Vec<PeerInfo> {
        self.0.read().values().map(|(info, _)| info.clone()).collect()
    }

    /// A way to ask a peer.
    pub(crate) fn requester(&self, id: PeerId) -> Option<Requester> {
        self.0.read().get(&id).map(|(_, requester)| requester.clone())
    }
}
