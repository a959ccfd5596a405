//! The chain words: heights, hashes, work, ranges. Everything else speaks in these.

use std::{fmt, str::FromStr};

/// A block's height: its distance from genesis. At most 2^31 - 1 (wire 7.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Height(u32);

impl Height {
    /// Genesis.
    pub const GENESIS: Self = Self(0);
    /// The largest legal height.
    pub const MAX: Self = Self(0x7fff_ffff);

    /// The height, if it is legal.
    #[must_use]
    pub const fn new(height: u32) -> Option<Self> {
        if height <= Self::MAX.0 { Some(Self(height)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The height `blocks` above, if it is legal.
    #[must_use]
    pub fn checked_add(self, blocks: u32) -> Option<Self> {
        self.0.checked_add(blocks).and_then(Self::new)
    }

    /// The height `blocks` below, or genesis if there are not so many.
    #[must_use]
    pub const fn saturating_sub(self, blocks: u32) -> Self {
        Self(self.0.saturating_sub(blocks))
    }

    /// The next height, if it is legal.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    /// How many blocks this is above `lower`; zero if it is not above.
    #[must_use]
    pub const fn above(self, lower: Self) -> u32 {
        self.0.saturating_sub(lower.0)
    }
}

impl From<Height> for u64 {
    fn from(height: Height) -> Self {
        Self::from(height.0)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Height({})", self.0)
    }
}

/// A block's hash in internal byte order, the order in which it is hashed and travels. Printed and parsed in display
/// order, which is the reverse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 32]);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

/// A text that is no block hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block hash {0:?} is not 64 hexadecimal digits in display order")]
pub struct BlockHashError(String);

impl FromStr for BlockHash {
    type Err = BlockHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || BlockHashError(text.chars().take(80).collect());
        if text.len() != 64 || !text.is_ascii() {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().rev().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| refuse())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| refuse())?;
        }
        Ok(Self(bytes))
    }
}

/// A block named by height and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockRef {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.height, self.hash)
    }
}

/// A 256-bit amount of work, little-endian on the wire (wire 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Work([u64; 4]);

impl Work {
    /// No work.
    pub const ZERO: Self = Self([0; 4]);

    /// Reads 32 little-endian bytes.
    #[must_use]
    pub fn from_le_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = chunk.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        }
        Self(limbs)
    }

    /// Writes 32 little-endian bytes.
    #[must_use]
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// The sum, or the largest amount if it does not fit: a chain with that much work cannot exist, and a peer's claim
    /// of it must not wrap round to little.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        let mut sum = [0; 4];
        let mut carry = false;
        for ((out, a), b) in sum.iter_mut().zip(self.0).zip(other.0) {
            let (partial, first) = a.overflowing_add(b);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            (*out, carry) = (total, first || second);
        }
        if carry { Self([u64::MAX; 4]) } else { Self(sum) }
    }

    /// The difference, or none if `other` is more.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let mut difference = [0; 4];
        let mut borrow = false;
        for ((out, a), b) in difference.iter_mut().zip(self.0).zip(other.0) {
            let (partial, first) = a.overflowing_sub(b);
            let (total, second) = partial.overflowing_sub(u64::from(borrow));
            (*out, borrow) = (total, first || second);
        }
        if borrow { None } else { Some(Self(difference)) }
    }
}

impl Ord for Work {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Work {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "Work({d:016x}{c:016x}{b:016x}{a:016x})")
    }
}

/// Consecutive heights, both ends included; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeightRange {
    first: Height,
    last: Height,
}

impl HeightRange {
    /// The heights from `first` to `last`, if there is one.
    #[must_use]
    pub fn new(first: Height, last: Height) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest height.
    #[must_use]
    pub const fn first(self) -> Height {
        self.first
    }

    /// The highest height.
    #[must_use]
    pub const fn last(self) -> Height {
        self.last
    }

    /// How many heights; at least one.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.last.above(self.first).saturating_add(1)
    }

    /// Whether `height` is among them.
    #[must_use]
    pub fn contains(self, height: Height) -> bool {
        self.first <= height && height <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hashes_print_reversed() {
        let text = "00040fe8ec8471911baa1db1266ea15dd06b4a8a5c453883c000b031973dce08";
        let hash: BlockHash = text.parse().unwrap();
        assert_eq!(hash.0[31], 0x00);
        assert_eq!(hash.0[0], 0x08);
        assert_eq!(hash.to_string(), text);
        assert!("xx".parse::<BlockHash>().is_err());
    }

    #[test]
    fn heights_stay_legal() {
        assert_eq!(Height::new(0x8000_0000), None);
        assert_eq!(Height::MAX.next(), None);
        assert_eq!(Height::GENESIS.saturating_sub(1), Height::GENESIS);
    }

    proptest! {
        #[test]
        fn work_adds_like_u128_and_undoes(a: u128, b: u128) {
            let work = |n: u128| {
                let mut bytes = [0; 32];
                bytes[..16].copy_from_slice(&n.to_le_bytes());
                Work::from_le_bytes(bytes)
            };
            let sum = work(a).saturating_add(work(b));
            prop_assert_eq!(sum.checked_sub(work(b)), Some(work(a)));
            prop_assert_eq!(work(a).cmp(&work(b)), a.cmp(&b));
            if let Some(exact) = a.checked_add(b) {
                prop_assert_eq!(sum, work(exact));
            }
            prop_assert_eq!(Work::from_le_bytes(sum.to_le_bytes()), sum);
        }
    }
}
