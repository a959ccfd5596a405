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
    /// Bodies one request should name: half of the peer's fair share of what is left, within what it serves at once.
    ///
    /// The first request of every peer is thus half of its fair share, and requests shrink towards the end, so that no
    /// peer is waited for long.
    pub(crate) fn request_blocks(self, peer_cap: u32) -> u32 {
        let half = self.remaining.div_ceil(self.peers().saturating_mul(2));
        u32::try_from(half).unwrap_or(u32::MAX).clamp(1, peer_cap.max(1))
    }

    /// Bodies one peer may hold at a time: its fair share of what is left. Stops the peer that is first by a few
    /// milliseconds from taking a whole short chain.
    pub(crate) fn outstanding_blocks(self) -> u64 {
        self.remaining.div_ceil(self.peers()).max(1)
    }

    fn peers(self) -> u64 {
        u64::from(self.usable.max(1))
    }
}

/// Bytes one request should name: at most half of the window, so that a second request is on its way while the first
/// is answered, and no more than is free. A probe has no second beside it and may fill the window. `None` if nothing is
/// free.
pub(crate) fn request_bytes(window: u64, in_flight: u64, is_probe: bool) -> Option<u64> {
    let free = window.checked_sub(in_flight).filter(|free| *free > 0)?;
    Some(if is_probe { free } else { (window / 2).clamp(1, free) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_peers_share_a_short_chain() {
        let share = Share { remaining: 2_000, usable: 8 };
        assert_eq!(share.request_blocks(128), 125, "half of a fair share");
        assert_eq!(share.outstanding_blocks(), 250);
        assert_eq!(share.request_blocks(1), 1, "a peer that serves one at a time");
        let last = Share { remaining: 3, usable: 8 };
        assert_eq!((last.request_blocks(128), last.outstanding_blocks()), (1, 1));
        let none = Share { remaining: 0, usable: 0 };
        assert_eq!((none.request_blocks(128), none.outstanding_blocks()), (1, 1));
    }

    #[test]
    fn a_request_is_half_a_window_at_most() {
        assert_eq!(request_bytes(1_000, 0, false), Some(500));
        assert_eq!(request_bytes(1_000, 0, true), Some(1_000));
        assert_eq!(request_bytes(1_000, 700, false), Some(300));
        assert_eq!(request_bytes(1_000, 1_000, false), None);
        assert_eq!(request_bytes(1_000, 2_000, false), None);
    }
}
