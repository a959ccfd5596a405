//! How many bytes in a second.

use std::num::NonZeroU64;

/// Bounds on the bytes of frames, per second; none where nothing is said. What QUIC and UDP add to them is not counted.
///
/// A bound that is reached delays: bytes for a peer wait with us, bytes from it wait with the peer, which QUIC's flow control
/// holds back. Nothing is dropped, and nobody is blamed for the wait. After a rest a tenth of a second's worth passes at once,
/// at least 64 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// To all peers together.
    pub up: Option<NonZeroU64>,
    /// From all peers together.
    pub down: Option<NonZeroU64>,
    /// To each peer.
    pub peer_up: Option<NonZeroU64>,
    /// From each peer.
    pub peer_down: Option<NonZeroU64>,
}
