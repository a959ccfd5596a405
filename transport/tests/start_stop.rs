//! A node that cannot start says why; one that stops leaves nothing, however busy it was.

mod common;
use common::{raw::*, *};
use std::time::Duration;
use tokio::time::Instant;
use zakura_transport::{
    AddPeerError, BanTarget, BindError, Fence, PeerAddr, PeerEventsError, Registry, Spawner, Stopped,
    Transport, TransportConfig,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_the_remedy_and_nothing_is_left() {
    let node = start(1, Echo(vec![news()])).await;
    let taken = TransportConfig { listen: node.handle.local_addr(), ..config() };
    let spawner = Spawner::new();
    let error = Transport::start(taken, identity(2), Registry::new(), spawner.clone()).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    assert!(error.to_string().contains("listen on another port"), "{error}");
    assert_eq!(spawner.live(), []);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_in_the_middle_of_everything_leaves_no_task() {
    let (service, mut sessions) = handover(vec![news(), chat(), query()]);
    let patient = TransportConfig { handshake_timeout: Duration::from_secs(60), ..config() };
    let node = start_with(1, service, patient).await;
    let to = node.handle.local_addr();
    // A session that is never read, a handshake that never goes on, a dial into the void, a prelude cut short.
    let friend = start(2, Echo(vec![news(), chat()])).await;
    friend.dial(&node).await;
    let (_session, _done) = session(&mut sessions).await;
    let raw = endpoint(9);
    let _silent = dial(&raw, to).await;
    let other = endpoint(8);
    let busy = meet(&other, 8, to, paced()).await;
    let _cut = open(&busy, b"ZKST").await;
    let void = PeerAddr { id: raw_id(7), addr: "127.0.0.1:9".parse().unwrap() };
    node.handle.add_peer(void).await.unwrap();
    assert_ne!(node.spawner.live(), []);
    let (handle, mut events, spawner) = (node.handle.clone(), node.handle.events(), node.spawner.clone());
    let begun = Instant::now();
    node.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "all end when asked, and not when their time is over");
    assert_eq!(spawner.live(), []);
    assert!(handle.peers().is_empty());
    assert_eq!(handle.add_peer(void).await, Err(AddPeerError::Stopped));
    assert_eq!(handle.remove_peer(void.id).await, Err(Stopped));
    assert_eq!(handle.close(void.id).await, Err(Stopped));
    assert_eq!(handle.close_connection(Fence::mint()).await, Err(Stopped));
    assert_eq!(handle.unban(BanTarget::Peer(void.id)).await, Err(Stopped));
    assert_eq!(handle.bans().await, Err(Stopped));
    handle.shutdown(Duration::from_secs(1)).await;
    assert_eq!(within(handle.events().recv()).await, Err(PeerEventsError::Closed));
    while within(events.recv()).await.is_ok() {}
    friend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_long_is_a_time_like_any_other() {
    let patient = || TransportConfig { handshake_timeout: Duration::MAX, ..config() };
    let mut a = start_with(1, Echo(vec![query()]), patient()).await;
    let b = start_with(2, Echo(vec![query()]), patient()).await;
    a.dial(&b).await;
    a.connected().await;
    let mut answer =
        within(a.handle.request(b.id(), QUERY, text("word"), Duration::MAX)).await.expect("it is asked");
    assert_eq!(within(answer.next()).await, Ok(Some(text("WORD"))));
    drop(answer);
    for node in [a, b] {
        let mut failed = tokio_test::task::spawn(node.spawner.failed());
        tokio_test::assert_pending!(failed.poll());
        within(node.handle.shutdown(Duration::MAX)).await;
        tokio_test::assert_pending!(failed.poll(), "the pool has not panicked");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_stops_the_transport() {
    let Node { handle, events, spawner } = start(1, Echo(vec![news()])).await;
    drop((handle, events));
    assert_eq!(spawner.stop(Duration::from_secs(5)).await.stragglers, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_from_here_is_ours_and_a_named_peer_comes_back() {
    let mut a = start(1, Echo(vec![news()])).await;
    let b = start(2, Echo(vec![news()])).await;
    a.dial(&b).await;
    let first = a.connected().await;
    a.handle.close(b.id()).await.unwrap();
    assert_eq!(a.disconnected().await, (first, zakura_transport::CloseReason::Local));
    let second = a.connected().await;
    assert_eq!(second.id, b.id());
    a.handle.remove_peer(b.id()).await.unwrap();
    a.handle.close(b.id()).await.unwrap();
    a.disconnected().await;
    a.stop().await;
    b.stop().await;
}
