//! What a peer may send us that is of no use, before it is asked for nothing more.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::{Duration, Instant};

/// Useless messages tolerated in one [`REFILL`]. Stops recorded-only faults from being free for ever.
const EVENTS: u64 = 256;

/// Useless bytes tolerated in one [`REFILL`].
const BYTES: u64 = 16 * 1024 * 1024;

/// How long an empty budget takes to fill again.
const REFILL: Duration = Duration::from_secs(10);

/// A budget of useless messages, filling with time and never with good deeds.
#[derive(Debug)]
pub(super) struct Tolerance {
    events: u64,
    bytes: u64,
    filled_at: Option<Instant>,
    spent: u64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { events: EVENTS, bytes: BYTES, filled_at: None, spent: 0 }
    }
}

impl Tolerance {
    /// Takes one useless message out; false if the budget does not hold it: then the budget is full again, and the
    /// caller acts.
    #[must_use]
    pub(super) fn debit(&mut self, now: Instant, bytes: u64) -> bool {
        self.fill(now);
        self.spent = self.spent.saturating_add(1);
        let left = (self.events.checked_sub(1), self.bytes.checked_sub(bytes));
        let (events, bytes, holds) = match left {
            (Some(events), Some(bytes)) => (events, bytes, true),
            (None, _) | (_, None) => (EVENTS, BYTES, false),
        };
        (self.events, self.bytes) = (events, bytes);
        holds
    }

    /// Useless messages so far.
    pub(super) const fn spent(&self) -> u64 {
        self.spent
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled_at.unwrap_or(now);
        let elapsed = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
        let whole = REFILL.as_millis() as u64;
        let events = elapsed.saturating_mul(EVENTS).checked_div(whole).unwrap_or(0);
        if self.filled_at.is_none() || events > 0 {
            let bytes = elapsed.saturating_mul(BYTES).checked_div(whole).unwrap_or(0);
            self.events = self.events.saturating_add(events).min(EVENTS);
            self.bytes = self.bytes.saturating_add(bytes).min(BYTES);
            self.filled_at = Some(now);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;

    #[test]
    fn it_empties_by_count_or_bytes_and_fills_with_time() {
        let now = tokio::time::Instant::now().into_std();
        let mut tolerance = Tolerance::default();
        assert!((0..EVENTS).all(|_| tolerance.debit(now, 1)));
        assert!(!tolerance.debit(now, 1));
        let mut tolerance = Tolerance::default();
        assert!(tolerance.debit(now, BYTES));
        assert!(!tolerance.debit(now, 1));
        let mut tolerance = Tolerance::default();
        assert!((0..EVENTS).all(|_| tolerance.debit(now, 1)));
        assert!(tolerance.debit(now + REFILL / 2, 1));
        assert_eq!(tolerance.spent(), EVENTS + 1);
    }
}
