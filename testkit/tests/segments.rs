//! Below configured checkpoints, eight peers each serve part of 20,000 headers at once. A peer whose segments do not
//! close on their checkpoint is named, and what it had is fetched elsewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use bytes::Bytes;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
};
use zakura::{
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader},
};
use zakura_testkit::{
    chain::{append, parent_of_next, unmined},
    cluster::{Member, PATIENCE},
};
use zakura_transport::{Fence, PeerEvent};

/// Honest servers.
const SERVERS: usize = 8;
/// Headers of the honest chain.
const LENGTH: u32 = 20_000;
/// A checkpoint every so many headers, as on the real network.
const SPACING: u32 = 400;
/// Where the liar's chain leaves the honest one.
const LIE: u32 = 150;

fn store(blocks: &[Vec<u8>], checkpoints: Vec<BlockRef>) -> Arc<Store> {
    let options = StoreOptions { no_pow: true, checkpoints: Some(checkpoints), ..StoreOptions::default() };
    let store = Store::in_memory(Network::Regtest, options).unwrap();
    append(&store, blocks).unwrap();
    Arc::new(store)
}

/// A served chain whose first page is not given before every server has been asked for one.
struct Together {
    chain: Arc<Store>,
    everybody: Arc<Barrier>,
    /// Where the first page asked for begins, plus one; zero before.
    first: Arc<AtomicU32>,
}

impl HeaderChain for Together {
    fn header_bytes(&self) -> usize {
        self.chain.header_bytes()
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        self.chain.describe(raw)
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        self.chain.verify(raw)
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        self.chain.accept(batch)
    }

    fn view(&self) -> HeaderView {
        self.chain.view()
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        self.chain.find(hash)
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.chain.hash_at(height)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        let start = query.locator.first().and_then(|hash| self.chain.find(hash)).map_or(0, Height::get);
        if self.first.compare_exchange(0, start + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.everybody.wait();
        }
        self.chain.headers_after(query)
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        self.chain.anchors_above(height, limit)
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        self.chain.finalize(floor)
    }
}

impl BlockStore for Together {
    fn acknowledged(&self) -> BlockRef {
        self.chain.acknowledged()
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        self.chain.missing(from, limit, view)
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        self.chain.identify(raw)
    }

    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict {
        self.chain.check(at, raw)
    }

    fn commit(&self, bodies: Vec<Body>) -> Commit {
        self.chain.commit(bodies)
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        self.chain.read(start, max_count, max_bytes)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_peers_share_the_segments_and_a_liar_is_named() {
    let chain = unmined(Parent::genesis(), LENGTH, 1);
    let honest = store(&chain, Vec::new());
    let parent = parent_of_next(&chain[LIE as usize - 1], LIE).unwrap();
    let forged: Vec<_> =
        chain[..LIE as usize].iter().cloned().chain(unmined(parent, LENGTH - LIE, 2)).collect();
    let lying = store(&forged, Vec::new());

    let anchor = |height| {
        let height = Height::new(height).unwrap();
        BlockRef { height, hash: honest.hash_at(height).unwrap() }
    };
    let anchors = (1..=LENGTH / SPACING).map(|n| anchor(n * SPACING)).collect();
    let own = store(&[], anchors);

    let liar = Member::start(100, &lying, &[]).await.unwrap();
    let mut servers = Vec::new();
    let (everybody, mut firsts) = (Arc::new(Barrier::new(SERVERS)), Vec::new());
    for index in 1..=SERVERS {
        firsts.push(Arc::new(AtomicU32::new(0)));
        let (chain, everybody) = (Arc::clone(&honest), Arc::clone(&everybody));
        let served = Together { chain, everybody, first: Arc::clone(&firsts[index - 1]) };
        servers.push(Member::start(index as u8, &Arc::new(served), &[]).await.unwrap());
    }
    // At first the node knows the liar only, so that the lowest segment is the liar's to serve.
    let node = Member::start(200, &own, &[liar.peer()]).await.unwrap();
    let mut events = node.handle.peer_events();
    let convicted = async {
        while !matches!(events.recv().await, Ok(PeerEvent::Disconnected { peer, .. }) if peer.id == liar.id())
        {
        }
    };
    tokio::time::timeout(PATIENCE, convicted).await.unwrap();
    assert_eq!(own.view().tip.height, Height::GENESIS, "a segment that did not close was stored");
    for server in &servers {
        node.handle.add_peer(server.peer()).await.unwrap();
    }

    let mut views = node.handle.headers().views();
    let tip = honest.view().tip;
    let arrival = async {
        while views.get().tip != tip {
            views.changed().await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, arrival).await;
    let status = node.handle.headers().status();
    assert!(in_time.is_ok(), "{status:?}");
    assert_eq!(own.hash_at(tip.height), Some(tip.hash));

    // All eight were asked at the same moment, each for a segment of its own. Which of them brought how much depends on
    // the machine: a slow one's last segment may come from a quicker one.
    let starts: BTreeSet<u32> = firsts.iter().map(|first| first.load(Ordering::SeqCst)).collect();
    assert_eq!(starts.len(), SERVERS, "{starts:?}");
    assert!(!starts.contains(&0), "{starts:?}");
    let delivered = |id| status.peers.iter().find(|peer| peer.peer == id).map_or(0, |peer| peer.headers);
    let shares: Vec<u64> = servers.iter().map(|server| delivered(server.id())).collect();
    assert_eq!(shares.iter().sum::<u64>(), u64::from(LENGTH), "{shares:?}");
    assert!(shares.iter().filter(|share| **share > 0).count() > SERVERS / 2, "{shares:?}");

    // Nobody honest is blamed; the liar is named with its evidence.
    for server in &servers {
        assert!(status.convictions.iter().all(|conviction| conviction.peer != server.id()), "{status:?}");
    }
    let named = status.convictions.iter().find(|conviction| conviction.peer == liar.id());
    assert!(named.is_some_and(|conviction| conviction.rule == "segment.closes"), "{status:?}");

    // The node goes on to honest bodies through the same peers.
    node.commits(tip).await.unwrap();
    for member in servers.into_iter().chain([node, liar]) {
        member.stop().await.unwrap();
    }
}
