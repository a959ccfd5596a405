//! One QUIC connection with an authenticated peer.

use super::{
    disco::Path,
    entropy::{NoEntropy, Source},
    socket::{DiscoSocket, Neighbourhood},
    streams::{RecvHalf, SendHalf},
    tls::WRONG_IDENTITY_ALERT,
    windows::{INBOUND, MAX_BIDI_STREAMS, Windows},
};
use crate::{PeerId, identity::from_spki, observe::Volume};
use quinn::{ConnectionError, TransportErrorCode, VarInt};
use rustls::pki_types::CertificateDer;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// The longest piece of a peer's text that is kept: it ends in logs and reports.
const MAX_REMOTE_TEXT: usize = 128;

/// An application close: code and reason (wire 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) code: u32,
    pub(crate) reason: &'static str,
}

impl Farewell {
    /// A normal end, or a fault found by a service.
    pub(crate) const NEUTRAL: Self = Self { code: 0, reason: "" };
    /// Any failure of the inbound handshake.
    pub(crate) const HANDSHAKE: Self = Self { code: 0, reason: "control handshake" };
    /// Lost against another connection with the same peer.
    pub(crate) const DUPLICATE: Self = Self { code: 0, reason: "duplicate" };
    /// No frame arrived for the negotiated time.
    pub(crate) const IDLE: Self = Self { code: 0, reason: "idle" };
    /// No room for another connection.
    pub(crate) const ADMISSION: Self = Self { code: 1, reason: "admission" };
    /// Negotiated limits allow fewer streams than were negotiated.
    pub(crate) const ORDERED_STREAMS: Self = Self { code: 1, reason: "ordered streams" };
    /// An answer that breaks a rule.
    pub(crate) const MALFORMED_RESPONSE: Self = Self { code: 2, reason: "malformed response" };
    /// Negotiated limits allow a shallower queue than the streams need.
    pub(crate) const QUEUE_SPLIT: Self = Self { code: 1, reason: "queue split" };
}

/// How a connection ended, as QUIC saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    /// The peer's application closed it.
    Remote { code: u64, reason: String },
    /// The peer was silent too long.
    TimedOut,
    /// The peer has no memory of it: it restarted.
    Reset,
    /// QUIC or TLS failed.
    Transport(String),
    /// We closed it.
    Local,
}

/// What QUIC knows of a connection's path and traffic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vitals {
    pub(crate) round_trip: Duration,
    pub(crate) congestion_window: u64,
    pub(crate) sent_packets: u64,
    pub(crate) lost_packets: u64,
    pub(crate) mtu: u16,
    pub(crate) up: Volume,
    pub(crate) down: Volume,
}

/// Why a dial gave no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialError {
    /// Another identity answered.
    WrongIdentity,
    /// The connection ended before it was whole.
    Ended(LinkEnd),
    /// The peer proved no Ed25519 identity.
    NoIdentity,
    /// Nothing was sent.
    Local(String),
}

/// A connection attempt that nothing has been spent on yet.
pub(crate) struct Incoming {
    quic: quinn::Incoming,
    socket: Arc<DiscoSocket>,
    nonces: Source,
    #[cfg(feature = "qlog")]
    traced: Option<(quinn::ServerConfig, super::qlog::Traces)>,
}

impl Incoming {
    pub(super) const fn new(quic: quinn::Incoming, socket: Arc<DiscoSocket>, nonces: Source) -> Self {
        Self {
            quic,
            socket,
            nonces,
            #[cfg(feature = "qlog")]
            traced: None,
        }
    }

    /// Traced, if there is a place for another trace once it is let in.
    #[cfg(feature = "qlog")]
    pub(super) fn traced(self, traced: Option<(quinn::ServerConfig, super::qlog::Traces)>) -> Self {
        Self { traced, ..self }
    }

    /// Where it claims to come from.
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        self.quic.remote_address()
    }

    /// Whether the sender has proved that it receives at its address, or cannot be asked to.
    pub(crate) fn is_validated(&self) -> bool {
        self.quic.remote_address_validated() || !self.quic.may_retry()
    }

    /// Asks the sender to prove its address.
    pub(crate) fn retry(self) {
        // The one error is "may not retry", which `is_validated` excludes; dropping it then refuses the attempt.
        drop(self.quic.retry());
    }

    /// Drops the attempt without an answer.
    pub(crate) fn ignore(self) {
        self.quic.ignore();
    }

    /// Goes through TLS with it.
    pub(crate) async fn establish(self) -> Result<Link, DialError> {
        #[cfg(feature = "qlog")]
        let trace = self.traced.and_then(|(server, traces)| {
            Some(super::endpoint::traced_server(&server, traces.open("in", self.quic.remote_address())?))
        });
        #[cfg(not(feature = "qlog"))]
        let trace = None;
        let connecting = match trace {
            Some(server) => self.quic.accept_with(server),
            None => self.quic.accept(),
        };
        let connecting = connecting.map_err(|error| DialError::Ended(error.into()))?;
        Link::establish(connecting, &self.socket, self.nonces, &INBOUND).await
    }
}

/// One QUIC connection. Clones are the same connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    quic: quinn::Connection,
    peer: PeerId,
    nonces: Source,
    windows: &'static Windows,
    /// Disco's heartbeats end with the last clone.
    _neighbourhood: Arc<Neighbourhood>,
}

impl Link {
    pub(super) async fn establish(
        connecting: quinn::Connecting,
        socket: &Arc<DiscoSocket>,
        nonces: Source,
        windows: &'static Windows,
    ) -> Result<Self, DialError> {
        let quic = connecting.await.map_err(|error| match &error {
            ConnectionError::TransportError(fault)
                if fault.code == TransportErrorCode::crypto(WRONG_IDENTITY_ALERT) =>
            {
                DialError::WrongIdentity
            }
            _ => DialError::Ended(error.into()),
        })?;
        let peer = identity_of(&quic).ok_or(DialError::NoIdentity)?;
        let path = Path { remote: quic.remote_address(), local: quic.local_ip() };
        let neighbourhood = Arc::new(socket.connected(peer, path));
        Ok(Self { quic, peer, nonces, windows, _neighbourhood: neighbourhood })
    }

    /// The identity that TLS proved.
    pub(crate) const fn peer(&self) -> PeerId {
        self.peer
    }

    /// The peer is no stranger any more: it may open streams and fill the windows of a peer. QUIC tells it with whatever is sent
    /// next, or at once.
    pub(crate) fn welcome(&self) {
        self.quic.set_receive_window(VarInt::from_u32(self.windows.connection));
        self.quic.set_max_concurrent_bi_streams(VarInt::from_u32(MAX_BIDI_STREAMS));
    }

    /// A nonce that nobody has seen.
    pub(crate) fn nonce(&self) -> Result<[u8; 32], NoEntropy> {
        self.nonces.draw()
    }

    /// The UDP source address that QUIC reports.
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        self.quic.remote_address()
    }

    /// The path and the traffic as they stand. Copies a few numbers out of QUIC's state.
    pub(crate) fn vitals(&self) -> Vitals {
        let stats = self.quic.stats();
        let volume = |udp: quinn::UdpStats| Volume { count: udp.datagrams, bytes: udp.bytes };
        Vitals {
            round_trip: stats.path.rtt,
            congestion_window: stats.path.cwnd,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            mtu: stats.path.current_mtu,
            up: volume(stats.udp_tx),
            down: volume(stats.udp_rx),
        }
    }

    /// QUIC's estimate of the round-trip time.
    pub(crate) fn round_trip(&self) -> Duration {
        self.quic.rtt()
    }

    /// Opens a stream; waits while the peer allows no more.
    pub(crate) async fn open(&self) -> Result<(SendHalf, RecvHalf), LinkEnd> {
        let (send, recv) = self.quic.open_bi().await?;
        Ok((SendHalf::new(send), RecvHalf::new(recv)))
    }

    /// The next stream that the peer opened. Cancel-safe.
    pub(crate) async fn accept(&self) -> Result<(SendHalf, RecvHalf), LinkEnd> {
        let (send, recv) = self.quic.accept_bi().await?;
        Ok((SendHalf::new(send), RecvHalf::new(recv)))
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&self) -> LinkEnd {
        self.quic.closed().await.into()
    }

    /// Whether the connection has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.quic.close_reason().is_some()
    }

    /// Closes the connection. The first close counts.
    pub(crate) fn close(&self, farewell: Farewell) {
        self.quic.close(VarInt::from_u32(farewell.code), farewell.reason.as_bytes());
    }
}

/// The one raw Ed25519 key that the peer proved (wire 1.2).
fn identity_of(quic: &quinn::Connection) -> Option<PeerId> {
    let entries = quic.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match entries.as_slice() {
        [entry] => from_spki(entry),
        _ => None,
    }
}

impl From<ConnectionError> for LinkEnd {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                Self::Remote { code: close.error_code.into_inner(), reason: tame(&close.reason) }
            }
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::LocallyClosed => Self::Local,
            ConnectionError::ConnectionClosed(close) => {
                Self::Transport(format!("closed by the peer's QUIC: {}", tame(close.to_string().as_bytes())))
            }
            ConnectionError::TransportError(fault) => Self::Transport(tame(fault.to_string().as_bytes())),
            other @ (ConnectionError::VersionMismatch | ConnectionError::CidsExhausted) => {
                Self::Transport(other.to_string())
            }
        }
    }
}

/// A peer's text made fit for logs: printable, and short.
fn tame(text: &[u8]) -> String {
    let text = text.get(..MAX_REMOTE_TEXT).unwrap_or(text);
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::tame;

    #[test]
    fn a_peers_text_is_short_and_printable() {
        assert_eq!(tame(b"bad\n\x1b[31mred"), "bad??[31mred");
        assert_eq!(tame(&[b'x'; 4000]).len(), 128);
    }
}
