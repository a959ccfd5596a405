//! The bounded table and its merge.

use super::entry::{Entry, Signed};
use crate::{
    plan::Attempts,
    wire::{AddressPolicy, RecordAddr},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use zakura_transport::{Netgroup, PeerId};

/// Nodes learned from peers at most (wire 5.1). A record is at most 2.5 kB, twice: the worst case is 50 MB.
const MAX_LEARNED: usize = 10_000;

/// Nodes learned from one neighbourhood at most: a sixteenth, so that one operator cannot crowd the others out.
const MAX_FROM_GROUP: usize = MAX_LEARNED / 16;

/// Failures after which a node that was never reached makes room first (wire 5.1).
const HOPELESS: u32 = 3;

/// Clocks may differ by this much (wire 5.1).
pub(crate) const SKEW: Duration = Duration::from_secs(300);

/// How long a record may hold (wire 5.1).
pub(crate) const RECORD_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What the book is told once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Ourselves: never in the book.
    pub(crate) us: PeerId,
    /// Which addresses are believed.
    pub(crate) policy: AddressPolicy,
    /// Nodes learned at most, and from one neighbourhood.
    caps: (usize, usize),
}

impl Rules {
    pub(crate) const fn new(us: PeerId, policy: AddressPolicy) -> Self {
        Self { us, policy, caps: (MAX_LEARNED, MAX_FROM_GROUP) }
    }
}

/// Where a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// Who brought it.
    pub(crate) peer: PeerId,
    /// From where.
    pub(crate) group: Netgroup,
    /// Whether the bringer may add nodes that were not known before.
    pub(crate) may_add: bool,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// A node not known before.
    Added,
    /// Newer than what was known, or known and heard of again.
    Refreshed,
    /// Older than what is known.
    Stale,
    /// Ours, outside its time, or with an address that is none or not believed.
    Refused,
    /// No room for another node.
    NoRoom,
}

/// The book.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    rules: Rules,
    entries: BTreeMap<PeerId, Entry>,
    learned: usize,
    groups: BTreeMap<Netgroup, usize>,
}

impl Book {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, entries: BTreeMap::new(), learned: 0, groups: BTreeMap::new() }
    }

    /// The operator names a node: it is believed, and never forgotten.
    pub(crate) fn name(&mut self, id: PeerId, now: Instant) {
        if id == self.rules.us {
            return;
        }
        let fresh = || Entry {
            signed: None,
            is_named: true,
            is_confirmed: true,
            source: None,
            seen: now,
            attempts: Attempts::default(),
        };
        self.entries.entry(id).or_insert_with(fresh);
    }

    /// Takes in a record whose signature was verified. Its author's own word confirms the node.
    pub(crate) fn merge(&mut self, now: Instant, unix: u64, signed: Signed, source: Source) -> Merged {
        let id = signed.record.node_id;
        if id == self.rules.us || !self.is_believed(&signed, unix) {
            return Merged::Refused;
        }
        let is_own_word = source.peer == id;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_confirmed |= is_own_word;
            let newer = match &entry.signed {
                Some(known) => signed.is_newer_than(known),
                None => true,
            };
            let same =
                entry.signed.as_ref().is_some_and(|known| known.record.sequence == signed.record.sequence);
            if newer {
                entry.attempts.keep(&signed.record.addresses);
                entry.signed = Some(signed);
            } else if !same {
                return Merged::Stale;
            }
            entry.seen = entry.seen.max(now);
            return Merged::Refreshed;
        }
        if !source.may_add || !self.make_room(source.group, unix) {
            return Merged::NoRoom;
        }
        let entry = Entry {
            signed: Some(signed),
            is_named: false,
            is_confirmed: is_own_word,
            source: Some(source.group),
            seen: now,
            attempts: Attempts::default(),
        };
        self.entries.insert(id, entry);
        self.learned = self.learned.saturating_add(1);
        let share = self.groups.entry(source.group).or_default();
        *share = share.saturating_add(1);
        Merged::Added
    }

    /// Inside its time, with at least one address and none that is not believed (wire 5.1).
    fn is_believed(&self, signed: &Signed, unix: u64) -> bool {
        let record = &signed.record;
        let latest = unix.saturating_add(RECORD_LIFE.as_secs()).saturating_add(SKEW.as_secs());
        let in_time = record.expiry.saturating_add(SKEW.as_secs()) >= unix && record.expiry <= latest;
        let admitted = |RecordAddr(address): &RecordAddr| self.rules.policy.admits(*address);
        in_time && !record.addresses.is_empty() && record.addresses.iter().all(admitted)
    }

    /// Makes room for a node learned from `group`. A neighbourhood with its full share loses one of its own.
    fn make_room(&mut self, group: Netgroup, unix: u64) -> bool {
        let (most, most_from_group) = self.rules.caps;
        let is_full_share = self.groups.get(&group).is_some_and(|share| *share >= most_from_group);
        if !is_full_share && self.learned < most {
            return true;
        }
        let replaceable = |entry: &Entry| match entry.source {
            Some(source) => !is_full_share || source == group,
            None => false,
        };
        let worst = self.entries.iter().filter(|(_, entry)| replaceable(entry));
        let worst = worst.min_by_key(|(id, entry)| (worth(entry, unix), **id)).map(|(id, _)| *id);
        worst.is_some_and(|id| self.forget(id))
    }

    fn forget(&mut self, id: PeerId) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        if let Some(group) = entry.source {
            self.learned = self.learned.saturating_sub(1);
            if let Some(share) = self.groups.get_mut(&group) {
                *share = share.saturating_sub(1);
                if *share == 0 {
                    self.groups.remove(&group);
                }
            }
        }
        true
    }

    /// Whether the node is in the book.
    pub(crate) fn knows(&self, id: PeerId) -> bool {
        self.entries.contains_key(&id)
    }

    /// A node was reached where it said it is: it is no hearsay any more.
    pub(crate) fn confirm(&mut self, id: PeerId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.is_confirmed = true;
        }
    }

    /// What became of dials to a node, to be amended.
    pub(crate) fn attempts_mut(&mut self, id: PeerId) -> Option<&mut Attempts> {
        self.entries.get_mut(&id).map(|entry| &mut entry.attempts)
    }

    /// Every node, by identity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// How many nodes are known, and how many of them confirmed.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.values().filter(|entry| entry.is_confirmed).count())
    }

    /// Which addresses are believed.
    pub(crate) const fn policy(&self) -> AddressPolicy {
        self.rules.policy
    }
}

/// The order in which nodes make room, the first of it first (wire 5.1): expired; never reached after three failures; then
/// hearsay before who was met, the least recent success and the least recently seen first.
fn worth(entry: &Entry, unix: u64) -> (u8, bool, Option<Instant>, Instant) {
    let class = match &entry.attempts {
        _ if !entry.holds(unix) => 0,
        attempts if attempts.success().is_none() && attempts.failures() >= HOPELESS => 1,
        _ => 2,
    };
    (class, entry.is_confirmed, entry.attempts.success(), entry.seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::tests::{UNIX, from, id, seal, signed, signed_at};
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn book(policy: AddressPolicy, caps: (usize, usize)) -> Book {
        Book::new(Rules { us: id(0), policy, caps })
    }

    fn ip(a: u8) -> IpAddr {
        [8, 8, a, 1].into()
    }

    /// What two books must have in common to be the same.
    fn face(book: &Book) -> Vec<(PeerId, bool, Option<Signed>)> {
        book.iter().map(|(id, entry)| (id, entry.is_confirmed, entry.signed.clone())).collect()
    }

    /// Counts agree with what is there, and nothing exceeds its cap.
    fn is_sound(book: &Book) -> bool {
        let mut groups = BTreeMap::new();
        for source in book.entries.values().filter_map(|entry| entry.source) {
            *groups.entry(source).or_insert(0) += 1;
        }
        let (most, from_group) = book.rules.caps;
        book.learned == groups.values().sum::<usize>()
            && groups == book.groups
            && book.learned <= most
            && groups.values().all(|share| *share <= from_group)
    }

    #[test]
    fn an_authors_newest_word_counts_whoever_brings_it() {
        let (mut book, now, stranger) = (book(AddressPolicy::Public, (10, 10)), now(), from(id(9), ip(1)));
        let sequence = |book: &Book| book.entries[&id(1)].signed.as_ref().unwrap().record.sequence;
        assert_eq!(book.merge(now, UNIX, signed(1, 5), stranger), Merged::Added);
        assert_eq!(book.merge(now, UNIX, signed(1, 4), stranger), Merged::Stale);
        assert_eq!(sequence(&book), 5);
        let later = now + Duration::from_secs(9);
        assert_eq!(book.merge(later, UNIX, signed(1, 5), stranger), Merged::Refreshed);
        assert_eq!((sequence(&book), book.entries[&id(1)].seen), (5, later));
        assert_eq!(book.merge(now, UNIX, signed(1, 6), stranger), Merged::Refreshed);
        assert_eq!((sequence(&book), book.count()), (6, (1, 0)), "hearsay confirms nobody");
        book.merge(now, UNIX, signed(1, 6), from(id(1), ip(1)));
        assert_eq!(book.count(), (1, 1), "its own word does");
    }

    #[test]
    fn what_is_outside_its_time_or_ours_or_nowhere_to_be_reached_is_refused() {
        let at = |addr: &str| signed_at(1, 1, addr.parse().unwrap());
        let until = |expiry: u64| {
            let mut record = signed(1, 1).record;
            record.expiry = expiry;
            seal(record)
        };
        let mixed = |second: &str| {
            let mut record = signed(1, 1).record;
            record.addresses.push(RecordAddr(second.parse().unwrap()));
            seal(record)
        };
        let mut nowhere = signed(1, 1).record;
        nowhere.addresses.clear();
        let day = RECORD_LIFE.as_secs();
        for (signed, taken) in [
            (signed(0, 1), false),
            (seal(nowhere), false),
            (until(UNIX - 301), false),
            (until(UNIX - 300), true),
            (until(UNIX + day + 300), true),
            (until(UNIX + day + 301), false),
            (until(u64::MAX), false),
            (at("127.0.0.1:1"), false),
            (at("8.8.8.8:0"), false),
            (at("[::ffff:10.0.0.1]:1"), false),
            (mixed("192.168.0.1:1"), false),
            (mixed("9.9.9.9:1"), true),
        ] {
            let mut book = book(AddressPolicy::Public, (10, 10));
            let merged = book.merge(now(), UNIX, signed.clone(), from(id(9), ip(1)));
            assert_eq!(merged == Merged::Added, taken, "{:?}", signed.record);
            assert_eq!(book.count().0, usize::from(taken));
        }
        let mut local = book(AddressPolicy::Any, (10, 10));
        assert_eq!(local.merge(now(), UNIX, at("127.0.0.1:1"), from(id(9), ip(1))), Merged::Added);
    }

    #[test]
    fn room_is_made_by_the_expired_then_the_hopeless_then_hearsay_then_the_least_recent() {
        let (mut book, start, source) = (book(AddressPolicy::Public, (6, 6)), now(), from(id(99), ip(1)));
        let at = |secs: u64| start + Duration::from_secs(secs);
        book.name(id(50), start);
        let mut old = signed(1, 1).record;
        old.expiry = UNIX + 10;
        book.merge(at(60), UNIX, seal(old), source);
        for n in 2..=6 {
            book.merge(at(60 - u64::from(n)), UNIX, signed(n, 1), source);
        }
        (0..3).for_each(|_| book.attempts_mut(id(2)).unwrap().failed(start, ip(2), 0));
        book.attempts_mut(id(3)).unwrap().succeeded(at(1));
        book.confirm(id(4));
        book.confirm(id(6));
        book.attempts_mut(id(6)).unwrap().succeeded(at(2));
        let mut gone = Vec::new();
        for newcomer in 101..106 {
            let before: Vec<_> = book.entries.keys().copied().collect();
            let added = book.merge(at(100), UNIX + 20, signed(newcomer, 1), from(id(newcomer), ip(1)));
            assert_eq!(added, Merged::Added);
            gone.extend(before.into_iter().filter(|id| !book.knows(*id)));
            assert!(is_sound(&book));
        }
        // Expired; hopeless; hearsay never reached; hearsay reached once; met, but never for long.
        assert_eq!(gone, [1, 2, 5, 3, 4].map(id));
        assert!(book.knows(id(50)), "who is named is never forgotten");
    }

    #[test]
    fn one_neighbourhood_cannot_crowd_the_others_out() {
        let (mut book, start) = (book(AddressPolicy::Public, (160, 10)), now());
        for n in 1..=50 {
            book.merge(start, UNIX, signed(n, 1), from(id(n), ip(u8::try_from(n).unwrap())));
        }
        for n in 1_000..6_000 {
            // A thousand identities of one operator, each speaking for itself.
            book.merge(start, UNIX, signed(n, 1), from(id(n), [66, 6, 6, n.to_be_bytes()[3]]));
        }
        assert!(is_sound(&book));
        assert_eq!(book.count().0, 60);
        assert!((1..=50).all(|n| book.knows(id(n))));
        let late = Source { may_add: false, ..from(id(9), ip(9)) };
        assert_eq!(book.merge(start, UNIX, signed(7_000, 1), late), Merged::NoRoom);
    }

    type Step = (u32, u64, u8, u8, bool);

    /// A record of one of a few nodes, in one of two wordings, from one of a few neighbourhoods, by itself or by another.
    fn step() -> impl Strategy<Value = Step> {
        (0..12u32, 0..4u64, 0..2u8, 0..4u8, any::<bool>())
    }

    fn apply(book: &mut Book, at: Instant, (node, sequence, wording, group, own_word): Step) {
        let mut record = signed(node, sequence).record;
        record.addresses[0].0.set_port(100 + u16::from(wording));
        let peer = if own_word { id(node) } else { id(99) };
        book.merge(at, UNIX, seal(record), from(peer, ip(group)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// I-D3: the same records, in any order and any number of times, make the same book; no sequence goes back.
        #[test]
        fn a_merge_is_commutative_idempotent_and_monotone(
            steps in prop::collection::vec(step(), 0..40),
            order in any::<prop::sample::Index>(),
        ) {
            let at = now();
            let (mut one, mut other) =
                (book(AddressPolicy::Public, (100, 100)), book(AddressPolicy::Public, (100, 100)));
            for step in &steps {
                let before: BTreeMap<_, _> =
                    face(&one).into_iter().map(|(id, confirmed, signed)| (id, (confirmed, signed))).collect();
                apply(&mut one, at, *step);
                for (id, confirmed, signed) in face(&one) {
                    if let Some((was_confirmed, was)) = before.get(&id) {
                        let sequence = |signed: &Option<Signed>| signed.as_ref().map(|s| s.record.sequence);
                        prop_assert!(confirmed >= *was_confirmed && sequence(&signed) >= sequence(was));
                    }
                }
            }
            let turn = if steps.is_empty() { 0 } else { order.index(steps.len()) };
            for step in steps[turn..].iter().rev().chain(steps[..turn].iter()).chain(steps.iter()) {
                apply(&mut other, at, *step);
            }
            prop_assert_eq!(face(&one), face(&other));
        }

        /// I-D1: whatever comes, caps hold and counts are true.
        #[test]
        fn caps_always_hold(steps in prop::collection::vec((step(), 0..3u8), 0..120)) {
            let (mut book, start) = (book(AddressPolicy::Public, (6, 3)), now());
            for (at, (step, fate)) in steps.into_iter().enumerate() {
                let at = start + Duration::from_secs(at.try_into().unwrap());
                apply(&mut book, at, step);
                if let Some(attempts) = book.attempts_mut(id(step.0)) {
                    match fate {
                        0 => attempts.failed(at, ip(1), 0),
                        1 => attempts.succeeded(at),
                        _ => {}
                    }
                }
                prop_assert!(is_sound(&book));
                prop_assert!(!book.knows(id(0)), "never ourselves");
            }
        }
    }
}
