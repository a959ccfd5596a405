//! Where nodes are, and how long a word takes from one place to another.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::time::Duration;

/// Round trips in milliseconds between places where nodes stand, as cloud providers and pingers publish them, rounded:
/// Virginia, Oregon, Ireland, Frankfurt, Tokyo, Singapore, Mumbai, Sao Paulo, Cape Town, Sydney. Half of the matrix; it is
/// symmetrical.
const ROUND_TRIPS: [&[u32]; 10] = [
    &[10],
    &[65, 10],
    &[68, 120, 10],
    &[92, 142, 24, 10],
    &[146, 97, 200, 226, 10],
    &[220, 162, 174, 156, 68, 10],
    &[190, 218, 122, 112, 126, 58, 10],
    &[114, 175, 177, 203, 256, 320, 300, 10],
    &[226, 275, 160, 155, 345, 245, 270, 340, 10],
    &[198, 139, 254, 247, 104, 92, 147, 310, 410, 10],
];

/// The regions of a world: one-way latency from each to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions(Vec<Vec<Duration>>);

impl Regions {
    /// Draws two to six places.
    #[must_use]
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let mut places: Vec<usize> = (0..ROUND_TRIPS.len()).collect();
        let count = 2 + below(5, rng);
        let chosen: Vec<_> = (0..count).map(|_| places.remove(below(places.len(), rng))).collect();
        let row = |from: &usize| chosen.iter().map(|to| one_way(*from, *to)).collect();
        Self(chosen.iter().map(row).collect())
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// One way from a region to a region.
    #[must_use]
    pub fn latency(&self, from: usize, to: usize) -> Duration {
        self.0.get(from).and_then(|row| row.get(to)).copied().unwrap_or(Duration::from_millis(25))
    }
}

fn one_way(from: usize, to: usize) -> Duration {
    let round_trip = ROUND_TRIPS.get(from.max(to)).and_then(|row| row.get(from.min(to))).copied();
    Duration::from_micros(u64::from(round_trip.unwrap_or(50)) * 500)
}

fn below(count: usize, rng: &mut ChaCha8Rng) -> usize {
    let count = u32::try_from(count).unwrap_or(1).max(1);
    usize::try_from(rng.next_u32() % count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    #[test]
    fn places_are_near_themselves_and_as_far_there_as_back() {
        for seed in 0..50 {
            let regions = Regions::draw(&mut Seed::root(seed).rng());
            assert!((2..=6).contains(&regions.count()));
            for from in 0..regions.count() {
                assert_eq!(regions.latency(from, from), Duration::from_millis(5));
                for to in (0..regions.count()).filter(|to| *to != from) {
                    assert!(regions.latency(from, to) > Duration::from_millis(10));
                    assert_eq!(regions.latency(from, to), regions.latency(to, from));
                }
            }
        }
    }
}
