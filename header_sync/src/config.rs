//! What an operator or embedder may change.

use std::time::Duration;

/// Settings of header sync. [`recommended`](Self::recommended) suits Mainnet; fields out of range are brought into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSyncConfig {
    /// Headers a page at most, both advertised and asked for (wire 7.2: 1,000). Less if a message would not hold as many.
    pub page_headers: u32,
    /// How long one page may take before it is asked for elsewhere (wire 7.2: 30 s).
    pub page_timeout: Duration,
    /// How long one peer may hold a segment in all: stops a peer that answers each page one header at a time.
    pub segment_timeout: Duration,
    /// Headers from one segment's start to its end, joining neighbouring checkpoints; best a page's worth.
    pub segment_headers: u32,
    /// Segments open at once: bounds how many wait for the lowest one.
    pub segment_window: usize,
    /// Header bytes of open segments: bounds the memory in which they wait.
    pub segment_bytes: u64,
    /// Headers in memory on the way from tips to the store, over all peers (wire 7.2: 4,000): bounds what chains of unproven
    /// work can make us hold.
    pub staged_headers: usize,
    /// Tips followed at once (wire 7.2: 16): bounds what many invented tips cost.
    pub max_targets: usize,
    /// Whether headers below checkpoints are checked one by one too, although the checkpoint proves them.
    pub verify_segments: bool,
}

impl HeaderSyncConfig {
    /// The values used on Mainnet.
    #[must_use]
    pub const fn recommended() -> Self {
        Self {
            page_headers: 1_000,
            page_timeout: Duration::from_secs(30),
            segment_timeout: Duration::from_secs(60),
            segment_headers: 1_000,
            segment_window: 64,
            segment_bytes: 64 * 1024 * 1024,
            staged_headers: 4_000,
            max_targets: 16,
            verify_segments: false,
        }
    }
}

impl Default for HeaderSyncConfig {
    fn default() -> Self {
        Self::recommended()
    }
}
