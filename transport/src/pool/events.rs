//! What the pool tells whoever listens.

use crate::{CloseReason, PeerAddr, PeerId, PeerInfo, Refusal};
use std::net::SocketAddr;
use tokio::sync::broadcast;

/// Something happened to a connection. Every `Connected` is followed by exactly one `Disconnected` of the same
/// generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// A connection was registered.
    Connected(PeerInfo),
    /// A registered connection is gone.
    Disconnected {
        /// The connection.
        peer: PeerInfo,
        /// The first cause.
        reason: CloseReason,
    },
    /// A dial gave no connection. One to a named peer will be repeated, one that was asked for once will not.
    DialFailed {
        /// Who was dialled.
        peer: PeerAddr,
        /// Why it failed.
        reason: CloseReason,
    },
    /// We refused a peer that dialled us.
    Refused {
        /// The identity that it proved.
        peer: PeerId,
        /// Where it came from.
        addr: SocketAddr,
        /// Our verdict on its handshake.
        reason: Refusal,
    },
}

/// Why there is no next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerEventsError {
    /// The listener was too slow and this many events are lost: read [`TransportHandle::peers`](crate::TransportHandle::peers).
    #[error("{0} events were missed")]
    Missed(u64),
    /// The transport has stopped.
    #[error("the transport has stopped")]
    Closed,
}

/// The events from now on.
#[derive(Debug)]
pub struct PeerEvents(pub(crate) Option<broadcast::Receiver<PeerEvent>>);

impl PeerEvents {
    /// The next event. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`PeerEventsError`]; after `Missed` the next event is the oldest one kept.
    pub async fn recv(&mut self) -> Result<PeerEvent, PeerEventsError> {
        let Some(events) = &mut self.0 else { return Err(PeerEventsError::Closed) };
        events.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(count) => PeerEventsError::Missed(count),
            broadcast::error::RecvError::Closed => PeerEventsError::Closed,
        })
    }
}
