//! A crowd from one neighbourhood: it gets its share of places, and nobody else waits for it (threats T02 and T03).

mod common;
use common::{raw::*, *};
use std::{net::Ipv4Addr, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use zakura_transport::{
    CloseReason, Direction, GroupCaps, Netgroup, PeerAddr, PeerId, Role, TransportConfig,
};

/// An address of this machine: its `host` of neighbourhood `group`.
const fn ip(group: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, group, host)
}

/// As on the open network: addresses of this machine are in neighbourhoods, too.
fn open_network() -> TransportConfig {
    TransportConfig { groups: GroupCaps::OPEN, ..config() }
}

/// An endpoint at an address, with a key of its own, and the Hello it would say.
fn stranger(group: u8, host: u8) -> (Endpoint, RawHello) {
    let mut seed = [0xaa; 32];
    (seed[0], seed[1]) = (group, host);
    let hello = RawHello { node: public_key(seed), ..RawHello::honest(0, paced()) };
    (endpoint_at(seed, ip(group, host)), hello)
}

/// What becomes of an honest connection: it stands, or is closed with this code and reason.
async fn met(endpoint: &Endpoint, words: &RawHello, node: &mut Node) -> Result<Connection, (u64, String)> {
    let connection = dial(endpoint, node.handle.local_addr()).await;
    hello(&connection, words).await;
    tokio::select! {
        biased;
        (code, reason) = closed(&connection) => Err((code, String::from_utf8_lossy(&reason).into_owned())),
        info = node.connected() => {
            assert_eq!(info.id, PeerId::new(words.node));
            Ok(connection)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_keys_of_three_neighbourhoods_get_four_places_each() {
    let mut node = start_with(1, Echo(vec![news()]), open_network()).await;
    let mut standing = Vec::new();
    for group in 0..3 {
        for host in 1..=100 {
            let (endpoint, words) = stranger(group, host);
            match met(&endpoint, &words, &mut node).await {
                Ok(connection) => standing.push((endpoint, connection)),
                Err(refused) => assert_eq!(refused, (1, "admission".into())),
            }
        }
    }
    let peers = node.handle.peers();
    for group in 0..3 {
        let of_group =
            peers.iter().filter(|peer| Netgroup::of(peer.addr.ip()) == Netgroup::of(ip(group, 1).into()));
        assert_eq!(of_group.count(), 4, "{group}");
    }
    assert_eq!((peers.len(), standing.len()), (12, 12));
    assert!(standing.iter().all(|(_, connection)| connection.close_reason().is_none()));

    let (endpoint, words) = stranger(200, 1);
    assert!(met(&endpoint, &words, &mut node).await.is_ok(), "another neighbourhood has its own places");

    // The operator's own peers are in no neighbourhood's count.
    let (endpoint, words) = stranger(0, 101);
    let named = PeerAddr { id: PeerId::new(words.node), addr: endpoint.local_addr().unwrap() };
    node.handle.add_peer(named).await.unwrap();
    let _ours = accept(&endpoint, paced()).await;
    let info = node.connected().await;
    assert_eq!((info.id, info.role, info.direction), (named.id, Role::Static, Direction::Outbound));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_dribblers_of_one_neighbourhood_hold_up_nobody() {
    let patient = TransportConfig { handshake_timeout: Duration::from_secs(60), ..open_network() };
    let mut node = start_with(1, Echo(vec![news()]), patient).await;
    let to = node.handle.local_addr();
    // TLS finished, Hello never sent, or not even that.
    let (mut dials, mut dribblers) = (JoinSet::new(), Vec::new());
    for host in 1..=64 {
        let (endpoint, _) = stranger(7, host);
        dials.spawn(async move { (endpoint.connect(to, "raw.invalid").unwrap().await, endpoint) });
    }
    for _ in 0..4 {
        dribblers.push(within(dials.join_next()).await.unwrap().unwrap());
    }
    assert!(dribblers.iter().all(|(dialled, _)| dialled.is_ok()));
    // Later ones get in, but only at the cost of those who have had their time.
    let until = tokio::time::Instant::now() + Duration::from_millis(1500);
    while let Ok(Some(dialled)) = tokio::time::timeout_at(until, dials.join_next()).await {
        dribblers.push(dialled.unwrap());
    }
    let standing = || {
        let connections = dribblers.iter().filter_map(|(dialled, _)| dialled.as_ref().ok());
        connections.filter(|connection| connection.close_reason().is_none()).count()
    };
    let share = async {
        while standing() > 4 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), share)
        .await
        .expect("the neighbourhood's share is four, however often they ask");

    let friend = start(2, Echo(vec![news()])).await;
    node.dial(&friend).await;
    let dialled =
        timeout(Duration::from_secs(5), node.connected()).await.expect("our own dial is not held up");
    assert_eq!((dialled.id, dialled.role), (friend.id(), Role::Static));
    let (endpoint, words) = stranger(8, 1);
    let honest = timeout(Duration::from_secs(5), met(&endpoint, &words, &mut node)).await;
    assert!(honest.expect("an honest stranger is not held up").is_ok());
    friend.stop().await;
    node.stop().await;
}

/// Connects, is let in, and leaves.
async fn visit(group: u8, node: &mut Node) -> Result<(), (u64, String)> {
    let (endpoint, words) = stranger(group, 1);
    let connection = met(&endpoint, &words, node).await?;
    hang_up(&connection, 0, b"");
    node.disconnected().await;
    Ok(())
}

/// Threats G05.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_again_and_again_does_not_get_fresh_allowances_each_time() {
    let mut node = start_with(1, Echo(vec![news()]), open_network()).await;
    let mut visits = 0;
    let refused = loop {
        match visit(1, &mut node).await {
            Ok(()) => visits += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, (1, "admission".into()));
    assert!((16..24).contains(&visits), "sixteen, and one for every five seconds that it took: {visits}");
    visit(2, &mut node).await.expect("nobody else answers for it");
    node.stop().await;
}

/// Threats P04.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_of_panics_nobody_is_let_in_from_where_one_came() {
    let mut node = start_with(1, Echo(vec![news()]), open_network()).await;
    let (endpoint, words) = stranger(100, 1);
    let bystander = met(&endpoint, &words, &mut node).await.unwrap();
    for group in 1..=5 {
        let (endpoint, words) = stranger(group, 1);
        let connection = met(&endpoint, &words, &mut node).await.unwrap();
        let bytes = [prelude(NEWS.0, 1, None, 1000), frame(1, 0, 5, b"panic")].concat();
        let _stream = open(&connection, &bytes).await;
        let (_, reason) = node.disconnected().await;
        assert!(matches!(reason, CloseReason::Panicked { .. }), "{reason}");
    }
    let (endpoint, words) = stranger(5, 2);
    let connecting = timeout(Duration::from_secs(1), met(&endpoint, &words, &mut node)).await;
    assert!(connecting.is_err(), "it is not answered");
    let (endpoint, words) = stranger(6, 1);
    let newcomer = met(&endpoint, &words, &mut node).await.expect("somebody else is let in");
    for honest in [bystander, newcomer] {
        assert_eq!(heard_back(&honest, NEWS).await, "hi");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_peer_comes_in_from_a_neighbourhood_that_is_full_of_dribblers() {
    let patient = TransportConfig { handshake_timeout: Duration::from_secs(60), ..open_network() };
    let mut node = start_with(1, Echo(vec![news()]), patient).await;
    let to = node.handle.local_addr();
    let mut dribblers = Vec::new();
    for host in 1..=4 {
        let (endpoint, _) = stranger(7, host);
        dribblers.push((dial(&endpoint, to).await, endpoint));
    }
    let (endpoint, words) = stranger(7, 5);
    let connecting = endpoint.connect(to, "raw.invalid").unwrap();
    let mut connecting = std::pin::pin!(connecting);
    assert!(timeout(Duration::from_millis(500), &mut connecting).await.is_err(), "a stranger there waits");
    // It does not answer our dial, it dials.
    endpoint.set_server_config(None);
    let named = PeerAddr { id: PeerId::new(words.node), addr: endpoint.local_addr().unwrap() };
    node.handle.add_peer(named).await.unwrap();
    let connection = within(connecting).await.unwrap();
    assert_eq!(hello(&connection, &words).await.len(), 112);
    let info = node.connected().await;
    assert_eq!((info.id, info.role, info.direction), (named.id, Role::Static, Direction::Inbound));
    node.stop().await;
}
