//! A capability of your own in request/response mode: ask a peer for transactions by id, get one frame for each that it
//! holds. Every request is a stream of its own, so a slow answer holds up no other.
//!
//! `cargo run -p zakura-transport --example tx_lookup`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

mod service;

use service::{Ask, Found, KIND, Lookup, look_up};
use std::{collections::BTreeMap, error::Error, time::Duration};
use tokio::time::timeout;
use zakura_transport::routine::Message;
use zakura_transport::{CloseReason, Exit, Identity, PeerEvent, PeerEvents, Registry, Request, RequestError};
use zakura_transport::{Service, Spawner, StreamSpec, Transport, TransportConfig, TransportHandle};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every question with a transaction nobody asked for.
struct Mallory;

impl Service for Mallory {
    fn streams(&self) -> Vec<StreamSpec> {
        Lookup(BTreeMap::new()).streams()
    }

    async fn answer(&self, mut request: Request) -> Exit {
        let spam = Found(666, b"buy my coin".to_vec());
        request
            .responses
            .send(spam.encode())
            .await
            .map_or_else(Exit::from, |()| Exit::Closed { reopen: false })
    }
}

/// A node on loopback that speaks one service. It stops when its handle is dropped.
async fn start(seed: u8, service: impl Service) -> Result<(TransportHandle, PeerEvents), Box<dyn Error>> {
    let mut registry = Registry::new();
    registry.register(service)?;
    let config = TransportConfig::local("127.0.0.1:0".parse()?, 3, [7; 32], seed.into());
    let identity = Identity::from_seed([seed; 32])?;
    let handle = Transport::start(config, identity, registry, Spawner::new()).await?;
    Ok((handle.clone(), handle.events()))
}

/// Dials, and waits until the connection stands.
async fn meet(a: &TransportHandle, b: &TransportHandle, seen: &mut PeerEvents) -> Result<(), Box<dyn Error>> {
    a.add_peer(b.local_peer()).await?;
    while !matches!(timeout(PATIENCE, seen.recv()).await??, PeerEvent::Connected(_)) {}
    Ok(())
}

/// Why the next connection ends, which must be a violation.
async fn blame(seen: &mut PeerEvents) -> Result<CloseReason, Box<dyn Error>> {
    loop {
        match timeout(PATIENCE, seen.recv()).await?? {
            PeerEvent::Disconnected { reason: reason @ CloseReason::Violation { .. }, .. } => {
                return Ok(reason);
            }
            PeerEvent::Disconnected { reason, .. } => return Err(reason.into()),
            _ => {}
        }
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let pool = BTreeMap::from([(4, b"pay bob".to_vec()), (17, b"pay carol".to_vec())]);
    let (server, mut served) = start(1, Lookup(pool)).await?;
    let (client, mut seen) = start(2, Lookup(BTreeMap::new())).await?;
    meet(&client, &server, &mut seen).await?;
    let found = look_up(&client, server.local_id(), &[4, 5, 17]).await?;
    for Found(id, raw) in &found {
        println!("found {id}: {}", String::from_utf8_lossy(raw));
    }

    let (mallory, mut theirs) = start(3, Mallory).await?;
    meet(&mallory, &server, &mut theirs).await?;
    let greedy = Ask((0..17).collect()).encode();
    drop(mallory.request(server.local_id(), KIND, greedy, PATIENCE).await?);
    println!("a greedy question: {}", blame(&mut served).await?);

    meet(&client, &mallory, &mut seen).await?;
    let spam = look_up(&client, mallory.local_id(), &[4]).await;
    println!("a false answer: {}", blame(&mut seen).await?);

    let again = look_up(&client, server.local_id(), &[17]).await?;
    if found.len() != 2 || !matches!(spam, Err(RequestError::Violation(_))) || again.len() != 1 {
        return Err("a lookup went wrong".into());
    }
    println!("done: the honest peers were never disturbed");
    Ok(())
}
