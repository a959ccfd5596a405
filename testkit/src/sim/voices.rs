//! What nodes say, written into the trace and told to whoever listens.

use super::{link::NodeIndex, switch::Switch};
use std::{net::SocketAddr, time::Duration};
use tokio::sync::mpsc;
use zakura::node::NodeHandle;
use zakura_transport::{PeerEvent, PeerEventsError, Spawner};

/// Something a node said of its connections.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Who.
    pub node: NodeIndex,
    /// When, since the world began.
    pub at: Duration,
    /// What; or that so many events were missed.
    pub event: Result<PeerEvent, u64>,
}

/// Listens to a node's connections and commits until it is gone. `ear`: whoever else listens; it may hold the voice up.
pub(super) fn listen(
    spawner: &Spawner,
    switch: &Switch,
    node: NodeIndex,
    handle: &NodeHandle,
    ear: Option<mpsc::Sender<Heard>>,
) {
    let (mut events, said) = (handle.peer_events(), switch.clone());
    spawner.spawn("hears connections", async move {
        loop {
            let event = match events.recv().await {
                Ok(event) => Ok(event),
                Err(PeerEventsError::Missed(count)) => Err(count),
                Err(_) => return,
            };
            said.say(Some(node), told(&said, &event));
            if let Some(ear) = &ear {
                // Whoever listened may have gone.
                drop(ear.send(Heard { node, at: said.elapsed(), event }).await);
            }
        }
    });
    let (mut committed, said) = (handle.blocks().committed(), switch.clone());
    spawner.spawn("hears commits", async move {
        while committed.changed().await.is_ok() {
            said.say(Some(node), format!("committed {}", committed.get()));
        }
    });
}

/// An event in words that are the same in every run: fences are not.
fn told(switch: &Switch, event: &Result<PeerEvent, u64>) -> String {
    let name = |addr: SocketAddr| switch.node_at(addr).map_or_else(|| addr.to_string(), |n| n.to_string());
    match event {
        Ok(PeerEvent::Connected(peer)) => {
            format!("connected with {} ({:?})", name(peer.addr), peer.direction)
        }
        Ok(PeerEvent::Disconnected { peer, reason }) => format!("lost {}: {reason}", name(peer.addr)),
        Ok(PeerEvent::DialFailed { peer, reason }) => format!("did not reach {}: {reason}", name(peer.addr)),
        Ok(PeerEvent::Refused { addr, reason, .. }) => format!("refused {}: {reason}", name(*addr)),
        Ok(_) => "another event".into(),
        Err(count) => format!("{count} events were missed"),
    }
}
