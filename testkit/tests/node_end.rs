//! A node whose parts fail ends in order, in time, and says which.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use bytes::Bytes;
use std::{
    net::UdpSocket,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use zakura::{
    config::Config,
    node::{BuildError, ChainId, Node, NodeError, NodeHandle},
    store::{Store, StoreOptions},
    zcash::Network,
};
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader},
};
use zakura_testkit::cluster::{PATIENCE, identity};
use zakura_transport::{Fence, PeerEvent, Spawner, lifecycle::Why};

/// What [`Node::run`] promises once the stop was asked for.
const PROMISE: Duration = Duration::from_secs(5);

/// An embedder's chain that breaks when it is told to.
struct Brittle {
    store: Store,
    /// The next call that a reactor makes itself panics.
    panics: AtomicBool,
    /// Raising the floor waits here.
    gate: Option<Barrier>,
}

impl Brittle {
    fn new(gate: Option<Barrier>) -> Arc<Self> {
        let store = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
        Arc::new(Self { store, panics: AtomicBool::new(false), gate })
    }
}

impl HeaderChain for Brittle {
    fn header_bytes(&self) -> usize {
        self.store.header_bytes()
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        self.store.describe(raw)
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        self.store.verify(raw)
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        self.store.accept(batch)
    }

    fn view(&self) -> HeaderView {
        assert!(!self.panics.load(Ordering::SeqCst), "planted");
        self.store.view()
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        self.store.find(hash)
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.store.hash_at(height)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        self.store.headers_after(query)
    }

    fn work_above(&self, fork: BlockRef) -> Option<Work> {
        self.store.work_above(fork)
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        self.store.anchors_above(height, limit)
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        if let Some(gate) = &self.gate {
            gate.wait();
            gate.wait();
        }
        self.store.finalize(floor)
    }
}

impl BlockStore for Brittle {
    fn acknowledged(&self) -> BlockRef {
        self.store.acknowledged()
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        self.store.missing(from, limit, view)
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        self.store.identify(raw)
    }

    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict {
        self.store.check(at, raw)
    }

    fn commit(&self, bodies: Vec<Body>) -> Commit {
        self.store.commit(bodies)
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        self.store.read(start, max_count, max_bytes)
    }
}

async fn build(index: u8, chain: &Arc<Brittle>, config: Config) -> Result<(Node, NodeHandle), BuildError> {
    let network = Network::Regtest;
    let chain_id = ChainId { network: network.wire_id(), genesis: BlockHash(network.genesis_hash()) };
    Node::builder(identity(index), chain_id, Arc::clone(chain)).config(config).build().await
}

/// Runs a node on a task; how it ended.
fn run(node: Node) -> oneshot::Receiver<Result<(), NodeError>> {
    let (end, ended) = oneshot::channel();
    Spawner::new().spawn("node", async move { drop(end.send(node.run().await)) });
    ended
}

/// Waits until nothing of a node holds its chain any more.
async fn is_let_go(chain: &Arc<Brittle>) {
    let let_go = async {
        while Arc::strong_count(chain) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, let_go).await.is_ok(), "something of the node still runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reactor_that_panics_stops_the_node_in_order_and_is_named() {
    let (brittle, other) = (Brittle::new(None), Brittle::new(None));
    let (peer, peer_handle) = build(1, &other, Config::local()).await.unwrap();
    let mut heard = peer_handle.peer_events();
    let mut config = Config::local();
    config.transport.peers = vec![peer_handle.local_peer().to_string()];
    let (node, handle) = build(2, &brittle, config).await.unwrap();
    let (peer, node) = (run(peer), run(node));
    let up = async { while !matches!(heard.recv().await.unwrap(), PeerEvent::Connected(_)) {} };
    timeout(PATIENCE, up).await.expect("the peers meet");

    brittle.panics.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    // What the pool has done is brought back to the reactor, which looks at its chain then.
    handle.headers().finalize(brittle.store.view().finalized);
    let ended = timeout(PATIENCE, node).await.expect("the node ends by itself").unwrap();
    assert!(matches!(ended, Err(NodeError::ActorPanicked { name: "header_sync" })), "{ended:?}");
    assert!(begin.elapsed() < PROMISE, "{:?}", begin.elapsed());
    timeout(PATIENCE, handle.stopping()).await.expect("who holds the handle hears of it");
    // In order: the peer was told, the port is free, nothing is left.
    let down = async { while !matches!(heard.recv().await.unwrap(), PeerEvent::Disconnected { .. }) {} };
    timeout(PATIENCE, down).await.expect("the peer is told");
    UdpSocket::bind(handle.local_peer().addr).unwrap();
    drop(handle);
    is_let_go(&brittle).await;

    peer_handle.stop();
    peer.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_does_not_start_is_named_and_takes_the_others_back() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let chain = Brittle::new(None);
    let mut config = Config::local();
    config.transport.listen = taken.local_addr().unwrap();
    let error = build(1, &chain, config).await.unwrap_err();
    assert!(matches!(error, BuildError::Bind(_)), "{error:?}");
    assert_eq!(Arc::strong_count(&chain), 1, "the reactors and the pool have ended already");

    // After the socket was bound, too: a node cannot dial itself.
    let mut config = Config::local();
    config.transport.peers = vec![format!("{}@127.0.0.1:9", identity(1).peer_id())];
    let error = build(1, &chain, config).await.unwrap_err();
    assert!(matches!(error, BuildError::Peer(_)), "{error:?}");
    is_let_go(&chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_is_named_and_the_stop_keeps_its_promise() {
    let chain = Brittle::new(Some(Barrier::new(2)));
    let (node, handle) = build(1, &chain, Config::local()).await.unwrap();
    let node = run(node);
    handle.headers().finalize(chain.store.view().finalized);
    chain.gate.as_ref().unwrap().wait();
    let begin = Instant::now();
    handle.stop();
    let ended = timeout(PATIENCE, node).await.expect("the node ends").unwrap();
    let took = begin.elapsed();
    chain.gate.as_ref().unwrap().wait();
    let Err(NodeError::Stragglers { stragglers }) = ended else { panic!("{ended:?}") };
    assert!(stragglers.contains(&"work-pool"), "{stragglers:?}");
    assert!(stragglers.iter().any(|name| *name == "work-0" || *name == "work-1"), "{stragglers:?}");
    assert!(!stragglers.contains(&"transport") && !stragglers.contains(&"header_sync"), "{stragglers:?}");
    assert!(took < PROMISE, "{took:?}");
    drop(handle);
    is_let_go(&chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dropped_ends() {
    let chain = Brittle::new(None);
    let (node, handle) = build(1, &chain, Config::local()).await.unwrap();
    drop(node);
    let addr = handle.local_peer().addr;
    is_let_go(&chain).await;
    drop(handle);
    let freed = async {
        while UdpSocket::bind(addr).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, freed).await.is_ok(), "the port is free");
}

#[test]
fn a_failure_keeps_its_words() {
    let failure = zakura_transport::lifecycle::ServiceFailure {
        name: "transport",
        why: Why::Failed("no more sockets".into()),
    };
    assert_eq!(NodeError::from(failure).to_string(), "the node stopped: service transport: no more sockets");
}
