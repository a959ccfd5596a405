//! Who a peer is, and where.

use crate::{Capabilities, Fence, Role};
use std::{fmt, net::SocketAddr, str::FromStr};

/// A peer's identity: its Ed25519 public key in compressed Edwards form (wire 1.2).
///
/// Printed and parsed as 64 hexadecimal digits. Ordered bytewise, which is the order of the duplicate and collision
/// rules (wire 4.4 and 6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The identity with these key bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight digits, for log lines.
    #[must_use]
    pub fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0[..4])
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.short())
    }
}

/// A text that is no peer identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("peer id {text:?} is not 64 hexadecimal digits")]
pub struct PeerIdError {
    text: String,
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| PeerIdError { text: text.chars().take(80).collect() })
    }
}

/// Where a named peer is expected to be: `HEX@IP:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddr {
    /// The identity that must answer there.
    pub id: PeerId,
    /// Its UDP address.
    pub addr: SocketAddr,
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.addr)
    }
}

/// A text that names no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerAddrError {
    /// There is no `@` between identity and address.
    #[error("peer {0:?} lacks an '@': write ID@IP:PORT, with that node's own ID")]
    NoSeparator(String),
    /// The part before the `@` is no identity.
    #[error(transparent)]
    Id(#[from] PeerIdError),
    /// The part after the `@` is no socket address with a port above zero.
    #[error("peer address {0:?} is not IP:PORT with a port from 1 to 65535 (an IPv6 address needs brackets)")]
    Addr(String),
}

impl FromStr for PeerAddr {
    type Err = PeerAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(120).collect::<String>();
        let (id, addr) = text.split_once('@').ok_or_else(|| PeerAddrError::NoSeparator(shown()))?;
        let id = id.parse()?;
        match addr.parse::<SocketAddr>() {
            Ok(addr) if addr.port() != 0 => Ok(Self { id, addr }),
            Ok(_) | Err(_) => Err(PeerAddrError::Addr(addr.chars().take(80).collect())),
        }
    }
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The peer dialled us: we are the responder (wire 2).
    Inbound,
    /// We dialled the peer: we are the initiator (wire 2).
    Outbound,
}

/// One registered connection, as services see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The authenticated identity.
    pub id: PeerId,
    /// The UDP source address that QUIC reports.
    pub addr: SocketAddr,
    /// Who dialled.
    pub direction: Direction,
    /// What the peer is to us: in a session as it was when the connection was registered, in
    /// [`TransportHandle::peers`](crate::TransportHandle::peers) as it is.
    pub role: Role,
    /// The connection's generation: never reused in this process.
    pub connection: Fence,
    /// What both sides agreed on.
    pub capabilities: Capabilities,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip_and_accept_upper_case() {
        let id = PeerId::new([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        let peer = PeerAddr { id, addr: "[::1]:8234".parse().unwrap() };
        assert_eq!(peer.to_string().parse(), Ok(peer));
    }

    #[test]
    fn malformed_peers_say_what_is_missing() {
        let id = PeerId::new([1; 32]);
        assert!(matches!("127.0.0.1:1".parse::<PeerAddr>(), Err(PeerAddrError::NoSeparator(_))));
        assert!(matches!("ff@127.0.0.1:1".parse::<PeerAddr>(), Err(PeerAddrError::Id(_))));
        for addr in ["127.0.0.1", "127.0.0.1:0", "host:1", ""] {
            assert!(
                matches!(format!("{id}@{addr}").parse::<PeerAddr>(), Err(PeerAddrError::Addr(_))),
                "{addr}"
            );
        }
    }
}
