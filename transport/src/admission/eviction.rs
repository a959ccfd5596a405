//! Whose place a newcomer may take. Pure.
//!
//! The idea is Bitcoin Core's: protect the best by several criteria that are hard to have all at once for whoever only
//! wants our places, and take the worst of the rest (threats E02).

use super::Netgroup;
use crate::Fence;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Of so many strangers one is protected by each criterion that can be bought or forged: by use, by neighbourhood, by
/// round-trip time. Half of the rest is protected by age, which cannot.
const PART: usize = 8;
/// How long a peer has its place for certain, but from a newcomer by whom places come into more neighbourhoods' hands. Stops
/// newcomers from throwing each other out as fast as they can dial; an honest newcomer waits no longer for a place among
/// idle ones.
const SETTLING: Duration = Duration::from_secs(10);

/// A registered connection, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) connection: Fence,
    pub(crate) group: Netgroup,
    pub(crate) since: Instant,
    /// Never to go.
    pub(crate) is_named: bool,
}

/// What a connection is worth: asked for only when somebody has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worth {
    /// When it was last of use, in the order of all uses ([`Merit`](super::Merit)).
    pub(crate) useful: Option<u64>,
    pub(crate) round_trip: Duration,
}

impl Worth {
    /// Of a connection that nobody can ask any more.
    pub(crate) const NONE: Self = Self { useful: None, round_trip: Duration::MAX };
}

/// An inbound connection that may have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) seat: Seat,
    pub(super) worth: Worth,
}

/// The connection that makes room for a newcomer of this neighbourhood, if there is one.
///
/// Never a named peer, never one of the protected: an eighth each by latest use, by neighbourhoods that `secret` picks (of
/// which nobody else knows the order), and by round-trip time, then half of the rest by age. Of the others the most
/// crowded neighbourhood loses its least useful, youngest member. And places never end up in fewer neighbourhoods than
/// before: beyond its own, a neighbourhood gains none from one that has as few.
pub(super) fn choose(
    candidates: &[Candidate],
    newcomer: Netgroup,
    secret: &[u8; 32],
    now: Instant,
) -> Option<Fence> {
    let strangers: Vec<&Candidate> = candidates.iter().filter(|candidate| !candidate.seat.is_named).collect();
    let mut crowds: BTreeMap<Netgroup, usize> = BTreeMap::new();
    for stranger in &strangers {
        let crowd = crowds.entry(stranger.seat.group).or_default();
        *crowd = crowd.saturating_add(1);
    }
    let crowd = |group: Netgroup| crowds.get(&group).copied().unwrap_or_default();
    let may_yield = |candidate: &&Candidate| {
        let is_settled = now.saturating_duration_since(candidate.seat.since) >= SETTLING;
        let (theirs, ours) = (crowd(candidate.seat.group), crowd(newcomer));
        let is_better_spread = ours.saturating_add(1) < theirs;
        is_better_spread || is_settled && (candidate.seat.group == newcomer || ours < theirs)
    };
    let exposed = unprotected(strangers, secret).into_iter().filter(may_yield);
    let worst = exposed.max_by_key(|candidate| {
        (
            crowd(candidate.seat.group),
            Reverse(candidate.worth.useful),
            candidate.seat.since,
            candidate.seat.connection,
        )
    });
    worst.map(|candidate| candidate.seat.connection)
}

/// Those that no criterion protects.
fn unprotected<'a>(mut strangers: Vec<&'a Candidate>, secret: &[u8; 32]) -> Vec<&'a Candidate> {
    let all = strangers.len();
    // Rounded up: where there are few places, use is what counts.
    protect(&mut strangers, all.div_ceil(PART), |candidate| candidate.worth.useful);
    let picked = picked_groups(&strangers, secret, all / PART);
    strangers.retain(|candidate| !picked.contains(&candidate.seat.connection));
    protect(&mut strangers, all / PART, |candidate| Some(Reverse(candidate.worth.round_trip)));
    let half = strangers.len().div_ceil(2);
    protect(&mut strangers, half, |candidate| Some(Reverse(candidate.seat.since)));
    strangers
}

/// Removes the `most` best of those who have the merit; between equals the older connection is better.
fn protect<M: Ord>(strangers: &mut Vec<&Candidate>, most: usize, merit: impl Fn(&Candidate) -> Option<M>) {
    strangers.sort_by_key(|candidate| Reverse((merit(candidate), Reverse(candidate.seat.connection))));
    let best = strangers.iter().take(most).take_while(|candidate| merit(candidate).is_some()).count();
    strangers.drain(..best);
}

/// The oldest connection of each of `most` neighbourhoods, picked by a secret.
fn picked_groups(strangers: &[&Candidate], secret: &[u8; 32], most: usize) -> Vec<Fence> {
    let mut ranked: BTreeMap<([u8; 16], Netgroup), (Instant, Fence)> = BTreeMap::new();
    for stranger in strangers {
        let this = (stranger.seat.since, stranger.seat.connection);
        let oldest = ranked.entry((rank(stranger.seat.group, secret), stranger.seat.group)).or_insert(this);
        *oldest = this.min(*oldest);
    }
    ranked.into_values().take(most).map(|(_, connection)| connection).collect()
}

fn rank(group: Netgroup, secret: &[u8; 32]) -> [u8; 16] {
    let octets: &[u8] = match &group {
        Netgroup::V4(octets) => octets,
        Netgroup::V6(octets) => octets,
    };
    let hash = blake2b_simd::Params::new().hash_length(16).key(secret).hash(octets);
    <[u8; 16]>::try_from(hash.as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: [u8; 32] = [7; 32];

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn group(n: u8) -> Netgroup {
        Netgroup::V4([10, 0, n])
    }

    /// An idle stranger that has been there for `age` seconds before `now`.
    fn idle(from: u8, age: u64, now: Instant) -> Candidate {
        Candidate {
            seat: Seat {
                connection: Fence::mint(),
                group: group(from),
                since: now - Duration::from_secs(age),
                is_named: false,
            },
            worth: Worth { useful: None, round_trip: Duration::from_millis(50) },
        }
    }

    /// A time that is later than any age used here.
    fn later() -> Instant {
        start() + Duration::from_secs(100_000)
    }

    #[test]
    fn the_youngest_idle_one_of_the_most_crowded_group_goes() {
        let now = later();
        let mut all: Vec<_> = (0..12).map(|n| idle(n, 500 + u64::from(n), now)).collect();
        all.extend((0..4).map(|n| idle(100, 100 + n, now)));
        let gone = choose(&all, group(200), &SECRET, now);
        assert_eq!(gone, Some(all[12].seat.connection));
    }

    #[test]
    fn use_decides_between_members_of_one_group() {
        let now = later();
        let mut all: Vec<_> = (0..4).map(|n| idle(1, 100 + n, now)).collect();
        all[0].worth.useful = Some(9);
        assert_eq!(
            choose(&all, group(1), &SECRET, now),
            Some(all[1].seat.connection),
            "the youngest is of use"
        );
        for (candidate, useful) in all.iter_mut().zip([3, 9, 1, 2]) {
            candidate.worth.useful = Some(useful);
        }
        assert_eq!(
            choose(&all, group(1), &SECRET, now),
            Some(all[0].seat.connection),
            "less lately than the other"
        );
    }

    #[test]
    fn the_latest_use_protects_even_the_youngest_of_the_most_crowded_group() {
        let now = later();
        let mut all =
            [(1, 1000), (1, 10), (2, 500), (3, 20), (4, 30)].map(|(from, age)| idle(from, age, now));
        assert_eq!(choose(&all, group(9), &SECRET, now), Some(all[1].seat.connection));
        all[1].worth.useful = Some(1);
        assert_eq!(choose(&all, group(9), &SECRET, now), Some(all[3].seat.connection));
    }

    #[test]
    fn named_peers_and_peers_who_have_just_come_stay() {
        let now = later();
        let mut all: Vec<_> = (0..4).map(|n| idle(1, 20 + n, now)).collect();
        assert!(choose(&all, group(1), &SECRET, now).is_some());
        all.iter_mut().for_each(|candidate| candidate.seat.is_named = true);
        assert_eq!(choose(&all, group(1), &SECRET, now), None);
        let fresh: Vec<_> = (0..4).map(|_| idle(1, 9, now)).collect();
        assert_eq!(choose(&fresh, group(1), &SECRET, now), None);
        assert!(choose(&fresh, group(2), &SECRET, now).is_some(), "places in more hands");
        let fresh: Vec<_> = (0..4).map(|from| idle(from, 9, now)).collect();
        assert_eq!(choose(&fresh, group(9), &SECRET, now), None);
        assert_eq!(choose(&[idle(1, 100, now)], group(2), &SECRET, now), None, "a single one is the oldest");
    }

    #[test]
    fn a_good_round_trip_and_a_lucky_group_protect() {
        let now = later();
        // All alike but for what is tried; 16 strangers, so two by round trip and two by group.
        let mut all: Vec<_> = (0..16).map(|n| idle(n, 100, now)).collect();
        let young = all[15];
        assert_eq!(choose(&all, group(99), &SECRET, now), Some(young.seat.connection));
        all[15].worth.round_trip = Duration::from_millis(1);
        assert_ne!(choose(&all, group(99), &SECRET, now), Some(young.seat.connection));
        all[15].worth.round_trip = young.worth.round_trip;
        let lucky =
            (0..=u8::MAX).find(|n| choose(&all, group(99), &[*n; 32], now) != Some(young.seat.connection));
        assert!(lucky.is_some(), "under some secret its group is picked");
    }

    fn candidates(now: Instant) -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0_u8..12, 0_u64..1000, proptest::option::of(0_u64..50), 1_u64..300, any::<bool>());
        proptest::collection::vec(one, 0..60).prop_map(move |all| {
            let candidate = |(from, age, useful, millis, is_named): (u8, u64, Option<u64>, u64, bool)| {
                let mut candidate = idle(from, age, now);
                candidate.worth = Worth { useful, round_trip: Duration::from_millis(millis) };
                candidate.seat.is_named = is_named && from == 0;
                candidate
            };
            all.into_iter().map(candidate).collect()
        })
    }

    proptest! {
        #[test]
        fn whoever_goes_was_not_protected(all in candidates(later()), from in 0_u8..14, secret: [u8; 32]) {
            let now = all.iter().map(|c| c.seat.since).max().unwrap_or_else(later);
            let Some(gone) = choose(&all, group(from), &secret, now) else { return Ok(()) };
            let gone = all.iter().find(|c| c.seat.connection == gone).unwrap();
            prop_assert!(!gone.seat.is_named);
            let strangers: Vec<_> = all.iter().filter(|c| !c.seat.is_named).collect();
            let rest = strangers.len() - strangers.len().div_ceil(PART) - 2 * (strangers.len() / PART);
            let older = strangers.iter().filter(|c| (c.seat.since, c.seat.connection) < (gone.seat.since, gone.seat.connection));
            prop_assert!(older.count() >= rest.div_ceil(2), "half of the rest was there before");
            if gone.worth.useful.is_some() {
                let better = strangers.iter().filter(|c| c.worth.useful >= gone.worth.useful).count();
                prop_assert!(better > strangers.len().div_ceil(PART), "so many were of use later");
            }
            let quicker = strangers.iter().filter(|c| c.worth.round_trip <= gone.worth.round_trip).count();
            prop_assert!(quicker > strangers.len() / PART);
            let crowd = |g| strangers.iter().filter(|c| c.seat.group == g).count();
            prop_assert!(gone.seat.group == group(from) || crowd(group(from)) < crowd(gone.seat.group));
            let is_settled = now - gone.seat.since >= SETTLING;
            prop_assert!(is_settled || crowd(group(from)) + 1 < crowd(gone.seat.group));
        }

        #[test]
        fn the_order_of_the_list_decides_nothing(all in candidates(later()), from in 0_u8..14, turn in 0_usize..60) {
            let now = later();
            let mut turned = all.clone();
            turned.reverse();
            turned.rotate_left(turn % all.len().max(1));
            prop_assert_eq!(choose(&all, group(from), &SECRET, now), choose(&turned, group(from), &SECRET, now));
        }

        /// An operator of one group dials as often as he likes, with the best round trip there is: of those who were there
        /// before him, each from a group of its own, he gets one place at most, for his first connection.
        #[test]
        fn one_group_cannot_push_out_peers_of_distinct_groups(
            honest in 2_u8..40,
            rounds in 1_u64..60,
            attackers_useful: bool,
            secret: [u8; 32],
        ) {
            let mut now = later();
            let mut all: Vec<_> = (0..honest).map(|n| idle(n, 600 + u64::from(n), now)).collect();
            let places = all.len();
            for round in 0..rounds {
                now += SETTLING;
                let Some(gone) = choose(&all, group(200), &secret, now) else { continue };
                all.retain(|c| c.seat.connection != gone);
                let useful = attackers_useful.then_some(round + 1);
                all.push(Candidate { worth: Worth { useful, round_trip: Duration::ZERO }, ..idle(200, 0, now) });
            }
            prop_assert_eq!(all.len(), places);
            prop_assert!(all.iter().filter(|c| c.seat.group == group(200)).count() <= 1);
        }
    }
}
