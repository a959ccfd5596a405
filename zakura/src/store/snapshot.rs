//! What readers see: one committed state at a time, swapped whole.

use std::sync::Arc;

use parking_lot::RwLock;
use redb::{ReadTransaction, ReadableDatabase, ReadableTableMetadata};
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderView,
};
use zakura_transport::Fence;

use super::{
    StoreError,
    tables::{self, BODIES, COMMITS, HEADERS, HEIGHTS, REORGS, SIZES, STATE},
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

    /// Checks that the tables tell of one chain: every height from genesis up to the tip has a header, an index entry and a
    /// size, every height up to the acknowledged one has a body, and the newest rows of each agree.
    ///
    /// Its cost does not grow with the chain: keys are distinct, so a table with n rows whose first key is 0 and whose last
    /// is n - 1 has no gap. What the rows in between hold is guarded by the database's own checksums, and not read.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let (headers, sizes) = (self.txn.open_table(HEADERS)?, self.txn.open_table(SIZES)?);
        let (heights, bodies) = (self.txn.open_table(HEIGHTS)?, self.txn.open_table(BODIES)?);
        let (tip, acknowledged) = (self.view.tip.height, self.acknowledged.height);
        tables::gapless("header", &headers, tip)?;
        tables::gapless("size", &sizes, tip)?;
        tables::gapless("body", &bodies, acknowledged)?;
        if heights.len()? != headers.len()? {
            return tables::damaged(format!("{} hashes lead to {} headers", heights.len()?, headers.len()?));
        }
        for block in [self.view.tip, self.acknowledged, self.view.finalized] {
            if tables::height_of(&heights, &block.hash)? != Some(block.height) {
                return tables::damaged(format!("the index does not lead to block {block}"));
            }
        }
        tables::linked(&headers, self.view.tip)?;
        let stored = bodies.get(acknowledged.get())?.map_or(0, |body| body.value().1.len());
        let size = sizes.get(acknowledged.get())?.map_or(0, |size| size.value());
        if u32::try_from(stored) != Ok(size) {
            return tables::damaged(format!("body {acknowledged} has {stored} bytes, not {size}"));
        }
        Ok(())
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
