//! The target a block hash must not exceed, its compact form, and the work it stands for.

use thiserror::Error;

use super::u256::U256;

/// Why a compact target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The sign bit is set.
    #[error("compact target {0:#010x} is negative")]
    Negative(u32),
    /// It does not fit in 256 bits.
    #[error("compact target {0:#010x} is beyond 256 bits")]
    Overflow(u32),
    /// It is zero: no hash could meet it.
    #[error("compact target {0:#010x} is zero")]
    Zero(u32),
}

/// The threshold of a block hash: a 256-bit number, never zero when it was read from its compact form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub U256);

/// The sign bit of a compact target's 24-bit mantissa.
const SIGN: u32 = 0x0080_0000;

impl Target {
    /// Reads the compact form of a header (protocol specification 7.7.4, ToTarget).
    ///
    /// # Errors
    /// A negative, zero or overflowing encoding.
    pub fn from_compact(bits: u32) -> Result<Self, TargetError> {
        let (size, mantissa) = (bits >> 24, bits & (SIGN - 1));
        let value = match size {
            0..=3 => U256::from(u64::from(mantissa >> (8 * (3 - size)))),
            _ if U256::from(u64::from(mantissa)).bits() + 8 * (size - 3) > 256 && mantissa != 0 => {
                return Err(TargetError::Overflow(bits));
            }
            _ => U256::from(u64::from(mantissa)).shifted_up(8 * (size - 3)),
        };
        if value == U256::ZERO {
            Err(TargetError::Zero(bits))
        } else if bits & SIGN != 0 {
            Err(TargetError::Negative(bits))
        } else {
            Ok(Self(value))
        }
    }

    /// Writes the compact form, losing what lies below its 24 bits (7.7.4, ToCompact).
    #[must_use]
    pub fn to_compact(self) -> u32 {
        let mut size = self.0.bits().div_ceil(8);
        let shifted =
            if size <= 3 { self.0.shifted_up(8 * (3 - size)) } else { self.0.shifted_down(8 * (size - 3)) };
        let mut mantissa = shifted.low_u64() as u32;
        if mantissa & SIGN != 0 {
            mantissa >>= 8;
            size += 1;
        }
        size << 24 | mantissa
    }

    /// Whether a block with this hash (internal order) meets the target.
    #[must_use]
    pub fn is_met_by(self, hash: &[u8; 32]) -> bool {
        U256::from_le_bytes(hash) <= self.0
    }

    /// The work of a block with this target: floor(2^256 / (target + 1)), little-endian.
    ///
    /// A target of 2^256 - 1, which no compact form reaches, counts as one.
    #[must_use]
    pub fn work(self) -> [u8; 32] {
        // 2^256 does not fit: floor(2^256 / (t + 1)) = floor((2^256 - 1 - t) / (t + 1)) + 1.
        let one = U256::from(1);
        let (above, _) = self.0.overflowing_add(one);
        let rest = self.0.complement().checked_div(above).unwrap_or(U256::ZERO);
        rest.overflowing_add(one).0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_known_limits_have_their_known_compact_forms() {
        assert_eq!(Target(U256::low_ones(243)).to_compact(), 0x1f07_ffff);
        assert_eq!(Target(U256::low_ones(251)).to_compact(), 0x2007_ffff);
        assert_eq!(Target(U256::from(0x80)).to_compact(), 0x0200_8000);
        assert_eq!(Target(U256::from(0x1234_5600)).to_compact(), 0x0412_3456);
        assert_eq!(Target::from_compact(0x0112_0000), Ok(Target(U256::from(0x12))));
        assert_eq!(Target::from_compact(0x0412_3456), Ok(Target(U256::from(0x1234_5600))));
    }

    #[test]
    fn encodings_that_are_no_target_are_refused_by_name() {
        for zero in [0, 0x0100_3456, 0x0200_0056, 0x0400_0000, 0x2300_0000, 0xff00_0000, 0x0180_0000] {
            assert_eq!(Target::from_compact(zero), Err(TargetError::Zero(zero)), "{zero:#x}");
        }
        for negative in [0x0492_3456, 0x01fe_dcba, 0x2080_0001] {
            assert_eq!(Target::from_compact(negative), Err(TargetError::Negative(negative)));
        }
        for overflow in [0x2101_0000, 0x2200_0100, 0x2300_0001, 0xff12_3456] {
            assert_eq!(Target::from_compact(overflow), Err(TargetError::Overflow(overflow)));
        }
        for widest in [0x2100_ffff, 0x2200_00ff] {
            assert_eq!(Target::from_compact(widest).unwrap().0.bits(), 256);
        }
    }

    #[test]
    fn work_is_the_expected_number_of_hashes() {
        let work = |bits| U256::from_le_bytes(&Target::from_compact(bits).unwrap().work());
        assert_eq!(work(0x1f07_ffff), U256::from(8192));
        assert_eq!(work(0x2007_ffff), U256::from(32));
        assert_eq!(work(0x200f_0f0f), U256::from(17));
        assert_eq!(work(0x1d00_ffff), U256::from(0x0001_0001_0001));
        assert_eq!(U256::from_le_bytes(&Target(U256::MAX).work()), U256::from(1));
        assert_eq!(U256::from_le_bytes(&Target(U256::from(1)).work()), U256::from(1).shifted_up(255));
    }

    proptest! {
        #[test]
        fn a_compact_form_is_stable_and_loses_only_low_bits(limbs in any::<[u8; 32]>(), shift in 0u32..255) {
            let target = Target(U256::from_le_bytes(&limbs).shifted_down(shift));
            prop_assume!(target.0 != U256::ZERO);
            let read = Target::from_compact(target.to_compact()).unwrap();
            prop_assert_eq!(read.to_compact(), target.to_compact());
            prop_assert!(read <= target);
            let lost = target.0.wrapping_sub(read.0).bits();
            prop_assert!(lost + 15 <= target.0.bits() || lost == 0);
        }

        #[test]
        fn a_lower_target_never_has_less_work(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let (a, b) = (Target(U256::from_le_bytes(&a)), Target(U256::from_le_bytes(&b)));
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(U256::from_le_bytes(&low.work()) >= U256::from_le_bytes(&high.work()));
        }
    }
}
