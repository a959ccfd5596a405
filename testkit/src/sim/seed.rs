//! One seed, and a tree of seeds below it.

use blake2b_simd::Params;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// 32 bytes from which other seeds and generators grow. A new purpose takes a new label and shifts nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The root that a run's number stands for.
    #[must_use]
    pub fn root(number: u64) -> Self {
        Self(hash(&[0; 32], "zakura-sim/1", &number.to_le_bytes()))
    }

    /// The seed for one purpose.
    #[must_use]
    pub fn child(self, label: &str) -> Self {
        Self(hash(&self.0, label, &[]))
    }

    /// The seed for the `n`-th of several things with one purpose.
    #[must_use]
    pub fn nth(self, label: &str, n: u64) -> Self {
        Self(hash(&self.0, label, &n.to_le_bytes()))
    }

    /// The bytes themselves.
    #[must_use]
    pub const fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// A generator that starts here.
    #[must_use]
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }
}

fn hash(key: &[u8; 32], label: &str, number: &[u8]) -> [u8; 32] {
    // The label's length comes first, so that no label and number read like another pair.
    let length = u64::try_from(label.len()).unwrap_or(u64::MAX).to_le_bytes();
    let mut state = Params::new().hash_length(32).key(key).to_state();
    state.update(&length).update(label.as_bytes()).update(number);
    let mut out = [0; 32];
    out.copy_from_slice(state.finalize().as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_repeat_and_differ() {
        let root = Seed::root(7);
        assert_eq!(root.child("links"), Seed::root(7).child("links"));
        assert_ne!(root.child("links"), root.child("nodes"));
        assert_ne!(root.nth("node", 1), root.nth("node", 2));
        assert_ne!(Seed::root(7), Seed::root(8));
    }
}
