//! Every inbound place taken by a peer that costs as much memory as it can, from a process of its own: the node stays inside
//! what it says it may need, and serves who was there before (threat R01).

#![expect(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;
use zakura::{
    config::Config,
    store::{Store, StoreOptions},
    zcash::{Network, Parent, mine_block},
};
use zakura_testkit::{
    chain::{append, parent_of_next},
    cluster::Member,
    hostile::{Name, Victim, Visitor, identity},
};

/// Hostile peers: four at each of four addresses.
const SOURCES: usize = 4;
const PLACES: usize = 4 * SOURCES;
/// How long they stay.
const SECONDS: &str = "9";

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Blocks as large as there may be nearly: what is asked for is worth asking for.
fn large_blocks() -> Vec<Vec<u8>> {
    let (mut parent, mut blocks) = (Parent::genesis(), Vec::new());
    for height in 1..=6 {
        let block = mine_block(parent, 1, Some(1_990_000));
        parent = parent_of_next(&block, height).unwrap();
        blocks.push(block);
    }
    blocks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_fill_everything_stay_inside_the_envelope() {
    let store = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
    append(&store, &large_blocks()).unwrap();
    let mut config = Config::local();
    config.discovery.enabled = false;
    // One place for the bystander.
    (config.transport.max_inbound, config.transport.max_outbound) = (PLACES + 1, 0);
    let envelope = config.peers_envelope().0;
    let node = Member::start_with(201, &Arc::new(store), config).await.unwrap();
    let victim = Victim {
        name: Name { id: *node.id().as_bytes(), addr: node.peer().addr },
        network: Network::Regtest.wire_id(),
        genesis: Network::Regtest.genesis_hash(),
    };
    let mut bystander = Visitor::meet(victim, &identity(0, "envelope", "bystander")).await.unwrap();
    bystander.asks().await.unwrap();
    let before = resident();

    let mut fillers = Command::new(env!("CARGO_BIN_EXE_zakura-hostile"));
    fillers.args(["flood", "--target", &victim.name.to_string(), "--kind", "fill", "--seconds", SECONDS]);
    fillers.args(["--sources", &SOURCES.to_string(), "--json"]);
    let mut fillers = fillers.stdout(Stdio::piped()).spawn().unwrap();
    let (mut most, mut there) = (0, 0);
    while fillers.try_wait().unwrap().is_none() {
        most = most.max(resident().saturating_sub(before));
        there = there.max(node.handle.peers().len());
        sleep(Duration::from_millis(20)).await;
    }
    let said = std::io::read_to_string(fillers.stdout.take().unwrap()).unwrap();
    println!(
        "{PLACES} peers that fill: {} MiB more at most, {} KiB each, of {} MiB; {}",
        most >> 20,
        (most >> 10) / PLACES as u64,
        envelope >> 20,
        said.trim(),
    );
    bystander.asks().await.unwrap();
    assert_eq!(there, PLACES + 1, "they took every place");
    assert!(most <= envelope + envelope / 10, "{most} bytes more, {envelope} promised");
    assert!(most >= envelope / 4, "{most} bytes more: they filled nothing, {envelope} promised");
    bystander.leave().await;
    node.stop().await.unwrap();
}
