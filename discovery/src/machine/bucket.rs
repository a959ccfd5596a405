//! How often a peer may make us do something.

use std::time::{Duration, Instant};

/// Credit that is spent at once and comes back over time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    credit: u32,
    most: u32,
    /// One credit comes back after this much.
    each: Duration,
    /// Since when credit is owed.
    since: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) const fn new(now: Instant, most: u32, each: Duration) -> Self {
        Self { credit: most, most, each, since: now }
    }

    /// Takes one credit, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let owed = now.saturating_duration_since(self.since).as_nanos() / self.each.as_nanos().max(1);
        let owed = u32::try_from(owed).unwrap_or(u32::MAX);
        self.credit = self.credit.saturating_add(owed).min(self.most);
        // What is left of an interval stays owed, unless the bucket is full.
        let paid = self.each.checked_mul(owed).and_then(|paid| self.since.checked_add(paid)).unwrap_or(now);
        self.since = if self.credit == self.most { now } else { paid };
        let is_left = self.credit > 0;
        self.credit = self.credit.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_an_interval() {
        let start = tokio::time::Instant::now().into_std();
        let mut bucket = Bucket::new(start, 4, Duration::from_secs(5));
        let taken = |bucket: &mut Bucket, at: u64| bucket.take(start + Duration::from_millis(at));
        assert_eq!((0..6).filter(|_| taken(&mut bucket, 0)).count(), 4);
        assert!(!taken(&mut bucket, 4_999) && taken(&mut bucket, 5_001) && !taken(&mut bucket, 5_002));
        assert!(!taken(&mut bucket, 9_999) && taken(&mut bucket, 10_000), "no interval is lost by asking");
        assert_eq!((0..6).filter(|_| taken(&mut bucket, 10_000_000)).count(), 4);
    }
}
