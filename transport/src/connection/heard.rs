//! When a connection was last heard: the application's idle timer (wire 4.7).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The last moment a frame arrived on any stream. Shared by the streams of one connection.
#[derive(Debug)]
pub(crate) struct Heard {
    start: Instant,
    last: AtomicU64,
}

impl Heard {
    pub(crate) const fn new(start: Instant) -> Self {
        Self { start, last: AtomicU64::new(0) }
    }

    /// A frame arrived.
    pub(crate) fn mark(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.start).as_millis();
        self.last.fetch_max(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When the last frame arrived, or when the connection began.
    pub(crate) fn last(&self) -> Instant {
        let passed = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.checked_add(passed).unwrap_or(self.start)
    }
}
