//! Who may open which stream, and what a stream that may not be opened meets (wire 4.2, 4.4 and 4.9).

mod common;
use common::{raw::*, *};
use zakura_transport::Exit;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_kinds_versions_and_capabilities_are_reset_and_the_connection_lives() {
    let node = start(1, Echo(vec![chat(), news()])).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), news().capability.bits()).await;
    for (what, bytes, code) in [
        ("unknown kind", prelude(0x7777, 1, None, 1000), 5),
        ("other version", prelude(NEWS.0, 2, None, 1000), 5),
        ("not negotiated", prelude(CHAT.0, 1, None, 1000), 5),
        ("no magic", b"NOPE\x01\x01\x01\0\0\0\0\0\0".to_vec(), 2),
        ("bad flag", b"ZKST\x01\x01\x01\0\x02\0\0\0\0".to_vec(), 2),
    ] {
        let (_send, mut recv) = open(&connection, &bytes).await;
        assert_eq!(reset(&mut recv).await, code, "{what}");
    }
    let (mut send, mut recv) = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    send.write_all(&frame(1, 0, 2, b"hi")).await.unwrap();
    let mut echo = [0; 10];
    within(recv.read_exact(&mut echo)).await.unwrap();
    assert_eq!(echo[..], frame(1, 0, 2, b"hi"));
    drop(send);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_opened_too_fast_are_reset_with_3_and_a_silent_one_with_2() {
    let node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(open(&connection, b"ZKST").await);
    }
    let mut codes = Vec::new();
    for (_, recv) in &mut streams {
        codes.push(reset(recv).await);
    }
    let throttled = codes.iter().filter(|code| **code == 3).count();
    assert!((16..=32).contains(&throttled), "a slow machine opens them slower: {codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 2).count(), 64 - throttled);
    assert_eq!(node.handle.peers().len(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_opened_and_dropped_for_ever_cost_few_tasks_and_nobody_else_anything() {
    let node = start(1, Echo(vec![news()])).await;
    let (raw, other) = (endpoint(9), endpoint(8));
    let churner = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let honest = meet(&other, 8, node.handle.local_addr(), paced()).await;
    let mut most = 0;
    for round in 0..1500 {
        let beginnings = [&b""[..], b"ZKST", b"NOPE\x01\x01\x01\0\0\0\0\0\0"];
        let (mut send, _recv) = open(&churner, beginnings[round % 3]).await;
        if round % 2 == 0 {
            reset_ours(&mut send, 7);
        }
        most = most.max(node.spawner.live().iter().map(|(_, tasks)| tasks).sum());
    }
    assert_eq!(heard_back(&honest, NEWS).await, "hi");
    // A rate's worth of preludes in their three seconds, and what a node is made of.
    assert!(most < 32 + 3 * 32 + 40, "{most} tasks at once");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_winner_parks_the_losers_stream_and_keeps_its_own() {
    let (small, large) = ordered_seeds();
    let (service, mut sessions) = handover(vec![chat()]);
    let node = start(small, service).await;
    let raw = endpoint(large);
    let connection = meet(&raw, large, node.handle.local_addr(), paced()).await;
    let (ours, _) = within(connection.accept_bi()).await.unwrap();
    let (mut session, _done) = session(&mut sessions).await;
    let (theirs, mut answer) = open(&connection, &prelude(CHAT.0, 1, None, 1000)).await;
    assert_eq!(stopped(&theirs).await, 0, "STOP_SENDING 0");
    assert_eq!(within(answer.read_to_end(10)).await, Ok(vec![]), "FIN");
    let mut ours = ours;
    ours.write_all(&frame(1, 0, 2, b"hi")).await.unwrap();
    assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("hi"))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loser_takes_the_winners_stream() {
    let (small, large) = ordered_seeds();
    let (service, mut sessions) = handover(vec![chat()]);
    let node = start(large, service).await;
    let raw = endpoint(small);
    node.handle.add_peer(peer(&raw, small)).await.unwrap();
    let connection = accept(&raw, paced()).await;
    let bytes = [prelude(CHAT.0, 1, None, 1000), frame(1, 0, 2, b"hi")].concat();
    let (_send, _recv) = open(&connection, &bytes).await;
    let (mut session, _done) = session(&mut sessions).await;
    assert_eq!(within(session.frames_in.recv()).await, Ok(Some(text("hi"))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_responder_that_opens_an_initiators_stream_is_closed() {
    let mut node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    node.handle.add_peer(peer(&raw, 9)).await.unwrap();
    let connection = accept(&raw, paced()).await;
    let _stream = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    assert_eq!(closed(&connection).await, (0, "".into()));
    assert_eq!(node.broken_rule().await, "stream.opener");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_live_stream_of_a_kind_closes_the_connection() {
    let mut node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let _first = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    let _second = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    assert_eq!(closed(&connection).await, (0, "".into()));
    assert_eq!(node.broken_rule().await, "stream.second");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_waits_until_the_old_session_has_ended() {
    let (service, mut sessions) = handover(vec![news()]);
    let node = start(1, service).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let (mut first, _) = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    let (mut old, done) = session(&mut sessions).await;
    first.finish().unwrap();
    assert_eq!(within(old.frames_in.recv()).await, Ok(None));
    let bytes = [prelude(NEWS.0, 1, None, 1000), frame(1, 0, 3, b"new")].concat();
    let (_second, _recv) = open(&connection, &bytes).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(500), sessions.recv()).await;
    assert!(early.is_err(), "the routine before it has not ended yet");
    drop(old);
    done.send(Exit::Closed { reopen: true }).unwrap();
    let (mut new, _done) = session(&mut sessions).await;
    assert_eq!(within(new.frames_in.recv()).await, Ok(Some(text("new"))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_misused_closes_the_connection() {
    for (rule_broken, bytes) in [
        ("stream.mode", prelude(NEWS.0, 1, Some(1), 1000)),
        ("stream.mode", prelude(QUERY.0, 1, None, 1000)),
        ("prelude.cap", prelude(NEWS.0, 1, None, 8)),
    ] {
        let mut node = start(1, Echo(vec![news(), query()])).await;
        let raw = endpoint(9);
        let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
        let _stream = open(&connection, &bytes).await;
        assert_eq!(closed(&connection).await, (0, "".into()));
        assert_eq!(node.broken_rule().await, rule_broken);
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_stream_opens_again_and_a_retired_one_does_not() {
    let (service, mut sessions) = handover(vec![news()]);
    let node = start(1, service).await;
    let raw = endpoint(9);
    node.handle.add_peer(peer(&raw, 9)).await.unwrap();
    let connection = accept(&raw, paced()).await;
    for exit in [Exit::Local("full"), Exit::Closed { reopen: true }] {
        let (session, done) = session(&mut sessions).await;
        let (send, mut recv) = within(connection.accept_bi()).await.unwrap();
        drop(session);
        done.send(exit).unwrap();
        assert_eq!(within(recv.read_to_end(100)).await.unwrap().len(), 13, "a prelude, then FIN");
        assert_eq!(stopped(&send).await, 0);
    }
    let (session, done) = session(&mut sessions).await;
    let (mut send, _recv) = within(connection.accept_bi()).await.unwrap();
    // "Never on this connection": the peer knows no such kind any more.
    reset_ours(&mut send, 5);
    let mut session = session;
    assert!(within(session.frames_in.recv()).await.is_err());
    drop(session);
    done.send(Exit::Closed { reopen: true }).unwrap();
    let again = tokio::time::timeout(std::time::Duration::from_millis(1500), connection.accept_bi()).await;
    assert!(again.is_err(), "a refused kind is not opened again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_to_a_stopped_stream_ends_the_session_only() {
    let mut node = start(1, Echo(vec![news()])).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let (mut send, mut recv) = open(&connection, &prelude(NEWS.0, 1, None, 1000)).await;
    stop_theirs(&mut recv, 0);
    within(async { while send.write_all(&frame(1, 0, 2, b"hi")).await.is_ok() {} }).await;
    assert_eq!(stopped(&send).await, 0);
    assert_eq!(node.connected().await.id, raw_id(9));
    assert_eq!(node.handle.peers().len(), 1);
    node.stop().await;
}
