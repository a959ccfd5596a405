//! The little 256-bit arithmetic that targets and work need.

/// An unsigned 256-bit integer: four 64-bit limbs, least significant first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct U256([u64; 4]);

impl Ord for U256 {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for U256 {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for U256 {
    fn from(value: u64) -> Self {
        Self([value, 0, 0, 0])
    }
}

impl U256 {
    /// Zero.
    pub const ZERO: Self = Self([0; 4]);
    /// 2^256 - 1.
    pub const MAX: Self = Self([u64::MAX; 4]);

    /// 2^`bits` - 1 for `bits` up to 256 (above counts as 256).
    #[must_use]
    pub fn low_ones(bits: u32) -> Self {
        Self::MAX.shifted_down(256_u32.saturating_sub(bits))
    }

    /// From little-endian bytes, the internal order of hashes.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = chunk.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Self(limbs)
    }

    /// To little-endian bytes.
    #[must_use]
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (limb, chunk) in self.0.iter().zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// How many bits the value needs: 0 for zero, 256 at most.
    #[must_use]
    pub fn bits(self) -> u32 {
        let mut used = 256;
        for limb in self.0.iter().rev() {
            used -= limb.leading_zeros();
            if *limb != 0 {
                break;
            }
        }
        used
    }

    /// The lowest 64 bits.
    #[must_use]
    pub fn low_u64(self) -> u64 {
        self.0[0]
    }

    /// Shifted left; bits beyond 256 are lost.
    #[must_use]
    pub fn shifted_up(self, count: u32) -> Self {
        let (limbs, bits) = (count as usize / 64, count % 64);
        let mut out = [0; 4];
        for (index, slot) in out.iter_mut().enumerate().skip(limbs) {
            *slot = self.0[index - limbs] << bits;
            if bits > 0 && index > limbs {
                *slot |= self.0[index - limbs - 1] >> (64 - bits);
            }
        }
        Self(out)
    }

    /// Shifted right.
    #[must_use]
    pub fn shifted_down(self, count: u32) -> Self {
        let (limbs, bits) = (count as usize / 64, count % 64);
        let limb = |index: usize| self.0.get(index).copied().unwrap_or(0);
        let mut out = [0; 4];
        for (index, slot) in out.iter_mut().enumerate() {
            *slot = limb(index + limbs) >> bits;
            if bits > 0 {
                *slot |= limb(index + limbs + 1) << (64 - bits);
            }
        }
        Self(out)
    }

    /// The sum modulo 2^256, and whether it wrapped.
    #[must_use]
    pub fn overflowing_add(self, other: Self) -> (Self, bool) {
        let mut out = [0; 4];
        let mut carry = false;
        for (slot, (a, b)) in out.iter_mut().zip(self.0.iter().zip(other.0)) {
            let (sum, first) = a.overflowing_add(b);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *slot = sum;
            carry = first || second;
        }
        (Self(out), carry)
    }

    /// The difference modulo 2^256.
    #[must_use]
    pub fn wrapping_sub(self, other: Self) -> Self {
        self.overflowing_add(other.complement()).0.overflowing_add(Self::from(1)).0
    }

    /// Every bit turned over: 2^256 - 1 - self.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(self.0.map(|limb| !limb))
    }

    /// The product, `None` beyond 256 bits.
    #[must_use]
    pub fn checked_mul_u64(self, factor: u64) -> Option<Self> {
        let mut out = [0; 4];
        let mut carry = 0_u128;
        for (slot, limb) in out.iter_mut().zip(self.0) {
            let wide = u128::from(limb) * u128::from(factor) + carry;
            *slot = wide as u64;
            carry = wide >> 64;
        }
        (carry == 0).then_some(Self(out))
    }

    /// The quotient rounded down, `None` for division by zero.
    #[must_use]
    pub fn checked_div(self, divisor: Self) -> Option<Self> {
        if divisor == Self::ZERO {
            return None;
        }
        let mut quotient = Self::ZERO;
        let mut rest = Self::ZERO;
        for index in (0..self.bits()).rev() {
            // Never loses a bit: the rest is at most the part of self that was taken so far.
            rest = rest.shifted_up(1);
            rest.0[0] |= self.shifted_down(index).0[0] & 1;
            if rest >= divisor {
                rest = rest.wrapping_sub(divisor);
                let bit = Self::from(1).shifted_up(index);
                quotient = quotient.overflowing_add(bit).0;
            }
        }
        Some(quotient)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_u256() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0u32..257).prop_map(|(limbs, shift)| U256(limbs).shifted_down(shift))
    }

    #[test]
    fn edges() {
        assert_eq!(U256::low_ones(0), U256::ZERO);
        assert_eq!(U256::low_ones(243).bits(), 243);
        assert_eq!(U256::low_ones(256), U256::MAX);
        assert_eq!(U256::MAX.overflowing_add(U256::from(1)), (U256::ZERO, true));
        assert_eq!(U256::from(1).checked_div(U256::ZERO), None);
        assert_eq!(U256::MAX.checked_mul_u64(2), None);
        assert_eq!(U256::MAX.shifted_up(256), U256::ZERO);
        assert_eq!(U256::MAX.shifted_up(64).shifted_down(64), U256::low_ones(192));
        assert!(U256::from(u64::MAX) < U256::from(1).shifted_up(64));
    }

    proptest! {
        #[test]
        fn bytes_and_shifts_go_back(value in any_u256(), shift in 0u32..256) {
            prop_assert_eq!(U256::from_le_bytes(&value.to_le_bytes()), value);
            let kept = value.shifted_down(shift);
            prop_assert_eq!(kept.shifted_up(shift).shifted_down(shift), kept);
            prop_assert_eq!(kept.bits(), value.bits().saturating_sub(shift));
        }

        #[test]
        fn division_undoes_multiplication(value in any_u256(), factor in 1u64.., extra in any::<u64>()) {
            let value = value.shifted_down(64);
            let product = value.checked_mul_u64(factor).unwrap();
            let (raised, wrapped) = product.overflowing_add(U256::from(extra % factor));
            prop_assert!(!wrapped);
            prop_assert_eq!(raised.checked_div(U256::from(factor)), Some(value));
        }

        #[test]
        fn small_values_agree_with_machine_arithmetic(a in any::<u128>(), b in 1u128..) {
            let wide = |v: u128| U256([v as u64, (v >> 64) as u64, 0, 0]);
            prop_assert_eq!(wide(a).checked_div(wide(b)), Some(wide(a / b)));
            prop_assert_eq!(wide(a).cmp(&wide(b)), a.cmp(&b));
            prop_assert_eq!(wide(a).wrapping_sub(wide(a & b)), wide(a - (a & b)));
        }

        #[test]
        fn a_quotient_by_a_wide_divisor_is_exact(a in any_u256(), b in any_u256()) {
            prop_assume!(b != U256::ZERO);
            let quotient = a.checked_div(b).unwrap();
            // b * q <= a < b * (q + 1), shown by subtracting b at most a few times where q is small.
            prop_assume!(quotient.bits() <= 64);
            let below = b.checked_mul_u64(quotient.low_u64()).unwrap();
            prop_assert!(below <= a);
            prop_assert!(a.wrapping_sub(below) < b);
        }
    }
}
