//! Nodes that know one bootstrap find each other, outlive it, and find it again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own functions too")]

use std::{collections::BTreeSet, sync::Arc};
use zakura::{
    config::Config,
    store::{Store, StoreOptions},
    zcash::Network,
};
use zakura_discovery::DiscoveryStatus;
use zakura_testkit::cluster::{Member, PATIENCE};
use zakura_transport::{Capabilities, Fence, PeerId};

fn store() -> Arc<Store> {
    Arc::new(Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap())
}

/// Everyone that `member` is connected to, by the very connection.
fn connections(member: &Member) -> BTreeSet<(PeerId, Fence)> {
    member.handle.peers().iter().map(|peer| (peer.id, peer.connection)).collect()
}

/// Waits until `member` is connected to exactly these nodes.
async fn knows(member: &Member, others: &[&Member]) {
    let wanted: BTreeSet<_> = others.iter().map(|other| other.id()).collect();
    let mut events = member.handle.peer_events();
    let meeting = async {
        while connections(member).iter().map(|(id, _)| *id).collect::<BTreeSet<_>>() != wanted {
            events.recv().await.unwrap();
        }
    };
    if tokio::time::timeout(PATIENCE, meeting).await.is_err() {
        panic!(
            "waited for {wanted:?}, has {:?}: {:?}",
            connections(member),
            member.handle.discovery().unwrap().status()
        );
    }
}

/// Waits until discovery says so.
async fn discovers(member: &Member, so: impl Fn(&DiscoveryStatus) -> bool) -> Arc<DiscoveryStatus> {
    let mut statuses = member.handle.discovery().unwrap().statuses();
    let arrival = async {
        let mut status = statuses.get();
        while !so(&status) {
            status = statuses.changed().await.unwrap();
        }
        status
    };
    match tokio::time::timeout(PATIENCE, arrival).await {
        Ok(status) => status,
        Err(_) => panic!("waited for a status; it is {:?}", member.handle.discovery().unwrap().status()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_meet_through_a_bootstrap_outlive_it_and_find_it_again() {
    let chain = store();
    let bootstrap = Member::join(1, &chain, &[]).await.unwrap();
    let there = bootstrap.peer();
    let a = Member::join(2, &chain, &[there]).await.unwrap();
    let b = Member::join(3, &chain, &[there]).await.unwrap();
    let c = Member::join(4, &chain, &[there]).await.unwrap();

    for (member, others) in [(&a, [&b, &c]), (&b, [&a, &c]), (&c, [&a, &b])] {
        knows(member, &[others[0], others[1], &bootstrap]).await;
        let status = discovers(member, |status| status.known == 3 && status.confirmed == 3).await;
        assert_eq!(status.own.as_ref().unwrap().addresses[0].0, member.peer().addr);
    }

    // The way they met is gone; what they have is theirs.
    bootstrap.stop().await.unwrap();
    knows(&a, &[&b, &c]).await;
    knows(&b, &[&a, &c]).await;
    knows(&c, &[&a, &b]).await;
    let before: Vec<_> = [&a, &b, &c].into_iter().map(connections).collect();

    // It returns with its identity to its port.
    let mut config = Config::local();
    config.transport.listen = there.addr;
    let bootstrap = Member::start_with(1, &chain, config).await.unwrap();
    assert_eq!(bootstrap.peer(), there);
    for (member, others) in [(&a, [&b, &c]), (&b, [&a, &c]), (&c, [&a, &b])] {
        knows(member, &[others[0], others[1], &bootstrap]).await;
    }
    for (member, before) in [&a, &b, &c].into_iter().zip(before) {
        assert!(connections(member).is_superset(&before), "nobody lost a connection meanwhile");
    }
    for member in [a, b, c, bootstrap] {
        member.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_advertised_is_told_and_nobody_is_dialled_beyond_the_target() {
    let chain = store();
    let bootstrap = Member::join(1, &chain, &[]).await.unwrap();
    let elsewhere = "127.0.0.1:9".parse().unwrap();
    let mut config = Config::local();
    config.discovery.bootstrap = vec![bootstrap.peer().to_string()];
    config.discovery.advertise = vec![elsewhere];
    config.discovery.target_outbound = 1;
    let quiet = Member::start_with(2, &chain, config).await.unwrap();
    let status = discovers(&quiet, |status| status.own.is_some()).await;
    assert_eq!(status.own.as_ref().unwrap().addresses[0].0, elsewhere);

    // It hears of the newcomer and is content with the one peer it dialled; the newcomer finds nobody where it says it is.
    let newcomer = Member::join(3, &chain, &[bootstrap.peer()]).await.unwrap();
    discovers(&newcomer, |status| status.known == 2 && status.dials == 1).await;
    discovers(&quiet, |status| status.known == 2).await;
    assert_eq!(quiet.handle.discovery().unwrap().status().dials, 0);
    assert_eq!(connections(&quiet).len(), 1);

    // Without discovery there is nothing of it: neither a handle nor a capability, and the bootstrap is not dialled.
    let mut config = Config::local();
    config.discovery.enabled = false;
    config.discovery.bootstrap = vec![bootstrap.peer().to_string()];
    config.transport.peers = vec![newcomer.peer().to_string()];
    let deaf = Member::start_with(4, &chain, config).await.unwrap();
    knows(&deaf, &[&newcomer]).await;
    assert!(deaf.handle.discovery().is_none());
    assert!(!deaf.handle.peers()[0].capabilities.contains(Capabilities::DISCOVERY));
    for member in [quiet, newcomer, deaf, bootstrap] {
        member.stop().await.unwrap();
    }
}
