//! A peer that floods discovery has its answers in time, delays nobody else, and goes when it goes too far. Over QUIC.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its own functions too")]

use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use zakura_discovery::{
    Discovery, DiscoveryConfig, DiscoveryHandle,
    ports::Surroundings,
    wire::{AddressPolicy, Message, Record, RecordAddr, STREAM, Sealed, ServiceId, Services, Summary},
};
use zakura_transport::{
    Capabilities, CloseReason, Exit, Identity, Mode, Opener, PayloadCap, PeerEvent, PeerId, Registry,
    Service, Session, Spawner, StreamKind, StreamSpec, Transport, TransportConfig, TransportHandle,
    routine::Message as _,
};

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a peer has for its answers (wire 5.1).
const IN_TIME: Duration = Duration::from_secs(2);
const UNIX: u64 = 1_800_000_000;
const CHAIN: [u8; 32] = [9; 32];

#[derive(Debug)]
struct Still;

impl Surroundings for Still {
    fn since_epoch(&self) -> Duration {
        Duration::from_secs(UNIX)
    }

    fn summaries(&self) -> Vec<Summary> {
        Vec::new()
    }
}

/// A second service, so that connections have a reason to stay.
struct Reason;

impl Service for Reason {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![StreamSpec {
            name: "reason",
            kind: StreamKind(0x0100),
            version: 1,
            capability: Capabilities::from_bits(1 << 40),
            mode: Mode::Ordered,
            max_frame: 64,
            payload_caps: &[PayloadCap { message_type: 1, bytes: 8 }],
            opener: Opener::Initiator,
            frames_per_second: 8,
        }]
    }

    async fn run(&self, session: Session) -> Exit {
        session.cancel.cancelled().await;
        Exit::Closed { reopen: false }
    }
}

/// Hands its sessions to the test.
struct Script(mpsc::Sender<Session>);

impl Service for Script {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![STREAM]
    }

    async fn run(&self, session: Session) -> Exit {
        let cancel = session.cancel.clone();
        if self.0.send(session).await.is_ok() {
            cancel.cancelled().await;
        }
        Exit::Closed { reopen: false }
    }
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32]).unwrap()
}

async fn transport(seed: u8, spawner: &Spawner, service: impl Service) -> TransportHandle {
    let mut registry = Registry::new();
    registry.register(service).unwrap();
    registry.register(Reason).unwrap();
    let config = TransportConfig::local("127.0.0.1:0".parse().unwrap(), 3, CHAIN, 7);
    Transport::start(config, identity(seed), registry, spawner.clone()).await.unwrap()
}

async fn node(seed: u8, spawner: &Spawner) -> (TransportHandle, DiscoveryHandle) {
    let config = DiscoveryConfig { policy: AddressPolicy::Any, ..DiscoveryConfig::new(3, CHAIN, [seed; 32]) };
    let (service, discovery) = Discovery::new(identity(seed), config, Arc::new(Still), spawner);
    let transport = transport(seed, spawner, service).await;
    discovery.attach(&transport);
    (transport, discovery)
}

fn record(seed: u8) -> Record {
    Record {
        node_id: identity(seed).peer_id(),
        addresses: vec![RecordAddr(([127, 0, 0, 1], 1000 + u16::from(seed)).into())],
        services: vec![ServiceId::DISCOVERY],
        protocol_min: 1,
        protocol_max: 1,
        network_id: 3,
        chain_id: CHAIN,
        sequence: 1,
        expiry: UNIX + 3_600,
    }
}

/// As much work as one frame can ask for without a fault: 32 records of other nodes, none signed by its author.
fn burden() -> Message {
    let forged = |seed| Sealed::sign(&record(seed), &identity(99));
    Message::Peers((100..132).map(forged).collect())
}

/// Waits until `here` has completed an exchange with `peer`, and says how many it missed before.
async fn exchanged(here: &DiscoveryHandle, peer: PeerId) -> u64 {
    let mut statuses = here.statuses();
    let arrival = async {
        let mut status = statuses.get();
        loop {
            if let Some(done) = status.peers.iter().find(|done| done.peer == peer && done.complete > 0) {
                return done.missed;
            }
            status = statuses.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(PATIENCE, arrival).await {
        Ok(missed) => missed,
        Err(_) => panic!("waited for an exchange; {:?}", here.status()),
    }
}

async fn flooder(spawner: &Spawner, victim: &TransportHandle) -> (TransportHandle, Session) {
    let (sessions, mut inbox) = mpsc::channel(1);
    let transport = transport(66, spawner, Script(sessions)).await;
    transport.add_peer(victim.local_peer()).await.unwrap();
    let session = tokio::time::timeout(PATIENCE, inbox.recv()).await.unwrap().unwrap();
    (transport, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_answered_in_time_and_an_honest_peer_beside_it_too() {
    let spawner = Spawner::new();
    let (victim, discovery) = node(1, &spawner).await;
    let (_hostile, mut session) = flooder(&spawner, &victim).await;
    let start = Instant::now();
    for _ in 0..50 {
        session.frames_out.push(burden().encode());
    }
    for message in [
        Message::Hello(Sealed::sign(&record(66), &identity(66))),
        Message::GetPeers { limit: 32, services: vec![], exclude: vec![] },
        Message::GetServices(vec![]),
        Message::Services(Services { node_id: identity(66).peer_id(), expiry: UNIX + 30, summaries: vec![] }),
    ] {
        session.frames_out.push(message.encode());
    }
    session.frames_out.flush().await.unwrap();
    let honest_spawner = Spawner::new();
    let (honest, _its_discovery) = node(2, &honest_spawner).await;
    honest.add_peer(victim.local_peer()).await.unwrap();

    // Hello, GetPeers, GetServices, and both answers.
    let mut heard = Vec::new();
    while heard.len() < 5 {
        let frame = tokio::time::timeout(PATIENCE, session.frames_in.recv()).await.unwrap().unwrap().unwrap();
        heard.push(Message::decode(frame).unwrap());
    }
    let took = start.elapsed();
    assert!(took < IN_TIME, "{took:?}");
    for (what, is) in [
        ("hello", heard.iter().any(|message| matches!(message, Message::Hello(_)))),
        ("peers", heard.iter().any(|message| matches!(message, Message::Peers(_)))),
        ("services", heard.iter().any(|message| matches!(message, Message::Services(_)))),
    ] {
        assert!(is, "no {what} in {heard:?}");
    }
    assert_eq!(exchanged(&discovery, honest.local_id()).await, 0, "the honest peer's exchange was in time");
    assert_eq!(discovery.status().known, 2, "the two that spoke for themselves, and nothing forged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_without_end_costs_the_flooder_its_connection_and_the_honest_nothing() {
    let spawner = Spawner::new();
    let (victim, discovery) = node(1, &spawner).await;
    let mut events = victim.events();
    let (hostile, mut session) = flooder(&spawner, &victim).await;
    let flooding = async {
        // A failed flush says that the victim has had enough.
        while session.frames_out.send(burden().encode()).await.is_ok() {}
    };
    tokio::time::timeout(PATIENCE, flooding).await.unwrap();
    let end = async {
        loop {
            if let PeerEvent::Disconnected { peer, reason } = events.recv().await.unwrap()
                && peer.id == hostile.local_id()
            {
                return reason;
            }
        }
    };
    let reason = tokio::time::timeout(PATIENCE, end).await.unwrap();
    assert!(matches!(reason, CloseReason::Violation { stream: "discovery", .. }), "{reason}");
    let (honest, _its_discovery) = node(2, &spawner).await;
    honest.add_peer(victim.local_peer()).await.unwrap();
    assert_eq!(exchanged(&discovery, honest.local_id()).await, 0);
}
