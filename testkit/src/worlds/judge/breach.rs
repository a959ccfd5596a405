//! An invariant that did not hold.

use std::fmt;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Its id.
    pub invariant: &'static str,
    /// The world's seed.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// The virtual time, in nanoseconds.
    pub at: u64,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, seed, step, at, seen } = self;
        write!(f, "{invariant} in world {seed} at step {step} ({} ms): {seen}", at / 1_000_000)
    }
}
