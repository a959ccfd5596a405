//! What nodes say, written into the trace.

use super::{link::NodeIndex, switch::Switch};
use std::net::SocketAddr;
use zakura::node::NodeHandle;
use zakura_transport::{PeerEvent, PeerEventsError, Spawner};

/// Listens to a node's connections and commits until it is gone.
pub(super) fn listen(spawner: &Spawner, switch: &Switch, node: NodeIndex, handle: &NodeHandle) {
    let (mut events, said) = (handle.peer_events(), switch.clone());
    spawner.spawn("hears connections", async move {
        loop {
            let text = match events.recv().await {
                Ok(event) => told(&said, &event),
                Err(PeerEventsError::Missed(count)) => format!("{count} events were missed"),
                Err(PeerEventsError::Closed) => return,
            };
            said.say(Some(node), text);
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
fn told(switch: &Switch, event: &PeerEvent) -> String {
    let name = |addr: SocketAddr| switch.node_at(addr).map_or_else(|| addr.to_string(), |n| n.to_string());
    match event {
        PeerEvent::Connected(peer) => format!("connected with {} ({:?})", name(peer.addr), peer.direction),
        PeerEvent::Disconnected { peer, reason } => format!("lost {}: {reason}", name(peer.addr)),
        PeerEvent::DialFailed { peer, reason } => format!("did not reach {}: {reason}", name(peer.addr)),
        PeerEvent::Refused { addr, reason, .. } => format!("refused {}: {reason}", name(*addr)),
    }
}
