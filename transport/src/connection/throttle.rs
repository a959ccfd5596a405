//! How many bytes in a second, over everything that shares the bound. Pure.

use crate::Bandwidth;
use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What may be taken at once after a rest, in time at the rate: long enough that a timer's grain costs nothing.
const BURST: Duration = Duration::from_millis(100);
/// And in bytes, at least: a frame's first piece passes a slow bound at once.
const LEAST_BURST: u64 = 64 * 1024;

/// A token bucket of bytes, as one number: when all that was taken will be paid for. Whoever takes waits until then, less
/// the burst; so those who share it are served in the order in which they took.
#[derive(Debug)]
pub(crate) struct Throttle {
    start: Instant,
    bytes_per_second: NonZeroU64,
    burst: u64,
    paid_at: AtomicU64,
}

impl Throttle {
    pub(crate) fn new(start: Instant, bytes_per_second: NonZeroU64) -> Self {
        let least = nanos_for(LEAST_BURST, bytes_per_second);
        let burst = u64::try_from(BURST.as_nanos()).unwrap_or(u64::MAX).max(least);
        Self { start, bytes_per_second, burst, paid_at: AtomicU64::new(0) }
    }

    /// Takes so many bytes, which have passed or are about to; how long to rest before the next.
    pub(crate) fn take(&self, now: Instant, bytes: usize) -> Duration {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let cost = nanos_for(u64::try_from(bytes).unwrap_or(u64::MAX), self.bytes_per_second);
        let add = |paid_at: u64| Some(paid_at.max(now).saturating_add(cost));
        let before = self.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or_default();
        let paid_at = before.max(now).saturating_add(cost);
        Duration::from_nanos(paid_at.saturating_sub(now.saturating_add(self.burst)))
    }
}

fn nanos_for(bytes: u64, per_second: NonZeroU64) -> u64 {
    u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(per_second.get())).unwrap_or(u64::MAX)
}

/// The bounds that all connections share, and what each has for itself.
#[derive(Debug)]
pub(crate) struct Meters {
    bandwidth: Bandwidth,
    up: Option<Arc<Throttle>>,
    down: Option<Arc<Throttle>>,
}

impl Meters {
    pub(crate) fn new(bandwidth: Bandwidth, start: Instant) -> Self {
        let common = |rate: Option<NonZeroU64>| rate.map(|rate| Arc::new(Throttle::new(start, rate)));
        Self { bandwidth, up: common(bandwidth.up), down: common(bandwidth.down) }
    }

    /// What a new connection is under, up and down.
    pub(super) fn connection(&self, now: Instant) -> (Throttles, Throttles) {
        let own = |rate: Option<NonZeroU64>| rate.map(|rate| Throttle::new(now, rate));
        (
            Throttles::new(self.up.as_ref(), own(self.bandwidth.peer_up)),
            Throttles::new(self.down.as_ref(), own(self.bandwidth.peer_down)),
        )
    }
}

/// The bounds that one direction of one connection is under: its own, and that of all connections together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttles(Vec<Arc<Throttle>>);

impl Throttles {
    pub(crate) fn new(all: Option<&Arc<Throttle>>, own: Option<Throttle>) -> Self {
        Self(all.cloned().into_iter().chain(own.map(Arc::new)).collect())
    }

    /// Takes so many bytes from each; when the next may pass, if that is not now. Without bounds it asks for neither.
    pub(crate) fn take(
        &self,
        now: impl FnOnce() -> Instant,
        bytes: impl FnOnce() -> usize,
    ) -> Option<Instant> {
        if self.0.is_empty() {
            return None;
        }
        let (now, bytes) = (now(), bytes());
        let rest = self.0.iter().map(|throttle| throttle.take(now, bytes)).max()?;
        (rest > Duration::ZERO).then(|| now + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let start = now();
        let throttle = Throttle::new(start, RATE);
        assert_eq!(throttle.take(start, 100_000), Duration::ZERO);
        assert_eq!(throttle.take(start, 500_000), Duration::from_millis(500));
        assert_eq!(throttle.take(start + Duration::from_millis(500), 1_000), Duration::from_millis(1));
        let rested = start + Duration::from_secs(60);
        assert_eq!(throttle.take(rested, 100_000), Duration::ZERO, "a rest gives the burst back");
        assert!(throttle.take(rested, 100_000) > Duration::ZERO, "and no more");
    }

    #[test]
    fn the_tighter_of_two_bounds_holds() {
        let start = now();
        let all = Arc::new(Throttle::new(start, RATE));
        let own = || Throttle::new(start, NonZeroU64::new(500_000).unwrap());
        let (one, other) = (Throttles::new(Some(&all), Some(own())), Throttles::new(Some(&all), Some(own())));
        // A second's worth of its own, less a burst of 131 ms.
        let until = one.take(|| start, || 500_000).unwrap();
        assert!(start + Duration::from_millis(800) < until && until < start + Duration::from_secs(1));
        // The other is under its own bound, and beyond what is left of the common one.
        assert_eq!(other.take(|| start, || 65_000), Some(start + Duration::from_millis(465)));
        assert_eq!(Throttles::default().take(|| start, || usize::MAX), None);
    }

    proptest! {
        /// Whoever rests as told never has more than the rate and one burst pass in any time.
        #[test]
        fn who_rests_as_told_keeps_the_rate(
            sizes in prop::collection::vec(1_usize..200_000, 1..100),
            rate in 10_000_u64..100_000_000,
        ) {
            let start = now();
            let rate = NonZeroU64::new(rate).unwrap();
            let throttle = Throttle::new(start, rate);
            let (mut at, mut passed) = (start, 0_u64);
            for size in sizes {
                at += throttle.take(at, size);
                passed += size as u64;
                let seconds = (at - start).as_secs_f64();
                let burst = (rate.get() as f64 * BURST.as_secs_f64()).max(LEAST_BURST as f64);
                prop_assert!(passed as f64 <= seconds * rate.get() as f64 + burst + 1_000.0);
            }
        }
    }
}
