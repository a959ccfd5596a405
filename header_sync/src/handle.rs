//! What the rest of the node sees of header sync.

#[cfg(feature = "simulation")]
use crate::machine::Segment;
use crate::{chain::BlockRef, ports::HeaderView};
use std::sync::Arc;
#[cfg(feature = "simulation")]
use zakura_transport::routine::{Counts, RangeQueue};
use zakura_transport::{
    Conviction, PeerId,
    routine::{Published, Publisher, Skipped},
};

/// What one peer did for us and has, kept a while after it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerProgress {
    /// Who.
    pub peer: PeerId,
    /// Whether a session with it is open.
    pub connected: bool,
    /// The tip it advertised last; a claim.
    pub tip: Option<BlockRef>,
    /// Headers it delivered that the chain accepted.
    pub headers: u64,
    /// Headers we served to it.
    pub served: u64,
}

/// Header sync at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderSyncStatus {
    /// Tips that are being followed.
    pub targets: Vec<BlockRef>,
    /// Segments that are being fetched.
    pub segments_open: usize,
    /// Segments that wait for the store or for the one below.
    pub segments_staged: usize,
    /// Headers in memory on the way from tips to the store.
    pub headers_staged: usize,
    /// Every known peer, by identity.
    pub peers: Vec<PeerProgress>,
    /// Peers proven guilty, oldest first; the latest 64.
    pub convictions: Vec<Conviction>,
    /// What our own store or rules answered last, if that holds us up now.
    pub local_fault: Option<String>,
    /// What the work pool did not do for us so far; it is tried again.
    pub skipped: Skipped,
}

/// The handle to a running header sync. Clones share it.
#[derive(Debug, Clone)]
pub struct HeaderSyncHandle {
    #[cfg(feature = "simulation")]
    pub(crate) queue: RangeQueue<Segment>,
    pub(crate) views: Published<HeaderView>,
    pub(crate) status: Published<Arc<HeaderSyncStatus>>,
    pub(crate) floor: Arc<Publisher<Option<BlockRef>>>,
}

impl HeaderSyncHandle {
    /// The work queue's keys, if its invariants hold.
    ///
    /// # Errors
    ///
    /// The rule that does not.
    #[cfg(feature = "simulation")]
    pub fn work(&self) -> Result<Counts, String> {
        self.queue.check_invariants().map(|()| self.queue.counts())
    }

    /// The selected chain, now and as it changes.
    #[must_use]
    pub fn views(&self) -> Published<HeaderView> {
        self.views.clone()
    }

    /// How header sync is doing.
    #[must_use]
    pub fn status(&self) -> Arc<HeaderSyncStatus> {
        self.status.get()
    }

    /// Raises the finalized floor, as a finality service would. It takes effect soon, and not at all if the block is not
    /// on the selected chain or below the present floor. Of several calls in a row only the last may count.
    pub fn finalize(&self, floor: BlockRef) {
        self.floor.set(Some(floor));
    }
}
