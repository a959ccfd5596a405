//! The wall clock, which only the rule about headers from the future and the expiry of discovery's records look at.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A source of local time.
pub trait WallClock: fmt::Debug + Send + Sync + 'static {
    /// The time since the Unix epoch.
    fn since_epoch(&self) -> Duration;

    /// Seconds since the Unix epoch.
    fn unix_seconds(&self) -> u64 {
        self.since_epoch().as_secs()
    }
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
    fn since_epoch(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that stands still, for simulation and tests.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub u64);

impl WallClock for FixedClock {
    fn since_epoch(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}
