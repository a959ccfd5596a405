//! Reading fields off a payload, each with its name.

use crate::chain::{BlockHash, BlockRef, Height};
use bytes::{Buf, Bytes};
use zakura_transport::wire::Malformed;

/// A payload being read. Every method takes the field's name, for the error.
pub(super) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(super) const fn new(payload: Bytes) -> Self {
        Self { rest: payload }
    }

    /// The next `len` bytes, shared with the payload and not copied.
    pub(super) fn bytes(&mut self, what: &'static str, len: usize) -> Result<Bytes, Malformed> {
        if self.rest.len() < len {
            let left = self.rest.len();
            return Err(Malformed::new(what, format!("needs {len} bytes, {left} are left")));
        }
        Ok(self.rest.split_to(len))
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut out = [0; N];
        self.bytes(what, N)?.copy_to_slice(&mut out);
        Ok(out)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A boolean: 0 or 1, nothing else (wire 5.2).
    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::new(what, format!("{other} is neither 0 nor 1"))),
        }
    }

    pub(super) fn hash(&mut self, what: &'static str) -> Result<BlockHash, Malformed> {
        self.array(what).map(BlockHash)
    }

    pub(super) fn height(&mut self, what: &'static str) -> Result<Height, Malformed> {
        let height = self.u32(what)?;
        Height::new(height).ok_or_else(|| Malformed::new(what, format!("{height} is above 2^31 - 1")))
    }

    pub(super) fn block(&mut self, what: &'static str) -> Result<BlockRef, Malformed> {
        Ok(BlockRef { height: self.height(what)?, hash: self.hash(what)? })
    }

    /// Bytes not read yet.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Refuses trailing bytes.
    pub(super) fn end(self, what: &'static str) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Malformed::new(what, format!("{left} bytes follow the message"))),
        }
    }
}
