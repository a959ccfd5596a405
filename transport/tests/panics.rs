//! A panic in a routine closes that peer's connection and touches nobody else.
#![allow(clippy::panic, reason = "panics are what this file is about")]

mod common;
use common::*;
use zakura_transport::{CloseReason, Exit, PeerInfo, Service, Session, StreamSpec};

/// Panics when it is asked whether it wants a peer.
struct Moody;

impl Service for Moody {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![news()]
    }

    fn wants(&self, _: &PeerInfo, _: &StreamSpec) -> bool {
        panic!("as ordered")
    }

    async fn run(&self, _: Session) -> Exit {
        Exit::Closed { reopen: false }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_a_service_outside_its_session_costs_the_connection_and_no_more() {
    let mut moody = start(1, Moody).await;
    let mut friend = start(2, Echo(vec![news()])).await;
    moody.dial(&friend).await;
    let reason = moody.disconnected().await.1;
    assert!(matches!(&reason, CloseReason::Panicked { .. }), "{reason}");
    assert_eq!(friend.disconnected().await.1, CloseReason::Remote { code: 0, reason: String::new() });
    moody.connected().await;
    moody.stop().await;
    friend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_session_costs_its_own_connection_only() {
    let mut node = start(1, Echo(vec![news()])).await;
    let (service, mut quiet_sessions) = handover(vec![news()]);
    let quiet = start(2, service).await;
    quiet.dial(&node).await;
    let (mut bystander, _done) = session(&mut quiet_sessions).await;
    node.connected().await;

    let (service, mut loud_sessions) = handover(vec![news()]);
    let mut loud = start(3, service).await;
    loud.dial(&node).await;
    let (mut bomber, _done) = session(&mut loud_sessions).await;
    within(bomber.frames_out.send(text("panic"))).await.unwrap();
    let (peer, reason) = node.disconnected().await;
    assert_eq!(peer.id, loud.id());
    assert!(matches!(&reason, CloseReason::Panicked { stream: "news", .. }), "{reason}");
    assert_eq!(loud.disconnected().await.1, CloseReason::Remote { code: 0, reason: String::new() });

    within(bystander.frames_out.send(text("you there?"))).await.unwrap();
    assert_eq!(within(bystander.frames_in.recv()).await, Ok(Some(text("you there?"))));
    quiet.stop().await;
    loud.stop().await;
    node.stop().await;
}
