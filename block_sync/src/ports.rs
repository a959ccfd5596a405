//! The port an embedder implements: a store of block bodies.
//!
//! Bodies are opaque bytes to block sync and stay in wire form until they are handed over. Methods return verdicts:
//! *invalid* is the deliverer's fault, *unavailable* and *unsupported* are ours. Methods may block; each says where
//! it is called.

use bytes::Bytes;
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};
use zakura_transport::Fence;

/// A body that is missing: where it belongs and how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Height and hash that its header fixes.
    pub at: BlockRef,
    /// Body bytes as the header's deliverer hinted; zero if unknown.
    pub size_hint: u32,
}

/// The store's answer to "what is missing?".
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Missing {
    /// Missing bodies in ascending order; empty if none is.
    Bodies(Vec<Wanted>),
    /// The header view asked about is no longer current: take the newer one and ask again.
    Stale,
    /// The store could not say; ask again later.
    Unavailable {
        /// What failed.
        reason: String,
    },
}

/// The verdict on one body against its header, without context.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum BodyVerdict {
    /// The body belongs to that header.
    Valid,
    /// It does not, provably: the deliverer's fault.
    Invalid {
        /// The rule it breaks, in words.
        reason: String,
    },
    /// It uses rules we do not know: a local condition, never the peer's fault.
    Unsupported {
        /// What is not known.
        reason: String,
    },
}

/// A checked body, ready to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Height and hash.
    pub at: BlockRef,
    /// The serialized block.
    pub raw: Bytes,
}

/// The store's answer to a contiguous run of bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// Durable up to here.
    Committed(BlockRef),
    /// The run does not continue the acknowledged body, or its headers left the selected chain: drop it and ask
    /// [`BlockStore::missing`] again.
    Stale,
    /// The store could not take it; try again later.
    Unavailable {
        /// What failed.
        reason: String,
    },
}

/// A store of block bodies: the embedder's.
pub trait BlockStore: Send + Sync + 'static {
    /// The highest body such that it and every body below it is durable on the selected chain. A short read.
    fn acknowledged(&self) -> BlockRef;

    /// Bodies missing from `from` up, `limit` at most, on the header chain of `view`
    /// ([`HeaderView::fence`](zakura_header_sync::ports::HeaderView::fence)). Called on the work pool.
    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing;

    /// The hash of the header a serialized block begins with. Cheap (a hash); called in routines.
    ///
    /// # Errors
    ///
    /// Why the bytes begin with no header, in words.
    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String>;

    /// Checks a body against the header it claims. CPU-heavy (hashes the whole body); called on the work pool.
    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict;

    /// Stores a contiguous run that continues [`acknowledged`](Self::acknowledged), durably. Blocks; called on the
    /// work pool, one run at a time.
    fn commit(&self, bodies: Vec<Body>) -> Commit;

    /// Bodies from `start` up, in order without a gap, until `max_count` or `max_bytes` is reached (at least one if
    /// it is there). Called on the work pool.
    ///
    /// # Errors
    ///
    /// What failed, if the store could not be read.
    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String>;
}
