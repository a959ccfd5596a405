//! Inbound handshakes under way: who gets a place before anything is spent on it. Pure.

use super::Netgroup;
use crate::Fence;
use std::collections::BTreeMap;

/// What becomes of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knock {
    /// It has a place, until [`Pending::leave`].
    Admit(Fence),
    /// The sender is asked to prove its address.
    Retry,
    /// It is dropped without an answer.
    Ignore,
}

/// Handshakes under way. A named peer's address is in no group: it counts only in the total.
///
/// Whoever has not proved its address may be anybody who writes a victim's address on a datagram. Such an attempt takes a
/// place only while that leaves half of the places, of all and of its group, to those who have: so a forger delays his
/// victim by one round trip, and keeps nobody out.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) most: usize,
    most_per_group: usize,
    held: BTreeMap<Fence, Option<Netgroup>>,
}

impl Pending {
    pub(super) const fn new(most: usize, most_per_group: usize) -> Self {
        Self { most, most_per_group, held: BTreeMap::new() }
    }

    /// Judges an attempt from `group`, or from a named peer's address.
    pub(super) fn knock(&mut self, group: Option<Netgroup>, is_proven: bool) -> Knock {
        let all = (self.held.len(), self.most);
        let in_group = group.map(|_| (self.of(group), self.most_per_group));
        let mut shares = [Some(all), in_group].into_iter().flatten();
        if shares.clone().any(|(held, most)| held >= most) {
            return Knock::Ignore;
        }
        if !is_proven && shares.any(|(held, most)| held.saturating_add(1).saturating_mul(2) > most) {
            return Knock::Retry;
        }
        let place = Fence::mint();
        self.held.insert(place, group);
        Knock::Admit(place)
    }

    /// The handshake of a place is over, however it ended.
    pub(super) fn leave(&mut self, place: Fence) {
        self.held.remove(&place);
    }

    fn of(&self, group: Option<Netgroup>) -> usize {
        self.held.values().filter(|held| **held == group).count()
    }

    /// Who holds places.
    #[cfg(feature = "simulation")]
    pub(super) fn groups(&self) -> impl Iterator<Item = Option<Netgroup>> + '_ {
        self.held.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn group(n: u8) -> Option<Netgroup> {
        Some(Netgroup::V4([10, 0, n]))
    }

    fn admitted(pending: &mut Pending, from: Option<Netgroup>, is_proven: bool) -> usize {
        std::iter::from_fn(|| matches!(pending.knock(from, is_proven), Knock::Admit(_)).then_some(())).count()
    }

    #[test]
    fn a_group_gets_its_share_and_not_one_more() {
        let mut pending = Pending::new(64, 4);
        assert_eq!(admitted(&mut pending, group(1), true), 4);
        assert_eq!(pending.knock(group(1), true), Knock::Ignore);
        assert!(matches!(pending.knock(group(2), true), Knock::Admit(_)));
    }

    #[test]
    fn all_groups_together_get_the_total_and_not_one_more() {
        let mut pending = Pending::new(64, 4);
        let all: usize = (0..30).map(|n| admitted(&mut pending, group(n), true)).sum();
        assert_eq!(all, 64);
        assert_eq!(pending.knock(None, true), Knock::Ignore, "not for a named peer's address either");
    }

    #[test]
    fn a_forger_of_addresses_cannot_take_the_second_half() {
        let mut pending = Pending::new(64, 4);
        assert_eq!(admitted(&mut pending, group(1), false), 2);
        assert_eq!(pending.knock(group(1), false), Knock::Retry);
        assert_eq!(admitted(&mut pending, group(1), true), 2, "whoever proves the address has the rest");
        let mut pending = Pending::new(64, 4);
        let forged: usize = (0..100).map(|n| admitted(&mut pending, group(n), false)).sum();
        assert_eq!(forged, 32);
        assert_eq!(pending.knock(group(200), false), Knock::Retry);
        assert!(matches!(pending.knock(group(200), true), Knock::Admit(_)));
        assert_eq!(
            Pending::new(64, 1).knock(group(1), false),
            Knock::Retry,
            "the only place is the last one"
        );
    }

    #[test]
    fn a_place_that_was_left_is_free_again_and_once() {
        let mut pending = Pending::new(64, 1);
        let Knock::Admit(place) = pending.knock(group(1), true) else { panic!("it is free") };
        assert_eq!(pending.knock(group(1), true), Knock::Ignore);
        pending.leave(place);
        assert!(matches!(pending.knock(group(1), true), Knock::Admit(_)));
        pending.leave(place);
        assert_eq!(pending.knock(group(1), true), Knock::Ignore, "leaving twice frees nobody else's place");
    }

    #[test]
    fn named_addresses_are_in_no_group() {
        let mut pending = Pending::new(64, 4);
        assert_eq!(admitted(&mut pending, None, true), 64);
    }

    proptest! {
        #[test]
        fn no_order_of_knocks_exceeds_a_cap_or_lets_forgers_have_the_second_half(
            steps in proptest::collection::vec((0_u8..6, any::<bool>(), any::<bool>()), 0..200),
            most in 0_usize..20,
            most_per_group in 0_usize..6,
        ) {
            let mut pending = Pending::new(most, most_per_group);
            let mut held: Vec<(Fence, u8, bool)> = Vec::new();
            for (from, is_proven, leaves) in steps {
                if leaves && !held.is_empty() {
                    pending.leave(held.remove(0).0);
                    continue;
                }
                if let Knock::Admit(place) = pending.knock(group(from), is_proven) {
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
