//! Honest peers: the chain comes over, in parallel below checkpoints, by the most work above them.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod support;

use std::sync::{Arc, Barrier, atomic::Ordering};
use support::{
    peers::Node,
    toy::{self, Toy, block, genesis, grow, tip},
};
use zakura_header_sync::{HeaderSyncConfig, ports::HeaderChain as _};
use zakura_transport::{
    Spawner,
    routine::{JobFault, WorkPool},
};

#[tokio::test(start_paused = true)]
async fn five_thousand_headers_come_from_three_peers() {
    let chain = grow(&genesis(), 5_000, 1, 1);
    let node = Node::new(1, Toy::new(&genesis()));
    let servers: Vec<_> = (2..5).map(|id| Node::new(id, Toy::new(&chain))).collect();
    let _links: Vec<_> = servers.iter().map(|server| node.join(server)).collect();
    node.reach(tip(&chain)).await;
    assert_eq!(node.chain.headers(), chain);
    let delivered: u64 = servers.iter().map(|server| node.from(server.id)).sum();
    assert_eq!(delivered, 5_000, "whoever sees the tip sees who delivered it");
    assert_eq!(node.chain.verified.load(Ordering::SeqCst), 5_000, "each header is checked once");
    let count = |server: &Node| server.handle.status().peers.iter().map(|peer| peer.served).sum::<u64>();
    node.wait("counted by the servers", |_| servers.iter().map(count).sum::<u64>() >= 5_000).await;
}

#[tokio::test(start_paused = true)]
async fn segments_come_from_many_peers_and_need_no_check_of_their_own() {
    let chain = grow(&genesis(), 20_000, 1, 1);
    let anchors: Vec<_> = (1..=200).map(|step| block(&chain, step * 100)).collect();
    let node = Node::new(1, Toy::with_anchors(&genesis(), anchors));
    let heights = [20_000, 20_000, 15_000, 12_050, 9_999, 8_000, 5_000, 2_500];
    let server = |(id, height): (u8, &usize)| Node::new(id, Toy::new(&chain[..=*height]));
    let servers: Vec<_> = (2..).zip(&heights).map(server).collect();
    let _links: Vec<_> = servers.iter().map(|server| node.join(server)).collect();
    node.reach(tip(&chain)).await;
    assert_eq!(node.chain.headers(), chain);
    let delivered: Vec<_> = servers.iter().map(|server| node.from(server.id)).collect();
    assert!(delivered.iter().sum::<u64>() >= 19_000);
    assert!(delivered.iter().filter(|headers| **headers > 0).count() >= 4, "shared out: {delivered:?}");
    assert!(node.chain.verified.load(Ordering::SeqCst) <= 1_000, "only a tip inside a segment is checked");
    assert_eq!(node.handle.status().convictions, []);
}

#[tokio::test(start_paused = true)]
async fn a_tip_inside_a_segment_is_followed_with_full_proof_and_the_anchor_is_met_later() {
    let chain = grow(&genesis(), 900, 1, 1);
    let node = Node::new(1, Toy::with_anchors(&genesis(), vec![block(&chain, 400), block(&chain, 800)]));
    let low = Node::new(2, Toy::new(&chain[..=650]));
    let _low = node.join(&low);
    node.reach(block(&chain, 650)).await;
    assert_eq!(node.chain.verified.load(Ordering::SeqCst), 250, "from the anchor at 400 to the tip at 650");
    let high = Node::new(3, Toy::new(&chain));
    let _high = node.join(&high);
    node.reach(tip(&chain)).await;
    assert_eq!(node.chain.headers(), chain);
}

#[tokio::test(start_paused = true)]
async fn a_branch_with_more_work_is_followed() {
    let trunk = grow(&genesis(), 300, 1, 1);
    let ours = grow(&trunk, 1_500, 2, 1);
    let theirs = grow(&trunk, 1_200, 3, 2);
    let node = Node::new(1, Toy::new(&ours));
    let before = node.handle.views().get();
    let server = Node::new(2, Toy::new(&theirs));
    let _link = node.join(&server);
    node.reach(tip(&theirs)).await;
    assert_eq!(node.chain.headers(), theirs);
    let after = node.handle.views().get();
    assert_ne!(before.fence, after.fence, "a reorg changes the fence");
    assert_eq!(server.chain.headers(), theirs, "the better branch stays");
    assert_eq!(server.chain.verified.load(Ordering::SeqCst), 0, "less claimed work is not worth a check");
}

#[tokio::test(start_paused = true)]
async fn our_own_store_out_of_order_is_retried_and_nobodys_fault() {
    let chain = grow(&genesis(), 300, 1, 1);
    let by_segments = vec![block(&chain, 100), block(&chain, 300)];
    for anchors in [vec![], by_segments] {
        let toy = Toy::with_anchors(&genesis(), anchors);
        toy.out_of_order.store(2, Ordering::SeqCst);
        let node = Node::new(1, toy);
        let server = Node::new(2, Toy::new(&chain));
        let (_here, _there) = node.join(&server);
        node.wait("held up", |status| status.local_fault.is_some()).await;
        node.reach(tip(&chain)).await;
        node.wait("free again", |status| status.local_fault.is_none()).await;
        assert_eq!(node.handle.status().convictions, []);
    }
}

#[tokio::test(start_paused = true)]
async fn new_blocks_travel_along_a_line_of_nodes() {
    let chain = grow(&genesis(), 40, 1, 1);
    let nodes: Vec<_> = (1..5).map(|id| Node::new(id, Toy::new(&genesis()))).collect();
    let source = Node::new(9, Toy::new(&chain));
    let _links: Vec<_> = nodes.windows(2).map(|pair| pair[0].join(&pair[1])).collect();
    let _source = source.join(&nodes[0]);
    nodes[3].reach(tip(&chain)).await;
}

#[tokio::test(start_paused = true)]
async fn a_finality_service_can_raise_the_floor() {
    let chain = grow(&genesis(), 50, 1, 1);
    let node = Node::new(1, Toy::new(&chain));
    let mut views = node.handle.views();
    node.handle.finalize(block(&chain, 30));
    let view = views.changed().await.unwrap();
    assert_eq!(view.finalized, block(&chain, 30));
    assert_eq!(node.chain.view().work, toy::work(20));
}

/// A pool of one thread and one session, wholly taken until the gate was waited for twice.
async fn taken_pool(spawner: &Spawner, gate: &Arc<Barrier>) -> WorkPool {
    let pool = WorkPool::new(spawner, 1, 1).unwrap();
    for _ in 0..2 {
        let (pool, gate) = (pool.clone(), Arc::clone(gate));
        let mut held = Box::pin(async move { assert!(pool.run(move || gate.wait()).await.is_ok()) });
        // One takes the place, the other the line for it.
        assert!(futures::poll!(held.as_mut()).is_pending());
        spawner.spawn("holder", held);
    }
    assert_eq!(pool.run(|| ()).await, Err(JobFault::Busy));
    pool
}

#[tokio::test]
async fn a_busy_pool_is_counted_and_its_work_done_later() {
    let chain = grow(&genesis(), 200, 1, 1);
    let (spawner, gate) = (Spawner::new(), Arc::new(Barrier::new(2)));
    let pool = taken_pool(&spawner, &gate).await;
    let node = Node::over(1, Toy::new(&genesis()), HeaderSyncConfig::recommended(), pool, spawner);
    let server = Node::new(2, Toy::new(&chain));
    let _link = node.join(&server);
    node.wait("counted", |status| status.skipped.busy > 0).await;
    assert_eq!(node.handle.status().convictions, [], "our own pool is nobody's fault");
    // On a thread of its own: the second holder takes its place only while this one's runtime runs.
    Spawner::new()
        .thread("opener", move || {
            gate.wait();
            gate.wait();
        })
        .unwrap();
    node.reach(tip(&chain)).await;
    let skipped = node.handle.status().skipped;
    assert_eq!((skipped.late, skipped.cancelled, skipped.closed, skipped.panicked), (0, 0, 0, 0));
}
