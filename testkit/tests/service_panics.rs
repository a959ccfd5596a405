//! Panics planted in a third party's service, over real QUIC: its leases come back, its sessions open again, requests are
//! answered again, and after the end no task is left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its table, in its own functions too"
)]

use bytes::{Buf, Bytes};
use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use zakura_testkit::{
    cluster::{PATIENCE, identity},
    sabotage::{Plan, Point, asked_for, hush},
};
use zakura_transport::{
    Capabilities, CloseReason, Exit, Fence, Frame, Mode, Opener, PayloadCap, PeerEvent, PeerEvents, Registry,
    Request, Service, Session, Spawner, StreamKind, StreamSpec, Transport, TransportConfig, TransportHandle,
    Violation,
    routine::{
        Command, Demand, Ends, EventSender, Lease, Machine, Mailbox, Message, Overflow, Published,
        RangeQueue, drive, events, inlet, publish,
    },
    wire::Malformed,
};

const FETCH: StreamKind = StreamKind(0x0100);
const QUERY: StreamKind = StreamKind(0x0101);
/// Keys fetched in one round.
const KEYS: u64 = 50;
/// How often a machine's timer runs out.
const BEAT: Duration = Duration::from_millis(2);

enum Word {
    Give(u64),
    Here(u64),
}

impl Message for Word {
    fn decode(mut frame: Frame) -> Result<Self, Malformed> {
        let key = frame.body.try_get_u64().map_err(|_| Malformed::new("Word", "too short"))?;
        match frame.message_type {
            1 => Ok(Self::Give(key)),
            2 => Ok(Self::Here(key)),
            other => Err(Malformed::new("Word", format!("type {other}"))),
        }
    }

    fn encode(self) -> Frame {
        let (kind, key) = match self {
            Self::Give(key) => (1, key),
            Self::Here(key) => (2, key),
        };
        Frame::new(kind, Bytes::copy_from_slice(&key.to_be_bytes()))
    }
}

struct Nudge;

impl Command for Nudge {
    fn overflow(&self) -> Overflow {
        Overflow::Drop
    }
}

struct Report {
    from: Fence,
    news: News,
}

enum News {
    Joined(Mailbox<Nudge>),
    Got(u64, Lease<()>),
    Left,
}

/// Fetches the keys it has leases on, and gives whatever it is asked for.
struct Fetching {
    me: Fence,
    held: Vec<Lease<()>>,
    words: VecDeque<Word>,
    news: VecDeque<News>,
    beat_at: Instant,
}

impl Machine for Fetching {
    type Message = Word;
    type State = u64;
    type Input = Nudge;
    type Event = Report;
    type Work = ();

    fn handle_message(&mut self, _now: Instant, word: Word) -> Result<(), Violation> {
        match word {
            Word::Give(key) => self.words.push_back(Word::Here(key)),
            Word::Here(key) => {
                let lease = self.held.iter_mut().find_map(|lease| lease.split(key));
                let lease = lease.ok_or_else(|| Violation::protocol("fetch", "not asked for"))?;
                self.held.retain(|lease| !lease.is_empty());
                self.news.push_back(News::Got(key, lease));
            }
        }
        Ok(())
    }

    fn handle_state(&mut self, _now: Instant, _done: &u64) {}

    fn handle_input(&mut self, _now: Instant, _nudge: Nudge) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.beat_at = now + BEAT;
    }

    fn handle_work(&mut self, _now: Instant, lease: Lease<()>) {
        self.words.extend(lease.items().map(|(key, ())| Word::Give(key)));
        self.held.push(lease);
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Word> {
        self.words.pop_front()
    }

    fn poll_event(&mut self) -> Option<Report> {
        Some(Report { from: self.me, news: self.news.pop_front()? })
    }

    fn poll_demand(&mut self, _now: Instant) -> Option<Demand> {
        let (servable, max_cost) = (0..=u64::MAX, u64::MAX);
        self.held.is_empty().then_some(Demand {
            owner: self.me,
            servable,
            max_count: 4,
            max_cost,
            hedge: false,
        })
    }

    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        Some((self.beat_at, "beat"))
    }

    fn poll_exit(&mut self) -> Option<Exit> {
        None
    }
}

struct Fetch {
    queue: RangeQueue<()>,
    events: EventSender<Report>,
    state: Published<u64>,
}

fn spec(name: &'static str, kind: StreamKind, mode: Mode) -> StreamSpec {
    const CAPS: &[PayloadCap] =
        &[PayloadCap { message_type: 1, bytes: 8 }, PayloadCap { message_type: 2, bytes: 8 }];
    let capability = Capabilities::from_bits(1 << 40);
    let (max_frame, opener, frames_per_second) = (64, Opener::Initiator, 2_048);
    StreamSpec {
        name,
        kind,
        version: 1,
        capability,
        mode,
        max_frame,
        payload_caps: CAPS,
        opener,
        frames_per_second,
    }
}

impl Service for Fetch {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![spec("fetch", FETCH, Mode::Ordered), spec("query", QUERY, Mode::Request)]
    }

    async fn run(&self, session: Session) -> Exit {
        const GONE: Exit = Exit::Local("the reactor is gone");
        let from = session.generation;
        let Some(_last) = self.events.farewell(Report { from, news: News::Left }).await else { return GONE };
        let (mailbox, inlet) = inlet(4);
        if self.events.send(Report { from, news: News::Joined(mailbox) }).await.is_err() {
            return GONE;
        }
        let beat_at = tokio::time::Instant::now().into_std() + BEAT;
        let (held, words, news) = (Vec::new(), VecDeque::new(), VecDeque::new());
        let machine = Fetching { me: from, held, words, news, beat_at };
        let (state, events) = (self.state.clone(), self.events.clone());
        drive(machine, session, Ends { state, inlet, events, work: Some(self.queue.clone()) }).await
    }

    async fn answer(&self, mut request: Request) -> Exit {
        match request.responses.send(request.frame).await {
            Ok(()) => Exit::Closed { reopen: false },
            Err(_) => Exit::Local("the peer is gone"),
        }
    }
}

struct Node {
    transport: TransportHandle,
    spawner: Spawner,
    queue: RangeQueue<()>,
    /// Keys that the reactor has, and sessions it knows.
    known: Published<(BTreeSet<u64>, usize)>,
}

async fn start(index: u8, plan: &Arc<Plan>) -> Node {
    let spawner = plan.spawner();
    let queue = RangeQueue::new(0);
    let (sender, mut heard) = events(256);
    let ((to_machines, state), (to_test, known)) = (publish(0), publish((BTreeSet::new(), 0)));
    spawner.spawn_critical("reactor", async move {
        let (mut keys, mut mailboxes) = (BTreeSet::new(), std::collections::BTreeMap::new());
        while let Some(Report { from, news }) = heard.recv().await {
            match news {
                News::Joined(mailbox) => drop(mailboxes.insert(from, mailbox)),
                News::Left => drop(mailboxes.remove(&from)),
                News::Got(key, mut lease) => {
                    assert!(lease.finish(key), "key {key} is somebody else's by now");
                    assert!(keys.insert(key), "key {key} comes twice");
                    mailboxes.values().for_each(|mailbox: &Mailbox<Nudge>| _ = mailbox.send(Nudge));
                    to_machines.set(key);
                }
            }
            to_test.set((keys.clone(), mailboxes.len()));
        }
    });
    let mut registry = Registry::new();
    registry.register(Fetch { queue: queue.clone(), events: sender, state }).unwrap();
    let config = TransportConfig::local(SocketAddr::from(([127, 0, 0, 1], 0)), 3, [0x22; 32], index.into());
    let transport = Transport::start(config, identity(index), registry, spawner.clone()).await.unwrap();
    Node { transport, spawner, queue, known }
}

impl Node {
    /// Keeps the connection with `other`.
    async fn redial(events: &mut PeerEvents, transport: &TransportHandle, other: &TransportHandle) {
        let peer = other.local_peer();
        while let Ok(event) = events.recv().await {
            let PeerEvent::Disconnected { reason, .. } = event else { continue };
            let is_ours = matches!(
                reason,
                CloseReason::Panicked { .. } | CloseReason::Remote { code: 0, .. } | CloseReason::Reset
            );
            assert!(is_ours, "{reason}");
            transport.remove_peer(peer.id).await.unwrap();
            transport.add_peer(peer).await.unwrap();
        }
    }

    async fn has(&self, keys: u64, sessions: usize) {
        let mut known = self.known.clone();
        let arrival = async {
            while (known.get().0.len() as u64, known.get().1) != (keys, sessions) {
                known.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, arrival).await;
        let known = (known.get().0.len(), known.get().1);
        assert!(in_time.is_ok(), "waited for {keys} keys: {known:?}, {:?}", self.queue);
    }

    async fn end(self) {
        self.queue.check_invariants().unwrap();
        assert_eq!((self.queue.counts().leased, self.queue.counts().pending), (0, 0));
        let Self { transport, spawner, .. } = self;
        transport.shutdown(PATIENCE).await;
        drop(transport);
        assert_eq!(spawner.stop(PATIENCE).await.stragglers, [""; 0]);
    }
}

/// Asks until it is answered; a panic of theirs or ours costs an answer.
async fn ask(node: &TransportHandle, other: &TransportHandle) {
    let (peer, frame) = (other.local_id(), Frame::new(1, Bytes::from_static(&[7; 8])));
    loop {
        if let Ok(mut answer) = node.request(peer, QUERY, frame.clone(), PATIENCE).await
            && answer.next().await == Ok(Some(frame.clone()))
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_partys_panics_cost_it_connections_and_lose_nothing() {
    hush();
    // The reactor's end is another story.
    let beside_reactor = |(_, point): Point| !matches!(point, "event" | "report");
    let (here, there) = (Plan::new(1, beside_reactor), Plan::new(2, beside_reactor));
    let (a, b) = (start(1, &here).await, start(2, &there).await);
    a.transport.add_peer(b.transport.local_peer()).await.unwrap();
    let (mut rounds, mut answers) = (0, 0_u64);
    while here.struck() + there.struck() < asked_for() / 5 {
        rounds += 1;
        here.round(u64::MAX);
        there.round(u64::MAX);
        let first = (rounds - 1) * KEYS + 1;
        a.queue.push((first..first + KEYS).map(|key| (key, 1, ())));
        let (mut events, transport) = (a.transport.events(), a.transport.clone());
        let round = async {
            for _ in 0..8 {
                ask(&transport, &b.transport).await;
                answers += 1;
            }
            a.has(rounds * KEYS, 1).await;
            here.rest();
            there.rest();
            ask(&transport, &b.transport).await;
            a.has(rounds * KEYS, 1).await;
            b.has(0, 1).await;
        };
        tokio::select! {
            biased;
            () = round => {}
            () = Node::redial(&mut events, &transport, &b.transport) => panic!("the transport ended"),
        }
        assert_eq!((a.queue.counts().leased, a.queue.counts().pending), (0, 0));
    }
    here.round(u64::MAX);
    there.round(u64::MAX);
    a.end().await;
    b.end().await;
    println!("{rounds} rounds of {KEYS} keys, {answers} answers:");
    for (who, plan) in [("asks", &here), ("gives", &there)] {
        for ((task, point), tally) in plan.tallies() {
            println!(
                "  {who:<6} {task:<12} {point:<22} {:>9} passed {:>6} panicked",
                tally.passed, tally.struck
            );
        }
    }
    let spared: Vec<_> = here.spared().into_iter().filter(|point| there.spared().contains(point)).collect();
    assert!(spared.is_empty(), "never panicked: {spared:?}");
    assert!(there.tallies().contains_key(&("arrival", "answer")));
}
