//! One request on a stream of its own, zero or more frames back (wire 4.5).

mod common;
use common::{raw::*, *};
use std::time::Duration;
use zakura_transport::{CloseReason, Frame, RequestError, routine::Message, wire::Malformed};

const SOON: Duration = Duration::from_secs(10);

async fn answer(node: &Node, of: &Node, word: &str) -> Result<Vec<Frame>, RequestError> {
    let mut response = node.handle.request(of.id(), QUERY, text(word), SOON).await?;
    let mut frames = Vec::new();
    while let Some(frame) = response.next().await? {
        frames.push(frame);
    }
    Ok(frames)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_ask_and_are_answered() {
    let mut a = start(1, Echo(vec![query(), news()])).await;
    let mut b = start(2, Echo(vec![query()])).await;
    a.dial(&b).await;
    tokio::join!(a.connected(), b.connected());
    for _ in 0..3 {
        assert_eq!(answer(&a, &b, "hello").await, Ok(vec![text("HELLO"), text("HELLO")]));
        assert_eq!(answer(&b, &a, "hi").await, Ok(vec![text("HI"), text("HI")]));
    }
    assert_eq!(answer(&a, &b, "busy").await, Ok(vec![]), "a reset between frames is an end");
    assert_eq!(a.handle.peers().len(), 1, "and no fault");
    let error = a.handle.request(b.id(), NEWS, text("x"), SOON).await.unwrap_err();
    assert_eq!(error, RequestError::NotNegotiated(NEWS));
    let nobody = a.handle.request(raw_id(7), QUERY, text("x"), SOON).await.unwrap_err();
    assert_eq!(nobody, RequestError::NotConnected);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_answering_closes_that_connection() {
    let mut a = start(1, Echo(vec![query()])).await;
    let mut b = start(2, Echo(vec![query()])).await;
    a.dial(&b).await;
    tokio::join!(a.connected(), b.connected());
    drop(a.handle.request(b.id(), QUERY, text("panic"), SOON).await);
    let reason = b.disconnected().await.1;
    assert!(matches!(&reason, CloseReason::Panicked { stream: "query", .. }), "{reason}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_stream_without_its_frame_is_fatal() {
    let mut node = start(1, Echo(vec![query()])).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let (mut send, _recv) = open(&connection, &prelude(QUERY.0, 1, Some(1), 1000)).await;
    send.finish().unwrap();
    assert_eq!(closed(&connection).await, (0, "".into()));
    assert_eq!(node.broken_rule().await, "request.frame");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_answer_closes_with_code_2() {
    let mut node = start(1, Echo(vec![query()])).await;
    let raw = endpoint(9);
    node.handle.add_peer(peer(&raw, 9)).await.unwrap();
    let connection = accept(&raw, paced()).await;
    node.connected().await;
    let mut response = node.handle.request(raw_id(9), QUERY, text("x"), SOON).await.unwrap();
    let (mut send, mut recv) = within(connection.accept_bi()).await.unwrap();
    let asked = within(recv.read_to_end(100)).await.unwrap();
    assert_eq!(asked, [prelude(QUERY.0, 1, Some(1), 1 << 20), frame(1, 0, 1, b"x")].concat());
    send.write_all(&frame(1, 0, 1001, b"")).await.unwrap();
    assert!(matches!(within(response.next()).await, Err(RequestError::Violation(_))));
    assert_eq!(closed(&connection).await, (2, "malformed response".into()));
    assert!(matches!(node.disconnected().await.1, CloseReason::Violation { stream: "query", .. }));
    node.stop().await;
}

/// A message of exactly one byte.
#[derive(Debug, PartialEq)]
struct Byte(u8);

impl Message for Byte {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut from = frame.into_reader();
        let byte = from.u8("Byte")?;
        from.end("Byte").map(|()| Self(byte))
    }

    fn encode(self) -> Frame {
        Frame::new(1, vec![self.0].into())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_read_closes_with_code_2() {
    let mut node = start(1, Echo(vec![query()])).await;
    let raw = endpoint(9);
    node.handle.add_peer(peer(&raw, 9)).await.unwrap();
    let connection = accept(&raw, paced()).await;
    node.connected().await;
    let mut response = node.handle.request(raw_id(9), QUERY, Byte(1).encode(), SOON).await.unwrap();
    let (mut send, mut recv) = within(connection.accept_bi()).await.unwrap();
    within(recv.read_to_end(100)).await.unwrap();
    send.write_all(&[frame(1, 0, 1, b"x"), frame(1, 0, 2, b"xy")].concat()).await.unwrap();
    assert_eq!(within(response.next_message()).await, Ok(Some(Byte(b'x'))));
    let violation = within(response.next_message::<Byte>()).await.unwrap_err();
    assert!(
        matches!(&violation, RequestError::Violation(violation) if violation.rule() == "Byte"),
        "{violation}"
    );
    assert_eq!(closed(&connection).await, (2, "malformed response".into()));
    assert_eq!(node.broken_rule().await, "Byte");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_answer_costs_the_deadline_and_no_more() {
    let mut node = start(1, Echo(vec![query()])).await;
    let raw = endpoint(9);
    node.handle.add_peer(peer(&raw, 9)).await.unwrap();
    let connection = accept(&raw, paced()).await;
    node.connected().await;
    let soon = Duration::from_millis(100);
    let mut response = node.handle.request(raw_id(9), QUERY, text("x"), soon).await.unwrap();
    assert_eq!(within(response.next()).await, Err(RequestError::Deadline));
    assert!(connection.close_reason().is_none());
    node.stop().await;
}
