//! What those see of the table who look on.

use super::Table;
use crate::{Fence, routine::Lowest};
use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

impl<M> Table<M> {
    pub(in super::super) fn pending_in(&self, range: RangeInclusive<u64>) -> Option<u64> {
        self.pending.range(range).next().map(|(key, _)| *key)
    }

    pub(in super::super) fn lowest(&self) -> Option<Lowest> {
        let key = self.lowest_open()?;
        let leased = self.leased.get(&key);
        let owner = leased.map(|leased| leased.first.owner);
        Some(Lowest { key, owner, hedge: leased.and_then(|leased| leased.hedge).map(|hold| hold.owner) })
    }

    pub(in super::super) fn owners(&self) -> BTreeSet<Fence> {
        let holds = self.leased.values().flat_map(|leased| [Some(leased.first), leased.hedge]);
        holds.flatten().map(|hold| hold.owner).collect()
    }

    /// What contradicts that this lease holds what it has in hand. A key that was forgotten and learnt again is about
    /// other work, and no lease's that was taken before.
    pub(in super::super) fn check_lease<'i>(
        &self,
        lease: Fence,
        items: impl Iterator<Item = (u64, &'i Arc<M>)>,
    ) -> Result<(), String>
    where
        M: 'i,
    {
        for (key, work) in items {
            if self.pending.get(&key).is_some_and(|item| Arc::ptr_eq(&item.work, work)) {
                return Err(format!("key {key} is pending, and lease {lease:?} has it in hand"));
            }
            let same = self.leased.get(&key).filter(|leased| Arc::ptr_eq(&leased.item.work, work));
            if same.is_some_and(|leased| !leased.is_held_by(lease)) {
                return Err(format!("key {key} is another's, and lease {lease:?} has it in hand"));
            }
        }
        Ok(())
    }
}
