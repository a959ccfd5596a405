//! Why something of the transport failed, for people and for code.

use crate::{Refusal, StreamKind, Violation, observe::Text};
use std::{io, net::SocketAddr};

/// The transport could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The port belongs to somebody else.
    #[error(
        "UDP address {0} is in use: stop the other node, or listen on another port (port 0 takes any free one)"
    )]
    InUse(SocketAddr),
    /// The system refused the address for another reason.
    #[error("cannot listen on UDP address {addr}: {source}; choose an address of this machine")]
    Socket {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS refused the node's key, or the system gave no randomness.
    #[error("the node's identity cannot be used: {0}")]
    Identity(String),
}

impl BindError {
    /// The error for what the system said about an address.
    #[must_use]
    pub fn socket(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(addr),
            _ => Self::Socket { addr, source },
        }
    }
}

/// Why a connection ended, or a dial gave none: the first cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer's provable fault.
    #[error("the peer broke a rule on {stream}: {violation}")]
    Violation {
        /// The stream's name.
        stream: &'static str,
        /// The rule and the evidence.
        violation: Violation,
    },
    /// Our routine panicked; the peer may not be at fault.
    #[error("our routine of {stream} panicked: {message}")]
    Panicked {
        /// The stream's name.
        stream: &'static str,
        /// The panic's words.
        message: String,
    },
    /// Another connection with the same peer counts (wire 6).
    #[error("another connection with this peer counts")]
    Duplicate,
    /// No frame arrived for the negotiated time (wire 4.7).
    #[error("no frame arrived for the negotiated time")]
    Idle,
    /// We wanted it so: a close by the embedder, or shutdown.
    #[error("closed by us")]
    Local,
    /// There was no room for it.
    #[error("no room for another connection")]
    Full,
    /// It, or its neighbourhood, connects again and again: every connection begins with fresh allowances.
    #[error("the peer or its neighbourhood connects too often")]
    TooOften,
    /// It made room for a newcomer: places were short, and it was of the least use.
    #[error("made room for another peer")]
    Displaced,
    /// The peer is banned, or so is its address: see [`TransportHandle::bans`](crate::TransportHandle::bans).
    #[error("the peer is banned for now, or its address is")]
    Banned,
    /// This node meets only named peers, and it is none.
    #[error("only named peers are met here, and it is none: name it")]
    NotNamed,
    /// The peer closed it.
    #[error("closed by the peer with code {code} {reason:?}{}", remote_hint(*.code, .reason))]
    Remote {
        /// The code (wire 1.5).
        code: u64,
        /// The peer's text, printable and short.
        reason: String,
    },
    /// The peer fell silent, or did not answer in time.
    #[error("timed out: no answer from the peer; check that it runs and that its UDP port is reachable")]
    Timeout,
    /// The peer restarted and has forgotten the connection.
    #[error("the peer restarted")]
    Reset,
    /// QUIC or TLS failed.
    #[error("transport failure: {0}")]
    Transport(String),
    /// The handshake was refused by us: the peer is healthy but not one of ours, or speaks wrongly.
    #[error("handshake refused: {0}")]
    HandshakeRefused(Refusal),
    /// The limits agreed on do not carry the streams agreed on (wire 2.3).
    #[error("the agreed limits are too small for the agreed streams")]
    LimitsTooSmall,
    /// Another identity answered than was dialled.
    #[error("another identity answers at this address: check the peer's id on that node")]
    WrongIdentity,
    /// The dial never left this machine.
    #[error("cannot dial: {0}")]
    NotDialled(String),
}

impl CloseReason {
    /// The same with short and printable words: fit to be kept. A panic's words may hold a whole frame of the peer's.
    pub(crate) fn shortened(&self) -> Self {
        match self {
            Self::Violation { stream, violation } => {
                Self::Violation { stream, violation: violation.shortened() }
            }
            Self::Panicked { stream, message } => {
                Self::Panicked { stream, message: Text::of(message).to_string() }
            }
            other => other.clone(),
        }
    }
}

/// A peer's close has no machine-readable reject message; its text tells what is likely (wire 1.5).
fn remote_hint(code: u64, reason: &str) -> &'static str {
    match (code, reason) {
        (0, "control handshake") => {
            ": it refused our handshake, most likely it is on another network or has another genesis; check the network on both nodes"
        }
        (0, "duplicate") => ": it has another connection with us; a dial after a few seconds succeeds",
        (1, _) => ": it has no room for us now",
        _ => "",
    }
}

/// Why a request got no (further) answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No connection with that peer.
    #[error("the peer is not connected")]
    NotConnected,
    /// The peer does not speak this kind, or it is no request kind.
    #[error("{0:?} was not negotiated with the peer as a request stream")]
    NotNegotiated(StreamKind),
    /// The request is larger than the peer takes.
    #[error("a request of {bytes} bytes is larger than the {max} bytes that the peer takes")]
    TooLarge {
        /// The frame, header included.
        bytes: usize,
        /// What the peer takes.
        max: usize,
    },
    /// No answer, or not all of it, by the deadline.
    #[error("no complete answer by the deadline")]
    Deadline,
    /// The answer broke a rule; the connection is being closed for it.
    #[error("the answer broke a rule: {0}")]
    Violation(Violation),
    /// The stream broke off inside a frame, or the connection is gone.
    #[error("the stream broke off")]
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_handshake_hints_at_the_network() {
        let reason = CloseReason::Remote { code: 0, reason: "control handshake".into() }.to_string();
        assert!(reason.contains("another network"), "{reason}");
        let plain = CloseReason::Remote { code: 0, reason: String::new() }.to_string();
        assert_eq!(plain, "closed by the peer with code 0 \"\"");
    }

    #[test]
    fn a_taken_port_names_the_remedy() {
        let addr = "127.0.0.1:8234".parse().unwrap();
        let error = BindError::socket(addr, io::ErrorKind::AddrInUse.into()).to_string();
        assert!(error.contains("127.0.0.1:8234 is in use") && error.contains("another port"), "{error}");
    }
}
