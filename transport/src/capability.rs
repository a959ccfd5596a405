//! Capability bits (wire 2.4).

use std::{fmt, ops::BitOr};

/// A set of capability bits. Each stream kind belongs to exactly one bit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Capabilities(u64);

impl Capabilities {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// Discovery, kind 4.
    pub const DISCOVERY: Self = Self(1 << 2);
    /// Block sync, kind 6.
    pub const BLOCK_SYNC: Self = Self(1 << 3);
    /// Header sync stream version 8, kind 5.
    pub const HEADER_SYNC: Self = Self(1 << 5);
    /// Our own extension (bits from 32 up are free): both ends bound frames by bytes, so neither needs the 1,900
    /// frames a second pace that existing nodes enforce (wire 4.6).
    pub const UNPACED: Self = Self(1 << 32);

    /// The set with exactly these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every bit of `other` is here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What both sets hold: the rule of negotiation.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether exactly one bit is set, as a stream's capability must be.
    #[must_use]
    pub const fn is_single(self) -> bool {
        self.0.is_power_of_two()
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({:#x})", self.0)
    }
}
