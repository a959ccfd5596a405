//! The store that ships, in a world: on a disk in memory that tears what was not synced when the power fails.

use super::{blocks::Branch, clock::Clock};
use crate::disk::{Disk, Fault};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{collections::BTreeSet, fmt, sync::Arc};
use zakura::{
    store::{AppendError, Store, StoreError, StoreOptions},
    zcash::Network,
};
use zakura_block_sync::ports::{BlockStore as _, Body};
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::{HeaderBatch, HeaderChain as _, Proof, SizedHeader},
};

/// Memory for cached pages, bytes: a world's chain is small, and there are many stores.
const CACHE_BYTES: usize = 256 << 10;

/// Writes, resizes and syncs after which a failing power supply has failed, at most: a commit has about as many.
const LAST_OPERATIONS: u64 = 24;

/// The store and its disk. Clones are the same store, until it is restarted.
#[derive(Clone)]
pub struct RealStore {
    store: Arc<Store>,
    disk: Disk,
    options: StoreOptions,
}

impl fmt::Debug for RealStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl RealStore {
    /// A store that has a branch up to and with `tip`, and knows these checkpoints. With `no_pow` it takes blocks without
    /// proof, as a liar's does.
    ///
    /// # Errors
    ///
    /// What the store says of the blocks or of its disk.
    pub fn new(
        branch: &Branch,
        tip: Height,
        anchors: Vec<BlockRef>,
        no_pow: bool,
        clock: Clock,
    ) -> Result<Self, AppendError> {
        let options = StoreOptions {
            checkpoints: Some(anchors),
            no_pow,
            cache_bytes: CACHE_BYTES,
            clock: Arc::new(clock),
        };
        let disk = Disk::default();
        let store = open(&disk, &options)?;
        let heights = (1..=tip.get()).filter_map(Height::new);
        let path: Vec<_> = heights.filter_map(|at| Some((branch.block(at)?, branch.body(at)?))).collect();
        // Whoever mined them has seen to it that the proofs hold.
        let proved: BTreeSet<_> = path.iter().map(|(block, _)| block.at.hash).collect();
        store
            .append(&proved, |appender| path.iter().try_for_each(|(_, raw)| appender.push(raw).map(drop)))?;
        Ok(Self { store: Arc::new(store), disk, options })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes a longer branch with its bodies.
    pub fn adopt(&self, branch: &Branch) {
        let store = &self.store;
        let shared = |at: &Height| branch.block(*at).map(|block| block.at.hash) == store.hash_at(*at);
        let fork = (0..=branch.tip().at.height.get()).rev().filter_map(Height::new).find(shared);
        let Some(parent) = fork.and_then(|fork| branch.block(fork)).map(|block| block.at) else { return };
        let above = |from: BlockRef| {
            let heights =
                (from.height.get().saturating_add(1)..=branch.tip().at.height.get()).filter_map(Height::new);
            heights.filter_map(|at| Some((branch.block(at)?.clone(), branch.body(at)?)))
        };
        let headers = above(parent).map(|(block, _)| SizedHeader { raw: block.header, size_hint: 0 });
        // Whether it takes them is its business: it may have them, or be on something longer.
        let _ = store.accept(HeaderBatch { parent, headers: headers.collect(), proof: Proof::Verified });
        let bodies = above(store.acknowledged()).map(|(block, raw)| Body { at: block.at, raw });
        let _ = store.commit(bodies.collect());
    }

    /// From one of the next operations on, the disk writes nothing any more.
    pub fn fail_soon(&self, rng: &mut ChaCha8Rng) {
        let last = self.disk.operations().saturating_add(rng.next_u64() % LAST_OPERATIONS);
        self.disk.fail_from(last, Fault::Broken);
    }

    /// Starts over what a power cut leaves of the disk.
    ///
    /// # Errors
    ///
    /// Why the store does not open.
    pub fn restart(&mut self, rng: &mut ChaCha8Rng) -> Result<(), StoreError> {
        self.disk = self.disk.cut(rng);
        self.store = Arc::new(open(&self.disk, &self.options)?);
        Ok(())
    }
}

fn open(disk: &Disk, options: &StoreOptions) -> Result<Store, StoreError> {
    Store::on_backend(disk.clone(), Network::Regtest, options.clone())
}
