//! A node with 128 peers that do not go on, and with services that do not listen, stops all the same: in time, and whole.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

mod common;
use bytes::Bytes;
use common::{raw::*, *};
use std::{future::pending, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use zakura_transport::{
    Exit, Fence, Frame, PeerInfo, Request, Service, Session, StreamSpec, TransportConfig,
    routine::{Demand, Lease, RangeQueue},
};

const PEERS: u16 = 128;
/// What the node's sessions get, and what its whole stop may take.
const GRACE: Duration = Duration::from_secs(2);
const IN_ALL: Duration = Duration::from_secs(5);
/// Less than a peer that does not read takes.
const CREDIT: u32 = 16 * 1024;
const FLOOD: usize = 200_000;

/// What the first frame of a session or a request asks for. Everybody holds work meanwhile.
const WAYS: [&str; 6] = [
    // The peer stops in the middle of its next frame.
    "half",   // We send, and the peer does not read.
    "flood",  // The routine waits for something else, for ever, and never looks at its cancel.
    "deaf",   // The routine takes every error for a reason to try again.
    "insist", // As "deaf", in the answer to a request.
    "ask",    // The peer says half of what its stream is; here no routine has begun.
    "prelude",
];

/// Does as it is told, and says when it is wedged.
struct Wedged {
    queue: RangeQueue<()>,
    wedged: mpsc::Sender<Frame>,
}

fn any() -> Demand {
    let (owner, servable) = (Fence::mint(), 1..=u64::from(PEERS));
    Demand { owner, servable, max_count: 1, max_cost: u64::MAX, hedge: false }
}

impl Wedged {
    fn work(&self, peer: &PeerInfo) -> Lease<()> {
        self.queue.take(&any()).unwrap_or_else(|| panic!("there is work for {:?}", peer.id))
    }
}

impl Service for Wedged {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![news(), query()]
    }

    async fn run(&self, mut session: Session) -> Exit {
        let Ok(Some(order)) = session.frames_in.recv().await else { return Exit::Closed { reopen: false } };
        let (_lease, wedged) = (self.work(&session.peer), self.wedged.clone());
        let way = order.body.clone();
        if way == "flood" {
            session.frames_out.push(Frame::new(2, Bytes::from(vec![0; FLOOD])));
        }
        wedged.send(order).await.unwrap();
        match &way[..] {
            b"half" => drop(session.frames_in.recv().await),
            b"flood" => drop(session.frames_out.flush().await),
            b"insist" => loop {
                drop(session.frames_in.recv().await);
                tokio::time::sleep(Duration::from_millis(20)).await;
            },
            _ => pending().await,
        }
        Exit::Closed { reopen: true }
    }

    async fn answer(&self, request: Request) -> Exit {
        let _lease = self.work(&request.peer);
        self.wedged.send(request.frame).await.unwrap();
        pending().await
    }
}

/// Room for all of them. They come from one address.
fn crowd() -> TransportConfig {
    TransportConfig { max_inbound: usize::from(PEERS), ..config() }
}

fn seed(peer: u16) -> [u8; 32] {
    let mut seed = [0x77; 32];
    seed[..2].copy_from_slice(&peer.to_le_bytes());
    seed
}

/// What a peer writes on its one stream, before it goes on with nothing.
fn words(way: &str) -> Vec<u8> {
    let order = frame(1, 0, u32::try_from(way.len()).unwrap(), way.as_bytes());
    let (kind, request) = if way == "ask" { (query(), Some(7)) } else { (news(), None) };
    let mut words = prelude(kind.kind.0, 1, request, 1 << 20);
    match way {
        "prelude" => words.truncate(6),
        "half" => words.extend([order, frame(1, 0, 1000, b"and so on")].concat()),
        _ => words.extend(order),
    }
    words
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_with_a_crowd_of_wedged_peers_is_in_time_and_whole() {
    let queue = RangeQueue::new(0);
    queue.push((1..=u64::from(PEERS)).map(|key| (key, 1, ())));
    let (wedged, mut told) = mpsc::channel(usize::from(PEERS));
    let node = start_with(1, Wedged { queue: queue.clone(), wedged }, crowd()).await;
    let (to, raw) = (node.handle.local_addr(), endpoint(9));
    let mut crowd = Vec::new();
    let mut routines = 0;
    for (peer, way) in (0..PEERS).zip(WAYS.into_iter().cycle()) {
        let config = narrow(seed(peer), CREDIT);
        let connection = within(raw.connect_with(config, to, "raw.invalid").unwrap()).await.unwrap();
        let ack = hello(&connection, &RawHello::honest(seed(peer), paced())).await;
        assert_eq!(ack.len(), 112, "peer {peer} is welcome");
        let stream = open(&connection, &words(way)).await;
        routines += usize::from(way != "prelude");
        crowd.push((connection, stream));
    }
    for _ in 0..routines {
        within(told.recv()).await.unwrap();
    }
    assert_eq!(node.handle.peers().len(), usize::from(PEERS));
    assert_eq!(queue.counts().leased, routines as u64);

    let begun = Instant::now();
    node.handle.shutdown(GRACE).await;
    let left = node.spawner.stop(IN_ALL.saturating_sub(begun.elapsed())).await;
    let took = begun.elapsed();
    assert_eq!((left.stragglers, node.spawner.live()), (vec![], vec![]), "after {took:?}");
    assert!(took < IN_ALL, "it took {took:?}");
    assert_eq!(queue.counts().leased, 0, "what was dropped gave its work back");
    queue.check_invariants().unwrap();

    // The port is free, and whoever comes now is served.
    let (service, mut theirs) = handover(vec![news()]);
    let heir = start_with(1, service, TransportConfig { listen: to, ..config() }).await;
    let (service, mut ours) = handover(vec![news()]);
    let friend = start(2, service).await;
    friend.dial(&heir).await;
    let ((mut there, _heir), (mut here, _friend)) = (session(&mut theirs).await, session(&mut ours).await);
    exchange(&mut here, &mut there, "still here").await;
    exchange(&mut there, &mut here, "so am I").await;
    drop((there, here, crowd));
    heir.stop().await;
    friend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routine_that_ignores_its_cancel_is_dropped_after_its_connection() {
    let queue = RangeQueue::new(0);
    queue.push([(1, 1, ())]);
    let (wedged, mut told) = mpsc::channel(1);
    let node = start_with(1, Wedged { queue: queue.clone(), wedged }, config()).await;
    let raw = endpoint(9);
    let connection = meet(&raw, 9, node.handle.local_addr(), paced()).await;
    let _stream = open(&connection, &words("deaf")).await;
    within(told.recv()).await.unwrap();
    node.handle.close(raw_id(9)).await.unwrap();
    assert_eq!(within(queue.wait(&any())).await.first(), Some(1));
    node.stop().await;
}
