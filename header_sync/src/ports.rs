//! The port an embedder implements: a header chain.
//!
//! Headers are opaque bytes to header sync; the chain describes them. Methods return verdicts, not errors: *invalid*
//! is the deliverer's fault, *unavailable* is ours and is tried again. Methods may block (they read and write the
//! embedder's store); they are called on the work pool or for short reads only, as each says.

use crate::chain::{BlockHash, BlockRef, Height, Work};
use bytes::Bytes;
use zakura_transport::Fence;

/// What a chain tells about one raw header, without context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderFacts {
    /// The header's hash.
    pub hash: BlockHash,
    /// Its parent's hash.
    pub parent: BlockHash,
    /// The work its target claims; worth something only once verified.
    pub work: Work,
    /// Its time, Unix seconds.
    pub time: u32,
}

/// A header that cannot be part of any chain under these rules, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidHeader {
    /// The rule it breaks, in words.
    pub reason: String,
}

/// The selected header chain as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderView {
    /// Changes whenever a height at or below the former tip changes its hash (a reorg); stays while the chain grows.
    pub fence: Fence,
    /// The finalized floor: nothing at or below it ever changes.
    pub finalized: BlockRef,
    /// The best header.
    pub tip: BlockRef,
    /// Work of the headers above `finalized` up to `tip`.
    pub work: Work,
}

/// Why a batch needs no proof-of-work of its own, or that it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Every header passed [`HeaderChain::verify`].
    Verified,
    /// The batch ends on a known anchor (checkpoint), whose hash proves every header before it.
    Anchored,
}

/// One header and the peer's hint of its body's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizedHeader {
    /// The serialized header.
    pub raw: Bytes,
    /// Body bytes as the peer hints; zero if unknown.
    pub size_hint: u32,
}

/// Linked headers that continue a known one.
#[derive(Debug, Clone)]
pub struct HeaderBatch {
    /// The parent of the first header; on the selected chain.
    pub parent: BlockRef,
    /// Consecutive headers, already checked to link.
    pub headers: Vec<SizedHeader>,
    /// How their work is proved.
    pub proof: Proof,
}

/// The chain's answer to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Accept {
    /// Durable: the batch is the selected chain now.
    Extended(HeaderView),
    /// Every header was there already.
    Known,
    /// The parent is not on the selected chain (any more).
    Orphan,
    /// A valid branch with no more work than the selected one; nothing was stored.
    NotBetter,
    /// The branch leaves the chain below the finalized floor; nothing was stored.
    BelowFloor,
    /// The header at `index` breaks a contextual rule.
    Invalid {
        /// Position in the batch.
        index: usize,
        /// The rule, in words.
        reason: String,
    },
    /// Our store could not say; try again.
    Unavailable {
        /// What failed.
        reason: String,
    },
}

/// A request to serve headers (wire 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderQuery {
    /// Hashes in the asker's order: the first that lies on the target's chain is the ancestor.
    pub locator: Vec<BlockHash>,
    /// The tip asked for.
    pub target: BlockHash,
    /// Headers at most.
    pub max_count: u32,
}

/// The chain's answer to a [`HeaderQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Headers after the ancestor, in order; empty iff the ancestor is the target.
    Headers {
        /// The first locator entry on the chain.
        ancestor: BlockRef,
        /// The headers.
        headers: Vec<SizedHeader>,
        /// Whether the last one is the target.
        complete: bool,
    },
    /// The target is not on the selected chain.
    TargetNotRetained,
    /// No locator entry is on the target's chain.
    NoIntersection,
    /// Our store could not say.
    Unavailable,
}

/// A header chain: rules and durable storage, the embedder's.
pub trait HeaderChain: Send + Sync + 'static {
    /// Bytes of every serialized header of this chain (1,487 on Mainnet and Testnet, 177 on Regtest).
    fn header_bytes(&self) -> usize;

    /// Reads a raw header. Cheap (a hash); called in routines.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`] if the bytes are no header of this chain.
    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader>;

    /// Checks a header without context: its proof-of-work. CPU-heavy; called on the work pool.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`] if the proof does not hold.
    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader>;

    /// Applies the contextual rules to a linked batch and stores it, durably and atomically, if it has more work than
    /// what it replaces. Blocks; called on the work pool, one batch at a time.
    fn accept(&self, batch: HeaderBatch) -> Accept;

    /// The selected chain now. A short read.
    fn view(&self) -> HeaderView;

    /// The height of a hash on the selected chain. A short read.
    fn find(&self, hash: &BlockHash) -> Option<Height>;

    /// The hash at a height of the selected chain. A short read.
    fn hash_at(&self, height: Height) -> Option<BlockHash>;

    /// Headers for a peer. Reads up to a page; called on the work pool.
    fn headers_after(&self, query: &HeaderQuery) -> Found;

    /// Work of the selected chain's headers above `fork`: what a branch from there has to beat. `None` if `fork` is not on
    /// the selected chain, or our store could not say. Blocks; called on the work pool. This default reads the headers
    /// and sums; a store that keeps cumulative work can answer at once.
    fn work_above(&self, fork: BlockRef) -> Option<Work> {
        /// Headers a read, to bound its memory.
        const PAGE: u32 = 1_000;
        let (target, mut last, mut sum) = (self.view().tip.hash, fork.hash, Work::ZERO);
        while last != target {
            let query = HeaderQuery { locator: vec![last], target, max_count: PAGE };
            let Found::Headers { headers, .. } = self.headers_after(&query) else { return None };
            if headers.is_empty() {
                return None;
            }
            for header in headers {
                let facts = self.describe(&header.raw).ok()?;
                (last, sum) = (facts.hash, sum.saturating_add(facts.work));
            }
        }
        Some(sum)
    }

    /// Known anchors (checkpoints) above a height, ascending, `limit` at most. A short read.
    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef>;

    /// Raises the finalized floor (a finality service's input). A floor that is not on the selected chain, or is below
    /// the present one, changes nothing. Returns the view after it.
    fn finalize(&self, floor: BlockRef) -> HeaderView;
}
