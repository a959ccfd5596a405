//! What a node holds, counted for simulations: what is never given back shows here.

use zakura_block_sync::BlockSyncHandle;
use zakura_header_sync::HeaderSyncHandle;
use zakura_transport::{Spawner, routine::WorkPool};

/// Counts what a node holds. It keeps nothing of the node running.
#[derive(Debug, Clone)]
pub struct Census {
    spawner: Spawner,
    pool: WorkPool,
    headers: HeaderSyncHandle,
    blocks: BlockSyncHandle,
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Count {
    /// Live tasks and threads, by name.
    pub tasks: Vec<(&'static str, usize)>,
    /// Places taken in the work pool.
    pub places: usize,
    /// Header segments under lease.
    pub segments: u64,
    /// Bodies under lease.
    pub bodies: u64,
}

impl Census {
    pub(crate) fn new(
        spawner: &Spawner,
        pool: &WorkPool,
        headers: &HeaderSyncHandle,
        blocks: &BlockSyncHandle,
    ) -> Self {
        let (headers, blocks) = (headers.clone(), blocks.clone());
        Self { spawner: spawner.clone(), pool: pool.clone(), headers, blocks }
    }

    /// What is held now.
    ///
    /// # Errors
    ///
    /// The invariant of a work queue that is broken.
    pub fn count(&self) -> Result<Count, String> {
        Ok(Count {
            tasks: self.spawner.live(),
            places: self.pool.taken(),
            segments: self.headers.work()?.leased,
            bodies: self.blocks.work()?.leased,
        })
    }
}
