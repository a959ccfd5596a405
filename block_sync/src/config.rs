//! What an embedder may set.

use crate::{
    machine::SLICE_BYTES,
    wire::{Limits, MAX_BLOCK_BYTES, MAX_BLOCKS_PER_RESPONSE, MAX_RESPONSE_BYTES},
};

/// Block sync's settings. [`recommended`](Self::recommended) suits a full node; every bound is on memory or on work that
/// peers can cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSyncConfig {
    /// Estimated bytes that may be on their way from all peers. More helps only if rate times round trip, over all
    /// peers, is larger.
    pub in_flight_bytes: u64,
    /// Bytes of bodies received and not committed, exceeded by one body at most. The largest part of block sync's
    /// memory. Stops peers who send fast from outrunning the store.
    pub retained_bytes: u64,
    /// Bytes being checked at a time (part of the retained ones).
    pub checking_bytes: u64,
    /// Heights looked ahead at a time; each costs some 200 bytes.
    pub look_ahead_blocks: u32,
    /// Bytes in one commit at most, but one body at least. Larger commits cost the store fewer syncs.
    pub commit_bytes: u64,
    /// Bodies in one commit at most.
    pub commit_blocks: usize,
    /// Check jobs on the work pool at a time.
    pub concurrent_checks: usize,
    /// Reads for serving on the work pool at a time, over all peers. Stops readers from starving our own sync.
    pub concurrent_reads: usize,
    /// Requests one peer may have open with us, as we advertise it; each costs 24 bytes. Existing nodes ask for one body
    /// a request, so it also bounds their speed.
    pub served_requests: u32,
    /// Bytes of one answer, as we advertise it.
    pub served_response_bytes: u32,
}

impl BlockSyncConfig {
    /// The settings of a full node: 256 MiB retained at most.
    #[must_use]
    pub const fn recommended() -> Self {
        Self {
            in_flight_bytes: 192 * 1024 * 1024,
            retained_bytes: 256 * 1024 * 1024,
            checking_bytes: 32 * 1024 * 1024,
            look_ahead_blocks: 16_384,
            commit_bytes: 16 * 1024 * 1024,
            commit_blocks: 256,
            concurrent_checks: 4,
            concurrent_reads: 4,
            served_requests: 1_024,
            served_response_bytes: MAX_RESPONSE_BYTES,
        }
    }

    /// The most memory that bodies can take: what is retained, one body more, and what is being read for peers.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let reads = u64::try_from(self.concurrent_reads).unwrap_or(u64::MAX);
        let body = u64::from(MAX_BLOCK_BYTES);
        self.retained_bytes.saturating_add(body).saturating_add(reads.saturating_mul(body))
    }

    /// The most memory that bodies read for one peer take that does not read them: a slice and a half, and one large body
    /// more.
    #[must_use]
    pub fn serving_bytes() -> u64 {
        let slice = u64::from(SLICE_BYTES);
        slice.saturating_add(slice / 2).saturating_add(u64::from(MAX_BLOCK_BYTES))
    }

    /// What we advertise.
    pub(crate) fn limits(&self) -> Limits {
        Limits::clamped(MAX_BLOCKS_PER_RESPONSE, self.served_requests, self.served_response_bytes)
    }
}

impl Default for BlockSyncConfig {
    fn default() -> Self {
        Self::recommended()
    }
}
