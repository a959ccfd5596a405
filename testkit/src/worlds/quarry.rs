//! Regtest blocks with real proof-of-work for worlds. Mining takes 15 ms a block, and many worlds want the same ones: what
//! was mined is kept as long as the process lives. It depends on nothing but what it is asked for.

use super::blocks::{Block, Branch};
use crate::chain::{parent_of_next, unproven_block};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};
use tokio::sync::watch;
use zakura::zcash::{Network, Parent, mine_block};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};

/// What a block is mined from: its parent's hash, its parent's time, its branch.
type Key = ([u8; 32], u32, u64);

static MINED: LazyLock<watch::Sender<BTreeMap<Key, Bytes>>> =
    LazyLock::new(|| watch::Sender::new(BTreeMap::new()));

/// What a boastful header's target claims: 4,000 times the work of a Regtest block.
const BOASTFUL_BITS: u32 = 0x1f00_ffff;

/// How the blocks of a branch are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vein {
    /// Tells branches apart.
    pub salt: u64,
    /// Seconds that its first block is later than it should be.
    pub late: u32,
    /// Whether its blocks have proofs; those without claim much work.
    pub proven: bool,
}

/// Regtest's genesis as a branch of one block.
#[must_use]
pub fn genesis() -> Arc<Branch> {
    let network = Network::Regtest;
    let body = Bytes::from_static(network.genesis());
    let at = BlockRef { height: Height::GENESIS, hash: BlockHash(network.genesis_hash()) };
    let header = body.slice(..network.header_bytes());
    Branch::begin(Block { at, header, total: 0 }, body)
}

/// This branch up to and with `fork`, and `count` blocks above it.
#[must_use]
pub fn grow(trunk: &Arc<Branch>, fork: Height, count: u32, vein: Vein) -> Arc<Branch> {
    let Some((below, body)) = trunk.block(fork).zip(trunk.body(fork)) else { return Arc::clone(trunk) };
    let Some(mut parent) = parent_of_next(&body, fork.get()) else { return Arc::clone(trunk) };
    let (mut blocks, mut total) = (Vec::new(), below.total);
    parent.time = parent.time.saturating_add(vein.late);
    for _ in 0..count {
        let raw = mined(parent, vein);
        let Some(next) = parent_of_next(&raw, parent.height.saturating_add(1)) else { break };
        let Some(height) = Height::new(next.height) else { break };
        parent = next;
        total = total.saturating_add(1);
        let at = BlockRef { height, hash: BlockHash(parent.hash) };
        blocks.push((Block { at, header: raw.slice(..Network::Regtest.header_bytes()), total }, raw));
    }
    trunk.with_bodies(fork, blocks)
}

fn mined(parent: Parent, vein: Vein) -> Bytes {
    if !vein.proven {
        return unproven_block(parent, vein.salt, BOASTFUL_BITS).into();
    }
    let key = (parent.hash, parent.time, vein.salt);
    let there = MINED.borrow().get(&key).cloned();
    there.unwrap_or_else(|| {
        // From 300 bytes to 3 kB, by height.
        let bytes = 300 + parent.height.wrapping_mul(977) % 2_700;
        let raw = Bytes::from(mine_block(parent, vein.salt, Some(bytes)));
        MINED.send_modify(|mined| drop(mined.insert(key, raw.clone())));
        raw
    })
}
