//! One connection with one peer, the same one on both sides, whatever the order of dials and deaths (wire 6).

mod common;
use common::{raw::*, *};
use zakura_transport::{CloseReason, Direction, PeerInfo, TransportConfig};

/// The one connection that both sides agree on, once they do.
async fn settled(a: &Node, b: &Node) -> (PeerInfo, PeerInfo) {
    within(async {
        loop {
            let (at_a, at_b) = (a.handle.peers(), b.handle.peers());
            if let ([of_a], [of_b]) = (&at_a[..], &at_b[..])
                && of_a.direction != of_b.direction
            {
                return (of_a.clone(), of_b.clone());
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_dials_converge_on_a_connection_that_works() {
    let (small, large) = ordered_seeds();
    for _ in 0..10 {
        let (service, mut a_sessions) = handover(vec![chat()]);
        let a = start(small, service).await;
        let (service, mut b_sessions) = handover(vec![chat()]);
        let b = start(large, service).await;
        tokio::join!(a.dial(&b), b.dial(&a));
        // A loser's sessions end with it; the survivor's work.
        let echo = async {
            loop {
                let (mut session, _done) = session(&mut b_sessions).await;
                while let Ok(Some(frame)) = session.frames_in.recv().await {
                    drop(session.frames_out.send(frame).await);
                }
            }
        };
        let ask = async {
            loop {
                let (mut session, _done) = session(&mut a_sessions).await;
                let sent = session.frames_out.send(text("it works")).await;
                if sent.is_ok() && session.frames_in.recv().await == Ok(Some(text("it works"))) {
                    return;
                }
            }
        };
        within(async {
            tokio::select! {
                biased;
                () = ask => {}
                () = echo => {}
            }
        })
        .await;
        // For a moment it may be the other one.
        let small_dialled = async {
            while settled(&a, &b).await.0.direction != Direction::Outbound {
                tokio::task::yield_now().await;
            }
        };
        within(small_dialled).await;
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_in_the_same_direction_loses() {
    let mut node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let first = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    node.connected().await;
    let second = dial(&raw, node.handle.local_addr()).await;
    hello(&second, &RawHello::honest(9, paced())).await;
    assert_eq!(closed(&second).await, (0, "duplicate".into()));
    assert!(first.close_reason().is_none());
    assert_eq!(node.handle.peers().len(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smaller_dialler_replaces_and_the_old_teardown_leaves_it_alone() {
    let (small, large) = ordered_seeds();
    let mut node = start(large, Echo(vec![news()])).await;
    let raw = endpoint(small);
    node.handle.add_peer(peer(&raw, small)).await.unwrap();
    let ours = accept(&raw, paced()).await;
    let old = node.connected().await;
    assert_eq!(old.direction, Direction::Outbound);
    let theirs = meet(&raw, small, node.handle.local_addr(), paced()).await;
    assert_eq!(closed(&ours).await, (0, "duplicate".into()));
    assert_eq!(node.disconnected().await, (old, CloseReason::Duplicate));
    let new = node.connected().await;
    assert_eq!(new.direction, Direction::Inbound);
    let bytes = [prelude(NEWS.0, 1, None, 1000), frame(1, 0, 2, b"hi")].concat();
    let (_send, mut recv) = open(&theirs, &bytes).await;
    let mut echo = [0; 10];
    within(recv.read_exact(&mut echo)).await.unwrap();
    assert_eq!(node.handle.peers(), [new]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_without_a_place_does_not_cost_the_connection_that_stands() {
    let (small, large) = ordered_seeds();
    let only_dials = TransportConfig { max_inbound: 1, ..config() };
    let mut node = start_with(large, Echo(vec![news()]), only_dials).await;
    let other = endpoint(9);
    let _fills_the_place = meet(&other, 9, node.handle.local_addr(), paced()).await;
    node.connected().await;
    let raw = endpoint(small);
    node.handle.add_peer(peer(&raw, small)).await.unwrap();
    let ours = accept(&raw, paced()).await;
    let incumbent = node.connected().await;
    let theirs = dial(&raw, node.handle.local_addr()).await;
    hello(&theirs, &RawHello::honest(small, paced())).await;
    assert_eq!(closed(&theirs).await, (1, "admission".into()));
    assert!(ours.close_reason().is_none());
    assert!(node.handle.peers().contains(&incumbent));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_restarts_with_its_identity_is_back_at_once() {
    let mut a = start(1, Echo(vec![news()])).await;
    let b = start(2, Echo(vec![news()])).await;
    let addr = b.handle.local_addr();
    a.dial(&b).await;
    let first = a.connected().await;
    b.stop().await;
    let (gone, reason) = a.disconnected().await;
    assert_eq!(
        (gone.connection, reason),
        (first.connection, CloseReason::Remote { code: 0, reason: "".into() })
    );
    let b = start_with(2, Echo(vec![news()]), TransportConfig { listen: addr, ..config() }).await;
    let second = a.connected().await;
    assert_eq!(second.id, first.id);
    assert!(second.connection > first.connection);
    a.stop().await;
    b.stop().await;
}
