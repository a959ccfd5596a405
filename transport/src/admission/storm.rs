//! Whether we panic again and again. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many panics of ours within [`WINDOW`] are a storm (threats P04): somebody has found what makes us panic, and each new
/// identity can do it again.
const PANICS: usize = 5;
/// See [`PANICS`].
const WINDOW: Duration = Duration::from_secs(60);

/// The last panics that were contained.
#[derive(Debug, Default)]
pub(super) struct Storm(VecDeque<Instant>);

impl Storm {
    pub(super) fn add(&mut self, now: Instant) {
        self.0.push_back(now);
        if self.0.len() > PANICS {
            self.0.pop_front();
        }
    }

    pub(super) fn rages(&self, now: Instant) -> bool {
        let first = self.0.front().filter(|_| self.0.len() >= PANICS);
        first.is_some_and(|first| now.saturating_duration_since(*first) < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_panics_within_a_minute_are_a_storm_until_the_minute_is_over() {
        let (mut storm, start) = (Storm::default(), tokio::time::Instant::now().into_std());
        let second = Duration::from_secs(1);
        for n in 0..4 {
            storm.add(start + second * n);
        }
        assert!(!storm.rages(start + second * 4));
        storm.add(start + second * 61);
        assert!(!storm.rages(start + second * 61), "the first is a minute old");
        storm.add(start + second * 62);
        assert!(!storm.rages(start + second * 62));
        storm.add(start + second * 62);
        storm.add(start + second * 62);
        assert!(!storm.rages(start + second * 63));
        storm.add(start + second * 63);
        assert!(storm.rages(start + second * 63) && storm.rages(start + second * 120));
        assert!(!storm.rages(start + second * 121));
        assert_eq!(storm.0.len(), PANICS);
    }
}
