//! Regtest chains made to order: with real proof-of-work, or quick ones without.

use std::collections::BTreeSet;
use zakura::{
    store::{AppendError, Store},
    zcash::{
        Header, Parent, block::height_push, hash::sha256d, mine_block, network::REGTEST_BITS,
        reader::put_compact_size,
    },
};
use zakura_header_sync::chain::BlockRef;

/// Target spacing of a made chain, seconds.
const SPACING: u32 = 75;

/// Mines `count` blocks on `parent` with real (48,5) proof-of-work. Another seed on the same parent is a branch.
#[must_use]
pub fn mined(parent: Parent, count: u32, seed: u64) -> Vec<Vec<u8>> {
    grow(parent, count, |parent| mine_block(parent, seed, Some(400)))
}

/// Makes `count` blocks on `parent` that link and carry valid bodies but no proof-of-work: for stores opened with
/// `no_pow`. Another seed on the same parent is a branch.
#[must_use]
pub fn unmined(parent: Parent, count: u32, seed: u64) -> Vec<Vec<u8>> {
    grow(parent, count, |parent| unproven_block(parent, seed, REGTEST_BITS))
}

/// The parent that the next block after `raw` has.
#[must_use]
pub fn parent_of_next(raw: &[u8], height: u32) -> Option<Parent> {
    let network = zakura::zcash::Network::Regtest;
    let (header, _) = Header::decode_prefix(network, raw).ok()?;
    Some(Parent { hash: header.hash(), height, time: header.time })
}

/// Appends blocks to a store in one change and returns its tip.
///
/// # Errors
///
/// The first block that the rules refuse.
pub fn append(store: &Store, blocks: &[Vec<u8>]) -> Result<BlockRef, AppendError> {
    let (_, tip) = store.append(&BTreeSet::new(), |appender| {
        blocks.iter().try_for_each(|raw| appender.push(raw).map(drop))
    })?;
    Ok(tip)
}

fn grow(mut parent: Parent, count: u32, mut block: impl FnMut(Parent) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    for _ in 0..count {
        let raw = block(parent);
        let Some(next) = parent_of_next(&raw, parent.height.saturating_add(1)) else { break };
        parent = next;
        blocks.push(raw);
    }
    blocks
}

/// The next block without proof-of-work: a header with this compact target and an empty solution over one small v1 coinbase.
#[must_use]
pub fn unproven_block(parent: Parent, seed: u64, bits: u32) -> Vec<u8> {
    let coinbase = coinbase(parent.height.saturating_add(1), seed);
    let header = Header {
        version: 4,
        prev: parent.hash,
        merkle_root: sha256d(&[&coinbase]),
        commitment: [0; 32],
        time: parent.time.saturating_add(SPACING),
        bits,
        nonce: [0; 32],
        solution: bytes::Bytes::from_static(&[0; 36]),
    };
    let mut raw = header.encode();
    put_compact_size(&mut raw, 1);
    raw.extend_from_slice(&coinbase);
    raw
}

/// A version 1 coinbase: the height, then the seed, so that branches differ; one output of nothing.
fn coinbase(height: u32, seed: u64) -> Vec<u8> {
    let mut script = height_push(height);
    script.push(8);
    script.extend_from_slice(&seed.to_le_bytes());
    let mut raw = vec![1, 0, 0, 0, 1];
    raw.extend_from_slice(&[0; 32]);
    raw.extend_from_slice(&[0xff; 4]);
    put_compact_size(&mut raw, script.len() as u64);
    raw.extend_from_slice(&script);
    raw.extend_from_slice(&[0xff; 4]);
    raw.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    raw.extend_from_slice(&[0; 4]);
    raw
}

#[cfg(test)]
mod tests {
    use super::*;
    use zakura::{store::StoreOptions, zcash::Network};

    #[test]
    fn both_kinds_of_chain_are_taken_by_a_store() {
        let strict = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
        let tip = append(&strict, &mined(Parent::genesis(), 3, 1)).unwrap();
        assert_eq!(tip.height.get(), 3);

        let options = StoreOptions { no_pow: true, ..StoreOptions::default() };
        let loose = Store::in_memory(Network::Regtest, options).unwrap();
        let tip = append(&loose, &unmined(Parent::genesis(), 300, 1)).unwrap();
        assert_eq!(tip.height.get(), 300);
        assert!(
            append(&strict, &unmined(Parent::genesis(), 4, 1)).is_err(),
            "no proof-of-work was taken for one"
        );
    }
}
