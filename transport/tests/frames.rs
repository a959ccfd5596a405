//! A frame that breaks a bound closes its connection with the evidence, and an honest peer is still served (wire 4.3).

mod common;
use common::{raw::*, *};
use std::time::Duration;
use tokio::time::Instant;
use zakura_transport::{CloseReason, Exit, FrameError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_broken_frame_closes_and_is_named() {
    let mut node = start(1, Echo(vec![news()])).await;
    for (rule, bytes, fin) in [
        ("frame.flags", frame(1, 1, 2, b"hi"), false),
        ("frame.type", frame(7, 0, 2, b"hi"), false),
        ("frame.length", frame(2, 0, 1 << 20, b""), false),
        ("frame.length", frame(2, 0, u32::MAX, b""), false),
        ("message.length", frame(1, 0, 1001, b""), false),
        ("frame.payload", frame(1, 0, 10, b"half"), true),
    ] {
        let raw = endpoint(9);
        let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
        let (mut send, _recv) = open(&connection, &[prelude(NEWS.0, 1, None, 1000), bytes].concat()).await;
        if fin {
            send.finish().unwrap();
        }
        assert_eq!(closed(&connection).await, (0, "".into()), "{rule}");
        match node.disconnected().await.1 {
            CloseReason::Violation { stream, violation } => {
                assert_eq!((stream, violation.rule()), ("news", rule));
                assert!(!violation.evidence().is_empty());
            }
            other => panic!("{rule}: {other}"),
        }
    }
    let (service, mut sessions) = handover(vec![news()]);
    let honest = start(2, service).await;
    honest.dial(&node).await;
    let (mut session, _done) = session(&mut sessions).await;
    within(session.frames_out.send(text("still there?"))).await.unwrap();
    assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("still there?"))));
    honest.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_between_frames_or_inside_a_header_is_clean() {
    let (service, mut sessions) = handover(vec![news()]);
    let node = start(1, service).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    for tail in [&b""[..], b"\x01\0\0"] {
        let bytes = [&prelude(NEWS.0, 1, None, 1000)[..], &frame(1, 0, 2, b"hi"), tail].concat();
        let (mut send, _recv) = open(&connection, &bytes).await;
        send.finish().unwrap();
        let (mut session, done) = session(&mut sessions).await;
        assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("hi"))));
        assert_eq!(within(session.frames_in.recv()).await, Ok(None));
        drop(session);
        done.send(Exit::Closed { reopen: true }).unwrap();
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_frames_a_second_than_declared_are_a_fault_of_a_paced_peer() {
    let (service, mut sessions) = handover(vec![news()]);
    let mut node = start(1, service).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let flood = frame(1, 0, 0, b"").repeat(6000);
    let (_send, _recv) = open(&connection, &[prelude(NEWS.0, 1, None, 1000), flood].concat()).await;
    let (mut session, done) = session(&mut sessions).await;
    let mut frames = 0;
    let violation = within(async {
        loop {
            match session.frames_in.recv().await {
                Ok(_) => frames += 1,
                Err(FrameError::Violation(violation)) => return violation,
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
    assert!((2048..4096).contains(&frames), "the burst is allowed: {frames}");
    done.send(Exit::Violation(violation)).unwrap();
    assert_eq!(closed(&connection).await, (0, "".into()));
    assert_eq!(node.broken_rule().await, "frames.rate");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_we_send_is_paced_for_a_peer_that_is_not_ours() {
    let (service, mut sessions) = handover(vec![news()]);
    let node = start(1, service).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let (_send, mut recv) = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    let (mut session, _done) = session(&mut sessions).await;
    assert_eq!(session.frames_out.max_frame(), 1000, "the opener's cap counts");
    let begun = Instant::now();
    let count = 128 + 950;
    let send = async {
        for _ in 0..count {
            session.frames_out.send(text("")).await.unwrap();
        }
    };
    let mut bytes = vec![0; 8 * count];
    let (_, received) = within(async { tokio::join!(send, recv.read_exact(&mut bytes)) }).await;
    received.unwrap();
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(480),
        "950 frames beyond the burst take half a second, not {took:?}"
    );
    let large = zakura_transport::Frame::new(2, vec![0; 993].into());
    assert_eq!(
        within(session.frames_out.send(large)).await,
        Err(FrameError::TooLarge { bytes: 1001, max: 1000 })
    );
    node.stop().await;
}
