//! What a peer is to us.

use crate::Direction;

/// What a peer is to us: how it came to be known, which decides what it may cost us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Named and vouched for by the operator: dialled for ever, exempt from group caps and eviction, and never banned.
    Trusted,
    /// Named: dialled for ever, exempt from group caps and eviction.
    Static,
    /// Named, on a node that meets only named peers: as [`Static`](Self::Static).
    ConnectOnly,
    /// A stranger that dialled us. Counted by group, and the first to go when places are short.
    Inbound,
    /// A stranger that we dialled, because discovery or the embedder asked us to once.
    Outbound,
}

impl Role {
    /// A stranger's role.
    #[must_use]
    pub const fn stranger(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::Inbound,
            Direction::Outbound => Self::Outbound,
        }
    }

    /// Whether the operator named the peer.
    #[must_use]
    pub const fn is_named(self) -> bool {
        matches!(self, Self::Trusted | Self::Static | Self::ConnectOnly)
    }
}
