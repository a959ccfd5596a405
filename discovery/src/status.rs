//! What discovery says of itself.

use crate::wire::{Record, Summary};
use std::time::Instant;
use zakura_transport::PeerId;

/// Where discovery stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscoveryStatus {
    /// Nodes in the book.
    pub known: usize,
    /// Those of them heard of from themselves, named, or met: the only ones that others hear of from us.
    pub confirmed: usize,
    /// Dials under way.
    pub dialling: usize,
    /// Dials begun since the start.
    pub dials: u64,
    /// Records that peers brought and that were not taken in: ours, expired, with an address that is not believed, or
    /// beyond the bringer's share.
    pub refused: u64,
    /// Our own record, as peers see it; none until we listen.
    pub own: Option<Record>,
    /// The exchanges with every connected peer, by identity.
    pub peers: Vec<Exchanges>,
}

/// The exchanges with one connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanges {
    /// Who.
    pub peer: PeerId,
    /// Rounds that were complete in time.
    pub complete: u64,
    /// Rounds that were not.
    pub missed: u64,
    /// When the last complete one was; none if there was none.
    pub last: Option<Instant>,
    /// What the peer says its services have: hints, never proofs. Empty once they are too old.
    pub summaries: Vec<Summary>,
}
