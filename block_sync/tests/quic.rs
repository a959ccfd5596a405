//! Over real QUIC on loopback: equal links bring equal shares, or half of them at least.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot be set up has failed")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};
use support::toy::{Chain, Store};
use zakura_block_sync::{BlockSync, BlockSyncConfig, BlockSyncHandle};
use zakura_transport::{
    Identity, Registry, Spawner, Transport, TransportConfig, TransportHandle,
    routine::{Publisher, WorkPool, publish},
};

struct Node {
    transport: TransportHandle,
    handle: BlockSyncHandle,
    store: Arc<Store>,
    views: Publisher<zakura_header_sync::ports::HeaderView>,
}

/// A node with the headers of `chain` and its bodies below `held`.
async fn node(seed: u8, chain: &Chain, held: usize) -> Node {
    let (spawner, store) = (Spawner::new(), Arc::new(Store::new(chain, held)));
    let (publisher, views) = publish(store.view());
    let pool = WorkPool::new(&spawner, 1, 64).unwrap();
    let (service, handle) =
        BlockSync::new(store.clone(), views, BlockSyncConfig::recommended(), pool, &spawner);
    let mut registry = Registry::new();
    registry.register(service).unwrap();
    let config = TransportConfig::local(SocketAddr::from(([127, 0, 0, 1], 0)), 3, [0x22; 32], seed.into());
    let identity = Identity::from_seed([seed; 32]).unwrap();
    let transport = Transport::start(config, identity, registry, spawner).await.unwrap();
    Node { transport, handle, store, views: publisher }
}

/// Bodies as on a real chain: most are small, a few are very large.
fn size(at: usize) -> usize {
    let spread = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    match spread % 100 {
        0..55 => 1_700,
        55..90 => 2_000 + spread % 14_000,
        90..99 => 16_000 + spread % 59_000,
        _ => 100_000 + spread % 1_800_000,
    }
}

/// On one thread, so that a busy machine slows all of them alike: equal links are what the shares are about.
#[tokio::test]
async fn each_of_eight_peers_brings_half_of_its_fair_share_at_least() {
    let chain = Chain::genesis().grow(2_000, 1, size);
    let reader = node(1, &Chain::genesis(), 1).await;
    let mut servers = Vec::new();
    for seed in 2..10 {
        servers.push(node(seed, &chain, 2_001).await);
    }
    for server in &servers {
        reader.transport.add_peer(server.transport.local_peer()).await.unwrap();
    }
    let met = async {
        while reader.handle.status().per_peer.len() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met).await.expect("eight sessions");
    reader.store.reorganise(&chain);
    reader.views.set(reader.store.view());
    let mut committed = reader.handle.committed();
    let reached = async {
        while committed.get() != chain.tip() {
            committed.changed().await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), reached).await;
    let status = reader.handle.status();
    assert!(in_time.is_ok(), "{status:#?}");
    let shares: Vec<_> = status.per_peer.iter().map(|peer| peer.blocks).collect();
    assert!(shares.iter().all(|share| *share >= 125), "{shares:?}");
    assert!(status.per_peer.iter().all(|peer| peer.timeouts == 0 && peer.useless == 0), "{status:#?}");
}
