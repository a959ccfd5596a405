//! The wall clock, which only the rule about headers from the future looks at.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A source of local time.
pub trait WallClock: fmt::Debug + Send + Sync + 'static {
    /// Seconds since the Unix epoch.
    fn unix_seconds(&self) -> u64;
}

/// The operating system's clock. One set before 1970 reads as zero: headers then look early, which is refused with a
/// hint at the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where wall clock enters; everyone else is injected"
    )]
    fn unix_seconds(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A clock that stands still, for simulation and tests.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub u64);

impl WallClock for FixedClock {
    fn unix_seconds(&self) -> u64 {
        self.0
    }
}
