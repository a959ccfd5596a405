//! A cursor over untrusted bytes: every count is bounded by the bytes that remain before anything is allocated.

use thiserror::Error;

/// Why a structural walk stopped. Offsets are bytes from the start of what was walked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// The bytes end inside a field.
    #[error("{what} at byte {at} needs more bytes than remain: the serialization is cut short")]
    Short {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// A CompactSize is not in its shortest form: two encodings of one value would give one block two hashes.
    #[error("the CompactSize at byte {at} is not in its shortest form")]
    LongCompactSize {
        /// Where it starts.
        at: usize,
    },
    /// A count promises more items than the remaining bytes could hold.
    #[error("{count} {what} at byte {at} cannot fit in the bytes that remain")]
    Count {
        /// The items.
        what: &'static str,
        /// Where the count starts.
        at: usize,
        /// The count.
        count: u64,
    },
    /// A rule of form is broken.
    #[error("{what} (at byte {at})")]
    Form {
        /// The rule, as a sentence.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// A transaction format this node does not know (an upgrade after its release): nobody's fault.
    #[error("transaction version {version:#010x}, group {group:#010x}, is unknown here: upgrade this node")]
    Unsupported {
        /// The version word, with the overwintered bit.
        version: u32,
        /// The version group id, zero if the format has none.
        group: u32,
    },
}

/// A cursor that only moves forward.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `raw`.
    #[must_use]
    pub fn new(raw: &'a [u8]) -> Self {
        Self { raw, at: 0 }
    }

    /// A cursor at byte `at` of `raw`, at its end if that lies beyond.
    #[must_use]
    pub fn starting_at(raw: &'a [u8], at: usize) -> Self {
        Self { raw, at: at.min(raw.len()) }
    }

    /// Bytes already read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.raw.len().saturating_sub(self.at)
    }

    /// The bytes between `start` and the cursor; empty if `start` lies behind it.
    #[must_use]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.raw.get(start..self.at).unwrap_or_default()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`WalkError::Short`] naming `what`.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], WalkError> {
        let short = WalkError::Short { what, at: self.at };
        let end = self.at.checked_add(count).ok_or_else(|| short.clone())?;
        let bytes = self.raw.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(bytes)
    }

    /// The next `N` bytes by value.
    ///
    /// # Errors
    /// [`WalkError::Short`] naming `what`.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WalkError> {
        let at = self.at;
        self.take(N, what)?.try_into().map_err(|_| WalkError::Short { what, at })
    }

    /// A little-endian u32.
    ///
    /// # Errors
    /// [`WalkError::Short`] naming `what`.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, WalkError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A CompactSize in its shortest form.
    ///
    /// # Errors
    /// [`WalkError::Short`] or [`WalkError::LongCompactSize`].
    pub fn compact_size(&mut self, what: &'static str) -> Result<u64, WalkError> {
        let at = self.at;
        let [first] = self.array(what)?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array(what)?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array(what)?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array(what)?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least { Err(WalkError::LongCompactSize { at }) } else { Ok(value) }
    }

    /// A count of items of at least `least_bytes` each (the bound that stops a few bytes from claiming memory
    /// for billions of items).
    ///
    /// # Errors
    /// [`WalkError::Count`] if they cannot fit in what remains, or a CompactSize's errors.
    pub fn count(&mut self, least_bytes: usize, what: &'static str) -> Result<usize, WalkError> {
        let at = self.at;
        let count = self.compact_size(what)?;
        usize::try_from(count)
            .ok()
            .filter(|items| items.checked_mul(least_bytes).is_some_and(|bytes| bytes <= self.remaining()))
            .ok_or(WalkError::Count { what, at, count })
    }

    /// `count` items of `size` bytes each, as one slice.
    ///
    /// # Errors
    /// [`WalkError::Short`] naming `what`.
    pub fn items(&mut self, count: usize, size: usize, what: &'static str) -> Result<&'a [u8], WalkError> {
        let bytes = count.checked_mul(size).ok_or(WalkError::Short { what, at: self.at })?;
        self.take(bytes, what)
    }

    /// Bytes behind their CompactSize length.
    ///
    /// # Errors
    /// As [`Reader::count`].
    pub fn prefixed(&mut self, what: &'static str) -> Result<&'a [u8], WalkError> {
        let length = self.count(1, what)?;
        self.take(length, what)
    }
}

/// Appends `value` as a CompactSize in its shortest form.
pub fn put_compact_size(out: &mut Vec<u8>, value: u64) {
    if let Ok(small) = u8::try_from(value)
        && small < 0xfd
    {
        out.push(small);
    } else if let Ok(two) = u16::try_from(value) {
        out.push(0xfd);
        out.extend_from_slice(&two.to_le_bytes());
    } else if let Ok(four) = u32::try_from(value) {
        out.push(0xfe);
        out.extend_from_slice(&four.to_le_bytes());
    } else {
        out.push(0xff);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_longer_form_of_a_compact_size_is_refused() {
        for long in [
            &[0xfd, 0xfc, 0][..],
            &[0xfe, 0xff, 0xff, 0, 0],
            &[0xfe, 1, 0, 0, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ] {
            let got = Reader::new(long).compact_size("n");
            assert_eq!(got, Err(WalkError::LongCompactSize { at: 0 }), "{long:x?}");
        }
    }

    #[test]
    fn a_count_beyond_the_remaining_bytes_is_refused_before_it_is_used() {
        let mut raw = vec![0xff];
        raw.extend_from_slice(&u64::MAX.to_le_bytes());
        let refused = WalkError::Count { what: "items", at: 0, count: u64::MAX };
        assert_eq!(Reader::new(&raw).count(1, "items"), Err(refused));
        assert_eq!(Reader::new(&[2, 0, 0, 0, 0]).count(2, "items"), Ok(2));
        assert!(Reader::new(&[2, 0, 0, 0]).count(2, "items").is_err());
        assert!(Reader::new(&[]).items(usize::MAX, 2, "items").is_err());
    }

    #[test]
    fn a_cut_field_names_itself_and_its_place() {
        let mut reader = Reader::starting_at(&[0, 1, 2, 3], 1);
        assert_eq!(reader.u32("lock time"), Err(WalkError::Short { what: "lock time", at: 1 }));
        assert_eq!(reader.take(3, "rest"), Ok(&[1, 2, 3][..]));
        assert_eq!((reader.remaining(), reader.since(2)), (0, &[2, 3][..]));
    }

    proptest! {
        #[test]
        fn compact_sizes_read_back_and_have_one_form(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let mut raw = Vec::new();
            put_compact_size(&mut raw, value);
            let mut reader = Reader::new(&raw);
            prop_assert_eq!(reader.compact_size("n"), Ok(value));
            prop_assert_eq!(reader.remaining(), 0);
            for cut in 0..raw.len() {
                prop_assert!(Reader::new(&raw[..cut]).compact_size("n").is_err());
            }
        }

        #[test]
        fn whatever_reads_as_a_compact_size_writes_back_the_same(raw in prop::collection::vec(any::<u8>(), 0..10)) {
            let mut reader = Reader::new(&raw);
            if let Ok(value) = reader.compact_size("n") {
                let mut again = Vec::new();
                put_compact_size(&mut again, value);
                prop_assert_eq!(&again[..], reader.since(0));
            }
        }
    }
}
