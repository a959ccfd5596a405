//! A peer with a longer branch appears after sync: the node follows it, and nothing below its floor moves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::sync::Arc;
use zakura::{
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::{
    chain::{BlockHash, Height},
    ports::HeaderChain,
};
use zakura_testkit::{
    chain::{append, mined, parent_of_next},
    cluster::Member,
};

/// The first chain's blocks: enough that the floor, 100 below the tip, is above genesis.
const LENGTH: u32 = 140;
/// Where the longer branch leaves it.
const FORK: u32 = 125;
/// Where a branch leaves it that is longer still, below the floor.
const DEEP_FORK: u32 = 20;

fn store(blocks: &[Vec<u8>]) -> Arc<Store> {
    let store = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
    append(&store, blocks).unwrap();
    Arc::new(store)
}

fn branch(trunk: &[Vec<u8>], fork: u32, length: u32, seed: u64) -> Vec<Vec<u8>> {
    let kept = &trunk[..fork as usize];
    let parent = parent_of_next(kept.last().unwrap(), fork).unwrap();
    kept.iter().cloned().chain(mined(parent, length, seed)).collect()
}

fn hashes(store: &Store) -> Vec<BlockHash> {
    (0..=store.view().tip.height.get()).map(|n| store.hash_at(Height::new(n).unwrap()).unwrap()).collect()
}

fn bodies(store: &Store) -> Vec<bytes::Bytes> {
    let mut bodies = Vec::new();
    while let Some(start) = Height::new(bodies.len() as u32).filter(|at| *at <= store.acknowledged().height) {
        bodies.extend(store.read(start, 128, u32::MAX).unwrap());
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_branch_replaces_the_tip_and_never_the_floor() {
    let trunk = mined(Parent::genesis(), LENGTH, 1);
    let first = store(&trunk);
    let longer = store(&branch(&trunk, FORK, LENGTH - FORK + 5, 2));
    let deep = store(&branch(&trunk, DEEP_FORK, LENGTH - DEEP_FORK + 60, 3));
    let own = store(&[]);

    let a = Member::start(1, &first, &[]).await.unwrap();
    let node = Member::start(9, &own, &[a.peer()]).await.unwrap();
    node.commits(first.view().tip).await.unwrap();
    let floor = own.view().finalized;
    assert_eq!(floor.height.get(), LENGTH - 100);
    let before = hashes(&own);

    // The longer branch wins, in headers and in bodies.
    let b = Member::start(2, &longer, &[]).await.unwrap();
    node.handle.add_peer(b.peer()).await.unwrap();
    node.commits(longer.view().tip).await.unwrap();
    assert_eq!(hashes(&own), hashes(&longer));
    assert_eq!(bodies(&own), bodies(&longer));
    assert_eq!(hashes(&own)[..=FORK as usize], before[..=FORK as usize]);
    assert!(own.view().finalized >= floor);

    // A branch with more work still, which leaves the chain below the floor, moves nothing.
    let settled = hashes(&own);
    let c = Member::start(3, &deep, &[]).await.unwrap();
    let mut events = node.handle.peer_events();
    node.handle.add_peer(c.peer()).await.unwrap();
    while !node.handle.peers().iter().any(|peer| peer.id == c.id()) {
        events.recv().await.unwrap();
    }
    // The node still follows an honest extension after it has met the deep branch.
    let raw = branch(&trunk, FORK, LENGTH - FORK + 5, 2);
    let parent = parent_of_next(raw.last().unwrap(), LENGTH + 5).unwrap();
    let extended = store(&raw.iter().cloned().chain(mined(parent, 3, 4)).collect::<Vec<_>>());
    let d = Member::start(4, &extended, &[]).await.unwrap();
    node.handle.add_peer(d.peer()).await.unwrap();
    node.commits(extended.view().tip).await.unwrap();
    assert_eq!(hashes(&own)[..settled.len()], settled);

    for member in [node, a, b, c, d] {
        member.stop().await.unwrap();
    }
}
