//! Admission: what may be asked for now.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::wire::MAX_BLOCK_BYTES;

/// The least a body is taken to cost: stops a hint of one byte from admitting millions of requests.
pub(crate) const LEAST_COST: u32 = 512;

/// What a body is taken to cost before any has been seen and when nobody hinted.
pub(crate) const FIRST_ESTIMATE: u32 = 32 * 1024;

/// Weight of a new body in the running estimate, as a divisor.
const ESTIMATE_INERTIA: u32 = 16;

const _: () = assert!(LEAST_COST <= FIRST_ESTIMATE && FIRST_ESTIMATE <= MAX_BLOCK_BYTES);

/// The size of a body about which nothing was said: a running mean of those seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate(u32);

impl Default for Estimate {
    fn default() -> Self {
        Self(FIRST_ESTIMATE)
    }
}

impl Estimate {
    /// A body of this size was seen.
    pub(crate) const fn learn(&mut self, bytes: u32) {
        let rest = self.0.saturating_sub(self.0 / ESTIMATE_INERTIA);
        self.0 = rest.saturating_add(bytes / ESTIMATE_INERTIA);
    }

    /// What a body with this hint (zero: none) is taken to cost: a hint is a peer's word and stays within what a
    /// body can be.
    pub(crate) fn cost(self, hint: u32) -> u32 {
        let size = if hint == 0 { self.0 } else { hint };
        size.clamp(LEAST_COST, MAX_BLOCK_BYTES)
    }
}

/// Bytes by stage, against their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Most bytes asked for or free to be asked for.
    pub(crate) in_flight_limit: u64,
    /// Most bytes of bodies received and not yet committed.
    pub(crate) retained_limit: u64,
    /// Estimated bytes in flight.
    pub(crate) in_flight: u64,
    /// Bytes retained.
    pub(crate) retained: u64,
}

impl Budget {
    /// Whether a body of this cost may be asked for: it must fit in flight now, and in memory when it arrives.
    pub(crate) fn admits(&self, cost: u32) -> bool {
        let in_flight = self.in_flight.saturating_add(u64::from(cost));
        in_flight <= self.in_flight_limit && in_flight.saturating_add(self.retained) <= self.retained_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_stay_within_what_a_body_can_be() {
        let estimate = Estimate::default();
        assert_eq!(estimate.cost(0), FIRST_ESTIMATE);
        assert_eq!(estimate.cost(1), LEAST_COST);
        assert_eq!(estimate.cost(u32::MAX), MAX_BLOCK_BYTES);
        assert_eq!(estimate.cost(9_000), 9_000);
    }

    #[test]
    fn the_estimate_follows_what_is_seen() {
        let mut estimate = Estimate::default();
        (0..200).for_each(|_| estimate.learn(1_700));
        assert!(estimate.cost(0).abs_diff(1_700) < 100, "{estimate:?}");
    }

    #[test]
    fn a_body_is_admitted_only_if_there_will_be_room_for_it() {
        let budget = Budget { in_flight_limit: 100, retained_limit: 150, in_flight: 60, retained: 0 };
        assert!(budget.admits(40));
        assert!(!budget.admits(41), "in flight");
        assert!(!Budget { retained: 51, ..budget }.admits(40), "retained");
    }
}
