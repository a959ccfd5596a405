//! Many small worlds with odd limits, peers that come, go, fork and lie: the chain always comes over, nothing is stranded,
//! and nobody honest is blamed.
#![allow(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

mod support;

use std::time::Duration;
use support::{
    peers::{Link, Node},
    toy::{Flaw, Headers, Toy, block, flawed, genesis, grow, tip},
};
use zakura_header_sync::HeaderSyncConfig;

/// A small generator, so that a world is named by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, from: usize, to: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (self.0 >> 33) as usize % (to - from + 1)
    }
}

fn config(dice: &mut Dice) -> HeaderSyncConfig {
    HeaderSyncConfig {
        page_headers: dice.roll(1, 60) as u32,
        page_timeout: Duration::from_secs(5),
        segment_headers: dice.roll(5, 100) as u32,
        segment_window: dice.roll(1, 8),
        segment_bytes: dice.roll(1, 20_000) as u64,
        staged_headers: dice.roll(60, 300),
        max_targets: dice.roll(1, 4),
        verify_segments: dice.roll(0, 1) == 1,
        ..HeaderSyncConfig::recommended()
    }
}

/// The chain of one more server: honest at some height, on a poorer branch, or flawed.
fn server(dice: &mut Dice, chain: &Headers) -> (bool, Headers) {
    let height = dice.roll(1, chain.len() - 2);
    match dice.roll(0, 5) {
        0 => (false, grow(&chain[..height], dice.roll(0, (chain.len() - height) / 2), 77, 1)),
        1 => (false, flawed(chain, height, if dice.roll(0, 1) == 0 { Flaw::Proof } else { Flaw::Rule })),
        _ => (true, chain[..=height].to_vec()),
    }
}

async fn world(seed: u64) {
    let mut dice = Dice(seed);
    let length = dice.roll(150, 600);
    let chain = grow(&genesis(), length, 1, 2);
    let (mut anchors, mut height) = (vec![], 0);
    let anchored = dice.roll(0, length);
    while height < anchored {
        height = (height + dice.roll(3, 90)).min(anchored);
        anchors.push(block(&chain, height));
    }
    let node = Node::configured(1, Toy::with_anchors(&genesis(), anchors), config(&mut dice));
    let mut honest = vec![];
    let mut links: Vec<(Link, Link)> = vec![];
    let mut servers = vec![];
    for id in 2..=dice.roll(3, 8) {
        let (is_honest, headers) = server(&mut dice, &chain);
        let server = Node::configured(id as u8, Toy::new(&headers), config(&mut dice));
        if is_honest {
            honest.push(server.id);
        }
        links.push(node.join(&server));
        servers.push(server);
        if dice.roll(0, 2) == 0 {
            links.remove(dice.roll(0, links.len() - 1)).0.cancel.cancel();
        }
        for _ in 0..dice.roll(0, 50) {
            tokio::task::yield_now().await;
        }
    }
    let full = Node::configured(200, Toy::new(&chain), config(&mut dice));
    honest.push(full.id);
    links.push(node.join(&full));
    node.reach(tip(&chain)).await;
    assert_eq!(node.chain.headers(), chain, "world {seed}");
    let convicted = node.handle.status().convictions.clone();
    assert!(convicted.iter().all(|it| !honest.contains(&it.peer)), "world {seed}: {convicted:?}");
}

#[tokio::test(start_paused = true)]
async fn every_small_world_ends_with_the_best_chain() {
    let worlds = (0..60).map(world);
    futures::future::join_all(worlds).await;
}
