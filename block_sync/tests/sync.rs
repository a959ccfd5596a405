//! Honest peers: the bodies come over, from all of them, in order.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot be set up has failed")]

mod support;

use std::{
    sync::{Arc, Barrier},
    time::Duration,
};
use support::{
    node::Node,
    script::{Answer, follow, honest, status},
    toy::{Chain, Store},
};
use zakura_block_sync::{
    BlockSyncConfig, SyncVerdict,
    wire::{Limits, Message},
};
use zakura_transport::{
    Spawner,
    routine::{JobFault, Message as _, WorkPool},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_bodies_come_from_eight_peers_in_fair_shares() {
    let chain = Chain::genesis().grow(2_000, 1, |at| 1_000 + at % 900);
    let node = Node::new(1, &chain, 1);
    let servers: Vec<_> = (2..10).map(|number| Node::full(number, &chain)).collect();
    let _links: Vec<_> = servers.iter().map(|server| node.join(server)).collect();
    node.reach(chain.tip()).await;
    let shares: Vec<_> = servers.iter().map(|server| node.progress(server.id).blocks).collect();
    assert_eq!(shares.iter().sum::<u64>(), 2_000, "each body is counted once");
    assert!(shares.iter().all(|share| *share >= 125), "half of a fair share at least: {shares:?}");
    assert_eq!(node.handle.status().verdict, SyncVerdict::AtTip);
    assert_eq!(node.handle.status().convictions, []);
    for server in &servers {
        server.wait("served", |status| status.per_peer.iter().any(|peer| peer.served_blocks >= 125)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_body_peers_are_asked_for_one_body_many_times_at_once() {
    let chain = Chain::genesis().grow(300, 1, |_| 100);
    let node = Node::new(1, &chain, 1);
    let (_link, session) = node.join_by_hand(7);
    let (served, first) = (chain.clone(), status(chain.tip(), 1, 32_000));
    let peer = tokio::task::LocalSet::new();
    let asked = peer.run_until(async {
        let following = follow(session, first, |span| Answer::Bodies(honest(&served, span)));
        tokio::select! {
            biased;
            asked = following => asked,
            () = node.reach(chain.tip()) => Vec::new(),
        }
    });
    assert!(asked.await.is_empty(), "the peer went on to the end");
    assert_eq!(node.progress(support::node::id(7)).blocks, 300);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_stay_within_a_small_budget() {
    let chain = Chain::genesis().grow(200, 1, |at| if at % 10 == 0 { 900_000 } else { 50_000 });
    let config = BlockSyncConfig {
        in_flight_bytes: 2_000_000,
        retained_bytes: 3_000_000,
        commit_bytes: 500_000,
        ..BlockSyncConfig::recommended()
    };
    let store = Store::new(&chain, 1);
    store.change(|inside| inside.hints_lie = true);
    let node = Node::configured(1, store, config);
    let servers: Vec<_> = (2..5).map(|number| Node::full(number, &chain)).collect();
    let _links: Vec<_> = servers.iter().map(|server| node.join(server)).collect();
    let mut committed = node.handle.committed();
    while committed.get() != chain.tip() {
        let changed = tokio::time::timeout(Duration::from_secs(20), committed.changed()).await;
        changed.expect("it goes on").unwrap();
        let retained = node.handle.status().retained_bytes;
        assert!(retained <= 3_000_000 + 900_040, "{retained} bytes retained");
    }
    assert!(node.store.0.borrow().largest_commit <= 10);
}

#[tokio::test(start_paused = true)]
async fn settings_are_advertised_and_kept() {
    let chain = Chain::genesis().grow(100, 1, |_| 1_000);
    let config = BlockSyncConfig {
        look_ahead_blocks: 10,
        commit_blocks: 3,
        checking_bytes: 1,
        concurrent_checks: 1,
        concurrent_reads: 1,
        served_requests: 5,
        served_response_bytes: 70_000,
        ..BlockSyncConfig::recommended()
    };
    let node = Node::configured(1, Store::new(&chain, 1), config);
    let server = Node::full(2, &chain);
    let _link = node.join(&server);
    let (_by_hand, mut session) = node.join_by_hand(9);
    let frame = session.frames_in.recv().await.unwrap().unwrap();
    let Ok(Message::Status(said)) = Message::decode(frame) else { panic!("Status comes first") };
    assert_eq!(said.limits, Limits::clamped(128, 5, 70_000));
    node.reach(chain.tip()).await;
    assert!(node.store.0.borrow().largest_commit <= 3);
    assert_eq!(node.progress(server.id).blocks, 100);
}

#[tokio::test(start_paused = true)]
async fn the_tip_is_followed_block_by_block() {
    let chain = Chain::genesis().grow(40, 1, |_| 500);
    let (server, node) = (Node::new(2, &chain, 38), Node::new(1, &chain, 38));
    let feeder = Node::full(3, &chain);
    let _link = node.join(&server);
    node.wait("told", |status| status.verdict == SyncVerdict::NoUsefulPeers).await;
    let _feed = server.join(&feeder);
    server.reach(chain.tip()).await;
    node.reach(chain.tip()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reorg_in_the_middle_leaves_the_old_branch() {
    let trunk = Chain::genesis().grow(500, 1, |_| 2_000);
    let (old, new) = (trunk.grow(1_500, 2, |_| 2_000), trunk.grow(1_600, 3, |_| 2_000));
    let node = Node::new(1, &old, 1);
    let (before, after) = (Node::full(2, &old), Node::full(3, &new));
    let _before = node.join(&before);
    node.wait("under way", |status| status.committed.height.get() > 600).await;
    node.reorganise(&new);
    let _after = node.join(&after);
    node.reach(new.tip()).await;
    assert_eq!(node.handle.status().convictions, [], "nobody is blamed for the old branch");
    assert_eq!(node.handle.status().verdict, SyncVerdict::AtTip);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_nobodys_fault_and_sync_resumes() {
    let chain = Chain::genesis().grow(1_000, 1, |_| 1_000);
    let node = Node::new(1, &chain, 1);
    node.store.change(|inside| inside.commits_fail = true);
    let server = Node::full(2, &chain);
    let _link = node.join(&server);
    let waits = |verdict: &SyncVerdict| matches!(verdict, SyncVerdict::WaitingForStore { reason: Some(reason) } if reason.contains("disk"));
    node.wait("waiting for the store", |status| waits(&status.verdict) && status.alarm.is_some()).await;
    node.store.change(|inside| inside.commits_fail = false);
    node.reach(chain.tip()).await;
    let progress = node.progress(server.id);
    assert_eq!((progress.blocks, progress.timeouts, progress.reliability), (1_000, 0, 1_000));
    assert_eq!((node.handle.status().alarm, node.handle.status().convictions), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn unknown_rules_raise_an_alarm_and_blame_nobody() {
    let chain = Chain::genesis().grow(50, 1, |_| 100);
    let node = Node::new(1, &chain, 1);
    node.store.change(|inside| inside.unknown = vec![30]);
    let server = Node::full(2, &chain);
    let _link = node.join(&server);
    let is_puzzled = |verdict: &SyncVerdict| matches!(verdict, SyncVerdict::Unsupported { height, .. } if height.get() == 30);
    node.wait("puzzled", |status| is_puzzled(&status.verdict) && status.committed.height.get() == 29).await;
    assert!(node.handle.status().alarm.unwrap().contains("version 99"));
    assert_eq!(node.handle.status().convictions, []);
}

#[tokio::test(start_paused = true)]
async fn the_reactor_ends_with_its_service_and_sessions() {
    let chain = Chain::genesis().grow(5, 1, |_| 100);
    let node = Node::new(1, &chain, 1);
    let server = Node::full(2, &chain);
    let (here, there) = node.join(&server);
    node.reach(chain.tip()).await;
    let spawner = node.spawner.clone();
    here.cancel.cancel();
    drop((node, here, there));
    let live = async {
        while spawner.live().iter().any(|(name, _)| !name.starts_with("work")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), live).await.expect("no task is left");
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
    let chain = Chain::genesis().grow(200, 1, |_| 100);
    let (spawner, gate) = (Spawner::new(), Arc::new(Barrier::new(2)));
    let pool = taken_pool(&spawner, &gate).await;
    let node = Node::over(1, Store::new(&chain, 1), BlockSyncConfig::recommended(), pool, spawner);
    let server = Node::full(2, &chain);
    let _link = node.join(&server);
    node.wait("counted", |status| status.skipped.busy > 0).await;
    // On a thread of its own: the second holder takes its place only while this one's runtime runs.
    Spawner::new()
        .thread("opener", move || {
            gate.wait();
            gate.wait();
        })
        .unwrap();
    node.reach(chain.tip()).await;
    let status = node.handle.status();
    let skipped = status.skipped;
    assert_eq!((skipped.late, skipped.cancelled, skipped.closed, skipped.panicked), (0, 0, 0, 0));
    assert_eq!(status.convictions, [], "our own pool is nobody's fault");
}
