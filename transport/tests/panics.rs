//! A panic in a routine closes that peer's connection and touches nobody else.

mod common;
use common::*;
use zakura_transport::CloseReason;

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
