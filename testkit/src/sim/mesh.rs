//! The plain story: nodes in a mesh, one of them with a chain, and the others sync it.

use super::{
    link::{Access, NodeIndex},
    measure::resident_bytes,
    run::Genesis,
    world::{Outfit, World, WorldError},
};
use crate::chain::{append, unmined};
use std::{sync::Arc, time::Duration};
use zakura::{
    store::{FixedClock, Store, StoreOptions, WallClock},
    zcash::{Network, Parent},
};
use zakura_header_sync::{chain::BlockRef, ports::HeaderChain};

/// How long the slowest node may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Local time of every store: long after the last block of any chain made here.
const NOW: u64 = 1_900_000_000;

/// The cache of a simulated node's store.
const STORE_CACHE: usize = 1 << 20;

/// Nodes that sync a chain from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mesh {
    /// How many nodes; the first has the chain.
    pub nodes: u16,
    /// Connections of each node, about: half of them it dials.
    pub degree: u16,
    /// Blocks of the chain, without proof-of-work.
    pub blocks: u32,
    /// How long the world goes on in any case.
    pub at_least: Duration,
}

/// What a mesh came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshReport {
    /// The block that every node has.
    pub tip: BlockRef,
    /// When the last node had it.
    pub synced_after: Duration,
    /// Connections, both ends counted.
    pub connection_ends: usize,
    /// Memory of the process with all nodes alive, and before there was one.
    pub resident: (u64, u64),
}

/// A store for simulated nodes, with nothing but genesis in it.
///
/// # Errors
///
/// What the store says.
pub fn store() -> Result<Arc<Store>, WorldError> {
    store_by(Arc::new(FixedClock(NOW)))
}

/// The same by another clock.
///
/// # Errors
///
/// What the store says.
pub fn store_by(clock: Arc<dyn WallClock>) -> Result<Arc<Store>, WorldError> {
    let options = StoreOptions { no_pow: true, clock, cache_bytes: STORE_CACHE, ..StoreOptions::default() };
    Store::in_memory(Network::Regtest, options).map(Arc::new).map_err(failed)
}

/// A store with a chain of so many blocks.
///
/// # Errors
///
/// What the store says.
pub fn store_with(blocks: u32, seed: u64) -> Result<Arc<Store>, WorldError> {
    let store = store()?;
    append(&store, &unmined(Parent::genesis(), blocks, seed)).map_err(failed)?;
    Ok(store)
}

fn failed(error: impl ToString) -> WorldError {
    WorldError::Failed(error.to_string())
}

impl Mesh {
    /// Starts the nodes, waits until all have the chain, and goes on for the rest of the time.
    ///
    /// # Errors
    ///
    /// The first node that does not come to the tip, and where it stands.
    pub async fn live(self, world: &mut World<Store>) -> Result<MeshReport, WorldError> {
        let empty = resident_bytes().unwrap_or_default();
        let source = store_with(self.blocks, 1)?;
        let tip = source.view().tip;
        for number in 0..self.nodes {
            let store = if number == 0 { Arc::clone(&source) } else { store()? };
            world.add(Outfit { access: Access::mbit(100), ..Outfit::usual(store) })?;
        }
        let dials = self.degree.div_ceil(2).min(self.nodes.saturating_sub(1) / 2).max(1);
        for node in world.nodes() {
            for step in (1..=dials).filter(|_| self.nodes > 1) {
                let to = NodeIndex((node.0 + step) % self.nodes);
                // Two nodes need one connection, not one each way.
                if self.nodes > 2 || node.0 < to.0 {
                    world.introduce(node, to).await?;
                }
            }
        }
        for node in world.nodes() {
            world.start(node).await?;
        }
        for node in world.nodes() {
            world.commits(node, tip, PATIENCE).await?;
        }
        let synced_after = world.switch().elapsed();
        world.until(self.at_least).await;
        let ends =
            world.nodes().into_iter().map(|node| world.handle(node).map(|handle| handle.peers().len()));
        let connection_ends = ends.sum::<Result<usize, _>>()?;
        let resident = (resident_bytes().unwrap_or_default(), empty);
        Ok(MeshReport { tip, synced_after, connection_ends, resident })
    }

    /// Lives the mesh in a world of its own.
    ///
    /// # Errors
    ///
    /// The failed run.
    pub fn run(self, genesis: Genesis) -> Result<super::Finished<MeshReport>, Box<super::FailedRun>> {
        super::run(genesis, async move |world: &mut World<Store>| self.live(world).await)
    }
}
