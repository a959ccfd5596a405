//! How many disco datagrams of strangers we open. Pure.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::connection::Pace;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Datagrams of all strangers together that we open in a second, and at once. Opening and answering one costs a scalar
/// multiplication, 0.2 ms at most: stops a flood from more sources than we can tell apart from taking more than a
/// twentieth of one core.
pub(super) const STRANGERS_PER_S: u32 = 256;
/// Datagrams of one strange source that we open in a second, and at once: stops one flooder from silencing everybody
/// else. A magic socket sends two in five seconds.
pub(super) const SOURCE_PER_S: u32 = 32;
pub(super) const SOURCE_BURST: u32 = 64;
/// Sources that are told apart, at most: bounds what remembering them costs.
const MAX_SOURCES: usize = 1024;
/// A source that was silent for so long has its whole burst again: forgetting it changes nothing.
const RESTED: Duration = Duration::from_secs(2);

const _: () = assert!(SOURCE_BURST as u64 <= SOURCE_PER_S as u64 * RESTED.as_secs());
const _: () = assert!(
    STRANGERS_PER_S as u64 * (RESTED.as_secs() + 1) < MAX_SOURCES as u64,
    "whoever is not rested fits, as the bound on all strangers bounds the new ones too"
);

/// What strangers may still send.
pub(super) struct Intake {
    all: Pace,
    sources: BTreeMap<IpAddr, Source>,
}

struct Source {
    pace: Pace,
    last: Instant,
}

impl Intake {
    pub(super) fn new(now: Instant) -> Self {
        Self { all: Pace::new(now, STRANGERS_PER_S, STRANGERS_PER_S), sources: BTreeMap::new() }
    }

    /// Whether one more of this source is opened.
    pub(super) fn take(&mut self, from: IpAddr, now: Instant) -> bool {
        let group = group(from);
        let is_in_pace = self.sources.get(&group).is_none_or(|source| source.pace.take(now).is_ok());
        if !is_in_pace || self.all.take(now).is_err() {
            return false;
        }
        if self.sources.len() >= MAX_SOURCES {
            self.sources.retain(|_, source| now.saturating_duration_since(source.last) < RESTED);
        }
        self.sources.entry(group).or_insert_with(|| Source::begun(now)).last = now;
        true
    }
}

impl Source {
    /// One of its burst is taken.
    fn begun(now: Instant) -> Self {
        Self { pace: Pace::new(now, SOURCE_PER_S, SOURCE_BURST.saturating_sub(1)), last: now }
    }
}

/// Who counts as one source: an IPv4 address, or an IPv6 site (/56), which has more addresses than anyone can count.
fn group(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !(u128::MAX >> 56))),
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of the test's own")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(last: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + last))
    }

    #[test]
    fn one_source_gets_its_burst_and_then_its_rate() {
        let start = tokio::time::Instant::now().into_std();
        let mut intake = Intake::new(start);
        let taken = (0..1000).filter(|_| intake.take(ip(1), start)).count();
        assert_eq!(taken, 64);
        assert!(intake.take(ip(2), start), "another source is not touched");
        let later = start + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|_| intake.take(ip(1), later)).count(), 32);
    }

    #[test]
    fn the_addresses_of_one_site_are_one_source() {
        let start = tokio::time::Instant::now().into_std();
        let mut intake = Intake::new(start);
        let site = |host: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host));
        assert_eq!((0..1000).filter(|host| intake.take(site(*host), start)).count(), 64);
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert_eq!(group(mapped), ip(1));
    }

    #[test]
    fn many_sources_share_one_bound_and_little_memory() {
        let start = tokio::time::Instant::now().into_std();
        let mut intake = Intake::new(start);
        let mut taken = 0;
        for step in 0..100_000 {
            // 10 s of 10,000 a second, each from an address of its own.
            let now = start + Duration::from_micros(100) * step;
            taken += usize::from(intake.take(ip(step), now));
            assert!(intake.sources.len() <= MAX_SOURCES);
        }
        assert!((2700..=2817).contains(&taken), "{taken}");
    }
}
