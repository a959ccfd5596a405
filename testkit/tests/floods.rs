//! Floods from many addresses, by a process of their own: meanwhile an honest newcomer and our own dials are served, memory
//! stays bounded, and nothing of it is left afterwards.
//!
//! `ZAKURA_FLOOD_SECONDS=600 cargo test -p zakura-testkit --test floods -- --nocapture` for a long siege.

#![expect(clippy::unwrap_used, reason = "a scenario that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "a siege tells its figures")]

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use zakura::{
    config::Config,
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_testkit::{
    chain::{append, mined},
    cluster::Member,
    hostile::{Name, Raw, Victim, Visitor, identity},
};
use zakura_transport::{PeerAddr, PeerEvent, PeerId};

/// What an honest handshake may take in the middle of a flood.
const SERVED: Duration = Duration::from_secs(2);
/// What a flood may make the node keep, beyond what it kept before: 64 handshakes, 112 connections, datagrams not accepted.
const MEMORY: u64 = 96 << 20;

fn seconds() -> u64 {
    std::env::var("ZAKURA_FLOOD_SECONDS").map_or(8, |text| text.parse().unwrap())
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A newcomer's address: its own neighbourhood for each of 256, none of them a flood's.
fn elsewhere(number: u64) -> SocketAddr {
    let [.., low] = number.to_be_bytes();
    SocketAddr::from(([127, 2, low, 1], 0))
}

/// An honest newcomer that asks for headers and a block, and leaves. How long it took to get in.
async fn visit(victim: Victim, number: u64) -> Duration {
    let since = Instant::now();
    let mut visitor = loop {
        let raw = Raw::bind_to(&identity(number, "flood", "newcomer"), elsewhere(number)).unwrap();
        match Visitor::meet_as(raw, victim).await {
            Ok(visitor) => break visitor,
            // As any node does, it comes again.
            Err(trouble) => assert!(since.elapsed() < Duration::from_secs(30), "{trouble}"),
        }
    };
    let took = since.elapsed();
    visitor.asks().await.unwrap();
    visitor.leave().await;
    took
}

/// A dial of the node's own. How long it took.
async fn own_dial(node: &Member, victim: Victim, number: u64) -> Duration {
    let raw = Raw::bind(&identity(number, "flood", "dialled"), victim.name.addr).unwrap();
    let name = raw.name().unwrap();
    let mut events = node.handle.peer_events();
    let since = Instant::now();
    node.handle.add_peer(PeerAddr { id: PeerId::new(name.id), addr: name.addr }).await.unwrap();
    let peer = raw.accept(victim).await.unwrap();
    let connected = async {
        while !matches!(events.recv().await, Ok(PeerEvent::Connected(info)) if *info.id.as_bytes() == name.id)
        {
        }
    };
    timeout(Duration::from_secs(20), connected).await.unwrap();
    let took = since.elapsed();
    node.handle.remove_peer(PeerId::new(name.id)).await.unwrap();
    drop(peer);
    raw.leave().await;
    took
}

async fn siege(kind: &str, sources: u16) {
    let store = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
    append(&store, &mined(Parent::genesis(), 3, 1)).unwrap();
    // A node whose peers come from everywhere, but for where it listens.
    let mut config = Config::recommended();
    config.transport.listen = Config::local().transport.listen;
    config.discovery.enabled = false;
    let node = Member::start_with(200, &Arc::new(store), config).await.unwrap();
    let victim = Victim {
        name: Name { id: *node.id().as_bytes(), addr: node.peer().addr },
        network: Network::Regtest.wire_id(),
        genesis: Network::Regtest.genesis_hash(),
    };
    visit(victim, 0).await;
    own_dial(&node, victim, 0).await;
    let before = resident();

    let mut flood = Command::new(env!("CARGO_BIN_EXE_zakura-hostile"));
    flood.args(["flood", "--target", &victim.name.to_string(), "--kind", kind]);
    flood.args(["--sources", &sources.to_string(), "--seconds", &seconds().to_string()]);
    let mut flood = flood.stdout(Stdio::piped()).spawn().unwrap();
    let (mut visits, mut dials, mut most, mut number) = (vec![], vec![], 0, 0);
    while flood.try_wait().unwrap().is_none() {
        number += 1;
        visits.push(visit(victim, number).await);
        dials.push(own_dial(&node, victim, number).await);
        most = most.max(resident().saturating_sub(before));
        sleep(Duration::from_millis(50)).await;
    }
    let said = std::io::read_to_string(flood.stdout.take().unwrap()).unwrap();
    let late = visits.iter().filter(|took| **took > SERVED).count();
    let first = visits.first().copied().unwrap_or_default();
    for times in [&mut visits, &mut dials] {
        times.sort();
    }
    let middle = |times: &[Duration]| times[times.len() / 2];
    println!(
        "{kind} from {sources} for {} s: {}; {number} newcomers served in {:?} (at most {:?}, the \
         first {first:?}, {late} in more than {SERVED:?}), {number} dials in {:?} (at \
         most {:?}); {} KiB more at most",
        seconds(),
        said.trim(),
        middle(&visits),
        visits.last().unwrap(),
        middle(&dials),
        dials.last().unwrap(),
        most / 1024,
    );
    assert!(flood.wait().unwrap().success(), "the flood could not be raised");
    assert!(number >= 3, "a flood that is over before anybody came");
    assert!(middle(&visits) < SERVED && middle(&dials) < SERVED);
    assert!(late * 5 <= visits.len(), "{late} of {number} newcomers had to wait");
    assert!(most < MEMORY, "{most} bytes more than before");
    // The flood's process is gone without a word: its connections end with the node.
    node.stop().await.unwrap();
}

/// One after the other: each is as much as a small machine raises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_from_64_and_300_addresses_keep_nobody_out() {
    siege("dribble", 64).await;
    siege("knock", 64).await;
    siege("all", 300).await;
}
