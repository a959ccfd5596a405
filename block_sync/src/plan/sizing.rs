//! How much one request names, and how much one peer may hold.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

/// What is left to fetch and among how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Bodies not received yet, up to the best header.
    pub(crate) remaining: u64,
    /// Peers that can serve them.
    pub(crate) usable: u32,
}

impl Share {
    /// Bodies a peer's first request should name: a little more than half of its fair share of the whole, so that every
    /// peer brings that much however quick the others are, and one that a rescue relieves of a few still does.
    pub(crate) fn first_blocks(self, peer_cap: u32) -> u32 {
        let most = self.remaining.saturating_mul(5).div_ceil(self.peers().saturating_mul(8));
        u32::try_from(most).unwrap_or(u32::MAX).clamp(1, peer_cap.max(1))
    }

    /// Bodies a later request should name: half of the peer's fair share of what is left, within what it serves at once.
    /// Requests shrink towards the end, so that no peer is waited for long.
    fn request_blocks(self, peer_cap: u32) -> u32 {
        let half = self.remaining.div_ceil(self.peers().saturating_mul(2));
        u32::try_from(half).unwrap_or(u32::MAX).clamp(1, peer_cap.max(1))
    }

    /// Whether so little is left that bodies, not bytes, are to be shared out.
    pub(crate) const fn is_short(self) -> bool {
        self.remaining <= SHORT_CHAIN
    }

    /// Bodies a peer may be asked for now that has `outstanding` on their way: together no more than its fair share of what
    /// is left, which stops the peer that is first by a few milliseconds from taking a whole short chain. `None` if that
    /// leaves less than half a request.
    pub(crate) fn blocks(self, peer_cap: u32, outstanding: u64) -> Option<u32> {
        let request = self.request_blocks(peer_cap);
        let share = self.remaining.div_ceil(self.peers()).max(1);
        let room = u32::try_from(share.saturating_sub(outstanding)).unwrap_or(u32::MAX);
        (room >= request.div_ceil(2)).then_some(request.min(room))
    }

    fn peers(self) -> u64 {
        u64::from(self.usable.max(1))
    }
}

/// Bodies of a chain so short that a first request takes a good part of it.
const SHORT_CHAIN: u64 = 4_096;

/// Bytes of a peer's first request on a short chain: 128 bodies of a busy chain, a few large ones among them. Bounds what a
/// peer that has proved nothing can hold up.
const SHORT_CHAIN_PROBE: u64 = 24 * 1024 * 1024;

/// Bytes one request should name: at most half of the window, so that a second request is on its way while the first
/// is answered, and no more than is free. `None` if less than a quarter is free: each body that arrives frees a little, and
/// to ask for as little at once would end in one request a body.
pub(crate) fn request_bytes(window: u64, in_flight: u64) -> Option<u64> {
    let free = window.checked_sub(in_flight).filter(|free| *free > window / 4)?;
    Some((window / 2).clamp(1, free))
}

/// Bytes a peer's first request should name: it has no second beside it and may fill the window, or more if the chain is
/// short, so that a few large bodies do not cost a peer its share.
pub(crate) fn probe_bytes(window: u64, is_short: bool) -> u64 {
    if is_short { window.max(SHORT_CHAIN_PROBE) } else { window }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_peers_share_a_short_chain() {
        let share = Share { remaining: 2_000, usable: 8 };
        assert_eq!(share.first_blocks(128), 128, "more than half of a fair share");
        assert_eq!(Share { remaining: 1_000, usable: 8 }.first_blocks(128), 79);
        assert_eq!(share.request_blocks(128), 125, "half of a fair share");
        assert_eq!(share.blocks(128, 125), Some(125));
        assert_eq!(share.blocks(128, 187), Some(63));
        assert_eq!(share.blocks(128, 188), None, "not worth a request");
        assert!(share.is_short());
        assert_eq!(share.request_blocks(1), 1, "a peer that serves one at a time");
        let last = Share { remaining: 3, usable: 8 };
        assert_eq!((last.blocks(128, 0), last.blocks(128, 1)), (Some(1), None));
        let none = Share { remaining: 0, usable: 0 };
        assert_eq!(none.blocks(128, 0), Some(1));
    }

    #[test]
    fn a_request_is_half_a_window_at_most() {
        assert_eq!(request_bytes(1_000, 0), Some(500));
        assert_eq!(request_bytes(1_000, 700), Some(300));
        assert_eq!(request_bytes(1_000, 1_000), None);
        assert_eq!(request_bytes(1_000, 2_000), None);
    }
}
