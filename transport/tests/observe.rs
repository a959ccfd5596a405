//! What a node tells of its connections: snapshots, the flight recorder, and the first cause of an end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::*;
use std::{sync::Barrier, time::Duration};
use tokio::sync::oneshot;
use zakura_transport::{
    CloseReason, Exit, PeerId,
    observe::{FLIGHT_EVENTS, Flight, FlightEvent, StreamEnd, StreamSnapshot, StreamState, Volume},
};

/// Waits until a question has an answer.
async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let answer = async {
        loop {
            match ask() {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    within(answer).await
}

/// How a node sees its stream `news` with a peer.
fn news_of(node: &Node, peer: PeerId) -> Option<StreamSnapshot> {
    let connection = node.handle.connection(peer)?;
    connection.streams.into_iter().find(|stream| stream.kind == NEWS)
}

fn events(flight: &Flight) -> Vec<FlightEvent> {
    flight.records.iter().map(|record| record.event.clone()).collect()
}

#[tokio::test]
async fn a_snapshot_tells_the_path_and_what_went_over_each_kind() {
    let (service, mut sessions) = handover(vec![news()]);
    let (a, b) = (start(1, service).await, start(2, Echo(vec![news(), query()])).await);
    a.dial(&b).await;
    let (mut at_a, _done) = session(&mut sessions).await;
    for _ in 0..3 {
        within(at_a.frames_out.send(text("hello"))).await.unwrap();
        assert_eq!(within(at_a.frames_in.recv()).await, Ok(Some(text("hello"))));
    }
    // Frames are counted when their stream pauses.
    tokio_test::assert_pending!(tokio_test::task::spawn(at_a.frames_in.recv()).poll());
    let seen = a.handle.connection(b.id()).expect("they are connected");
    assert_eq!(a.handle.connections().len(), 1);
    assert!(seen.round_trip > Duration::ZERO && seen.mtu >= 1200 && seen.congestion_window > 0);
    assert!(seen.up.count > 0 && seen.up.bytes > 39 && seen.down.bytes > 39, "{seen:?}");
    assert!(seen.sent_packets > 0 && seen.lost_packets <= seen.sent_packets);
    let three = Volume { count: 3, bytes: 3 * (8 + 5) };
    let kinds: Vec<_> = seen.streams.iter().map(|stream| (stream.name, stream.state)).collect();
    assert_eq!(kinds, [("news", StreamState::Open)], "the peer's other kind was not negotiated");
    assert_eq!((seen.streams[0].frames_in, seen.streams[0].frames_out), (three, three));
    let at_b = until(|| news_of(&b, a.id()).filter(|news| news.frames_in == three)).await;
    assert_eq!((at_b.frames_out, at_b.sessions), (three, 1));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_request_is_counted_on_both_sides() {
    let (a, b) = (start(1, Echo(vec![query()])).await, start(2, Echo(vec![query()])).await);
    a.dial(&b).await;
    let mut a_events = a.handle.events();
    while within(a_events.recv()).await.is_err() {}
    let patience = Duration::from_secs(10);
    let mut answer = within(a.handle.request(b.id(), QUERY, text("word"), patience)).await.unwrap();
    while within(answer.next()).await.unwrap().is_some() {}
    drop(answer);
    let seen = a.handle.connection(b.id()).unwrap().streams.remove(0);
    assert_eq!(seen.state, StreamState::Requests);
    assert_eq!((seen.frames_out.count, seen.frames_in.count), (1, 2), "one request, two answers");
    let asked = Volume { count: 1, bytes: 8 + 4 };
    let both = |seen: &StreamSnapshot| seen.frames_in == asked && seen.frames_out.count == 2;
    until(|| Some(b.handle.connection(a.id())?.streams.remove(0)).filter(both)).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn the_recorder_tells_a_streams_life() {
    let (service, mut sessions) = handover(vec![news()]);
    let (a, b) = (start(1, service).await, start(2, Echo(vec![news()])).await);
    a.dial(&b).await;
    let (first, done) = session(&mut sessions).await;
    drop(first);
    done.send(Exit::Local("store")).unwrap();
    let (second, done) = session(&mut sessions).await;
    let seen = until(|| news_of(&a, b.id()).filter(|news| news.sessions == 2)).await;
    assert_eq!((seen.state, seen.last_end), (StreamState::Open, Some(StreamEnd::Local { why: "store" })));
    drop(second);
    done.send(Exit::Closed { reopen: false }).unwrap();
    until(|| news_of(&a, b.id()).filter(|news| news.state == StreamState::Retired)).await;
    let flight = a.handle.flight(b.id()).unwrap();
    let capabilities = a.handle.peers()[0].capabilities;
    assert_eq!(
        events(&flight),
        [
            FlightEvent::Connected,
            FlightEvent::Agreed(capabilities),
            FlightEvent::StreamOpened { stream: "news", ours: true },
            FlightEvent::StreamParked { stream: "news", end: StreamEnd::Local { why: "store" } },
            FlightEvent::StreamReopened { stream: "news", ours: true },
            FlightEvent::StreamRetired { stream: "news", end: StreamEnd::Closed },
        ]
    );
    a.handle.close(b.id()).await.unwrap();
    let over = until(|| a.handle.flight(b.id()).filter(|flight| flight.over.is_some())).await;
    assert_eq!(over.over, Some(CloseReason::Local));
    assert!(events(&over).contains(&FlightEvent::CloseSent { code: 0, reason: "" }));
    a.stop().await;
    b.stop().await;
}

/// A peer breaks a rule and hangs up before the node has looked: both lie in the node's socket when it wakes.
#[test]
fn a_peer_that_breaks_a_rule_and_hangs_up_at_once_has_broken_the_rule() {
    for round in 0..3 {
        let (reason, flight) = broken_and_hung_up();
        let CloseReason::Violation { stream: "news", violation } = &reason else {
            panic!("round {round}: the first cause is the broken rule, not {reason}: {flight}")
        };
        assert_eq!(violation.rule(), "frame.length");
        assert_eq!(flight.over.as_ref(), Some(&reason));
        let told: Vec<_> = events(&flight).into_iter().skip(3).collect();
        assert!(matches!(told.last(), Some(FlightEvent::Over { .. })), "{flight}");
        let broken =
            |event: &FlightEvent| matches!(event, FlightEvent::FrameRefused { rule: "frame.length", .. });
        assert!(told.iter().any(broken), "{flight}");
        let hung_up = |event: &FlightEvent| matches!(event, FlightEvent::CloseReceived { code: 7, .. });
        assert!(told.iter().any(hung_up), "{flight}");
        let sent = |event: &FlightEvent| matches!(event, FlightEvent::CloseSent { .. });
        assert!(!told.iter().any(sent), "nobody was left to hear it: {flight}");
    }
}

fn broken_and_hung_up() -> (CloseReason, Flight) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (step, at) = (Barrier::new(2), oneshot::channel());
    let ((tell_at, at), (tell_ready, ready)) = (at, oneshot::channel());
    std::thread::scope(|threads| {
        let hostile = || {
            runtime().block_on(async {
                let endpoint = raw::endpoint(1);
                let connection = raw::meet(&endpoint, 1, at.await.unwrap(), paced()).await;
                let mut bytes = raw::prelude(NEWS.0, 1, None, 1 << 20);
                bytes.extend(raw::frame(1, 0, 2, b"hi"));
                let (mut send, mut recv) = raw::open(&connection, &bytes).await;
                let mut echo = [0; 10];
                within(recv.read_exact(&mut echo)).await.unwrap();
                tell_ready.send(()).unwrap();
                step.wait();
                send.write_all(&raw::frame(1, 0, u32::MAX, b"")).await.unwrap();
                // QUIC's task gets the turn in which it sends.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                raw::hang_up(&connection, 7, b"so long");
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                step.wait();
                within(raw::all_gone(&endpoint)).await;
            });
        };
        threads.spawn(hostile);
        runtime().block_on(async {
            let mut node = start(2, Echo(vec![news()])).await;
            tell_at.send(node.handle.local_addr()).unwrap();
            within(ready).await.unwrap();
            // The node stands still meanwhile.
            step.wait();
            step.wait();
            let (peer, reason) = node.disconnected().await;
            let flight = node.handle.flight(peer.id).unwrap();
            node.stop().await;
            (reason, flight)
        })
    })
}

#[tokio::test]
async fn a_hostile_peers_words_and_deeds_stay_small_and_printable() {
    let mut node = start(2, Echo(vec![news()])).await;
    let endpoint = raw::endpoint(1);
    let connection = raw::meet(&endpoint, 1, node.handle.local_addr(), paced()).await;
    let peer = node.connected().await.id;
    for version in 2..12 {
        let (_send, mut recv) = raw::open(&connection, &raw::prelude(NEWS.0, version, None, 1 << 20)).await;
        assert_eq!(raw::reset(&mut recv).await, 5);
    }
    let refusals = node.handle.connection(peer).unwrap().refusals;
    assert_eq!(refusals.unknown_streams, 10);
    raw::hang_up(&connection, 9, format!("\n\u{1b}[31m\"{}", "x".repeat(900)).as_bytes());
    node.disconnected().await;
    let flight = node.handle.flight(peer).unwrap();
    let run = flight.records.iter().find(|record| record.event == FlightEvent::StreamRefused { code: 5 });
    assert_eq!(run.map(|run| run.times), Some(10), "one thing over and over takes one place: {flight}");
    assert!(flight.records.len() <= FLIGHT_EVENTS);
    let shown = [flight.to_string(), flight.json_lines()];
    for text in &shown {
        assert!(text.lines().all(|line| line.len() < 600), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert_eq!(shown[1].lines().count(), 1 + flight.records.len());
    node.stop().await;
}
