//! How many in a second, without a bucket to refill. Pure.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A rate with a burst (generic cell rate algorithm): one number of state, shared by the streams that it bounds, so
/// that opening a stream again gives no fresh allowance.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    interval: u64,
    tolerance: u64,
    due: AtomicU64,
}

impl Pace {
    /// `per_second` in the long run, `burst` at once.
    pub(crate) fn new(start: Instant, per_second: u32, burst: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(per_second.max(1));
        let tolerance = interval.saturating_mul(u64::from(burst.max(1)) - 1);
        Self { start, interval, tolerance, due: AtomicU64::new(0) }
    }

    /// Takes one, or says how long until one may be taken.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Duration> {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let step = |due: u64| {
            (due <= now.saturating_add(self.tolerance)).then(|| due.max(now).saturating_add(self.interval))
        };
        match self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(_) => Ok(()),
            Err(due) => Err(Duration::from_nanos(due.saturating_sub(now.saturating_add(self.tolerance)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = tokio::time::Instant::now().into_std();
        let pace = Pace::new(start, 10, 3);
        for _ in 0..3 {
            assert_eq!(pace.take(start), Ok(()));
        }
        assert_eq!(pace.take(start), Err(Duration::from_millis(100)));
        assert_eq!(pace.take(start + Duration::from_millis(99)), Err(Duration::from_millis(1)));
        assert_eq!(pace.take(start + Duration::from_millis(100)), Ok(()));
        assert!(pace.take(start + Duration::from_millis(150)).is_err());
    }

    #[test]
    fn a_second_of_silence_gives_the_burst_back_and_no_more() {
        let start = tokio::time::Instant::now().into_std();
        let pace = Pace::new(start, 100, 5);
        let later = start + Duration::from_secs(60);
        let taken = (0..50).filter(|_| pace.take(later).is_ok()).count();
        assert_eq!(taken, 5);
    }
}
