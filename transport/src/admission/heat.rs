//! Whose handshakes have come to nothing of late. Pure.

use super::Netgroup;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A record is forgotten when nothing has failed for so long.
const MEMORY: Duration = Duration::from_secs(60);
/// Groups remembered: stops a flood from many addresses from filling our memory. The longest quiet leaves first.
const MAX_GROUPS: usize = 4_096;
/// Failures beyond which nothing gets worse, so that a flood's later rounds are all alike.
const WORST: u32 = 16;

/// Failed handshakes by group.
#[derive(Debug)]
pub(super) struct Heat(BTreeMap<Netgroup, (u32, Instant)>);

impl Heat {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A handshake from there failed.
    pub(super) fn add(&mut self, group: Netgroup, now: Instant) {
        self.set(group, self.of(group, now).saturating_add(1).min(WORST), now);
    }

    /// No failures could be worse.
    pub(super) fn overheat(&mut self, group: Netgroup, now: Instant) {
        self.set(group, WORST, now);
    }

    fn set(&mut self, group: Netgroup, failures: u32, now: Instant) {
        if self.0.len() >= MAX_GROUPS && !self.0.contains_key(&group) {
            let quiet = self.0.iter().min_by_key(|(_, (_, last))| *last).map(|(group, _)| *group);
            quiet.and_then(|group| self.0.remove(&group));
        }
        self.0.insert(group, (failures, now));
    }

    /// A handshake from there succeeded: it outweighs a failure.
    pub(super) fn cool(&mut self, group: Netgroup) {
        if let Some((failures, _)) = self.0.get_mut(&group) {
            *failures = failures.saturating_sub(1);
        }
    }

    /// How many failed there of late.
    pub(super) fn of(&self, group: Netgroup, now: Instant) -> u32 {
        let fresh = self.0.get(&group).filter(|(_, last)| now.saturating_duration_since(*last) < MEMORY);
        fresh.map_or(0, |(failures, _)| *failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_add_up_to_a_bound_and_are_forgotten() {
        let (mut heat, now) = (Heat::new(), tokio::time::Instant::now().into_std());
        let group = Netgroup::V4([10, 0, 1]);
        assert_eq!(heat.of(group, now), 0);
        (0..WORST * 2).for_each(|_| heat.add(group, now));
        assert_eq!(heat.of(group, now), WORST);
        assert_eq!(heat.of(Netgroup::V4([10, 0, 2]), now), 0);
        assert_eq!(heat.of(group, now + MEMORY), 0);
        heat.add(group, now + MEMORY);
        assert_eq!(heat.of(group, now + MEMORY), 1, "it begins anew");
        heat.overheat(group, now + MEMORY);
        heat.cool(group);
        assert_eq!(heat.of(group, now + MEMORY), WORST - 1);
        (0..WORST).for_each(|_| heat.cool(group));
        assert_eq!(heat.of(group, now + MEMORY), 0, "nobody earns credit");
    }

    #[test]
    fn as_many_groups_as_there_are_addresses_fill_no_more_than_the_bound() {
        let (mut heat, start) = (Heat::new(), tokio::time::Instant::now().into_std());
        let mut now = start;
        for number in 0..u32::try_from(MAX_GROUPS).unwrap() + 100 {
            now += Duration::from_millis(1);
            let [_, high, middle, low] = number.to_be_bytes();
            heat.add(Netgroup::V4([high, middle, low]), now);
        }
        assert_eq!(heat.0.len(), MAX_GROUPS);
        assert_eq!(heat.of(Netgroup::V4([0, 0, 0]), now), 0, "the longest quiet has left");
    }
}
