//! What readers see: one committed state at a time, swapped whole.

use std::sync::Arc;

use parking_lot::RwLock;
use redb::{ReadTransaction, ReadableDatabase};
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderView,
};
use zakura_transport::Fence;

use super::{
    StoreError,
    tables::{self, BODIES, COMMITS, HEADERS, REORGS, STATE},
};

/// One committed state: the view and the rows it was computed from never differ.
pub(super) struct Snapshot {
    pub(super) txn: ReadTransaction,
    pub(super) view: HeaderView,
    pub(super) acknowledged: BlockRef,
    commits: u64,
    reorgs: u64,
}

impl Snapshot {
    /// The state that was committed last, under a new fence.
    pub(super) fn take(database: &impl ReadableDatabase) -> Result<Self, StoreError> {
        let txn = database.begin_read()?;
        let (headers, state) = (txn.open_table(HEADERS)?, txn.open_table(STATE)?);
        let tip = tables::tip(&headers)?;
        let finalized = tables::known_header(&headers, tables::floor(&state)?)?;
        let acknowledged = tables::acknowledged(&txn.open_table(BODIES)?)?;
        let acknowledged = tables::known_header(&headers, acknowledged)?.at;
        let work = tip
            .work
            .checked_sub(finalized.work)
            .ok_or_else(|| StoreError::Damaged("work does not rise with height".to_owned()))?;
        let (commits, reorgs) = (tables::number(&state, COMMITS)?, tables::number(&state, REORGS)?);
        let view = HeaderView { fence: Fence::mint(), finalized: finalized.at, tip: tip.at, work };
        Ok(Self { txn, view, acknowledged, commits, reorgs })
    }

    /// The block at a height of the selected chain.
    pub(super) fn block_at(&self, height: Height) -> Result<Option<BlockRef>, StoreError> {
        Ok(tables::header(&self.txn.open_table(HEADERS)?, height)?.map(|row| row.at))
    }
}

/// The snapshot that readers get.
pub(super) struct Published(RwLock<Arc<Snapshot>>);

impl Published {
    pub(super) fn new(first: Snapshot) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    pub(super) fn get(&self) -> Arc<Snapshot> {
        self.0.read().clone()
    }

    /// Swaps a later snapshot in and returns the current one. Two writers may come in the wrong order: the commit
    /// count says which is later. The fence stays unless a height was replaced in between.
    pub(super) fn replace(&self, mut next: Snapshot) -> Arc<Snapshot> {
        let mut current = self.0.write();
        if next.commits <= current.commits {
            return current.clone();
        }
        if next.reorgs == current.reorgs {
            next.view.fence = current.view.fence;
        }
        let next = Arc::new(next);
        let former = std::mem::replace(&mut *current, next.clone());
        drop(current);
        // Closing the former transaction is the database's work, not the lock's.
        drop(former);
        next
    }
}
