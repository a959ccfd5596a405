//! Panics planted at every point of real nodes cost what they should: a routine's its connection, a job's the job, a
//! drop's nothing, a reactor's its node. The chain is synced all the same, nobody is blamed, and nothing is lost: no
//! lease, no place in the work pool, no task. `ZAKURA_PANICS=10000` plants more of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its table, in its own functions too"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use zakura::{
    census::Count,
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_header_sync::ports::HeaderChain;
use zakura_testkit::{
    chain::{append, unmined},
    cluster::{Member, PATIENCE},
    sabotage::{Plan, PlantedPorts, Point, asked_for, hush},
};
use zakura_transport::{CloseReason, PeerAddr, PeerEvent, PeerEvents, Saboteur, Spawner};

/// Blocks of the chain that is synced again and again.
const LENGTH: u32 = 600;
/// Nodes that serve it.
const SERVERS: u8 = 3;

fn store(blocks: &[Vec<u8>]) -> Arc<PlantedPorts<Store>> {
    let options = StoreOptions { no_pow: true, ..StoreOptions::default() };
    let store = Store::in_memory(Network::Regtest, options).unwrap();
    append(&store, blocks).unwrap();
    Arc::new(PlantedPorts(Arc::new(store)))
}

/// Routines, connections and jobs. What a shared actor runs itself has a test of its own.
fn beside_actors((task, point): Point) -> bool {
    match point {
        "event" | "report" => false,
        "port identify" | "port describe" => true,
        port if port.starts_with("port") => task == "work",
        _ => true,
    }
}

/// What a panic there may cost at most.
fn price((task, point): Point) -> &'static str {
    match point {
        "event" | "report" => "node",
        // Of a routine that ends anyway, most often with its connection.
        "sender drop" => "connection, if any",
        drop if drop.ends_with("drop") => "nothing",
        "arrival" | "open" => "stream",
        _ if task == "work" => "job",
        _ => "connection",
    }
}

/// Connections that ended by panics of ours, by stream and point.
type Closed = BTreeMap<(&'static str, String), u64>;

/// Watches a node's connections, and names every peer anew that was lost, as an operator in a hurry would: the pause
/// before a redial is meant to slow down a storm of panics.
async fn redial(member: &Member, servers: &[PeerAddr], mut events: PeerEvents, closed: &mut Closed) {
    while let Ok(event) = events.recv().await {
        let PeerEvent::Disconnected { peer, reason } = event else { continue };
        match reason {
            CloseReason::Panicked { stream, message } => *closed.entry((stream, message)).or_default() += 1,
            // Theirs panicked.
            CloseReason::Remote { code: 0, .. } | CloseReason::Reset => {}
            CloseReason::Local => {}
            blamed => panic!("{blamed}: a panic is nobody's fault but ours"),
        }
        if let Some(server) = servers.iter().find(|server| server.id == peer.id) {
            member.handle.remove_peer(server.id).await.unwrap();
            member.handle.add_peer(*server).await.unwrap();
        }
    }
}

/// Panics of which one at least must have met a connection that was not ending anyway.
const SOME: u64 = 5;

/// Every panic of ours closed the connection that it should, and no other did.
fn settle_up(plan: &Plan, closed: &Closed) {
    println!("  {:<12} {:<24} {:>9} {:>9}  cost", "task", "point", "passed", "panicked");
    for (point, tally) in plan.tallies() {
        let ((task, name), price) = (point, price(point));
        let cost = closed.get(&(task, format!("planted: {name}"))).copied().unwrap_or(0);
        let told =
            if price.starts_with("connection") { format!("{cost} connections") } else { price.to_owned() };
        println!("  {task:<12} {name:<24} {:>9} {:>9}  {told}", tally.passed, tally.struck);
        assert!(cost <= tally.struck, "{task}, {name}: {} panics cost {cost} connections", tally.struck);
        assert!(cost == 0 || price.starts_with("connection"), "{task}, {name}: cost {cost} connections");
        assert!(
            cost > 0 || tally.struck < SOME || price != "connection",
            "{task}, {name}: costs nothing, so a routine that panicked goes on"
        );
    }
}

/// Waits until a census says so: nothing announces that something was given back, so it is looked at until it shows.
async fn counts(what: &str, count: impl Fn() -> Count, is_so: impl Fn(&Count) -> bool) {
    let looking = async {
        while !is_so(&count()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, looking).await;
    assert!(in_time.is_ok(), "waited for: {what}; there is: {:?}", count());
}

/// Waits until a node holds what a node with so many connections in peace holds.
async fn at_rest(node: &Member, connections: usize) {
    let of = |count: &Count, name| count.tasks.iter().find(|task| task.0 == name).map_or(0, |task| task.1);
    let is_so = |count: &Count| {
        let tasks = ["connection", "header_sync", "block-sync"].map(|name| of(count, name));
        // A reactor bears its stream's name.
        tasks == [connections, connections + 1, connections + 1]
            && (count.places, count.segments, count.bodies) == (0, 0, 0)
    };
    counts("every session, and nothing held", || node.handle.census().count().unwrap(), is_so).await;
}

/// Ends a node and counts what is left.
async fn end(node: Member) {
    let census = node.handle.census();
    node.stop().await.unwrap();
    assert_eq!(census.count().unwrap(), Count::default(), "after the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_is_synced_through_panics_everywhere() {
    hush();
    let chain = unmined(Parent::genesis(), LENGTH, 1);
    let full = store(&chain);
    let tip = full.view().tip;
    let (theirs, ours) = (Plan::new(1, beside_actors), Plan::new(2, beside_actors));
    let mut servers = Vec::new();
    for index in 1..=SERVERS {
        let spawner = theirs.spawner();
        servers.push(Member::start_as(index, &full, &[], |node| Ok(node.spawner(spawner))).await.unwrap());
    }
    let named: Vec<_> = servers.iter().map(Member::peer).collect();
    let (mut closed, mut lives) = (Closed::new(), 0);
    while ours.struck() + theirs.struck() < asked_for() {
        lives += 1;
        let (spawner, own) = (ours.spawner(), store(&[]));
        let node = Member::start_as(200, &own, &named, |node| Ok(node.spawner(spawner))).await.unwrap();
        let events = node.handle.peer_events();
        ours.round(u64::MAX);
        theirs.round(u64::MAX);
        let synced = async {
            node.commits(tip).await.unwrap();
            ours.rest();
            theirs.rest();
            at_rest(&node, SERVERS.into()).await;
        };
        tokio::select! {
            biased;
            () = synced => {}
            () = redial(&node, &named, events, &mut closed) => panic!("the node ended"),
        }
        let convictions = &node.handle.headers().status().convictions;
        assert!(convictions.is_empty(), "{convictions:?}");
        // The end is under fire again.
        ours.round(u64::MAX);
        end(node).await;
    }
    for server in servers {
        at_rest(&server, 0).await;
        end(server).await;
    }
    println!(
        "{lives} nodes synced through {} panics of theirs and {} of ours:",
        theirs.struck(),
        ours.struck()
    );
    settle_up(&ours, &closed);
    let spared: Vec<_> = ours.spared().into_iter().filter(|point| theirs.spared().contains(point)).collect();
    assert!(spared.is_empty(), "never panicked: {spared:?}");
}

/// Strikes a block-sync routine that has a body in hand, now and then.
#[derive(Default)]
struct InHand(AtomicU64);

impl Saboteur for InHand {
    fn strikes(&self, task: &'static str, point: &'static str) -> bool {
        let has_body = task == "block-sync" && matches!(point, "after handle_message" | "after poll_event");
        // Its first words are of no body.
        has_body && self.0.fetch_add(1, Ordering::Relaxed) % 150 == 99
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_hand_when_its_routine_panics_is_asked_for_again() {
    hush();
    let full = store(&unmined(Parent::genesis(), LENGTH, 1));
    let server = Member::start(1, &full, &[]).await.unwrap();
    let (own, spawner) = (store(&[]), Spawner::sabotaged(Arc::new(InHand::default())));
    let peers = [server.peer()];
    let node = Member::start_as(200, &own, &peers, |node| Ok(node.spawner(spawner))).await.unwrap();
    let (events, mut closed) = (node.handle.peer_events(), Closed::new());
    tokio::select! {
        biased;
        end = node.commits(full.view().tip) => end.unwrap(),
        () = redial(&node, &peers, events, &mut closed) => panic!("the node ended"),
    }
    assert!(closed.values().sum::<u64>() > 2, "{closed:?}");
    end(node).await;
    end(server).await;
}

/// Every point of the shared actors of a syncing node.
const ACTORS: [Point; 8] = [
    ("header_sync", "event"),
    ("header_sync", "port view"),
    ("header_sync", "port find"),
    ("header_sync", "port hash_at"),
    ("header_sync", "port anchors_above"),
    ("block-sync", "event"),
    ("block-sync", "port acknowledged"),
    ("pool", "report"),
];

/// A node whose actor panics there ends in order, and says which actor it was: from its build, if it panics before the node
/// has wholly started.
async fn falls(at: Point, server: &Member, branch: &[Vec<u8>]) {
    let plan = Plan::new(3, move |point| point == at);
    let (spawner, own) = (plan.spawner(), store(branch));
    plan.round(1);
    let sabotaged = spawner.clone();
    let started = Member::start_as(200, &own, &[server.peer()], |node| Ok(node.spawner(sabotaged))).await;
    match started {
        Ok(node) => {
            let census = node.handle.census();
            let end = tokio::time::timeout(PATIENCE, node.ends()).await;
            let error = end.unwrap_or_else(|_| panic!("{at:?}: the node goes on")).unwrap_err();
            assert!(error.contains(&format!("the {} actor panicked", at.0)), "{at:?}: {error}");
            assert_eq!(census.count().unwrap(), Count::default(), "{at:?}: after the end");
        }
        Err(error) => {
            let named = format!("service {}: it panicked", at.0);
            assert!(error.to_string().contains(&named), "{at:?}: {error}");
            assert_eq!(spawner.live(), [], "{at:?}: after the end");
        }
    }
    assert_eq!(plan.struck(), 1, "{at:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actors_panic_ends_its_node_in_order_and_no_other() {
    hush();
    let full = store(&unmined(Parent::genesis(), LENGTH, 1));
    // What is left for the longer chain, so that the node sees a reorg too.
    let branch = unmined(Parent::genesis(), 20, 2);
    let server = Member::start(1, &full, &[]).await.unwrap();
    for at in ACTORS {
        falls(at, &server, &branch).await;
    }
    let own = store(&[]);
    let node = Member::start(200, &own, &[server.peer()]).await.unwrap();
    node.commits(full.view().tip).await.unwrap();
    end(node).await;
    end(server).await;
}
