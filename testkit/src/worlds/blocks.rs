//! Blocks of a toy chain: 64-byte headers, bodies of a size that the header names. Millions of them cost nothing.

use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height, Work};

/// Bytes of a header: parent (32), salt (4), work (1), flaw (1), body bytes (4), zeros.
pub const HEADER_BYTES: usize = 64;

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None = 0,
    /// Its proof does not hold: seen without context.
    Proof = 1,
    /// It breaks a rule that only the chain can see.
    Rule = 2,
}

/// What a header is made of.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Tells branches apart.
    pub salt: u32,
    /// The work it claims.
    pub work: u8,
    /// What is wrong with it.
    pub flaw: Flaw,
    /// Bytes of the body, header included.
    pub body_bytes: u32,
}

/// A block without its body, which follows from it.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it stands.
    pub at: BlockRef,
    /// Its header.
    pub header: Bytes,
    /// Work of the chain up to it.
    pub total: u64,
}

/// Serializes a header.
#[must_use]
pub fn header(parent: BlockHash, recipe: Recipe) -> Bytes {
    let mut raw = Vec::with_capacity(HEADER_BYTES);
    raw.extend_from_slice(&parent.0);
    raw.extend_from_slice(&recipe.salt.to_le_bytes());
    raw.extend_from_slice(&[recipe.work, recipe.flaw as u8]);
    raw.extend_from_slice(&recipe.body_bytes.to_le_bytes());
    raw.resize(HEADER_BYTES, 0);
    raw.into()
}

/// A header's parent, work, flaw and body size; nothing if the bytes are no header.
#[must_use]
pub fn read(raw: &[u8]) -> Option<(BlockHash, u8, u8, u32)> {
    let raw: &[u8; HEADER_BYTES] = raw.try_into().ok()?;
    let (parent, rest) = raw.split_first_chunk::<32>()?;
    let (_salt, rest) = rest.split_first_chunk::<4>()?;
    let ([work, flaw], rest) = rest.split_first_chunk::<2>()?;
    let (size, zeros) = rest.split_first_chunk::<4>()?;
    let is_clean = zeros.iter().all(|byte| *byte == 0);
    is_clean.then_some((BlockHash(*parent), *work, *flaw, u32::from_le_bytes(*size)))
}

/// A header's hash: four lanes of a 64-bit mix. Fast, and no more than a toy needs.
#[must_use]
pub fn hash(raw: &[u8]) -> BlockHash {
    let mut out = [0; 32];
    for (lane, chunk) in (0_u64..).zip(out.chunks_exact_mut(8)) {
        let start = 0xcbf2_9ce4_8422_2325 ^ (lane + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = raw.chunks(8).fold(start, |state: u64, piece| {
            let word = piece.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            let state = (state ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state ^ state >> 32
        });
        chunk.copy_from_slice(&mixed.to_le_bytes());
    }
    BlockHash(out)
}

/// The body that a header asks for: the header, and then one byte over and over.
#[must_use]
pub fn body(header: &[u8]) -> Option<Bytes> {
    let (.., size) = read(header)?;
    let mut raw = header.to_vec();
    raw.resize(usize::try_from(size).ok()?.max(HEADER_BYTES), filling(header));
    Some(raw.into())
}

/// Whether a body is the one its header asks for.
#[must_use]
pub fn is_body(raw: &[u8]) -> bool {
    let Some((header, rest)) = raw.split_at_checked(HEADER_BYTES) else { return false };
    let Some((.., size)) = read(header) else { return false };
    let fill = filling(header);
    usize::try_from(size) == Ok(raw.len()) && rest.iter().all(|byte| *byte == fill)
}

fn filling(header: &[u8]) -> u8 {
    header.first().copied().unwrap_or_default() ^ 0x5a
}

/// Work as the ports count it.
#[must_use]
pub fn work(amount: u64) -> Work {
    let mut bytes = [0; 32];
    let [low, ..] = bytes.as_chunks_mut::<8>().0 else { return Work::ZERO };
    *low = amount.to_le_bytes();
    Work::from_le_bytes(bytes)
}

/// A branch that nobody changes any more, shared by every node that has it.
#[derive(Debug)]
pub struct Branch {
    blocks: Vec<Block>,
    index: BTreeMap<BlockHash, Height>,
}

impl Branch {
    /// The chain of one block that all share.
    #[must_use]
    pub fn genesis() -> Arc<Self> {
        let recipe = Recipe { salt: 0, work: 0, flaw: Flaw::None, body_bytes: 64 };
        let header = header(BlockHash([0; 32]), recipe);
        let at = BlockRef { height: Height::GENESIS, hash: hash(&header) };
        Arc::new(Self::of(vec![Block { at, header, total: 0 }]))
    }

    /// This branch up to and with `fork`, and one block more for each recipe.
    #[must_use]
    pub fn grow(&self, fork: Height, recipes: impl IntoIterator<Item = Recipe>) -> Arc<Self> {
        let keep = usize::try_from(fork.get()).unwrap_or(usize::MAX).saturating_add(1);
        let mut blocks: Vec<_> = self.blocks.iter().take(keep).cloned().collect();
        for recipe in recipes {
            let Some(parent) = blocks.last() else { break };
            let Some(height) = parent.at.height.next() else { break };
            let header = header(parent.at.hash, recipe);
            let total = parent.total.saturating_add(recipe.work.into());
            blocks.push(Block { at: BlockRef { height, hash: hash(&header) }, header, total });
        }
        Arc::new(Self::of(blocks))
    }

    fn of(blocks: Vec<Block>) -> Self {
        let index = blocks.iter().map(|block| (block.at.hash, block.at.height)).collect();
        Self { blocks, index }
    }

    /// The block at a height.
    #[must_use]
    pub fn block(&self, height: Height) -> Option<&Block> {
        self.blocks.get(usize::try_from(height.get()).ok()?)
    }

    /// The height of a hash.
    #[must_use]
    pub fn find(&self, hash: &BlockHash) -> Option<Height> {
        self.index.get(hash).copied()
    }

    /// Its last block.
    ///
    /// # Panics
    ///
    /// Never: every branch has its first block.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a branch is made from its first block on")]
    pub fn tip(&self) -> &Block {
        self.blocks.last().expect("a branch has a block")
    }

    /// Its blocks, genesis first.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_links_and_its_bodies_fit() {
        let recipe = |salt| Recipe { salt, work: 1, flaw: Flaw::None, body_bytes: 300 };
        let trunk = Branch::genesis().grow(Height::GENESIS, (0..10).map(recipe));
        let fork = trunk.grow(Height::new(4).unwrap(), (100..110).map(recipe));
        assert_eq!((trunk.tip().at.height.get(), fork.tip().at.height.get()), (10, 14));
        assert_eq!(trunk.block(Height::new(4).unwrap()).unwrap().at, fork.blocks()[4].at);
        assert_ne!(trunk.blocks()[5].at.hash, fork.blocks()[5].at.hash);
        for pair in fork.blocks().windows(2) {
            assert_eq!(read(&pair[1].header).unwrap().0, pair[0].at.hash);
            assert_eq!(hash(&pair[1].header), pair[1].at.hash);
            let mut body = body(&pair[1].header).unwrap().to_vec();
            assert!(is_body(&body));
            *body.last_mut().unwrap() ^= 1;
            assert!(!is_body(&body));
        }
        assert_eq!(fork.tip().total, 14);
    }
}
