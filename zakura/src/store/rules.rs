//! What this node believes about a chain: the network's rules, its checkpoints, its clock.

use std::sync::Arc;

use bytes::Bytes;
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::InvalidHeader,
};

use super::{checkpoints::Checkpoints, wall_clock::WallClock};
use crate::zcash::{Header, HeaderReject, Network, Past, PowReject, check_header, check_pow, rules::Place};

/// Blocks below the tip that can still be replaced, above the last checkpoint: the node follows a deeper reorg only
/// with an operator's help, so no amount of rented work rewrites what has settled for two hours.
pub(super) const REORG_DEPTH: u32 = 100;

/// The rules a store applies.
pub(super) struct Rules {
    pub(super) network: Network,
    pub(super) no_pow: bool,
    pub(super) checkpoints: Checkpoints,
    pub(super) clock: Arc<dyn WallClock>,
}

/// A header that was read and has a place, but was not judged there.
pub(super) struct Candidate {
    pub(super) at: BlockRef,
    pub(super) header: Header,
    /// The work its target claims.
    pub(super) work: Work,
    pub(super) raw: Bytes,
}

/// Why a header is refused at its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// By the network's rules.
    #[error(transparent)]
    Rule(#[from] HeaderReject),
    /// Another block is known to be there.
    #[error("checkpoint {0} is another block")]
    Checkpoint(BlockRef),
}

impl Rules {
    /// Reads a header and what it claims.
    pub(super) fn describe(&self, raw: &[u8]) -> Result<(Header, BlockHash, Work), InvalidHeader> {
        let invalid = |error: &dyn std::error::Error| InvalidHeader { reason: error.to_string() };
        let header = Header::decode(self.network, raw).map_err(|error| invalid(&error))?;
        let target = header.target().map_err(|error| invalid(&error))?;
        // The encoding is canonical, so the bytes themselves are what is hashed.
        let hash = BlockHash(crate::zcash::hash::sha256d(&[raw]));
        Ok((header, hash, Work::from_le_bytes(target.work())))
    }

    /// Reads a header that is to stand at a height.
    pub(super) fn candidate(&self, height: Height, raw: Bytes) -> Result<Candidate, InvalidHeader> {
        let (header, hash, work) = self.describe(&raw)?;
        Ok(Candidate { at: BlockRef { height, hash }, header, work, raw })
    }

    /// Checks a header's proof-of-work.
    pub(super) fn prove(&self, header: &Header) -> Result<(), PowReject> {
        check_pow(self.network, header, self.no_pow)
    }

    /// Checks a header among its ancestors (oldest first), at this time and against the checkpoints.
    pub(super) fn place(&self, candidate: &Candidate, past: &[Past]) -> Result<(), Refusal> {
        let place = Place { height: candidate.at.height.get(), past };
        check_header(self.network, &candidate.header, place, self.clock.unix_seconds(), self.no_pow)?;
        match self.checkpoints.at(candidate.at.height) {
            Some(checkpoint) if checkpoint != candidate.at => Err(Refusal::Checkpoint(checkpoint)),
            Some(_) | None => Ok(()),
        }
    }

    /// The highest height that a chain with this tip settles.
    ///
    /// Below the last checkpoint only checkpoints settle anything: early blocks are so cheap to mine that a stranger
    /// could otherwise give a fresh node a hundred false ones, and it would never take the true ones.
    pub(super) fn settled(&self, tip: Height) -> Height {
        let checkpoint = self.checkpoints.last_up_to(tip).map_or(Height::GENESIS, |block| block.height);
        if self.checkpoints.any_above(tip) {
            checkpoint
        } else {
            checkpoint.max(tip.saturating_sub(REORG_DEPTH))
        }
    }
}
