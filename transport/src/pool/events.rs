//! What the pool tells whoever listens.

use crate::{CloseReason, PeerAddr, PeerId, PeerInfo};
use std::net::SocketAddr;
use tokio::sync::broadcast;

/// Something happened to a connection. Every `Connected` is followed by exactly one `Disconnected` of the same
/// generation, and comes after the `Disconnected` of the peer's connection before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// A connection was registered.
    Connected(PeerInfo),
    /// A registered connection is gone. Its sessions are asked to end and have five seconds: meanwhile they may run beside
    /// those of the peer's next connection. Key what belongs to a session by [`Session::generation`](crate::Session),
    /// not by peer.
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
    /// A peer that dialled us has proved its identity and was not let in: its handshake was refused
    /// ([`CloseReason::HandshakeRefused`]), or its connection has no place here (`Full`, `TooOften`, `Banned`, `NotNamed`,
    /// `Duplicate`). A peer can bring this about as often as it is let through to a handshake.
    Refused {
        /// The identity that it proved.
        peer: PeerId,
        /// Where it came from.
        addr: SocketAddr,
        /// Our verdict.
        reason: CloseReason,
    },
}

/// Why there is no next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// [`PeerEventsError`]; after `Missed` the next event is the oldest one kept. `Missed` is not the end: a loop of
    /// `while let Ok(..)` ends with the first burst that it was too slow for.
    pub async fn recv(&mut self) -> Result<PeerEvent, PeerEventsError> {
        let Some(events) = &mut self.0 else { return Err(PeerEventsError::Closed) };
        events.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(count) => PeerEventsError::Missed(count),
            broadcast::error::RecvError::Closed => PeerEventsError::Closed,
        })
    }
}
