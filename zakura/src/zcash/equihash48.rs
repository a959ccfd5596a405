//! A small Equihash solver for Regtest's (48, 5): Wagner's algorithm on 512 leaves.

use blake2b_simd::Params;

/// Leaves: two to the power of one collision's bits plus one.
const LEAVES: u16 = 512;
/// Rounds of pairing.
const ROUNDS: u32 = 5;
/// Bytes of a leaf, 48 bits.
const LEAF_BYTES: usize = 6;
/// Bytes of a leaf as the hash puts them out: ten leaves at a time.
const DIGEST_BYTES: usize = 60;
/// Bits that must collide in each round.
const COLLISION_BITS: u32 = 8;
/// Bits of a packed index.
const INDEX_BITS: u32 = 9;

/// A partial solution: the exclusive or of its leaves, their indices in tree order.
struct Row {
    rest: u64,
    indices: Vec<u16>,
}

impl Row {
    /// Joins two rows in canonical order, `None` if they share a leaf.
    fn join(&self, other: &Self) -> Option<Self> {
        if self.indices.iter().any(|index| other.indices.contains(index)) {
            return None;
        }
        let (first, second) = if self.indices < other.indices { (self, other) } else { (other, self) };
        let indices = first.indices.iter().chain(&second.indices).copied().collect();
        Some(Self { rest: self.rest ^ other.rest, indices })
    }
}

/// All packed solutions for the first 140 bytes of a header, in a fixed order; often none.
#[must_use]
pub fn solve(fixed: &[u8; 140]) -> Vec<[u8; 36]> {
    let mut rows = leaves(fixed);
    for round in 1..=ROUNDS {
        // The last round must bring both remaining groups of bits to zero.
        let settled = if round == ROUNDS { ROUNDS + 1 } else { round };
        let shift = COLLISION_BITS * (ROUNDS + 1 - settled);
        rows = pair_up(rows, shift);
    }
    rows.iter().map(|row| pack(&row.indices)).collect()
}

fn leaves(fixed: &[u8; 140]) -> Vec<Row> {
    let mut personal = *b"ZcashPoW\0\0\0\0\0\0\0\0";
    personal[8] = 48;
    personal[12] = 5;
    let mut base = Params::new().hash_length(DIGEST_BYTES).personal(&personal).to_state();
    base.update(fixed);
    let mut rows = Vec::with_capacity(usize::from(LEAVES));
    for block in 0_u32.. {
        let digest = base.clone().update(&block.to_le_bytes()).finalize();
        for leaf in digest.as_bytes().chunks_exact(LEAF_BYTES) {
            let index = rows.len() as u16;
            if index == LEAVES {
                return rows;
            }
            let rest = leaf.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            rows.push(Row { rest, indices: vec![index] });
        }
    }
    rows
}

/// Joins every two rows whose bits from `shift` up are equal (and so vanish).
fn pair_up(mut rows: Vec<Row>, shift: u32) -> Vec<Row> {
    rows.sort_by(|a, b| (a.rest >> shift, &a.indices).cmp(&(b.rest >> shift, &b.indices)));
    let mut joined = Vec::with_capacity(rows.len());
    for group in rows.chunk_by(|a, b| a.rest >> shift == b.rest >> shift) {
        for (position, row) in group.iter().enumerate() {
            joined.extend(group.iter().skip(position + 1).filter_map(|other| row.join(other)));
        }
    }
    joined
}

/// Nine bits an index, most significant first.
fn pack(indices: &[u16]) -> [u8; 36] {
    let mut out = [0; 36];
    let mut slots = out.iter_mut();
    let (mut pending, mut bits) = (0_u32, 0);
    for index in indices {
        pending = pending << INDEX_BITS | u32::from(*index);
        bits += INDEX_BITS;
        while bits >= 8 {
            bits -= 8;
            if let Some(slot) = slots.next() {
                *slot = (pending >> bits & 0xff) as u8;
            }
        }
        pending &= (1 << bits) - 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_solution_satisfies_the_verifier() {
        let mut found = 0;
        for nonce in 0..40 {
            let mut fixed = [3; 140];
            fixed[108] = nonce;
            let solutions = solve(&fixed);
            for solution in &solutions {
                equihash::is_valid_solution(48, 5, &fixed[..108], &fixed[108..], solution).unwrap();
            }
            found += solutions.len();
        }
        // 0.7 solutions a nonce were measured; far fewer would mean that some are missed.
        assert!((15..60).contains(&found), "{found} solutions in 40 nonces");
    }

    #[test]
    fn the_genesis_solution_is_among_those_found() {
        let genesis = crate::zcash::Network::Regtest.genesis();
        let solutions = solve(genesis[..140].try_into().unwrap());
        assert!(solutions.iter().any(|solution| solution[..] == genesis[141..177]));
    }
}
