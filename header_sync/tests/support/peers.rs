//! Nodes that sync over sessions joined in memory, and peers driven by hand.

use super::toy::Toy;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use zakura_header_sync::{
    HeaderSync, HeaderSyncConfig, HeaderSyncHandle, HeaderSyncStatus,
    chain::{BlockRef, Height, Work},
    wire::{Message, Status},
};
use zakura_transport::{
    Cancel, Capabilities, Direction, Exit, Fence, PeerId, PeerInfo, Role, Service as _, Session, Spawner,
    routine::{JobCost, Message as _, WorkPool},
};

/// What a job takes of the tests' time, which is virtual.
const JOB: JobCost = JobCost::Each(Duration::from_micros(200));

/// One node: a chain, header sync over it, and what it takes to run.
pub struct Node {
    pub id: PeerId,
    pub chain: Arc<Toy>,
    pub handle: HeaderSyncHandle,
    service: Arc<HeaderSync>,
    spawner: Spawner,
}

/// One end of a session that runs.
pub struct Link {
    pub cancel: Cancel,
    end: oneshot::Receiver<Exit>,
}

impl Link {
    /// How the routine ended.
    pub async fn ended(self) -> Exit {
        tokio::time::timeout(Duration::from_secs(200), self.end).await.expect("it ends").unwrap()
    }
}

pub fn info(id: PeerId) -> PeerInfo {
    let addr = SocketAddr::from(([127, 0, 0, 1], 1));
    let capabilities = Capabilities::HEADER_SYNC;
    let (direction, role, connection) = (Direction::Outbound, Role::Outbound, Fence::mint());
    PeerInfo { id, addr, direction, role, connection, capabilities }
}

impl Node {
    pub fn new(id: u8, chain: Toy) -> Self {
        Self::configured(id, chain, HeaderSyncConfig::recommended())
    }

    pub fn configured(id: u8, chain: Toy, config: HeaderSyncConfig) -> Self {
        let spawner = Spawner::new();
        let pool = WorkPool::inline(&spawner, JOB, 64);
        Self::over(id, chain, config, pool, spawner)
    }

    /// A node whose work runs on this pool.
    pub fn over(id: u8, chain: Toy, config: HeaderSyncConfig, pool: WorkPool, spawner: Spawner) -> Self {
        let chain = Arc::new(chain);
        let (service, handle) = HeaderSync::new(chain.clone(), config, pool, &spawner);
        Self { id: PeerId::new([id; 32]), chain, handle, service: Arc::new(service), spawner }
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

    /// Joins a peer that is driven by hand.
    pub fn join_by_hand(&self, id: u8) -> (Link, ByHand) {
        let (here, there) = Session::pair(info(PeerId::new([id; 32])), info(self.id), 64);
        (self.run(here), ByHand(there))
    }

    /// Waits until our tip is `tip`.
    pub async fn reach(&self, tip: BlockRef) {
        let mut views = self.handle.views();
        let reached = async {
            while views.get().tip != tip {
                views.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(
            in_time.is_ok(),
            "stuck at {} on the way to {tip}: {:#?}",
            self.chain.tip(),
            self.handle.status()
        );
    }

    /// Waits until the status says so.
    pub async fn wait(&self, what: &str, done: impl Fn(&HeaderSyncStatus) -> bool) {
        let waited = async {
            while !done(&self.handle.status()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), waited).await;
        assert!(in_time.is_ok(), "never {what}: {:#?}", self.handle.status());
    }

    /// Headers that a peer delivered and we accepted.
    pub fn from(&self, id: PeerId) -> u64 {
        self.handle.status().peers.iter().filter(|peer| peer.peer == id).map(|peer| peer.headers).sum()
    }
}

/// A peer that does what the test says.
pub struct ByHand(Session);

impl ByHand {
    pub async fn say(&mut self, message: Message) {
        self.0.frames_out.send(message.encode()).await.unwrap();
    }

    /// What the node says next, Statuses left out.
    pub async fn hear(&mut self) -> Message {
        loop {
            let frame = self.0.frames_in.recv().await.unwrap().expect("the node still speaks");
            match Message::decode(frame).unwrap() {
                Message::Status(_) => {}
                other => return other,
            }
        }
    }

    /// Advertises a tip.
    pub async fn advertise(&mut self, tip: BlockRef) {
        self.say(Message::Status(status(tip))).await;
    }
}

/// A generous peer's Status with this tip.
pub fn status(tip: BlockRef) -> Status {
    Status {
        anchor: BlockRef { height: Height::GENESIS, hash: tip.hash },
        tip,
        work: Work::ZERO,
        oldest: Height::GENESIS,
        max_headers: 1_000,
        max_requests: 1,
        max_bytes: 2_097_152,
        aux_mask: 1,
    }
}
