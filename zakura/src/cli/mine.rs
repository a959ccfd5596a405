//! `zakura mine`: extends a Regtest chain.

use std::collections::BTreeSet;

use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::ports::HeaderChain;
use zakura_transport::Cancel;

use super::{Bar, Edge, Failure, Tip, args::MineArgs};
use crate::{
    store::{Store, StoreOptions},
    zcash::{Network, Parent, mine_block},
};

/// Blocks that one durable change takes at most: enough that the disk's latency does not count, so few that a killed
/// miner has lost nothing worth mentioning.
const BATCH_BLOCKS: usize = 100;

/// Bytes that one durable change takes at most, give or take a block.
const BATCH_BYTES: usize = 16 << 20;

/// What to mine.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Blocks above the tip.
    pub blocks: u32,
    /// Bytes of every block; the default mix if none.
    pub body_bytes: Option<u32>,
    /// Seeds every block, together with its height.
    pub seed: u64,
}

/// Mines and prints the tip.
///
/// # Errors
///
/// The store failed, or a signal came first; blocks mined before it stay.
pub fn execute(args: &MineArgs, edge: &Edge) -> Result<(), Failure> {
    let store = Store::open(&args.data_dir, Network::Regtest, StoreOptions::default())?;
    let plan = Plan { blocks: args.blocks, body_bytes: args.body_bytes, seed: args.seed };
    let bar = edge.output.bar("mining", u64::from(plan.blocks));
    let mined = extend(&store, plan, &bar, &edge.stop)?;
    drop(bar);
    let tip = store.view().tip;
    if mined < plan.blocks {
        return Err(Failure::work(format!(
            "interrupted after {mined} of {} blocks, the tip is block {tip}: run the command again for the rest",
            plan.blocks
        )));
    }
    edge.output.line(&Tip::from(tip), &format!("mined {mined} blocks; the tip is block {tip}"))
}

/// Mines blocks on a store's tip and appends them in batches, with every check. Stops early if asked to, and returns
/// how many were mined.
///
/// # Errors
///
/// The store's tip has no body yet, or the store failed.
pub fn extend(store: &Store, plan: Plan, bar: &Bar, stop: &Cancel) -> Result<u32, Failure> {
    let mut parent = tip(store)?;
    let mut mined = 0;
    while mined < plan.blocks && !stop.is_cancelled() {
        let mut batch: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        while mined < plan.blocks && batch.len() < BATCH_BLOCKS && bytes < BATCH_BYTES && !stop.is_cancelled()
        {
            let raw = mine_block(parent, plan.seed, plan.body_bytes);
            parent = as_parent(store, parent.height.saturating_add(1), &raw)?;
            bytes += raw.len();
            mined += 1;
            batch.push(raw);
            bar.set(u64::from(mined));
        }
        store.append(&BTreeSet::new(), |appender| {
            batch.iter().try_for_each(|raw| appender.push(raw).map(drop).map_err(Failure::from))
        })?;
    }
    Ok(mined)
}

/// The store's tip as the parent of a block.
fn tip(store: &Store) -> Result<Parent, Failure> {
    let tip = store.view().tip;
    let body = store.read(tip.height, 1, 0).map_err(Failure::work)?;
    match body.first() {
        Some(raw) => as_parent(store, tip.height.get(), raw),
        None => Err(Failure::work(format!(
            "the tip, block {tip}, has no body yet: let `zakura run` finish its sync before you mine on it"
        ))),
    }
}

fn as_parent(store: &Store, height: u32, raw: &[u8]) -> Result<Parent, Failure> {
    let facts = store.describe(raw.get(..store.header_bytes()).unwrap_or(raw)).map_err(Failure::work)?;
    Ok(Parent { hash: facts.hash.0, height, time: facts.time })
}
