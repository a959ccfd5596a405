//! Peers that are not ours, or do not finish: refused at one deadline, and nobody else suffers (wire 2).

mod common;
use common::{raw::*, *};
use std::time::Duration;
use tokio::time::Instant;
use zakura_transport::{CloseReason, PeerAddr, Refusal, TransportConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_network_or_genesis_is_named_on_our_side_and_hinted_at_on_theirs() {
    let mut node = start(1, Echo(vec![news()])).await;
    for other in
        [TransportConfig { network_id: 1, ..config() }, TransportConfig { chain_id: [0x23; 32], ..config() }]
    {
        let is_network = other.network_id == 1;
        let mut stranger = start_with(2, Echo(vec![news()]), other).await;
        stranger.dial(&node).await;
        let reason = stranger.dial_failed().await;
        assert_eq!(reason, CloseReason::Remote { code: 0, reason: "control handshake".into() });
        assert!(reason.to_string().contains("another network or has another genesis"), "{reason}");
        match node.refused().await {
            Refusal::WrongNetwork { .. } => assert!(is_network),
            Refusal::WrongChain { .. } => assert!(!is_network),
            other => panic!("{other}"),
        }
        stranger.stop().await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_hello_is_closed_with_the_wires_words() {
    let mut node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let good = || RawHello::honest(9, 0);
    for (what, bad) in [
        ("magic", RawHello { magic: *b"ZAKNOPE\0", ..good() }),
        ("identity", RawHello { node: [7; 32], ..good() }),
        ("limits", RawHello { max_frame: 0, ..good() }),
        ("limits", RawHello { idle_ms: 600_001, ..good() }),
    ] {
        let connection = dial(&raw, node.handle.local_addr()).await;
        assert_eq!(hello(&connection, &bad).await, [0_u8; 0], "{what}");
        assert_eq!(closed(&connection).await, (0, "control handshake".into()), "{what}");
        let reason = node.refused().await;
        assert!(
            matches!(
                (what, &reason),
                ("magic", Refusal::Malformed(_))
                    | ("identity", Refusal::IdentityMismatch)
                    | ("limits", Refusal::Limits(_))
            ),
            "{what}: {reason}"
        );
    }
    // 1 KiB is all that a stranger may make us keep, whatever the wire would allow.
    for declared in [1025_u32, 16_385, u32::MAX] {
        let connection = dial(&raw, node.handle.local_addr()).await;
        let _stream = open(&connection, &declared.to_le_bytes()).await;
        assert_eq!(closed(&connection).await, (0, "control handshake".into()));
        assert!(matches!(node.refused().await, Refusal::Malformed(_)));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_limits_there_are_cost_their_sender_its_streams_and_nobody_else_anything() {
    let mut node = start(1, Echo(vec![news(), query()])).await;
    let raw = endpoint(9);
    let least = RawHello {
        max_frame: 1,
        max_open_streams: 1,
        max_inbound_depth: 1,
        idle_ms: 600_000,
        ..RawHello::honest(9, paced())
    };
    let connection = dial(&raw, node.handle.local_addr()).await;
    assert_eq!(hello(&connection, &least).await.len(), 112);
    let bytes = [prelude(NEWS.0, 1, None, u32::MAX), frame(1, 0, 1, b"x")].concat();
    let _stream = open(&connection, &bytes).await;
    assert_eq!(closed(&connection).await, (0, "".into()));
    assert_eq!(node.broken_rule().await, "frame.length", "a byte is more than fits beside a header");
    let other = endpoint(8);
    let honest = meet(&other, 8, node.handle.local_addr(), paced()).await;
    assert_eq!(heard_back(&honest, NEWS).await, "hi");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_common_capability_is_still_a_connection() {
    let mut node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), 0).await;
    assert_eq!(node.connected().await.capabilities.bits(), 0);
    assert!(connection.close_reason().is_none());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_too_small_for_the_streams_close_with_code_1_after_the_ack() {
    let mut node = start(1, Echo(vec![news(), chat()])).await;
    let raw = endpoint(9);
    for (spoilt, reason) in [
        (RawHello { max_open_streams: 1, ..RawHello::honest(9, paced()) }, "ordered streams"),
        (RawHello { max_inbound_depth: 1, ..RawHello::honest(9, paced()) }, "queue split"),
    ] {
        let connection = dial(&raw, node.handle.local_addr()).await;
        hello(&connection, &spoilt).await;
        assert_eq!(closed(&connection).await, (1, reason.into()));
        assert_eq!(node.disconnected().await.1, CloseReason::LimitsTooSmall);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_dribble_end_at_one_deadline_and_do_not_stop_our_own_dials() {
    let strict =
        TransportConfig { handshake_timeout: Duration::from_millis(400), pending_handshakes: 4, ..config() };
    let mut node = start_with(1, Echo(vec![news()]), strict).await;
    let raws: Vec<_> = (10..14).map(endpoint).collect();
    let begun = Instant::now();
    let mut dribblers = Vec::new();
    for raw in &raws {
        dribblers.push(dial(raw, node.handle.local_addr()).await);
    }
    let mut dribble = open(&dribblers[0], &244_u32.to_le_bytes()).await.0;
    let friend = start(2, Echo(vec![news()])).await;
    node.dial(&friend).await;
    assert_eq!(node.connected().await.id, friend.id(), "outbound handshakes have places of their own");
    let dribbled = async {
        while dribble.write_all(b"Z").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(dribbled).await;
    for connection in &dribblers {
        assert_eq!(closed(connection).await, (0, "control handshake".into()));
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "one deadline, not one for every read");
    let honest = meet(&raws[0], 10, node.handle.local_addr(), 0).await;
    assert!(honest.close_reason().is_none());
    friend.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_identity_than_the_dialled_one_is_refused_by_us() {
    let mut node = start(1, Echo(vec![news()])).await;
    let other = start(2, Echo(vec![news()])).await;
    let addr = other.handle.local_addr();
    node.handle.add_peer(PeerAddr { id: raw_id(3), addr }).await.unwrap();
    assert_eq!(node.dial_failed().await, CloseReason::WrongIdentity);
    assert!(other.handle.peers().is_empty());
    node.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_application_protocol_is_refused_by_tls() {
    let node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let to = node.handle.local_addr();
    assert!(!dial_with(&raw, 9, b"h3", to).await);
    assert!(dial_with(&raw, 9, b"p2p-v2/1", to).await);
    assert!(node.handle.peers().is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_their_own_peer() {
    let node = start(1, Echo(vec![news()])).await;
    let error = node.handle.add_peer(node.handle.local_peer()).await.unwrap_err();
    assert!(error.to_string().contains("this node itself"), "{error}");
    let mirror = endpoint(1);
    let connection = dial(&mirror, node.handle.local_addr()).await;
    hello(&connection, &RawHello::honest(1, 0)).await;
    assert_eq!(closed(&connection).await, (0, "".into()));
    assert!(node.handle.peers().is_empty());
    node.stop().await;
}
