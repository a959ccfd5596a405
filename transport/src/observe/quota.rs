//! How often a log line that a peer can provoke is written. Pure.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The least time between two lines of one place in the code (threat T07): stops peers from filling a disk with our log.
pub const LINE_EVERY: Duration = Duration::from_secs(60);

/// Lets one line pass in [`LINE_EVERY`], and counts what it left out. One for each place that speaks.
#[derive(Debug)]
pub struct Quota {
    start: OnceLock<Instant>,
    /// Milliseconds from the start until which nothing is said, and 0 before the first line.
    silent_until: AtomicU64,
    left_out: AtomicU64,
}

impl Default for Quota {
    fn default() -> Self {
        Self::new()
    }
}

impl Quota {
    /// A quota of which nothing is used.
    #[must_use]
    pub const fn new() -> Self {
        Self { start: OnceLock::new(), silent_until: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Whether a line may be written now, and then how many were left out since the one before.
    #[must_use]
    pub fn ask(&self, now: Instant) -> Option<u64> {
        let start = *self.start.get_or_init(|| now);
        let now = millis(now.saturating_duration_since(start));
        let next = now.saturating_add(millis(LINE_EVERY));
        let speak = |until: u64| (until <= now).then_some(next);
        match self.silent_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, speak) {
            Ok(_) => Some(self.left_out.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Writes a log line that peers can provoke, as often as the [`Quota`] of its place in the code allows: the level's macro,
/// a target of [`target`](super::target), and what the macros of `tracing` take.
macro_rules! rationed {
    ($level:ident, $target:path, $($line:tt)+) => {{
        static QUOTA: $crate::observe::Quota = $crate::observe::Quota::new();
        match QUOTA.ask(tokio::time::Instant::now().into_std()) {
            Some(left_out) => tracing::$level!(target: $target, left_out, $($line)+),
            None => $crate::observe::metrics::log_line_left_out(),
        }
    }};
}
pub(crate) use rationed;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_line_a_minute_and_the_next_says_how_many_were_left_out() {
        let (quota, start) = (Quota::new(), tokio::time::Instant::now().into_std());
        assert_eq!(quota.ask(start), Some(0));
        for second in 0..59 {
            assert_eq!(quota.ask(start + Duration::from_secs(second)), None, "second {second}");
        }
        assert_eq!(quota.ask(start + LINE_EVERY), Some(59));
        assert_eq!(quota.ask(start + LINE_EVERY), None);
        assert_eq!(quota.ask(start + LINE_EVERY * 100), Some(1));
    }

    #[test]
    fn a_clock_that_stands_before_the_first_line_says_nothing_and_breaks_nothing() {
        let (quota, start) = (Quota::new(), tokio::time::Instant::now().into_std());
        assert_eq!(quota.ask(start + LINE_EVERY), Some(0));
        assert_eq!(quota.ask(start), None);
    }

    proptest! {
        #[test]
        fn every_line_is_written_or_counted(pauses in prop::collection::vec(0_u64..100_000, 1..200)) {
            let (quota, mut now) = (Quota::new(), tokio::time::Instant::now().into_std());
            let (mut accounted, mut last) = (0, None);
            for pause in &pauses {
                now += Duration::from_millis(*pause);
                if let Some(left_out) = quota.ask(now) {
                    prop_assert!(last.is_none_or(|last| now.duration_since(last) >= LINE_EVERY));
                    last = Some(now);
                    accounted += left_out + 1;
                }
            }
            let unspoken = quota.left_out.load(Ordering::Relaxed);
            prop_assert_eq!(accounted + unspoken, pauses.len() as u64);
        }
    }
}
