//! A capability of your own on an ordered stream: nodes tell each other the digest of their mempool, so that two that
//! differ notice. Here two nodes do, and a third breaks the stream's one rule.
//!
//! `cargo run -p zakura-transport --example mempool_digest`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod service;

use service::{Digest, Reactor, STREAM};
use std::{error::Error, time::Duration};
use tokio::time::timeout;
use zakura_transport::routine::Message;
use zakura_transport::{CloseReason, Exit, Identity, PeerEvent, PeerEvents, Registry, Service, Session};
use zakura_transport::{Spawner, StreamSpec, Transport, TransportConfig, TransportHandle};

const PATIENCE: Duration = Duration::from_secs(20);

/// Speaks the stream without a machine, and says the same thing twice.
struct Mallory;

impl Service for Mallory {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![STREAM]
    }

    async fn run(&self, mut session: Session) -> Exit {
        for _ in 0..2 {
            if let Err(error) = session.frames_out.send(Digest(1, 1).encode()).await {
                return error.into();
            }
        }
        session.cancel.cancelled().await;
        Exit::Closed { reopen: false }
    }
}

/// A node on loopback that speaks one service. It stops when its handle is dropped.
async fn start(seed: u8, service: impl Service) -> Result<TransportHandle, Box<dyn Error>> {
    let mut registry = Registry::new();
    registry.register(service)?;
    let config = TransportConfig::local("127.0.0.1:0".parse()?, 3, [7; 32], seed.into());
    Ok(Transport::start(config, Identity::from_seed([seed; 32])?, registry, Spawner::new()).await?)
}

/// Listens until a peer says that it holds `count` transactions.
async fn hear(name: &str, reactor: &mut Reactor, count: u32) -> Result<(), Box<dyn Error>> {
    while let Some((peer, digest)) = timeout(PATIENCE, reactor.heard.recv()).await? {
        println!("{name} hears: {} holds {} transactions", peer.short(), digest.0);
        if digest.0 == count {
            return Ok(());
        }
    }
    Err("the service has ended".into())
}

async fn next_end(events: &mut PeerEvents) -> Result<CloseReason, Box<dyn Error>> {
    loop {
        if let PeerEvent::Disconnected { reason, .. } = timeout(PATIENCE, events.recv()).await?? {
            return Ok(reason);
        }
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let ((mut alpha, one), (mut beta, other)) = (Reactor::new(), Reactor::new());
    let (a, b) = (start(1, one).await?, start(2, other).await?);
    println!("alpha is {}, beta is {}", a.local_id().short(), b.local_id().short());
    let mut events = b.events();
    a.add_peer(b.local_peer()).await?;
    alpha.add([4, 17]);
    hear("beta", &mut beta, 2).await?;
    beta.add([4, 17, 23]);
    hear("alpha", &mut alpha, 3).await?;

    let mallory = start(3, Mallory).await?;
    mallory.add_peer(b.local_peer()).await?;
    let reason = next_end(&mut events).await?;
    println!("beta closes {}: {reason}", mallory.local_id().short());
    if !matches!(reason, CloseReason::Violation { stream: "mempool-digest", .. }) {
        return Err("the violation went unnoticed".into());
    }

    alpha.add(100..200);
    hear("beta", &mut beta, 102).await?;
    println!("done: the honest peer was never disturbed");
    Ok(())
}
