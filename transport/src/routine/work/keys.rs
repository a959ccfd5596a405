//! A range queue as those see it who look on and do not know what its keys are.

use super::{Counts, RangeQueue};
use crate::{Fence, routine::Lowest};
use std::{collections::BTreeSet, fmt, ops::RangeInclusive};

/// The keys of a queue, whatever they stand for.
pub trait Keys: fmt::Debug {
    /// How many keys are where.
    fn counts(&self) -> Counts;

    /// The lowest pending key of a range.
    fn pending_in(&self, range: RangeInclusive<u64>) -> Option<u64>;

    /// The lowest key that is not done.
    fn lowest(&self) -> Option<Lowest>;

    /// The sessions that hold keys.
    fn owners(&self) -> BTreeSet<Fence>;

    /// Checks the whole table.
    ///
    /// # Errors
    ///
    /// Names the first key that breaks a rule, and the rule.
    fn check(&self) -> Result<(), String>;
}

impl<M> Keys for RangeQueue<M> {
    fn counts(&self) -> Counts {
        Self::counts(self)
    }

    fn pending_in(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.shared.look(|table| table.pending_in(range))
    }

    fn lowest(&self) -> Option<Lowest> {
        self.shared.look(super::table::Table::lowest)
    }

    fn owners(&self) -> BTreeSet<Fence> {
        self.shared.look(super::table::Table::owners)
    }

    fn check(&self) -> Result<(), String> {
        self.check_invariants()
    }
}
