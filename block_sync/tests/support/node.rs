//! A node: a store, block sync over it, and what it takes to run.

use super::toy::{Chain, Store};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use zakura_block_sync::{
    BlockSync, BlockSyncConfig, BlockSyncHandle, BlockSyncStatus, PeerProgress, ports::BlockStore as _,
};
use zakura_header_sync::{chain::BlockRef, ports::HeaderView};
use zakura_transport::{
    Cancel, Capabilities, Direction, Exit, Fence, PeerId, PeerInfo, Role, Service as _, Session, Spawner,
    routine::{JobCost, Publisher, WorkPool, publish},
};

/// What a job takes of the tests' time, which is virtual.
const JOB: JobCost = JobCost::Each(Duration::from_micros(200));

pub struct Node {
    pub id: PeerId,
    pub store: Arc<Store>,
    pub handle: BlockSyncHandle,
    pub views: Publisher<HeaderView>,
    pub spawner: Spawner,
    service: Arc<BlockSync>,
}

/// One end of a session that runs.
pub struct Link {
    pub cancel: Cancel,
    end: oneshot::Receiver<Exit>,
}

impl Link {
    /// How the routine ended.
    pub async fn ended(self) -> Exit {
        tokio::time::timeout(Duration::from_secs(300), self.end).await.expect("it ends").unwrap()
    }
}

pub fn id(id: u8) -> PeerId {
    PeerId::new([id; 32])
}

pub fn info(id: PeerId) -> PeerInfo {
    let addr = SocketAddr::from(([127, 0, 0, 1], 1));
    let capabilities = Capabilities::BLOCK_SYNC | Capabilities::UNPACED;
    let (direction, role, connection) = (Direction::Outbound, Role::Outbound, Fence::mint());
    PeerInfo { id, addr, direction, role, connection, capabilities }
}

impl Node {
    /// A node that has the headers of `chain` and its bodies below `held`.
    pub fn new(number: u8, chain: &Chain, held: usize) -> Self {
        Self::configured(number, Store::new(chain, held), BlockSyncConfig::recommended())
    }

    /// A node that has all of `chain`.
    pub fn full(number: u8, chain: &Chain) -> Self {
        Self::new(number, chain, chain.0.len())
    }

    pub fn configured(number: u8, store: Store, config: BlockSyncConfig) -> Self {
        let spawner = Spawner::new();
        let pool = WorkPool::inline(&spawner, JOB, 64);
        Self::over(number, store, config, pool, spawner)
    }

    /// A node whose work runs on this pool.
    pub fn over(number: u8, store: Store, config: BlockSyncConfig, pool: WorkPool, spawner: Spawner) -> Self {
        let store = Arc::new(store);
        let (publisher, views) = publish(store.view());
        let (service, handle) = BlockSync::new(store.clone(), views, config, pool, &spawner);
        Self { id: id(number), store, handle, views: publisher, spawner, service: Arc::new(service) }
    }

    /// Runs a session of this node.
    pub fn run(&self, session: Session) -> Link {
        let (service, cancel) = (Arc::clone(&self.service), session.cancel.clone());
        let (tell, end) = oneshot::channel();
        self.spawner.spawn("session", async move {
            let _ = tell.send(service.run(session).await);
        });
        Link { cancel, end }
    }

    /// Joins two nodes; returns the ends of the sessions at this node and at the other.
    pub fn join(&self, other: &Self) -> (Link, Link) {
        let (here, there) = Session::pair(info(other.id), info(self.id), 4);
        (self.run(here), other.run(there))
    }

    /// A session of this node whose other end is the test's.
    pub fn join_by_hand(&self, number: u8) -> (Link, Session) {
        let (here, there) = Session::pair(info(id(number)), info(self.id), 64);
        (self.run(here), there)
    }

    /// The chain has changed.
    pub fn reorganise(&self, chain: &Chain) {
        self.store.reorganise(chain);
        self.views.set(self.store.view());
    }

    /// Waits until everything up to `tip` is committed.
    pub async fn reach(&self, tip: BlockRef) {
        let mut committed = self.handle.committed();
        let reached = async {
            while committed.get() != tip {
                committed.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(40), reached).await;
        assert!(in_time.is_ok(), "stuck on the way to {tip}: {:#?}", self.handle.status());
        assert_eq!(self.store.acknowledged(), tip);
    }

    /// Waits until the status says so.
    pub async fn wait(&self, what: &str, done: impl Fn(&BlockSyncStatus) -> bool) {
        let waited = async {
            while !done(&self.handle.status()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(40), waited).await;
        assert!(in_time.is_ok(), "never {what}: {:#?}", self.handle.status());
    }

    /// What a peer has contributed.
    pub fn progress(&self, peer: PeerId) -> PeerProgress {
        let status = self.handle.status();
        status.per_peer.into_iter().find(|progress| progress.peer == peer).expect("the peer is known")
    }
}
