//! Patience with our own store.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::{Duration, Instant};

/// The first wait; doubles each time.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// A thing that failed for a local reason, and when to try it again.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    reason: String,
    wait: Duration,
    /// None once it is time.
    until: Option<Instant>,
}

impl Retry {
    /// It failed.
    pub(super) fn failed(&mut self, now: Instant, reason: String) {
        let wait = self.failure.as_ref().map_or(FIRST, |last| last.wait.saturating_mul(2).min(LONGEST));
        self.failure = Some(Failure { reason, wait, until: now.checked_add(wait) });
    }

    /// It worked.
    pub(super) fn worked(&mut self) {
        self.failure = None;
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: Instant) {
        if let Some(failure) = &mut self.failure {
            failure.until.take_if(|until| *until <= now);
        }
    }

    /// Whether it may be tried now.
    pub(super) fn is_ready(&self) -> bool {
        self.until().is_none()
    }

    /// When to try again.
    pub(super) fn until(&self) -> Option<Instant> {
        self.failure.as_ref().and_then(|failure| failure.until)
    }

    /// Why it failed last, until it works.
    pub(super) fn reason(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| failure.reason.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_success_forgets() {
        let now = tokio::time::Instant::now().into_std();
        let mut retry = Retry::default();
        let waits: Vec<_> = (0..8)
            .map(|_| {
                retry.failed(now, "full".into());
                retry.until().unwrap().duration_since(now).as_millis()
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        retry.wake(now + LONGEST);
        assert!(retry.is_ready());
        assert_eq!(retry.reason(), Some("full"));
        retry.worked();
        assert_eq!(retry.reason(), None);
    }
}
