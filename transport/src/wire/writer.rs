//! Writes what a [`Reader`](super::Reader) reads.

use bytes::{BufMut, Bytes, BytesMut};

/// A payload being written, every integer little-endian.
#[derive(Debug)]
pub struct Writer(BytesMut);

impl Writer {
    /// An empty payload with room for `bytes`; it grows beyond.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    /// These bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.put_u8(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.0.put_u16_le(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.put_u32_le(value);
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.put_u64_le(value);
    }

    /// A boolean: one byte, 0 or 1.
    pub fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// `opt(x)`: a flag, and `x` if it is there.
    pub fn optional<T>(&mut self, value: Option<T>, each: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            each(self, value);
        }
    }

    /// `b16`: a `u16` length and the bytes. More than 65,535 do not fit the length and are cut.
    pub fn b16(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length);
        self.0.extend(bytes.iter().take(usize::from(length)));
    }

    /// A `u16` count and the items. Those beyond `most`, which no reader would accept, are cut.
    pub fn list<T>(&mut self, most: usize, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        let count = u16::try_from(items.len().min(most)).unwrap_or(u16::MAX);
        self.u16(count);
        for item in items.iter().take(count.into()) {
            each(self, item);
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Writer::with_capacity(0);
        out.u64(5);
        out.b16(b"ab");
        out.list(2, &[1_u32, 2, 3], |out, item| out.u32(*item));
        out.optional(Some(9), Writer::u16);
        out.optional(None, Writer::u16);
        let mut from = Reader::new(out.finish());
        assert_eq!(from.u64("n"), Ok(5));
        assert_eq!(from.b16("b", 2).as_deref(), Ok(&b"ab"[..]));
        assert_eq!(from.list("l", 2, |from| from.u32("item")), Ok(vec![1, 2]), "the third is cut");
        assert_eq!(from.optional("o", |from| from.u16("x")), Ok(Some(9)));
        assert_eq!(from.optional("o", |from| from.u16("x")), Ok(None));
        assert_eq!(from.end("all"), Ok(()));
    }

    #[test]
    fn bytes_that_no_length_can_say_are_cut() {
        let mut out = Writer::with_capacity(0);
        out.b16(&[7; 70_000]);
        assert_eq!(out.finish().len(), 2 + 65_535);
    }
}
