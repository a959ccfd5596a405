//! What became of dials to one node (wire 5.1).

use crate::wire::{AddressPolicy, RecordAddr};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// The pause after a first failure (wire 5.1); it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause (wire 5.1).
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// Pauses are longer by up to this much, so that nodes that lost the same peer do not return as one.
const JITTER_PERCENT: u64 = 20;

/// A count that doubles a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Backoff {
    count: u32,
    until: Option<Instant>,
}

impl Backoff {
    fn note(&mut self, now: Instant, jitter: u64) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.count.min(16)).min(LONGEST_PAUSE);
        let percent = u32::try_from(jitter % JITTER_PERCENT.saturating_add(1)).unwrap_or(0);
        let pause = doubled.saturating_add(doubled.saturating_mul(percent) / 100);
        self.count = self.count.saturating_add(1);
        self.until = now.checked_add(pause).max(self.until);
    }

    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

/// One node's dials: pauses for the node, and for each of its addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts {
    node: Backoff,
    /// Connections that did not last, in a row: no failures, but they pause us all the same.
    short: Backoff,
    /// Only addresses of the present record, so at most eight.
    places: Vec<(IpAddr, Backoff)>,
    success: Option<Instant>,
}

impl Attempts {
    /// Dials in a row that gave no connection.
    pub(crate) const fn failures(&self) -> u32 {
        self.node.count
    }

    /// When a connection with it last stood long enough to count.
    pub(crate) const fn success(&self) -> Option<Instant> {
        self.success
    }

    /// Whether the node may be dialled at this address now.
    pub(crate) fn allow(&self, now: Instant, ip: IpAddr) -> bool {
        let ip = AddressPolicy::canonical(ip);
        let place = self.places.iter().find(|(place, _)| *place == ip);
        self.node.is_over(now) && self.short.is_over(now) && place.is_none_or(|(_, place)| place.is_over(now))
    }

    /// A dial gave no connection.
    pub(crate) fn failed(&mut self, now: Instant, ip: IpAddr, jitter: u64) {
        self.node.note(now, jitter);
        let ip = AddressPolicy::canonical(ip);
        match self.places.iter_mut().find(|(place, _)| *place == ip) {
            Some((_, place)) => place.note(now, jitter),
            None => {
                let mut place = Backoff::default();
                place.note(now, jitter);
                self.places.push((ip, place));
            }
        }
    }

    /// A connection did not last. No failure, but a node that leaves at once again and again is dialled ever less often.
    pub(crate) fn fell_short(&mut self, now: Instant, jitter: u64) {
        self.short.note(now, jitter);
    }

    /// A connection has stood long enough: the pauses start over.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        *self = Self { success: Some(now), ..Self::default() };
    }

    /// Forgets addresses that the node does not name any more.
    pub(crate) fn keep(&mut self, addresses: &[RecordAddr]) {
        let named = |ip: &IpAddr| addresses.iter().any(|addr| AddressPolicy::canonical(addr.0.ip()) == *ip);
        self.places.retain(|(ip, _)| named(ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn pauses_double_from_a_minute_to_an_hour_with_a_fifth_of_jitter() {
        let (mut attempts, mut at, ip) = (Attempts::default(), now(), IpAddr::from([8, 8, 8, 8]));
        for (round, expected) in [60, 120, 240, 480, 960, 1920, 3600, 3600].into_iter().enumerate() {
            assert!(attempts.allow(at, ip));
            attempts.failed(at, ip, u64::try_from(round).unwrap() * 7);
            let (early, late) = (Duration::from_secs(expected - 1), Duration::from_secs(expected * 6 / 5));
            assert!(!attempts.allow(at + early, ip), "{expected}");
            at += late;
        }
        assert_eq!(attempts.failures(), 8);
        attempts.succeeded(at);
        assert!(attempts.allow(at, ip));
        assert_eq!((attempts.failures(), attempts.success()), (0, Some(at)));
    }

    #[test]
    fn a_node_that_leaves_at_once_is_no_failure_and_waits_longer_each_time() {
        let (mut attempts, at, ip) = (Attempts::default(), now(), IpAddr::from([8, 8, 8, 8]));
        attempts.fell_short(at, 0);
        assert!(!attempts.allow(at + Duration::from_secs(59), ip));
        assert!(attempts.allow(at + Duration::from_secs(60), ip));
        attempts.fell_short(at + Duration::from_secs(60), 0);
        assert!(!attempts.allow(at + Duration::from_secs(179), ip));
        assert_eq!((attempts.failures(), attempts.success()), (0, None));
    }

    #[test]
    fn an_address_waits_for_itself_in_any_disguise_and_is_forgotten_with_its_record() {
        let (mut attempts, at) = (Attempts::default(), now());
        let (plain, disguised) = (IpAddr::from([8, 8, 8, 8]), "::ffff:8.8.8.8".parse().unwrap());
        attempts.failed(at, disguised, 0);
        attempts.node = Backoff::default();
        assert!(!attempts.allow(at, plain) && attempts.allow(at, IpAddr::from([9, 9, 9, 9])));
        attempts.keep(&[RecordAddr("9.9.9.9:1".parse().unwrap())]);
        assert!(attempts.allow(at, plain));
    }
}
