//! Deadlines out of durations that a caller chose.

use std::time::Duration;
use tokio::time::Instant;

/// In so long, or in a day: a clock cannot name every instant, and [`Duration::MAX`] is how callers say "however long".
pub(crate) fn after(wait: Duration) -> Instant {
    const DAY: Duration = Duration::from_secs(86_400);
    Instant::now() + wait.min(DAY)
}
