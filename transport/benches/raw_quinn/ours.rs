//! Our arm: services as an embedder writes them, on two transports of one process.

use crate::{ANSWER, GENESIS, MESSAGE, QUESTION, REGTEST, within};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::{convert::Infallible, time::Duration, time::Instant};
use zakura_transport::{
    Capabilities, Exit, Frame, Identity, Mode, Opener, PayloadCap, PeerEvent, PeerId, Registry, Request,
    Service, Session, Spawner, StreamKind, StreamSpec, Transport, TransportConfig, TransportHandle,
    Violation,
    routine::{
        Ends, EventReceiver, EventSender, Machine, Message, Published, Publisher, drive, events, publish,
    },
    wire::Malformed,
};

/// Messages after which the receiver says so.
pub const ROUND: u64 = 10_000;

/// Question, or one-way message.
const ASK: u16 = 1;
/// Answer.
const TELL: u16 = 2;

pub fn spec(mode: Mode) -> StreamSpec {
    StreamSpec {
        name: "bench",
        kind: StreamKind(0x0140),
        version: 1,
        capability: Capabilities::from_bits(1 << 50),
        mode,
        max_frame: 1 << 16,
        payload_caps: &[
            PayloadCap { message_type: ASK, bytes: 4096 },
            PayloadCap { message_type: TELL, bytes: 4096 },
        ],
        opener: Opener::Initiator,
        // No bound: it is not what is measured.
        frames_per_second: 1_000_000_000,
    }
}

/// Some bytes of one type.
struct Blob(u16, Bytes);

impl Message for Blob {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let kind = frame.message_type;
        let mut from = frame.into_reader();
        let left = from.left();
        from.bytes("Blob", left).map(|bytes| Self(kind, bytes))
    }

    fn encode(self) -> Frame {
        Frame::new(self.0, self.1)
    }
}

/// Tells `goal` messages, counts what it hears; or asks with so many questions out, or answers.
struct Counter {
    is_asker: bool,
    goal: Goal,
    said: u64,
    heard: u64,
    answers: u64,
    rounds: u64,
}

/// How many messages or questions there are to be in all, and how many questions may be out.
#[derive(Debug, Clone, Copy)]
struct Goal {
    count: u64,
    depth: Option<u64>,
}

static PAYLOAD: [u8; ANSWER] = [7; ANSWER];

impl Machine for Counter {
    type Message = Blob;
    type State = Goal;
    type Input = Infallible;
    type Event = ();
    type Work = ();

    fn handle_state(&mut self, _now: Instant, goal: &Goal) {
        if self.is_asker {
            self.goal = *goal;
        }
    }

    fn handle_message(&mut self, _now: Instant, blob: Blob) -> Result<(), Violation> {
        self.heard += 1;
        match blob.1.len() {
            QUESTION => self.answers += 1,
            ANSWER if self.heard == self.goal.count => self.rounds += 1,
            MESSAGE if self.heard.is_multiple_of(ROUND) => self.rounds += 1,
            _ => {}
        }
        Ok(())
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Blob> {
        if self.answers > 0 {
            self.answers -= 1;
            return Some(Blob(TELL, Bytes::from_static(&PAYLOAD)));
        }
        let bytes = if self.goal.depth.is_some() { QUESTION } else { MESSAGE };
        let may = self.goal.depth.is_none_or(|depth| self.said - self.heard < depth);
        (may && self.said < self.goal.count).then(|| {
            self.said += 1;
            Blob(ASK, Bytes::from_static(&PAYLOAD[..bytes]))
        })
    }

    fn poll_event(&mut self) -> Option<()> {
        self.rounds = self.rounds.checked_sub(1)?;
        Some(())
    }
}

/// One counter for each peer.
struct Counting {
    is_asker: bool,
    goal: Published<Goal>,
    events: EventSender<()>,
}

impl Service for Counting {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![spec(Mode::Ordered)]
    }

    async fn run(&self, session: Session) -> Exit {
        let goal = Goal { count: 0, depth: None };
        let counter = Counter { is_asker: self.is_asker, goal, said: 0, heard: 0, answers: 0, rounds: 0 };
        drive(counter, session, Ends::plain(self.goal.clone(), self.events.clone())).await
    }
}

/// A transport on loopback with one service.
pub async fn start(seed: u8, service: impl Service) -> TransportHandle {
    start_roomy(seed, service, 112).await
}

/// One that takes so many peers.
pub async fn start_roomy(seed: u8, service: impl Service, peers: usize) -> TransportHandle {
    start_with(seed, service, |config| config.max_inbound = peers).await
}

/// One with other settings.
pub async fn start_with(
    seed: u8,
    service: impl Service,
    set: impl FnOnce(&mut TransportConfig),
) -> TransportHandle {
    let mut registry = Registry::new();
    registry.register(service).unwrap();
    let mut config = TransportConfig::local("127.0.0.1:0".parse().unwrap(), REGTEST, GENESIS, seed.into());
    set(&mut config);
    Transport::start(config, Identity::from_seed([seed; 32]).unwrap(), registry, Spawner::new())
        .await
        .unwrap()
}

async fn meet(here: &TransportHandle, there: &TransportHandle) {
    let mut events = here.events();
    here.add_peer(there.local_peer()).await.unwrap();
    within(async { while !matches!(events.recv().await.unwrap(), PeerEvent::Connected(_)) {} }).await;
}

/// Two counters that know each other.
struct Pair {
    goal: Publisher<Goal>,
    told: EventReceiver<()>,
    count: u64,
    _ends: [TransportHandle; 2],
}

impl Pair {
    /// `hears` says whose events count: the asker's, or the other's.
    async fn new(seeds: [u8; 2], asker_hears: bool) -> Self {
        let (goal, state) = publish(Goal { count: 0, depth: None });
        let ((ours, here), (theirs, there)) = (events(64), events(64));
        let asker = start(seeds[0], Counting { is_asker: true, goal: state.clone(), events: ours }).await;
        let other = start(seeds[1], Counting { is_asker: false, goal: state, events: theirs }).await;
        meet(&asker, &other).await;
        Self { goal, told: if asker_hears { here } else { there }, count: 0, _ends: [asker, other] }
    }

    async fn pass(&mut self, count: u64, depth: Option<u64>, rounds: u64) {
        self.count += count;
        self.goal.set(Goal { count: self.count, depth });
        for _ in 0..rounds {
            within(self.told.recv()).await.unwrap();
        }
    }
}

/// One-way messages.
pub struct Messages(Pair);

impl Messages {
    pub async fn new() -> Self {
        Self(Pair::new([21, 22], false).await)
    }

    pub async fn pass(&mut self, count: u64) {
        self.0.pass(count, None, count / ROUND).await;
    }
}

/// Questions and answers on one ordered stream.
pub struct Ordered(Pair);

impl Ordered {
    pub async fn new() -> Self {
        Self(Pair::new([23, 24], true).await)
    }

    pub async fn pass(&mut self, count: u64, depth: u64) {
        self.0.pass(count, Some(depth), 1).await;
    }
}

/// Answers each question with a kilobyte.
struct Answering;

impl Service for Answering {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![spec(Mode::Request)]
    }

    async fn answer(&self, mut request: Request) -> Exit {
        let answer = Frame::new(TELL, Bytes::from_static(&PAYLOAD));
        request.responses.send(answer).await.map_or_else(Exit::from, |()| Exit::Closed { reopen: false })
    }
}

/// Questions and answers on a stream each.
pub struct Requests {
    client: TransportHandle,
    server: PeerId,
    _server: TransportHandle,
}

impl Requests {
    pub async fn new() -> Self {
        let (client, server) = (start(25, Answering).await, start(26, Answering).await);
        meet(&client, &server).await;
        Self { client, server: server.local_id(), _server: server }
    }

    pub async fn pass(&mut self, count: u64, depth: u64) {
        let ask = async |_| {
            let question = Frame::new(ASK, Bytes::from_static(&PAYLOAD[..QUESTION]));
            let kind = StreamKind(0x0140);
            let mut answer =
                self.client.request(self.server, kind, question, Duration::from_secs(60)).await.unwrap();
            while let Some(frame) = answer.next().await.unwrap() {
                assert_eq!(frame.payload_len(), ANSWER);
            }
        };
        stream::iter(0..count).for_each_concurrent(usize::try_from(depth).unwrap(), ask).await;
    }
}
