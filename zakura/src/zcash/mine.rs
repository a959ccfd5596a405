//! Deterministic mining on Regtest: the same parent, seed and size give the same block on every machine.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::{
    block::{MAX_BLOCK_BYTES, height_push},
    equihash48::solve,
    hash::sha256d,
    header::{FIXED_BYTES, NONCE_AT},
    network::{Network, REGTEST_BITS, SPACING},
    reader::put_compact_size,
    target::Target,
};

/// Bytes of one filler output at most: value, length and a script of the 10,000 bytes a script may have.
const MAX_OUTPUT_BYTES: usize = 8 + 3 + 10_000;
/// Bytes of the smallest filler output: value, length, OP_RETURN.
const MIN_OUTPUT_BYTES: usize = 8 + 1 + 1;
/// Outputs with a script below this have a one-byte length.
const SHORT_SCRIPT: usize = 253;
/// The most data one push may carry.
const MAX_PUSH: usize = 520;

// One byte counts the outputs of the largest block.
const _: () = assert!(MAX_BLOCK_BYTES / MAX_OUTPUT_BYTES + 2 < 253);

/// What a new block needs to know of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its hash, internal order.
    pub hash: [u8; 32],
    /// Its height.
    pub height: u32,
    /// Its time, Unix seconds.
    pub time: u32,
}

impl Parent {
    /// Regtest's genesis, where every mined chain begins.
    #[must_use]
    pub fn genesis() -> Self {
        let raw = Network::Regtest.genesis();
        let time = raw.get(100..104).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        Self { hash: Network::Regtest.genesis_hash(), height: 0, time }
    }
}

/// Mines the next Regtest block and serializes it; about 15 ms of work.
///
/// `block_bytes` is the size of the whole serialized block, met exactly where a block can have it (from some
/// 280 bytes to 2,000,000; beyond, the nearest). `None` draws it from the default mix. Another seed on the same
/// parent gives a competing branch.
#[must_use]
pub fn mine_block(parent: Parent, seed: u64, block_bytes: Option<u32>) -> Vec<u8> {
    let height = parent.height.saturating_add(1);
    let mut rng = rng(seed, height);
    let size = block_bytes.unwrap_or_else(|| default_size(&mut rng)) as usize;
    let coinbase = coinbase(height, size.saturating_sub(Network::Regtest.header_bytes() + 1), &mut rng);

    let mut fixed = [0; FIXED_BYTES];
    fixed[..4].copy_from_slice(&4_u32.to_le_bytes());
    fixed[4..36].copy_from_slice(&parent.hash);
    fixed[36..68].copy_from_slice(&sha256d(&[&coinbase]));
    fixed[100..104].copy_from_slice(&parent.time.saturating_add(SPACING).to_le_bytes());
    fixed[104..NONCE_AT].copy_from_slice(&REGTEST_BITS.to_le_bytes());
    let mut block = prove(fixed);
    block.reserve(coinbase.len() + 1);
    block.push(1);
    block.extend_from_slice(&coinbase);
    block
}

fn rng(seed: u64, height: u32) -> ChaCha8Rng {
    let mut key = *b"........zakura mine block \0\0\0\0\0\0";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[28..].copy_from_slice(&height.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A size from the mix of a busy chain: 55 % 1.7 kB, 35 % 2 to 16 kB, 9 % 16 to 75 kB, 1 % 100 kB to 2 MB.
fn default_size(rng: &mut ChaCha8Rng) -> u32 {
    let (low, high) = match rng.next_u32() % 100 {
        0..55 => (1_700, 1_700),
        55..90 => (2_000, 16_000),
        90..99 => (16_000, 75_000),
        _ => (100_000, 2_000_000),
    };
    low + rng.next_u32() % (high - low + 1)
}

/// The header with the first nonce, counting from zero, that has a solution under the target.
fn prove(mut fixed: [u8; FIXED_BYTES]) -> Vec<u8> {
    let target: Target = Network::Regtest.pow_limit();
    let mut nonce = 0_u64;
    loop {
        fixed[NONCE_AT..NONCE_AT + 8].copy_from_slice(&nonce.to_le_bytes());
        for solution in solve(&fixed) {
            let mut header = fixed.to_vec();
            put_compact_size(&mut header, solution.len() as u64);
            header.extend_from_slice(&solution);
            if target.is_met_by(&sha256d(&[&header])) {
                return header;
            }
        }
        nonce = nonce.wrapping_add(1);
    }
}

/// A version 4 coinbase of `size` bytes, if one can have that size.
fn coinbase(height: u32, size: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut script = height_push(height);
    // A tag drawn from the seed, so that even the smallest blocks of two branches differ.
    script.push(8);
    script.extend_from_slice(&rng.next_u64().to_le_bytes());

    let mut tx = Vec::with_capacity(size);
    tx.extend_from_slice(&0x8000_0004_u32.to_le_bytes());
    tx.extend_from_slice(&0x892f_2085_u32.to_le_bytes());
    tx.push(1);
    tx.extend_from_slice(&[0; 32]);
    tx.extend_from_slice(&[0xff; 4]);
    put_compact_size(&mut tx, script.len() as u64);
    tx.extend_from_slice(&script);
    tx.extend_from_slice(&[0xff; 4]);
    // Behind the outputs: lock time, expiry height, value balance, three empty lists.
    let tail = [0; 4 + 4 + 8 + 3];
    let sizes = output_sizes(size.min(MAX_COINBASE_BYTES).saturating_sub(tx.len() + 1 + tail.len()));
    put_compact_size(&mut tx, sizes.len() as u64);
    for size in sizes {
        put_output(&mut tx, size, rng);
    }
    tx.extend_from_slice(&tail);
    tx
}

/// What a block leaves to its coinbase: all but the Regtest header and the count.
const MAX_COINBASE_BYTES: usize = MAX_BLOCK_BYTES - 178;

/// Splits the filler into outputs that exist: at least one, none too large, none of a size that no script has.
fn output_sizes(total: usize) -> Vec<usize> {
    let total = total.max(MIN_OUTPUT_BYTES);
    let mut count = total.div_ceil(MAX_OUTPUT_BYTES);
    // A script of 252 bytes makes 261, one of 253 has a three-byte length and makes 264.
    if count == 1 && (8 + 1 + SHORT_SCRIPT..8 + 3 + SHORT_SCRIPT).contains(&total) {
        count = 2;
    }
    (0..count).map(|index| total / count + usize::from(index < total % count)).collect()
}

/// A worthless output of exactly `size` bytes: OP_RETURN and pushes of random data.
fn put_output(tx: &mut Vec<u8>, size: usize, rng: &mut ChaCha8Rng) {
    let script = if size < 8 + 1 + SHORT_SCRIPT { size - 9 } else { size - 11 };
    tx.extend_from_slice(&[0; 8]);
    put_compact_size(tx, script as u64);
    tx.push(0x6a);
    let mut left = script - 1;
    while left > 0 {
        // Each form of push has its own overhead; a byte that no form can use becomes an empty push.
        let (opcode, data): (&[u8], usize) = match left {
            1 | 77 | 258 => (&[0x00], 0),
            2..=76 => (&[], left - 1),
            78..=257 => (&[0x4c], left - 2),
            _ => (&[0x4d], (left - 3).min(MAX_PUSH)),
        };
        let before = tx.len();
        tx.extend_from_slice(opcode);
        match opcode {
            [0x4d] => tx.extend_from_slice(&(data as u16).to_le_bytes()),
            [0x00] => {}
            _ => tx.push(data as u8),
        }
        let start = tx.len();
        tx.resize(start + data, 0);
        if let Some(random) = tx.get_mut(start..) {
            rng.fill_bytes(random);
        }
        left -= tx.len() - before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zcash::{
        BodyReject, Header, Past, check_body, check_header, check_pow, difficulty::LOOKBACK, rules::Place,
    };

    const NET: Network = Network::Regtest;

    fn mine_chain(mut parent: Parent, seed: u64, sizes: &[Option<u32>]) -> Vec<Vec<u8>> {
        let mut chain = Vec::new();
        for size in sizes {
            let block = mine_block(parent, seed, *size);
            let (header, _) = Header::decode_prefix(NET, &block).unwrap();
            parent = Parent { hash: header.hash(), height: parent.height + 1, time: header.time };
            chain.push(block);
        }
        chain
    }

    #[test]
    fn a_mined_chain_passes_every_check_a_peer_would_make() {
        let genesis = Parent::genesis();
        let mut past = vec![Past { time: genesis.time, bits: REGTEST_BITS }];
        let mut prev = genesis.hash;
        for (height, block) in (1..).zip(mine_chain(genesis, 7, &[Some(1_700); 30])) {
            let (header, _) = Header::decode_prefix(NET, &block).unwrap();
            assert_eq!(header.prev, prev);
            check_pow(NET, &header, false).unwrap();
            let recent = &past[past.len().saturating_sub(LOOKBACK)..];
            check_header(NET, &header, Place { height, past: recent }, u64::from(header.time), false)
                .unwrap();
            let facts = check_body(NET, &block, height).unwrap();
            assert_eq!((facts.hash, facts.txs, facts.auth_unverified), (header.hash(), 1, false));
            let refused = check_body(NET, &block, height + 1);
            assert_eq!(refused, Err(BodyReject::CoinbaseHeight { expected: height + 1 }));
            past.push(Past::from(&header));
            prev = header.hash();
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_chain_and_another_a_branch() {
        let sizes = [None, Some(400), None];
        let chain = mine_chain(Parent::genesis(), 1, &sizes);
        assert_eq!(chain, mine_chain(Parent::genesis(), 1, &sizes));
        let tip = Header::decode_prefix(NET, &chain[2]).unwrap().0.hash();
        assert_eq!(
            crate::zcash::hash::to_display(&tip),
            "0c8ba0c7459379360b791729456550e72b71e229c5736c971c184002c73d32b9",
            "pinned: the same on every machine"
        );
        let branch = mine_block(Parent::genesis(), 2, Some(0));
        assert_ne!(branch, mine_block(Parent::genesis(), 1, Some(0)), "even the smallest");
        assert_eq!(branch[4..36], chain[0][4..36], "of the same parent");
    }

    #[test]
    fn a_block_has_the_size_asked_for() {
        let smallest = mine_block(Parent::genesis(), 3, Some(0)).len();
        assert_eq!(smallest, 178 + 90);
        for size in [
            0,
            268,
            269,
            519,
            520,
            521,
            522,
            526,
            527,
            528,
            1_700,
            10_285,
            10_286,
            75_000,
            2_000_000,
            u32::MAX,
        ] {
            let block = mine_block(Parent::genesis(), 3, Some(size));
            let nearest = (size as usize).clamp(smallest, MAX_BLOCK_BYTES);
            assert_eq!(block.len(), nearest);
            check_body(NET, &block, 1).unwrap();
        }
    }

    #[test]
    fn every_filler_size_is_met_with_pushes_a_script_may_have() {
        for total in (MIN_OUTPUT_BYTES..1_400).chain([10_011, 10_012, 20_022, 20_023, 1_999_700]) {
            let mut out = Vec::new();
            for size in output_sizes(total) {
                let start = out.len();
                put_output(&mut out, size, &mut rng(0, 0));
                let script = if size < 262 { &out[start + 9..] } else { &out[start + 11..] };
                assert!(script.len() <= 10_000 && script[0] == 0x6a);
                let mut rest = &script[1..];
                while let [opcode, tail @ ..] = rest {
                    let (skip, data) = match opcode {
                        0x4c => (1, usize::from(tail[0])),
                        0x4d => (2, usize::from(u16::from_le_bytes([tail[0], tail[1]]))),
                        small => (0, usize::from(*small)),
                    };
                    assert!(data <= MAX_PUSH);
                    rest = &tail[skip + data..];
                }
            }
            assert_eq!(out.len(), total);
        }
    }

    #[test]
    fn the_default_mix_has_its_shares() {
        let sizes: Vec<_> = (0..10_000).map(|height| default_size(&mut rng(11, height))).collect();
        let share = |from, to| sizes.iter().filter(|size| (from..=to).contains(*size)).count();
        assert!((5_300..5_700).contains(&share(1_700, 1_700)));
        assert!((3_300..3_700).contains(&share(2_000, 16_000)));
        assert!((800..1_000).contains(&share(16_001, 75_000)));
        assert!((60..140).contains(&share(100_000, 2_000_000)));
    }
}
