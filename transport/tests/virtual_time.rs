//! The long waits, in virtual time over a network in memory: idle, slow, stuck and dead.

mod common;
use common::{net::Net, *};
use std::{io, net::SocketAddr, time::Duration};
use tokio::time::Instant;
use zakura_transport::{CloseReason, Exit, Frame, FrameError, TransportConfig};

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8234))
}

async fn start_on(net: &Net, seed: u8, service: impl zakura_transport::Service) -> Node {
    let at = addr(seed);
    start_with(seed, service, TransportConfig { listen: at, socket: Some(net.socket(at)), ..config() }).await
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_frame_ends_after_150_seconds() {
    let net = Net::default();
    let (service, mut sessions) = handover(vec![news()]);
    let mut a = start_on(&net, 1, service).await;
    let mut b = start_on(&net, 2, Echo(vec![news()])).await;
    a.dial(&b).await;
    tokio::join!(a.connected(), b.connected());
    let (mut at_a, _done) = session(&mut sessions).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    at_a.frames_out.send(text("hi")).await.unwrap();
    assert_eq!(at_a.frames_in.recv().await, Ok(Some(text("hi"))));
    let heard = Instant::now();
    let reason = tokio::time::timeout(Duration::from_secs(200), a.events.recv()).await.unwrap().unwrap();
    let silent = heard.elapsed();
    assert!((149..151).contains(&silent.as_secs()), "{silent:?}");
    match reason {
        zakura_transport::PeerEvent::Disconnected { reason, .. } => assert!(
            reason == CloseReason::Idle || reason == CloseReason::Remote { code: 0, reason: "idle".into() },
            "{reason}"
        ),
        other => panic!("{other:?}"),
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_stalls_the_writer_after_ten_seconds() {
    let net = Net::default();
    let (service, mut a_sessions) = handover(vec![news()]);
    let a = start_on(&net, 1, service).await;
    let (service, mut b_sessions) = handover(vec![news()]);
    let b = start_on(&net, 2, service).await;
    a.dial(&b).await;
    let (mut at_a, _done) = session(&mut a_sessions).await;
    let (_at_b, _b) = session(&mut b_sessions).await;
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = at_a.frames_out.send(Frame::new(2, vec![0; 1_000_000].into())).await {
            break error;
        }
    };
    assert_eq!(error, FrameError::Stalled);
    let took = begun.elapsed();
    assert!((10..13).contains(&took.as_secs()), "{took:?}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_has_begun_and_does_not_go_on_stalls_its_session() {
    let net = Net::default();
    let (service, mut a_sessions) = handover(vec![news()]);
    let a = start_on(&net, 1, service).await;
    let (service, mut b_sessions) = handover(vec![news()]);
    let b = start_on(&net, 2, service).await;
    a.dial(&b).await;
    let (mut at_a, _a) = session(&mut a_sessions).await;
    let (mut at_b, _b) = session(&mut b_sessions).await;
    // Between frames any silence is legal.
    assert!(tokio::time::timeout(Duration::from_secs(60), at_b.frames_in.recv()).await.is_err());
    net.cut_after(addr(2), 5);
    at_a.frames_out.send(Frame::new(2, vec![0; 200_000].into())).await.unwrap();
    let begun = Instant::now();
    // A busy routine polls for frames again and again, and never loses what has come.
    let error = loop {
        match tokio::time::timeout(Duration::from_millis(500), at_b.frames_in.recv()).await {
            Ok(end) => break end,
            Err(_) => assert!(begun.elapsed() < Duration::from_secs(100), "it waits for ever"),
        }
    };
    assert_eq!(error, Err(FrameError::Stalled));
    let took = begun.elapsed();
    // 10 s, and 4 KiB a second for what was declared.
    assert!((55..62).contains(&took.as_secs()), "{took:?}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_vanished_peer_is_gone_after_the_quic_idle_time_and_redialled() {
    let net = Net::default();
    let mut a = start_on(&net, 1, Echo(vec![news()])).await;
    let b = start_on(&net, 2, Echo(vec![news()])).await;
    a.dial(&b).await;
    a.connected().await;
    net.cut_after(addr(2), 0);
    let patience = Duration::from_secs(400);
    let gone = tokio::time::timeout(patience, a.events.recv()).await.unwrap().unwrap();
    assert!(matches!(gone, zakura_transport::PeerEvent::Disconnected { .. }), "{gone:?}");
    let failed = tokio::time::timeout(patience, a.events.recv()).await.unwrap().unwrap();
    match failed {
        zakura_transport::PeerEvent::DialFailed { reason, .. } => assert_eq!(reason, CloseReason::Timeout),
        other => panic!("{other:?}"),
    }
    drop(b);
    a.handle.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_is_noticed_and_bound_again() {
    let net = Net::default();
    let mut a = start_on(&net, 1, Echo(vec![news()])).await;
    let mut b = start_on(&net, 2, Echo(vec![news()])).await;
    a.dial(&b).await;
    tokio::join!(a.connected(), b.connected());
    net.fail(addr(2), io::ErrorKind::BrokenPipe);
    let reason = b.disconnected().await.1;
    assert!(matches!(reason, CloseReason::Transport(_)), "{reason}");
    // The old connection is reset by the new endpoint, and the named peer is dialled again.
    assert_eq!(a.disconnected().await.1, CloseReason::Reset);
    assert_eq!(a.connected().await.id, b.id());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn exits_reopen_with_growing_pauses() {
    let net = Net::default();
    let (service, mut sessions) = handover(vec![news()]);
    let a = start_on(&net, 1, service).await;
    let b = start_on(&net, 2, Echo(vec![news()])).await;
    a.dial(&b).await;
    let mut pauses = Vec::new();
    let mut current = session(&mut sessions).await;
    for _ in 0..7 {
        let (at_a, done) = current;
        drop(at_a);
        let ended = Instant::now();
        done.send(Exit::Local("full")).unwrap();
        current = session(&mut sessions).await;
        pauses.push(ended.elapsed().as_millis());
    }
    for (pause, expected) in pauses.iter().zip([250, 500, 1000, 2000, 4000, 8000, 8000]) {
        assert!((expected..=expected + 100).contains(pause), "{pauses:?}");
    }
    a.stop().await;
    b.stop().await;
}
