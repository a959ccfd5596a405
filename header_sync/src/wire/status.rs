//! Status (type 1): what a peer has, and what may be asked of it.

use super::{
    fields::{ReadChain, WriteChain},
    message::TYPE_STATUS,
};
use crate::chain::{BlockRef, Height, Work};
use bytes::{Buf, Bytes};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// Bytes of every Status (wire 5.2).
pub(super) const STATUS_BYTES: usize = 123;

/// A peer's chain and its limits. Everything in it is a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The sender's finalized block, from which `work` counts.
    pub anchor: BlockRef,
    /// Its best header.
    pub tip: BlockRef,
    /// Claimed work above the anchor up to the tip.
    pub work: Work,
    /// The lowest height it says it keeps. Existing nodes put their anchor here and still serve from genesis.
    pub oldest: Height,
    /// Headers it gives per response; asking for more is fatal. Zero: do not ask.
    pub max_headers: u32,
    /// Requests it takes at once. Zero: do not ask.
    pub max_requests: u16,
    /// Message bytes at most. Zero: do not ask.
    pub max_bytes: u32,
    /// Auxiliary schemas it can attach, bit n-1 for schema n.
    pub aux_mask: u32,
}

impl Status {
    /// Whether the tip is not below the sender's own anchor. A Status that says so is ignored (wire 5.2).
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.anchor.height <= self.tip.height
    }

    /// Whether the sender may be asked: any zero cap means "do not ask" (wire 5.2).
    #[must_use]
    pub const fn is_askable(&self) -> bool {
        self.max_headers != 0 && self.max_requests != 0 && self.max_bytes != 0
    }

    pub(super) fn read(mut body: Reader<impl Buf>) -> Result<Self, Malformed> {
        let status = Self {
            anchor: body.block("Status.anchor")?,
            tip: body.block("Status.tip")?,
            work: Work::from_le_bytes(body.array("Status.work")?),
            oldest: body.height("Status.oldest")?,
            max_headers: body.u32("Status.max_headers")?,
            max_requests: body.u16("Status.max_requests")?,
            max_bytes: body.u32("Status.max_bytes")?,
            aux_mask: body.u32("Status.aux_mask")?,
        };
        body.end("Status")?;
        Ok(status)
    }

    pub(super) fn write(&self) -> Bytes {
        let mut out = Writer::with_capacity(STATUS_BYTES);
        out.u8(TYPE_STATUS);
        out.block(self.anchor);
        out.block(self.tip);
        out.raw(&self.work.to_le_bytes());
        out.u32(self.oldest.get());
        out.u32(self.max_headers);
        out.u16(self.max_requests);
        out.u32(self.max_bytes);
        out.u32(self.aux_mask);
        out.finish()
    }
}
