//! A node's wall clock, which may jump as those of real machines do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use zakura::store::WallClock;
use zakura_transport::TokenTime;

/// What every clock shows when its world begins: some second after all real blocks.
const EPOCH: Duration = Duration::from_secs(1_900_000_000);

/// A wall clock. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Wall {
    begun: Instant,
    /// Seconds by which it was set forward, or back.
    ahead: Arc<AtomicI64>,
}

impl Default for Wall {
    fn default() -> Self {
        Self::new()
    }
}

impl Wall {
    /// A clock that begins now. Inside a runtime with paused time only.
    #[must_use]
    pub fn new() -> Self {
        Self { begun: Instant::now(), ahead: Arc::default() }
    }

    /// Sets it so many seconds forward, or back if there are fewer than none.
    pub fn jump(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    /// What it shows. It goes back to 1970 at most.
    #[must_use]
    pub fn shows(&self) -> Duration {
        let (right, ahead) = (EPOCH + self.begun.elapsed(), self.ahead.load(Ordering::Relaxed));
        let jumped = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { right.saturating_sub(jumped) } else { right.saturating_add(jumped) }
    }
}

impl WallClock for Wall {
    fn since_epoch(&self) -> Duration {
        self.shows()
    }
}

impl TokenTime for Wall {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.shows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_and_jumps() {
        let wall = Wall::new();
        let other = wall.clone();
        let begun = wall.shows();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(wall.unix_seconds() - begun.as_secs(), 5);
        other.jump(-3_600);
        assert_eq!(begun.as_secs() - wall.unix_seconds(), 3_595);
        other.jump(-2_000_000_000);
        assert_eq!(wall.shows(), Duration::ZERO);
        assert_eq!(TokenTime::now(&wall), SystemTime::UNIX_EPOCH);
    }
}
