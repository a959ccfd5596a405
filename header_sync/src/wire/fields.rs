//! The chain words as they travel.

use crate::chain::{BlockHash, BlockRef, Height};
use bytes::Buf;
use zakura_transport::wire::{Malformed, Reader, Writer};

/// Reads chain words. Every method takes the field's name, for the error.
pub trait ReadChain {
    /// 32 bytes of a hash, in internal order.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if they are not there.
    fn hash(&mut self, what: &'static str) -> Result<BlockHash, Malformed>;

    /// A height; one above 2^31 - 1 is none (wire 7.1).
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not there or is none.
    fn height(&mut self, what: &'static str) -> Result<Height, Malformed>;

    /// A height, and the hash there.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if either is not there, or the height is none.
    fn block(&mut self, what: &'static str) -> Result<BlockRef, Malformed>;
}

impl<B: Buf> ReadChain for Reader<B> {
    fn hash(&mut self, what: &'static str) -> Result<BlockHash, Malformed> {
        self.array(what).map(BlockHash)
    }

    fn height(&mut self, what: &'static str) -> Result<Height, Malformed> {
        let height = self.u32(what)?;
        Height::new(height).ok_or_else(|| Malformed::new(what, format!("{height} is above 2^31 - 1")))
    }

    fn block(&mut self, what: &'static str) -> Result<BlockRef, Malformed> {
        Ok(BlockRef { height: self.height(what)?, hash: self.hash(what)? })
    }
}

/// Writes chain words.
pub trait WriteChain {
    /// A height, and the hash there.
    fn block(&mut self, block: BlockRef);
}

impl WriteChain for Writer {
    fn block(&mut self, block: BlockRef) {
        self.u32(block.height.get());
        self.raw(&block.hash.0);
    }
}
