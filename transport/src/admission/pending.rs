//! Inbound handshakes under way: who gets a place before anything is spent on it. Pure.

use super::{Netgroup, heat::Heat};
use crate::Fence;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a handshake under way is left alone by newcomers of no better record, but not by those of a neighbourhood that has
/// fewer places. Short, so that a flood from many neighbourhoods soon wears out their records: whose handshakes come to
/// nothing displaces nobody of a good one. The oldest goes first: a round trip around the world is safe from 200 fresh
/// neighbourhoods a second.
const GRACE: Duration = Duration::from_millis(50);
/// Failures of late that keep a group out while many come and go. Not the first: an honest handshake may be displaced, or its
/// datagrams lost, when there is a flood.
const TOO_MANY: u32 = 3;

/// What becomes of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knock {
    /// It has a place, until [`Pending::leave`]. Whoever held it before is to let go.
    Admit { place: Fence, displaced: Option<Fence> },
    /// The sender is asked to prove its address.
    Retry,
    /// It is dropped without an answer.
    Ignore,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Both sides know each other.
    Met,
    /// It came to nothing; whether the peer is at its address is shown by what it said, or not.
    Failed { is_proven: bool },
}

#[derive(Debug, Clone, Copy)]
struct Held {
    group: Option<Netgroup>,
    since: Instant,
    is_proven: bool,
}

/// Handshakes under way. A named peer's address is in no group: it counts only in the total.
///
/// Whoever has not proved its address may be anybody who writes a victim's address on a datagram. Such an attempt takes a
/// place only while that leaves half of the places, of all and of its group, to those who have: so a forger delays his
/// victim by one round trip, and keeps nobody out.
///
/// When no place is free, whoever has proved its address may take that of another: of a group whose handshakes have failed
/// more often of late, or of one that has had its time. So dribblers keep nobody out either, however many their addresses:
/// after their first round their record is the worse one.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) most: usize,
    most_per_group: usize,
    held: BTreeMap<Fence, Held>,
    heat: Heat,
}

impl Pending {
    pub(super) const fn new(most: usize, most_per_group: usize) -> Self {
        Self { most, most_per_group, held: BTreeMap::new(), heat: Heat::new() }
    }

    /// Judges an attempt from `group`, or from a named peer's address.
    pub(super) fn knock(&mut self, group: Option<Netgroup>, is_proven: bool, now: Instant) -> Knock {
        let is_full = self.held.len() >= self.most;
        let is_group_full = group.is_some() && self.of(group) >= self.most_per_group;
        if is_full || is_group_full {
            let Some(displaced) = self.weakest(group, is_group_full, now) else { return Knock::Ignore };
            if !is_proven {
                return Knock::Retry;
            }
            self.leave(displaced, Outcome::Failed { is_proven: false }, now);
            return self.admit(group, is_proven, now, Some(displaced));
        }
        let is_half = |held: usize, most: usize| held.saturating_add(1).saturating_mul(2) > most;
        let beyond_half = is_half(self.held.len(), self.most)
            || group.is_some() && is_half(self.of(group), self.most_per_group);
        if !is_proven && beyond_half {
            return Knock::Retry;
        }
        self.admit(group, is_proven, now, None)
    }

    /// Judges an attempt while many come and go: only who proves its address, and of whose group few have failed of late.
    pub(super) fn knock_in_a_crowd(
        &mut self,
        group: Option<Netgroup>,
        is_proven: bool,
        now: Instant,
    ) -> Knock {
        match group {
            Some(group) if self.heat.of(group, now) >= TOO_MANY => Knock::Ignore,
            Some(_) if !is_proven => Knock::Retry,
            Some(_) | None => self.knock(group, is_proven, now),
        }
    }

    fn admit(
        &mut self,
        group: Option<Netgroup>,
        is_proven: bool,
        now: Instant,
        displaced: Option<Fence>,
    ) -> Knock {
        let place = Fence::mint();
        self.held.insert(place, Held { group, since: now, is_proven });
        Knock::Admit { place, displaced }
    }

    /// Whose place a newcomer of this group may take: the worst record's, then the oldest. Of its own group only, if that has
    /// its share already.
    fn weakest(&self, group: Option<Netgroup>, own_only: bool, now: Instant) -> Option<Fence> {
        let heat = |of: Option<Netgroup>| of.map_or(0, |group| self.heat.of(group, now));
        let ours = heat(group);
        let places = self.of(group);
        let may_go = |held: &Held| {
            let has_had_its_time = now.saturating_duration_since(held.since) >= GRACE;
            let has_more = held.group != group && places.saturating_add(1) < self.of(held.group);
            heat(held.group) > ours || heat(held.group) == ours && (has_had_its_time || has_more)
        };
        let named_or_other = |held: &Held| held.group.is_none() || own_only && held.group != group;
        let candidates = self.held.iter().filter(|(_, held)| !named_or_other(held) && may_go(held));
        let weakness = |place: Fence, held: &Held| (heat(held.group), Reverse((held.since, place)));
        candidates.max_by_key(|(place, held)| weakness(**place, held)).map(|(place, _)| *place)
    }

    /// The handshake of a place is over.
    pub(super) fn leave(&mut self, place: Fence, outcome: Outcome, now: Instant) {
        let Some(held) = self.held.remove(&place) else { return };
        match (held.group, outcome) {
            (Some(group), Outcome::Failed { is_proven }) if is_proven || held.is_proven => {
                self.heat.add(group, now);
            }
            (Some(group), Outcome::Met) => self.heat.cool(group),
            _ => {}
        }
    }

    /// This group stays out while many come and go.
    pub(super) fn shun(&mut self, group: Netgroup, now: Instant) {
        self.heat.overheat(group, now);
    }

    fn of(&self, group: Option<Netgroup>) -> usize {
        self.held.values().filter(|held| held.group == group).count()
    }

    /// Who holds places.
    #[cfg(feature = "simulation")]
    pub(super) fn groups(&self) -> impl Iterator<Item = Option<Netgroup>> + '_ {
        self.held.values().map(|held| held.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same instant throughout a test: nobody has had its time.
    fn now() -> Instant {
        static NOW: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *NOW.get_or_init(|| tokio::time::Instant::now().into_std())
    }

    const fn group(n: u8) -> Option<Netgroup> {
        Some(Netgroup::V4([10, 0, n]))
    }

    fn admitted(pending: &mut Pending, from: Option<Netgroup>, is_proven: bool) -> usize {
        std::iter::from_fn(|| {
            matches!(pending.knock(from, is_proven, now()), Knock::Admit { .. }).then_some(())
        })
        .count()
    }

    #[test]
    fn a_group_gets_its_share_and_not_one_more() {
        let mut pending = Pending::new(64, 4);
        assert_eq!(admitted(&mut pending, group(1), true), 4);
        assert_eq!(pending.knock(group(1), true, now()), Knock::Ignore);
        assert!(matches!(pending.knock(group(2), true, now()), Knock::Admit { .. }));
    }

    #[test]
    fn all_groups_together_get_the_total_and_not_one_more() {
        let mut pending = Pending::new(64, 4);
        let knock = |n: &u8| matches!(pending.knock(group(*n), true, now()), Knock::Admit { .. });
        assert_eq!((0..100).filter(knock).count(), 64);
        assert_eq!(pending.knock(None, true, now()), Knock::Ignore, "not for a named peer's address either");
    }

    #[test]
    fn a_forger_of_addresses_cannot_take_the_second_half() {
        let mut pending = Pending::new(64, 4);
        assert_eq!(admitted(&mut pending, group(1), false), 2);
        assert_eq!(pending.knock(group(1), false, now()), Knock::Retry);
        assert_eq!(admitted(&mut pending, group(1), true), 2, "whoever proves the address has the rest");
        let mut pending = Pending::new(64, 4);
        let forged: usize = (0..100).map(|n| admitted(&mut pending, group(n), false)).sum();
        assert_eq!(forged, 32);
        assert_eq!(pending.knock(group(200), false, now()), Knock::Retry);
        assert!(matches!(pending.knock(group(200), true, now()), Knock::Admit { .. }));
        assert_eq!(
            Pending::new(64, 1).knock(group(1), false, now()),
            Knock::Retry,
            "the only place is the last one"
        );
    }

    #[test]
    fn a_place_that_was_left_is_free_again_and_once() {
        let mut pending = Pending::new(64, 1);
        let Knock::Admit { place, .. } = pending.knock(group(1), true, now()) else { panic!("it is free") };
        assert_eq!(pending.knock(group(1), true, now()), Knock::Ignore);
        pending.leave(place, Outcome::Met, now());
        assert!(matches!(pending.knock(group(1), true, now()), Knock::Admit { .. }));
        pending.leave(place, Outcome::Met, now());
        assert_eq!(
            pending.knock(group(1), true, now()),
            Knock::Ignore,
            "leaving twice frees nobody else's place"
        );
    }

    #[test]
    fn named_addresses_are_in_no_group() {
        let mut pending = Pending::new(64, 4);
        assert_eq!(admitted(&mut pending, None, true), 64);
    }

    /// A place that a newcomer got, and whose it was.
    fn taken(knock: Knock) -> (Fence, Option<Fence>) {
        let Knock::Admit { place, displaced } = knock else { panic!("{knock:?}") };
        (place, displaced)
    }

    #[test]
    fn who_has_had_its_time_gives_way_to_who_proves_its_address() {
        let mut pending = Pending::new(2, 2);
        let (first, _) = taken(pending.knock(group(1), true, now()));
        taken(pending.knock(group(2), true, now() + GRACE / 2));
        assert_eq!(pending.knock(group(3), true, now() + GRACE / 2), Knock::Ignore, "both are at it");
        assert_eq!(
            pending.knock(group(3), false, now() + GRACE),
            Knock::Retry,
            "anybody may write an address"
        );
        let (place, displaced) = taken(pending.knock(group(3), true, now() + GRACE));
        assert_eq!(displaced, Some(first));
        pending.leave(first, Outcome::Met, now() + GRACE);
        assert_eq!(pending.held.len(), 2, "the displaced one's end frees nobody else's place");
        pending.leave(place, Outcome::Met, now() + GRACE);
        assert_eq!(pending.held.len(), 1);
    }

    #[test]
    fn a_neighbourhood_with_fewer_places_need_not_wait() {
        let mut pending = Pending::new(4, 4);
        let first: Vec<_> = (0..4).map(|_| taken(pending.knock(group(1), true, now())).0).collect();
        let second = taken(pending.knock(group(2), true, now()));
        assert_eq!(second.1, Some(first[0]));
        assert_eq!(
            taken(pending.knock(group(2), true, now())).1,
            Some(first[1]),
            "whose record is worse, too"
        );
        let mut pending = Pending::new(4, 4);
        for n in 1..=4 {
            taken(pending.knock(group(n), true, now()));
        }
        assert_eq!(pending.knock(group(5), true, now()), Knock::Ignore, "all have one");
    }

    #[test]
    fn a_group_that_failed_of_late_gives_way_at_once() {
        let mut pending = Pending::new(2, 2);
        let (failed, _) = taken(pending.knock(group(1), true, now()));
        pending.leave(failed, Outcome::Failed { is_proven: true }, now());
        let (again, _) = taken(pending.knock(group(1), true, now()));
        let (honest, _) = taken(pending.knock(group(2), true, now()));
        let (_, displaced) = taken(pending.knock(group(3), true, now()));
        assert_eq!(displaced, Some(again));
        assert_eq!(pending.knock(group(1), true, now()), Knock::Ignore, "and takes no place of a better one");
        assert!(pending.held.contains_key(&honest));
    }

    #[test]
    fn what_a_forger_lets_fail_is_not_held_against_the_address() {
        let mut pending = Pending::new(2, 4);
        let (forged, _) = taken(pending.knock(group(1), false, now()));
        pending.leave(forged, Outcome::Failed { is_proven: false }, now());
        taken(pending.knock(group(1), true, now()));
        taken(pending.knock(group(2), true, now()));
        assert_eq!(
            pending.knock(group(3), true, now()),
            Knock::Ignore,
            "group 1 has the record of all others"
        );
    }

    #[test]
    fn in_a_crowd_only_a_proven_address_with_few_failures_is_let_in() {
        let mut pending = Pending::new(8, 8);
        for _ in 0..TOO_MANY {
            let (failed, _) = taken(pending.knock_in_a_crowd(group(1), true, now()));
            pending.leave(failed, Outcome::Failed { is_proven: true }, now());
        }
        assert_eq!(pending.knock_in_a_crowd(group(1), true, now()), Knock::Ignore);
        let (met, _) = taken(pending.knock(group(1), true, now()));
        pending.leave(met, Outcome::Met, now());
        taken(pending.knock_in_a_crowd(group(1), true, now()));
        assert_eq!(pending.knock_in_a_crowd(group(2), false, now()), Knock::Retry);
        taken(pending.knock_in_a_crowd(group(2), true, now()));
        taken(pending.knock_in_a_crowd(None, false, now()));
    }

    #[test]
    fn named_peers_give_way_to_nobody() {
        let mut pending = Pending::new(1, 1);
        taken(pending.knock(None, true, now()));
        assert_eq!(pending.knock(group(1), true, now() + 10 * GRACE), Knock::Ignore);
    }

    proptest! {
        #[test]
        fn no_order_of_knocks_exceeds_a_cap_or_lets_forgers_have_the_second_half(
            steps in proptest::collection::vec((0_u8..6, any::<bool>(), any::<bool>(), 0_u64..700), 0..200),
            most in 0_usize..20,
            most_per_group in 0_usize..6,
        ) {
            let mut pending = Pending::new(most, most_per_group);
            let mut held: Vec<(Fence, u8, bool)> = Vec::new();
            let mut at = now();
            for (from, is_proven, leaves, millis) in steps {
                at += Duration::from_millis(millis);
                if leaves && !held.is_empty() {
                    pending.leave(held.remove(0).0, Outcome::Failed { is_proven: false }, at);
                    continue;
                }
                if let Knock::Admit { place, displaced } = pending.knock(group(from), is_proven, at) {
                    prop_assert!(displaced.is_none() || is_proven, "a forger takes nobody's place");
                    held.retain(|(place, ..)| Some(*place) != displaced);
                    held.push((place, from, is_proven));
                }
                let forged = |g: u8| held.iter().filter(|(_, from, is_proven)| *from == g && !is_proven).count();
                for g in 0..6 {
                    let of_group = held.iter().filter(|(_, from, _)| *from == g).count();
                    prop_assert!(of_group <= most_per_group && forged(g) * 2 <= most_per_group);
                }
                prop_assert!(held.len() <= most && (0..6).map(forged).sum::<usize>() * 2 <= most);
                prop_assert_eq!(pending.held.len(), held.len());
            }
        }
    }
}
