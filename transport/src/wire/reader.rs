//! Reads fields off a payload, each with its name, and never past the end.

use super::Malformed;
use bytes::{Buf, Bytes};

/// A payload being read: total, bounded, every integer little-endian.
///
/// Every method takes the field's name for the error, and checks that the bytes are there before it allocates for them.
/// A count or length from the peer is compared with its bound first.
#[derive(Debug)]
pub struct Reader<B>(B);

impl<B: Buf> Reader<B> {
    /// A reader at the first byte.
    pub const fn new(payload: B) -> Self {
        Self(payload)
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.0.remaining()
    }

    /// The next `count` bytes; of a [`Bytes`] payload they are shared and not copied.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if fewer are left, as in every method here.
    pub fn bytes(&mut self, what: &'static str, count: usize) -> Result<Bytes, Malformed> {
        self.need(what, count)?;
        Ok(self.0.copy_to_bytes(count))
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if fewer are left.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        self.need(what, N)?;
        let mut out = [0; N];
        self.0.copy_to_slice(&mut out);
        Ok(out)
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is not there.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array(what).map(u8::from_le_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if they are not there.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if they are not there.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if they are not there.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A boolean: one byte, 0 or 1.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for any other byte.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::new(what, format!("{other} is neither 0 nor 1"))),
        }
    }

    /// `opt(x)`: a flag, and what `each` reads if it is set.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for a flag that is none, and what `each` refuses.
    pub fn optional<T>(
        &mut self,
        what: &'static str,
        each: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        self.flag(what)?.then(|| each(self)).transpose()
    }

    /// `b16`: a `u16` length of at most `most`, and that many bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for a longer one, before its bytes are looked at.
    pub fn b16(&mut self, what: &'static str, most: usize) -> Result<Bytes, Malformed> {
        let length = usize::from(self.u16(what)?);
        if length > most {
            return Err(Malformed::new(what, format!("{length} bytes, {most} at most")));
        }
        self.bytes(what, length)
    }

    /// A `u16` count of at most `most`, and that many items. The vector grows with the items that are really there.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for a larger count, before any item is looked at, and what `each` refuses.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        most: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = usize::from(self.u16(what)?);
        if count > most {
            return Err(Malformed::new(what, format!("{count} entries, {most} at most")));
        }
        (0..count).map(|_| each(self)).collect()
    }

    /// Refuses trailing bytes: every structure of this protocol ends where its last field ends.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if bytes are left.
    pub fn end(self, what: &'static str) -> Result<(), Malformed> {
        match self.left() {
            0 => Ok(()),
            left => Err(Malformed::new(what, format!("{left} bytes follow the end"))),
        }
    }

    fn need(&self, what: &'static str, count: usize) -> Result<(), Malformed> {
        let left = self.left();
        if left < count {
            return Err(Malformed::new(what, format!("needs {count} bytes, {left} are left")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frame;

    #[test]
    fn a_payload_in_two_pieces_reads_as_one_and_its_body_is_shared() {
        let body = Bytes::from_static(&[2, 3, 4, 5, 6]);
        let mut reader = Frame::with_body(9, Bytes::from_static(&[1]), body.clone()).into_reader();
        assert_eq!(reader.u16("both"), Ok(0x0201));
        let shared = reader.bytes("rest", 3).unwrap();
        assert_eq!((shared.as_ptr(), &shared[..]), (body.slice(1..).as_ptr(), &[3, 4, 5][..]));
        assert_eq!(reader.end("payload").unwrap_err().to_string(), "payload: 1 bytes follow the end");
    }

    #[test]
    fn counts_and_lengths_are_bounded_before_their_bytes_are_wanted() {
        let refused = |payload: &[u8]| Reader::new(payload).list("l", 2, |r| r.u8("item")).unwrap_err();
        assert_eq!(refused(&[3, 0]).to_string(), "l: 3 entries, 2 at most");
        assert_eq!(refused(&[2, 0, 7]).to_string(), "item: needs 1 bytes, 0 are left");
        let refused = |payload: &[u8]| Reader::new(payload).b16("b", 2).unwrap_err();
        assert_eq!(refused(&[3, 0]).to_string(), "b: 3 bytes, 2 at most");
        assert_eq!(refused(&[2, 0, 7]).to_string(), "b: needs 2 bytes, 1 are left");
    }

    #[test]
    fn flags_and_options_are_0_or_1() {
        let mut reader = Reader::new(&[0, 1, 7, 2][..]);
        assert_eq!(reader.optional("o", |r| r.u8("x")), Ok(None));
        assert_eq!(reader.optional("o", |r| r.u8("x")), Ok(Some(7)));
        assert_eq!(reader.flag("f").unwrap_err().to_string(), "f: 2 is neither 0 nor 1");
    }
}
