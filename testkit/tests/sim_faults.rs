//! What befalls real nodes: silence, a crash, a cut; each in virtual time, to the second.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::{collections::BTreeSet, time::Duration};
use zakura::store::Store;
use zakura_header_sync::ports::HeaderChain;
use zakura_testkit::sim::{
    Account, Finished, Genesis, NodeIndex, Outfit, PathShape, World, WorldError, run, store, store_with,
};

const A: NodeIndex = NodeIndex(0);
const B: NodeIndex = NodeIndex(1);
/// One way, on every path here.
const LATENCY: Duration = Duration::from_millis(25);

const fn second(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Ended = Result<(), WorldError>;

/// A has a chain of ten blocks, B has none, dials A and syncs; then the story goes on. Both live for so many seconds.
fn two_nodes(
    seconds: u64,
    story: impl AsyncFnOnce(&mut World<Store>) -> Ended + Send + 'static,
) -> Finished<()> {
    let genesis = Genesis { usual_path: PathShape::clean(LATENCY), record: true, ..Genesis::rough(5) };
    let outcome = run(genesis, async move |world: &mut World<Store>| {
        let source = store_with(10, 1)?;
        let tip = source.view().tip;
        for store in [source, store()?] {
            world.add(Outfit::usual(store))?;
        }
        world.introduce(B, A).await?;
        for node in [A, B] {
            world.start(node).await?;
        }
        world.commits(B, tip, second(8)).await?;
        story(world).await?;
        world.until(second(seconds)).await;
        Ok(())
    });
    outcome.unwrap()
}

/// When a node said something, in seconds.
fn said(account: &Account, node: NodeIndex, words: &str) -> Vec<f64> {
    let mark = format!("{node} : ");
    let lines = account.trace.record.iter().filter(|line| line.contains(&mark) && line.contains(words));
    lines.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_peer_that_vanished_is_missed_within_the_idle_time_and_one_keep_alive() {
    let world = two_nodes(400, async |world| {
        world.until(second(32)).await;
        world.crash(A).await
    });
    let lost = said(&world.account, B, "lost 0");
    assert_eq!(lost.len(), 1, "{:#?}", world.account.trace.tail);
    // QUIC's 150 s run from the last word of the peer, or from the first thing said into the silence, one keep-alive
    // later. The 150 s without a frame run from the last frame, which a node at the tip hears every 30 s.
    assert!((120.0..=160.5).contains(&(lost[0] - 32.0)), "{lost:?}");
    assert!(!said(&world.account, B, "did not reach 0").is_empty(), "it is dialled again");
}

#[test]
fn a_node_that_restarts_with_its_identity_resets_the_stale_connection_in_one_round_trip() {
    let world = two_nodes(60, async |world| {
        world.until(second(20)).await;
        world.crash(A).await?;
        world.until(second(22)).await;
        world.start(A).await
    });
    let started = said(&world.account, A, "started, life 1");
    let lost = said(&world.account, B, "lost 0");
    let back = said(&world.account, B, "connected with 0");
    assert_eq!((started.len(), lost.len(), back.len()), (1, 1, 2), "{:#?}", world.account.trace.tail);
    // B's next keep-alive finds nobody who knows it, and the answer to that is the end of the connection.
    let spoke = sent_after(&world.account, B, started[0]);
    assert!((0.050..0.054).contains(&(lost[0] - spoke)), "spoke at {spoke}, lost at {lost:?}");
    assert!(lost[0] - started[0] < 10.0, "a keep-alive is due every 10 s");
    assert!(back[1] - lost[0] < 3.0, "the named peer is dialled again at once");
}

/// When a node sent its first datagram after a time.
fn sent_after(account: &Account, node: NodeIndex, after: f64) -> f64 {
    let mark = format!(" {node} > ");
    let lines = account.trace.record.iter().filter(|line| line.contains(&mark) && line.contains(" sent "));
    let mut times = lines.map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap());
    times.find(|time| *time > after).unwrap()
}

#[test]
fn a_partition_of_twenty_seconds_costs_no_connection() {
    let world = two_nodes(200, async |world| {
        let part = BTreeSet::from([A]);
        world.until(second(20)).await;
        world.split(&part);
        world.until(second(40)).await;
        world.rejoin(&part);
        Ok(())
    });
    assert_eq!(said(&world.account, B, "lost"), [0.0; 0]);
    assert_eq!(said(&world.account, A, "lost"), [0.0; 0]);
    let dropped = world.account.traffic.drops.values().sum::<u64>();
    assert!(dropped > 0, "nothing was cut");
}
