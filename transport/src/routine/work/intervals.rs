//! A set of keys, kept as ranges.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{collections::BTreeMap, ops::RangeInclusive};

/// Disjoint ranges that do not touch: first key to last key.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    ranges: BTreeMap<u64, u64>,
    keys: u64,
}

impl Intervals {
    /// Keys held; saturates at the one set too large to count, all 2^64 of them.
    pub(super) const fn len(&self) -> u64 {
        self.keys
    }

    pub(super) fn contains(&self, key: u64) -> bool {
        self.ranges.range(..=key).next_back().is_some_and(|(_, last)| key <= *last)
    }

    /// Adds a range and merges it with those it touches.
    pub(super) fn insert(&mut self, range: RangeInclusive<u64>) {
        let (mut first, mut last) = range.into_inner();
        if first > last {
            return;
        }
        let before = self.ranges.range(..first).next_back().map(|(f, l)| (*f, *l));
        if let Some((before_first, before_last)) = before
            && before_last.saturating_add(1) >= first
        {
            self.take_range(before_first);
            first = before_first;
            last = last.max(before_last);
        }
        while let Some((next_first, next_last)) = self.next_from(first)
            && next_first <= last.saturating_add(1)
        {
            self.take_range(next_first);
            last = last.max(next_last);
        }
        self.put_range(first, last);
    }

    /// Takes one key out; whether it was there.
    pub(super) fn remove(&mut self, key: u64) -> bool {
        let Some((first, last)) = self.ranges.range(..=key).next_back().map(|(f, l)| (*f, *l)) else {
            return false;
        };
        if key > last {
            return false;
        }
        self.take_range(first);
        if let Some(before) = key.checked_sub(1).filter(|before| first <= *before) {
            self.put_range(first, before);
        }
        if let Some(after) = key.checked_add(1).filter(|after| *after <= last) {
            self.put_range(after, last);
        }
        true
    }

    /// Forgets the keys above `key`.
    pub(super) fn truncate_above(&mut self, key: u64) {
        while let Some((first, last)) = self.ranges.last_key_value().map(|(f, l)| (*f, *l))
            && last > key
        {
            self.take_range(first);
            if first <= key {
                self.put_range(first, key);
            }
        }
    }

    /// Forgets the keys up to `key`.
    pub(super) fn truncate_to(&mut self, key: u64) {
        while let Some((first, last)) = self.next_from(0)
            && first <= key
        {
            self.take_range(first);
            if let Some(after) = key.checked_add(1).filter(|after| *after <= last) {
                self.put_range(after, last);
            }
        }
    }

    /// The ranges, lowest first.
    pub(super) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }

    fn next_from(&self, key: u64) -> Option<(u64, u64)> {
        self.ranges.range(key..).next().map(|(first, last)| (*first, *last))
    }

    fn put_range(&mut self, first: u64, last: u64) {
        self.ranges.insert(first, last);
        self.keys = self.keys.saturating_add(span(first, last));
    }

    fn take_range(&mut self, first: u64) {
        if let Some(last) = self.ranges.remove(&first) {
            self.keys = self.keys.saturating_sub(span(first, last));
        }
    }
}

const fn span(first: u64, last: u64) -> u64 {
    last.saturating_sub(first).saturating_add(1)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_last_key_does_not_overflow() {
        let mut set = Intervals::default();
        set.insert(u64::MAX - 1..=u64::MAX);
        assert!(set.remove(u64::MAX) && !set.remove(u64::MAX));
        assert_eq!(set.ranges().collect::<Vec<_>>(), [u64::MAX - 1..=u64::MAX - 1]);
    }

    proptest! {
        #[test]
        fn behaves_as_a_plain_set(steps in prop::collection::vec((0u8..4, 0u64..60, 0u64..12), 1..80)) {
            let (mut set, mut model) = (Intervals::default(), BTreeSet::new());
            for (step, key, more) in steps {
                match step {
                    0 => { set.insert(key..=key + more); model.extend(key..=key + more); }
                    1 => prop_assert_eq!(set.remove(key), model.remove(&key)),
                    2 => { set.truncate_above(key + 20); model.retain(|k| *k <= key + 20); }
                    _ => { set.truncate_to(more); model.retain(|k| *k > more); }
                }
                let ranges: Vec<_> = set.ranges().collect();
                prop_assert!(ranges.windows(2).all(|w| w[0].end() + 1 < *w[1].start()), "{ranges:?} touch");
                prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert!((0..80).all(|k| set.contains(k) == model.contains(&k)));
            }
        }
    }
}
