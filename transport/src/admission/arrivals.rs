//! How often somebody comes. Pure.

use super::{GroupCaps, Netgroup};
use crate::PeerId;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Connections of one identity that are registered at once, and then one each [`PAUSE`]. Every connection begins with all its
/// paces at rest: stops a peer from getting a fresh allowance as often as it comes back (threats G05). Ten times what a
/// node needs that redials by wire 6.
const AT_ONCE: u32 = 16;
/// See [`AT_ONCE`]. A neighbourhood gets as much as its [`GroupCaps::inbound`] identities.
const PAUSE: Duration = Duration::from_secs(5);
/// Handshakes with one neighbourhood that are begun at once, and then so many a second: each costs us a signature and a key
/// exchange, and up to two milliseconds, whatever comes of it. Stops a peer that finishes TLS over and over from keeping a
/// processor busy (threats R05: 250 ms in ten seconds).
const HANDSHAKES: Pace = Pace { pause: Duration::from_millis(125), at_once: 64 };
/// Identities remembered, and as many neighbourhoods: stops keys, which cost nothing, from filling our memory. Whoever
/// would be forgiven first leaves first.
const MOST: usize = 4_096;

/// Whoever came of late, and when that will be forgiven.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    peers: BTreeMap<PeerId, Instant>,
    groups: BTreeMap<Netgroup, Instant>,
    handshakes: BTreeMap<Netgroup, Instant>,
}

impl Arrivals {
    /// Whether this neighbourhood has not had more than its share of handshakes.
    pub(super) fn may_begin(&self, group: Netgroup, caps: GroupCaps, now: Instant) -> bool {
        !caps.tell_operators_apart() || HANDSHAKES.allows(&self.handshakes, &group, now)
    }

    /// A handshake with somebody of this neighbourhood begins, who has proved its address: anybody may write another's.
    pub(super) fn begins(&mut self, group: Netgroup, now: Instant) {
        HANDSHAKES.charge(&mut self.handshakes, group, now);
    }

    /// A stranger is about to get a place. `false`: it, or its neighbourhood, comes too often. Where neighbourhoods say nothing,
    /// nobody does: there a node's peers restart, are tried out and come back as they like.
    pub(super) fn take(&mut self, id: PeerId, group: Netgroup, caps: GroupCaps, now: Instant) -> bool {
        let members = u32::try_from(caps.inbound).unwrap_or(u32::MAX).clamp(1, 64);
        let of_group = Pace { pause: PAUSE / members, at_once: AT_ONCE.saturating_mul(members) };
        let of_peer = Pace { pause: PAUSE, at_once: AT_ONCE };
        if !caps.tell_operators_apart() {
            return true;
        }
        if !of_peer.allows(&self.peers, &id, now) || !of_group.allows(&self.groups, &group, now) {
            return false;
        }
        of_peer.charge(&mut self.peers, id, now);
        of_group.charge(&mut self.groups, group, now);
        true
    }
}

#[derive(Clone, Copy)]
struct Pace {
    pause: Duration,
    at_once: u32,
}

impl Pace {
    fn allows<K: Ord>(self, forgiven: &BTreeMap<K, Instant>, key: &K, now: Instant) -> bool {
        let ahead = forgiven.get(key).map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        ahead <= self.pause.saturating_mul(self.at_once.saturating_sub(1))
    }

    fn charge<K: Ord + Copy>(self, forgiven: &mut BTreeMap<K, Instant>, key: K, now: Instant) {
        let from = forgiven.get(&key).copied().unwrap_or(now).max(now);
        if forgiven.len() >= MOST && !forgiven.contains_key(&key) {
            forgiven.retain(|_, at| *at > now);
        }
        if forgiven.len() >= MOST && !forgiven.contains_key(&key) {
            let first = forgiven.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
            first.and_then(|first| forgiven.remove(&first));
        }
        forgiven.insert(key, from.checked_add(self.pause).unwrap_or(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        PeerId::new(bytes)
    }

    const HERE: Netgroup = Netgroup::V4([10, 0, 1]);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn came(arrivals: &mut Arrivals, ids: impl Iterator<Item = u32>, caps: GroupCaps, now: Instant) -> usize {
        ids.filter(|n| arrivals.take(id(*n), HERE, caps, now)).count()
    }

    #[test]
    fn an_identity_comes_sixteen_times_and_then_every_five_seconds() {
        let (mut arrivals, start) = (Arrivals::default(), now());
        let again =
            |arrivals: &mut Arrivals, now| came(arrivals, std::iter::repeat_n(1, 100), GroupCaps::OPEN, now);
        assert_eq!(again(&mut arrivals, start), 16);
        assert_eq!(again(&mut arrivals, start + Duration::from_millis(4_999)), 0);
        assert_eq!(again(&mut arrivals, start + PAUSE), 1);
        let hour = (2..=720).map(|n| again(&mut arrivals, start + PAUSE * n)).sum::<usize>();
        assert_eq!(hour, 719, "whatever it tries");
        assert_eq!(again(&mut arrivals, start + PAUSE * 2_000), 16, "after a rest as at first");
    }

    #[test]
    fn new_keys_do_not_help_a_neighbourhood_and_its_neighbours_are_not_touched() {
        let (mut arrivals, start) = (Arrivals::default(), now());
        assert_eq!(came(&mut arrivals, 0..1_000, GroupCaps::OPEN, start), 64);
        assert_eq!(came(&mut arrivals, 1_000..2_000, GroupCaps::OPEN, start + PAUSE), 4);
        assert!(arrivals.take(id(1), Netgroup::V4([10, 0, 2]), GroupCaps::OPEN, start));
    }

    #[test]
    fn on_one_host_a_neighbourhood_says_nothing() {
        let (mut arrivals, start) = (Arrivals::default(), now());
        assert_eq!(came(&mut arrivals, 0..1_000, GroupCaps::ONE_HOST, start), 1_000);
        assert_eq!(came(&mut arrivals, std::iter::repeat_n(1, 100), GroupCaps::ONE_HOST, start), 100);
    }

    #[test]
    fn a_neighbourhood_gets_eight_handshakes_a_second() {
        let (mut arrivals, start) = (Arrivals::default(), now());
        let mut begun = |caps: GroupCaps, now| {
            let begins = |_: &u32| {
                let may = arrivals.may_begin(HERE, caps, now);
                if may {
                    arrivals.begins(HERE, now);
                }
                may
            };
            (0..1_000).filter(begins).count()
        };
        assert_eq!(begun(GroupCaps::OPEN, start), 64);
        assert_eq!(begun(GroupCaps::OPEN, start + Duration::from_secs(1)), 8);
        assert_eq!(begun(GroupCaps::ONE_HOST, start), 1_000);
        assert!(arrivals.may_begin(Netgroup::V4([10, 0, 2]), GroupCaps::OPEN, start));
    }

    #[test]
    fn whom_we_remember_is_bounded() {
        let (mut arrivals, start) = (Arrivals::default(), now());
        for n in 0..10_000_u32 {
            let [.., high, middle, low] = n.to_be_bytes();
            assert!(arrivals.take(id(n), Netgroup::V4([high, middle, low]), GroupCaps::OPEN, start));
        }
        assert_eq!((arrivals.peers.len(), arrivals.groups.len()), (MOST, MOST));
    }
}
