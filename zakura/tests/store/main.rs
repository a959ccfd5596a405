//! The store keeps the selected chain: what it takes, replaces, refuses and remembers.

#![allow(clippy::unwrap_used, reason = "a test's own helpers may fail by panicking")]

mod bodies;
mod choice;
mod files;
mod model;

use bytes::Bytes;
use std::sync::Arc;
use zakura::store::{FixedClock, Store, StoreOptions};
use zakura::zcash::network::REGTEST_BITS;
use zakura::zcash::{Network, Parent};
use zakura_block_sync::ports::Body;
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};
use zakura_header_sync::ports::{Accept, HeaderBatch, HeaderChain, Proof, SizedHeader};

const NOW: u64 = 1_800_000_000;
/// Twice the work of [`REGTEST_BITS`], about.
const HARDER: u32 = 0x2007_8787;

fn options(checkpoints: Option<Vec<BlockRef>>) -> StoreOptions {
    StoreOptions { checkpoints, no_pow: true, clock: Arc::new(FixedClock(NOW)), ..StoreOptions::default() }
}

fn fresh() -> Store {
    Store::in_memory(Network::Regtest, options(None)).unwrap()
}

fn height(number: u32) -> Height {
    Height::new(number).unwrap()
}

fn genesis() -> BlockRef {
    BlockRef { height: Height::GENESIS, hash: BlockHash(Network::Regtest.genesis_hash()) }
}

/// A header without proof-of-work: `salt` makes it one of its kind.
fn header(parent: BlockRef, salt: u64, bits: u32) -> (BlockRef, Bytes) {
    let mut raw = vec![0; 177];
    raw[..4].copy_from_slice(&4_u32.to_le_bytes());
    raw[4..36].copy_from_slice(&parent.hash.0);
    raw[36..44].copy_from_slice(&salt.to_le_bytes());
    let time = Parent::genesis().time + 75 * (parent.height.get() + 1);
    raw[100..104].copy_from_slice(&time.to_le_bytes());
    raw[104..108].copy_from_slice(&bits.to_le_bytes());
    raw[140] = 36;
    let hash = BlockHash(zakura::zcash::hash::sha256d(&[&raw]));
    (BlockRef { height: parent.height.next().unwrap(), hash }, raw.into())
}

/// `count` headers on a parent: where each is, and the batch.
fn branch(parent: BlockRef, salt: u64, bits: u32, count: usize) -> (Vec<BlockRef>, HeaderBatch) {
    let (mut at, mut refs, mut headers) = (parent, Vec::new(), Vec::new());
    for _ in 0..count {
        let (next, raw) = header(at, salt, bits);
        headers.push(SizedHeader { raw, size_hint: 7 });
        refs.push(next);
        at = next;
    }
    (refs, HeaderBatch { parent, headers, proof: Proof::Verified })
}

fn extend(store: &Store, parent: BlockRef, salt: u64, count: usize) -> Vec<BlockRef> {
    let (refs, batch) = branch(parent, salt, REGTEST_BITS, count);
    assert!(matches!(store.accept(batch), Accept::Extended(_)));
    refs
}

fn bodies(refs: &[BlockRef]) -> Vec<Body> {
    refs.iter().map(|at| Body { at: *at, raw: Bytes::copy_from_slice(&at.hash.0) }).collect()
}
