//! A learned peer is dialled once: the outcome is told, and nothing is dialled again.

mod common;
use common::{raw::*, *};
use std::time::Duration;
use zakura_transport::{AddPeerError, CloseReason, Direction, PeerAddr, PeerEvent, TransportConfig};

/// The next failed dial.
async fn failed(node: &mut Node) -> (PeerAddr, CloseReason) {
    loop {
        if let PeerEvent::DialFailed { peer, reason } = node.event().await {
            return (peer, reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_there_is_connected_and_not_dialled_again_when_it_leaves() {
    let mut a = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let there = peer(&raw, 9);
    a.handle.dial(there).await.unwrap();
    let connection = accept(&raw, paced()).await;
    let info = a.connected().await;
    assert_eq!((info.id, info.direction), (there.id, Direction::Outbound));

    // Connected: a second dial is refused at once.
    a.handle.dial(there).await.unwrap();
    assert_eq!(failed(&mut a).await, (there, CloseReason::Duplicate));

    connection.close(0u32.into(), b"");
    a.disconnected().await;
    // A named peer would be back after 1.2 s at the latest.
    let again = tokio::time::timeout(Duration::from_secs(2), raw.accept()).await;
    assert!(again.is_err(), "it is not dialled again");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dial_that_finds_nobody_or_no_place_says_so_once() {
    let few = TransportConfig { max_outbound: 1, handshake_timeout: Duration::from_millis(300), ..config() };
    let mut a = start_with(1, Echo(vec![news()]), few).await;
    let b = start(2, Echo(vec![news()])).await;
    let gone = endpoint(9);
    let nobody = peer(&gone, 9);
    drop(gone);
    a.handle.dial(nobody).await.unwrap();
    // The only place is taken by the dial that is under way, whose failure comes later.
    a.handle.dial(b.handle.local_peer()).await.unwrap();
    assert_eq!(failed(&mut a).await, (b.handle.local_peer(), CloseReason::Full));
    assert_eq!(failed(&mut a).await.0, nobody);

    // The place is free again.
    a.handle.dial(b.handle.local_peer()).await.unwrap();
    assert_eq!(a.connected().await.id, b.handle.local_id());
    let ourselves = a.handle.local_peer();
    assert_eq!(a.handle.dial(ourselves).await, Err(AddPeerError::Ourselves(ourselves.id)));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_is_weak_does_not_keep_the_transport() {
    let node = start(1, Echo(vec![news()])).await;
    let weak = node.handle.downgrade();
    assert!(weak.upgrade().is_some());
    let mut events = node.handle.events();
    drop(node.handle);
    within(async { while events.recv().await.is_ok() {} }).await;
    assert!(weak.upgrade().is_none());
}
