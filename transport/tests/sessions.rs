//! Two nodes meet, open the streams they are entitled to, and exchange frames both ways.

mod common;
use bytes::Bytes;
use common::*;
use zakura_transport::{Capabilities, Direction, Exit, Frame};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_flow_both_ways_whoever_dials() {
    let (small, large) = ordered_seeds();
    for (dialler, listener) in [(small, large), (large, small)] {
        let (service, mut a_sessions) = handover(vec![chat(), news()]);
        let mut a = start(dialler, service).await;
        let (service, mut b_sessions) = handover(vec![chat(), news()]);
        let mut b = start(listener, service).await;
        a.dial(&b).await;

        let (to_b, to_a) = (a.connected().await, b.connected().await);
        assert_eq!((to_b.id, to_b.direction), (b.id(), Direction::Outbound));
        assert_eq!((to_a.id, to_a.direction), (a.id(), Direction::Inbound));
        assert_eq!(to_a.addr, a.handle.local_addr());
        assert!(to_a.capabilities.contains(Capabilities::UNPACED));
        assert_eq!(a.handle.peers(), [to_b]);

        let mut left = [session(&mut a_sessions).await, session(&mut a_sessions).await];
        let mut right = [session(&mut b_sessions).await, session(&mut b_sessions).await];
        // Which session is which shows in the words: each side greets on both, in its own order.
        for (session, _) in &mut left {
            within(session.frames_out.send(text("ping"))).await.unwrap();
        }
        for (session, _) in &mut right {
            assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("ping"))));
            within(session.frames_out.send(text("pong"))).await.unwrap();
        }
        for (session, _) in &mut left {
            assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("pong"))));
        }
        drop((left, right));
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_frames_arrive_whole_and_in_order() {
    let (service, mut a_sessions) = handover(vec![news()]);
    let a = start(1, service).await;
    let b = start(2, Echo(vec![news()])).await;
    a.dial(&b).await;
    let (mut session, done) = session(&mut a_sessions).await;
    let frame = |n: u8| Frame::with_body(2, Bytes::from(vec![n; 3]), Bytes::from(vec![n; 1_000_000]));
    let (frames_in, frames_out) = (&mut session.frames_in, &mut session.frames_out);
    let send = async {
        for n in 0..20 {
            frames_out.send(frame(n)).await.unwrap();
        }
    };
    let receive = async {
        for n in 0..20 {
            let echo = frames_in.recv().await.unwrap().unwrap();
            assert_eq!(echo.message_type, 2);
            assert_eq!(echo.body.len(), 1_000_003);
            assert!(echo.body.iter().all(|byte| *byte == n));
        }
    };
    within(async { tokio::join!(send, receive) }).await;
    assert!(session.frames_out.is_flushed());
    done.send(Exit::Closed { reopen: false }).unwrap();
    a.stop().await;
    b.stop().await;
}
