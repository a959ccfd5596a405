//! Two real nodes on loopback, and services simple enough to read at a glance.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on panics")]

pub mod disco;
pub mod net;
pub mod raw;

use bytes::Bytes;
use std::{net::SocketAddr, time::Duration};
use tokio::sync::mpsc;
use zakura_transport::{
    Capabilities, CloseReason, Exit, Frame, Identity, Mode, Opener, PayloadCap, PeerEvent, PeerEvents,
    PeerId, PeerInfo, Refusal, Registry, Request, Service, Session, Spawner, StreamKind, StreamSpec,
    Transport, TransportConfig, TransportHandle,
};

/// Long enough for a loaded machine, short enough for a failing test to end.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const REGTEST: u32 = 3;
pub const GENESIS: [u8; 32] = [0x22; 32];

/// Either side opens: the smaller id.
pub const CHAT: StreamKind = StreamKind(0x0100);
/// The initiator opens.
pub const NEWS: StreamKind = StreamKind(0x0101);
/// Request and response.
pub const QUERY: StreamKind = StreamKind(0x0102);

pub fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32]).unwrap()
}

/// Two seeds, the one with the smaller id first.
pub fn ordered_seeds() -> (u8, u8) {
    if identity(1).peer_id() < identity(2).peer_id() { (1, 2) } else { (2, 1) }
}

pub fn spec(name: &'static str, kind: StreamKind, mode: Mode, opener: Opener) -> StreamSpec {
    StreamSpec {
        name,
        kind,
        version: 1,
        capability: Capabilities::from_bits(1 << (32 + u32::from(kind.0 & 0xf) + 1)),
        mode,
        max_frame: 1 << 20,
        payload_caps: &[
            PayloadCap { message_type: 1, bytes: 1000 },
            PayloadCap { message_type: 2, bytes: (1 << 20) - 8 },
        ],
        opener,
        frames_per_second: 2048,
    }
}

pub fn chat() -> StreamSpec {
    spec("chat", CHAT, Mode::Ordered, Opener::SmallerId)
}

pub fn news() -> StreamSpec {
    spec("news", NEWS, Mode::Ordered, Opener::Initiator)
}

pub fn query() -> StreamSpec {
    spec("query", QUERY, Mode::Request, Opener::Initiator)
}

/// Every capability of the streams here, without the one that lifts the pace.
pub fn paced() -> u64 {
    [chat(), news(), query()].iter().map(|spec| spec.capability.bits()).sum()
}

pub fn text(text: &str) -> Frame {
    Frame::new(1, Bytes::copy_from_slice(text.as_bytes()))
}

/// Hands every session to the test and waits for the exit that the test chooses.
pub struct Handover {
    specs: Vec<StreamSpec>,
    sessions: mpsc::Sender<(Session, tokio::sync::oneshot::Sender<Exit>)>,
}

/// The sessions that a [`Handover`] got.
pub type Sessions = mpsc::Receiver<(Session, tokio::sync::oneshot::Sender<Exit>)>;

pub fn handover(specs: Vec<StreamSpec>) -> (Handover, Sessions) {
    let (sessions, inbox) = mpsc::channel(16);
    (Handover { specs, sessions }, inbox)
}

impl Service for Handover {
    fn streams(&self) -> Vec<StreamSpec> {
        self.specs.clone()
    }

    async fn run(&self, session: Session) -> Exit {
        let cancel = session.cancel.clone();
        let (done, exit) = tokio::sync::oneshot::channel();
        if self.sessions.send((session, done)).await.is_err() {
            return Exit::Closed { reopen: false };
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => Exit::Closed { reopen: false },
            exit = exit => exit.unwrap_or(Exit::Closed { reopen: true }),
        }
    }
}

/// Sends every frame back; a frame "panic" panics. Answers a request with itself, in upper case, twice.
pub struct Echo(pub Vec<StreamSpec>);

impl Service for Echo {
    fn streams(&self) -> Vec<StreamSpec> {
        self.0.clone()
    }

    async fn run(&self, mut session: Session) -> Exit {
        loop {
            let frame = match session.frames_in.recv().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Exit::Closed { reopen: true },
                Err(zakura_transport::FrameError::Violation(violation)) => return Exit::Violation(violation),
                Err(_) => return Exit::Closed { reopen: true },
            };
            assert_ne!(frame.body, "panic", "as ordered");
            if session.frames_out.send(frame).await.is_err() {
                return Exit::Closed { reopen: true };
            }
        }
    }

    async fn answer(&self, mut request: Request) -> Exit {
        assert_ne!(request.frame.body, "panic", "as ordered");
        if request.frame.body == "busy" {
            return Exit::Local("busy");
        }
        let shout = request.frame.body.to_ascii_uppercase();
        for _ in 0..2 {
            if request.responses.send(Frame::new(1, shout.clone().into())).await.is_err() {
                return Exit::Closed { reopen: false };
            }
        }
        Exit::Closed { reopen: false }
    }
}

pub struct Node {
    pub handle: TransportHandle,
    pub events: PeerEvents,
    pub spawner: Spawner,
}

pub fn config() -> TransportConfig {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    TransportConfig::local(any, REGTEST, GENESIS, 7)
}

pub async fn start(seed: u8, service: impl Service) -> Node {
    start_with(seed, service, config()).await
}

pub async fn start_with(seed: u8, service: impl Service, config: TransportConfig) -> Node {
    let mut registry = Registry::new();
    registry.register(service).unwrap();
    let spawner = Spawner::new();
    let handle = Transport::start(config, identity(seed), registry, spawner.clone()).await.unwrap();
    Node { events: handle.events(), handle, spawner }
}

impl Node {
    pub fn id(&self) -> PeerId {
        self.handle.local_id()
    }

    pub async fn dial(&self, other: &Self) {
        self.handle.add_peer(other.handle.local_peer()).await.unwrap();
    }

    pub async fn event(&mut self) -> PeerEvent {
        within(self.events.recv()).await.unwrap()
    }

    pub async fn connected(&mut self) -> PeerInfo {
        loop {
            if let PeerEvent::Connected(peer) = self.event().await {
                return peer;
            }
        }
    }

    pub async fn disconnected(&mut self) -> (PeerInfo, CloseReason) {
        loop {
            if let PeerEvent::Disconnected { peer, reason } = self.event().await {
                return (peer, reason);
            }
        }
    }

    /// The rule for which this node closes a connection next.
    pub async fn broken_rule(&mut self) -> &'static str {
        match self.disconnected().await.1 {
            CloseReason::Violation { violation, .. } => violation.rule(),
            other => panic!("no violation: {other}"),
        }
    }

    /// The next event, which must be a failed dial.
    pub async fn dial_failed(&mut self) -> CloseReason {
        match self.event().await {
            PeerEvent::DialFailed { reason, .. } => reason,
            other => panic!("the dial did not fail: {other:?}"),
        }
    }

    /// The next event, which must be a refusal.
    pub async fn refused(&mut self) -> Refusal {
        match self.event().await {
            PeerEvent::Refused { reason: CloseReason::HandshakeRefused(refusal), .. } => refusal,
            other => panic!("nobody was refused: {other:?}"),
        }
    }

    /// Stops the node and sees that nothing is left of it.
    pub async fn stop(self) {
        self.handle.shutdown(Duration::from_secs(5)).await;
        let report = self.spawner.stop(Duration::from_secs(5)).await;
        assert_eq!(report.stragglers, [""; 0], "tasks outlive their node");
    }
}

pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// The next session of a handover.
pub async fn session(sessions: &mut Sessions) -> (Session, tokio::sync::oneshot::Sender<Exit>) {
    within(sessions.recv()).await.expect("the service lives")
}

/// Says a word on a session and hears it on the other.
pub async fn exchange(from: &mut Session, to: &mut Session, word: &str) {
    within(from.frames_out.send(text(word))).await.unwrap();
    assert_eq!(within(to.frames_in.recv()).await, Ok(Some(text(word))));
}
