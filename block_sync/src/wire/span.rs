//! A start height and a count: the body of three of the five messages.

use super::caps::MAX_BLOCKS_PER_RESPONSE;
use bytes::Buf;
use zakura_header_sync::{chain::Height, wire::ReadChain};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// Consecutive heights as they travel: 1 to [`MAX_BLOCKS_PER_RESPONSE`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: Height,
    count: u32,
}

impl Span {
    /// The span, if its count is legal on the wire.
    #[must_use]
    pub const fn new(start: Height, count: u32) -> Option<Self> {
        if count >= 1 && count <= MAX_BLOCKS_PER_RESPONSE { Some(Self { start, count }) } else { None }
    }

    /// The lowest height.
    #[must_use]
    pub const fn start(self) -> Height {
        self.start
    }

    /// How many heights.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The heights, as far as they are legal ones.
    pub fn heights(self) -> impl Iterator<Item = Height> {
        (0..self.count).map_while(move |offset| self.start.checked_add(offset))
    }

    /// Whether `height` is one of them.
    #[must_use]
    pub fn contains(self, height: Height) -> bool {
        height >= self.start && height.above(self.start) < self.count
    }

    /// Reads the eight bytes after the tag; a zero count or one above the bound is fatal (wire 5.3).
    pub(super) fn read(what: &'static str, mut body: Reader<impl Buf>) -> Result<Self, Malformed> {
        let start = body.height(what)?;
        let count = body.u32(what)?;
        body.end(what)?;
        Self::new(start, count).ok_or_else(|| {
            Malformed::new(what, format!("count {count} is not within 1..={MAX_BLOCKS_PER_RESPONSE}"))
        })
    }

    pub(super) fn write(self, out: &mut Writer) {
        out.u32(self.start.get());
        out.u32(self.count);
    }
}
