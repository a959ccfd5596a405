//! Blocks of a toy chain: headers of a length that each names, bodies of a size that the header names. Millions of them
//! cost little.

use bytes::{BufMut, Bytes};
use std::sync::Arc;
use zakura_header_sync::chain::{BlockHash, BlockRef, Height, Work};

/// Bytes of a toy header: parent (32), salt (4), work (1), flaw (1), body bytes (4), time (4), header bytes (2), zeros.
pub const TOY_HEADER: usize = 64;

/// Bytes of a header that has the length of Mainnet's: 140, the length of the solution (3), the solution (1,344).
pub const MAINNET_HEADER: usize = 1_487;

/// Where a header's own length stands.
const LENGTH_AT: usize = 46;

/// Seconds between a block and the next, as on Mainnet since Blossom.
pub const SPACING: u32 = 75;

/// When the first block was made, Unix seconds.
const GENESIS_TIME: u32 = 1_700_000_000;

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
    /// Seconds after the parent.
    pub later: u32,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The block it continues.
    pub parent: BlockHash,
    /// The work it claims.
    pub work: u8,
    /// What is wrong with it, as a number.
    pub flaw: u8,
    /// Bytes of the body, header included.
    pub body_bytes: u32,
    /// When it was made, Unix seconds.
    pub time: u32,
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

/// Appends a header to `out`.
fn put_header(out: &mut Vec<u8>, parent: BlockHash, time: u32, recipe: Recipe, length: usize) {
    let end = out.len().saturating_add(length);
    out.put_slice(&parent.0);
    out.put_u32_le(recipe.salt);
    out.put_slice(&[recipe.work, recipe.flaw as u8]);
    out.put_u32_le(recipe.body_bytes);
    out.put_u32_le(time);
    out.put_u16_le(u16::try_from(length).unwrap_or(u16::MAX));
    out.resize(end, 0);
}

/// What a header says; nothing if the bytes are no header.
#[must_use]
pub fn read(raw: &[u8]) -> Option<Fields> {
    let (parent, rest) = raw.split_first_chunk::<32>()?;
    let (_salt, rest) = rest.split_first_chunk::<4>()?;
    let ([work, flaw], rest) = rest.split_first_chunk::<2>()?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let (time, rest) = rest.split_first_chunk::<4>()?;
    let (length, zeros) = rest.split_first_chunk::<2>()?;
    let is_clean =
        usize::from(u16::from_le_bytes(*length)) == raw.len() && zeros.iter().all(|byte| *byte == 0);
    is_clean.then(|| Fields {
        parent: BlockHash(*parent),
        work: *work,
        flaw: *flaw,
        body_bytes: u32::from_le_bytes(*size),
        time: u32::from_le_bytes(*time),
    })
}

/// The header that a body begins with.
#[must_use]
pub fn header_of(body: &[u8]) -> Option<&[u8]> {
    let length = body.get(LENGTH_AT..)?.first_chunk::<2>()?;
    body.get(..usize::from(u16::from_le_bytes(*length)))
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
    let size = usize::try_from(read(header)?.body_bytes).ok()?.max(header.len());
    let mut raw = Vec::with_capacity(size);
    raw.extend_from_slice(header);
    raw.resize(size, filling(header));
    Some(raw.into())
}

/// Whether a body is the one its header asks for.
#[must_use]
pub fn is_body(raw: &[u8]) -> bool {
    let Some((header, rest)) = header_of(raw).and_then(|header| raw.split_at_checked(header.len())) else {
        return false;
    };
    let Some(fields) = read(header) else { return false };
    let fill = filling(header);
    usize::try_from(fields.body_bytes).map(|size| size.max(header.len())) == Ok(raw.len())
        && rest.iter().all(|byte| *byte == fill)
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

/// A branch that nobody changes any more, shared by every node that has it. What it has in common with the branch that it
/// left is kept there.
#[derive(Debug)]
pub struct Branch {
    /// The branch it left, and the last block in common.
    base: Option<(Arc<Self>, Height)>,
    /// The height of the first block of its own.
    first: u32,
    blocks: Vec<Block>,
    /// Places in `blocks`, by hash.
    index: Vec<u32>,
    /// Whole blocks, if they do not follow from their headers.
    bodies: Vec<Bytes>,
}

impl Branch {
    /// The chain of one block that all share, with headers of this length.
    #[must_use]
    pub fn genesis(header_bytes: usize) -> Arc<Self> {
        let recipe = Recipe { salt: 0, work: 0, flaw: Flaw::None, body_bytes: 64, later: 0 };
        let mut raw = Vec::with_capacity(header_bytes);
        put_header(&mut raw, BlockHash([0; 32]), GENESIS_TIME, recipe, header_bytes);
        let at = BlockRef { height: Height::GENESIS, hash: hash(&raw) };
        Arc::new(Self::of(None, vec![Block { at, header: raw.into(), total: 0 }], Vec::new()))
    }

    /// This branch up to and with `fork`, and one block more for each recipe. All headers are of one length.
    #[must_use]
    pub fn grow(self: &Arc<Self>, fork: Height, recipes: impl IntoIterator<Item = Recipe>) -> Arc<Self> {
        let Some(below) = self.block(fork) else { return Arc::clone(self) };
        let length = below.header.len();
        let mut time = read(&below.header).map_or(GENESIS_TIME, |fields| fields.time);
        let (mut raw, mut places) = (Vec::new(), Vec::new());
        let (mut at, mut total) = (below.at, below.total);
        for recipe in recipes {
            let Some(height) = at.height.next() else { break };
            time = time.saturating_add(recipe.later);
            let start = raw.len();
            put_header(&mut raw, at.hash, time, recipe, length);
            at = BlockRef { height, hash: hash(raw.get(start..).unwrap_or_default()) };
            total = total.saturating_add(recipe.work.into());
            places.push((start, at, total));
        }
        let raw = Bytes::from(raw);
        let block = |(start, at, total)| Block { at, header: raw.slice(start..start + length), total };
        let blocks = places.into_iter().map(block).collect();
        Arc::new(Self::of(Some((Arc::clone(self), fork)), blocks, Vec::new()))
    }

    /// This branch up to and with `fork`, and these blocks above it, which carry their bodies.
    #[must_use]
    pub fn with_bodies(self: &Arc<Self>, fork: Height, bodies: Vec<(Block, Bytes)>) -> Arc<Self> {
        let (blocks, bodies) = bodies.into_iter().unzip();
        Arc::new(Self::of(Some((Arc::clone(self), fork)), blocks, bodies))
    }

    /// A first block that carries its body.
    #[must_use]
    pub fn begin(block: Block, body: Bytes) -> Arc<Self> {
        Arc::new(Self::of(None, vec![block], vec![body]))
    }

    fn of(base: Option<(Arc<Self>, Height)>, blocks: Vec<Block>, bodies: Vec<Bytes>) -> Self {
        let mut index: Vec<u32> = (0..).take(blocks.len()).collect();
        let hash = |place: &u32| blocks.get(usize::try_from(*place).ok()?).map(|block| block.at.hash);
        index.sort_unstable_by_key(hash);
        let first = base.as_ref().map_or(0, |(_, fork)| fork.get().saturating_add(1));
        Self { base, first, blocks, index, bodies }
    }

    fn place(&self, height: Height) -> Option<usize> {
        usize::try_from(height.get().checked_sub(self.first)?).ok()
    }

    /// The block at a height.
    #[must_use]
    pub fn block(&self, height: Height) -> Option<&Block> {
        match (self.place(height), &self.base) {
            (Some(place), _) => self.blocks.get(place),
            (None, Some((base, _))) => base.block(height),
            (None, None) => None,
        }
    }

    /// The whole block at a height.
    #[must_use]
    pub fn body(&self, height: Height) -> Option<Bytes> {
        match (self.place(height), &self.base) {
            (Some(place), _) if self.bodies.is_empty() => body(&self.blocks.get(place)?.header),
            (Some(place), _) => self.bodies.get(place).cloned(),
            (None, Some((base, _))) => base.body(height),
            (None, None) => None,
        }
    }

    /// The height of a hash.
    #[must_use]
    pub fn find(&self, hash: &BlockHash) -> Option<Height> {
        let of = |place: &u32| self.blocks.get(usize::try_from(*place).ok()?).map(|block| block.at);
        let found = self.index.binary_search_by_key(&Some(*hash), |place| of(place).map(|at| at.hash)).ok();
        let own = found.and_then(|nth| self.index.get(nth)).and_then(of).map(|at| at.height);
        own.or_else(|| {
            let (base, fork) = self.base.as_ref()?;
            base.find(hash).filter(|height| height <= fork)
        })
    }

    /// Its last block.
    ///
    /// # Panics
    ///
    /// Never: every branch has its first block.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a branch is made from its first block on")]
    pub fn tip(&self) -> &Block {
        let own = self.blocks.last();
        own.or_else(|| self.base.as_ref().and_then(|(base, fork)| base.block(*fork)))
            .expect("a branch has a block")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_links_and_its_bodies_fit() {
        let recipe = |salt| Recipe { salt, work: 1, flaw: Flaw::None, body_bytes: 2_000, later: SPACING };
        let height = |height| Height::new(height).unwrap();
        for length in [TOY_HEADER, MAINNET_HEADER] {
            let trunk = Branch::genesis(length).grow(Height::GENESIS, (0..10).map(recipe));
            let fork = trunk.grow(height(4), (100..110).map(recipe));
            assert_eq!((trunk.tip().at.height, fork.tip().at.height), (height(10), height(14)));
            assert_eq!(trunk.block(height(4)).unwrap().at, fork.block(height(4)).unwrap().at);
            assert_ne!(trunk.block(height(5)).unwrap().at, fork.block(height(5)).unwrap().at);
            for at in 1..=14 {
                let (below, above) = (fork.block(height(at - 1)).unwrap(), fork.block(height(at)).unwrap());
                let fields = read(&above.header).unwrap();
                assert_eq!(fields.parent, below.at.hash);
                assert_eq!(fields.time, GENESIS_TIME + at * SPACING);
                assert_eq!(hash(&above.header), above.at.hash);
                assert_eq!(fork.find(&above.at.hash), Some(height(at)));
                let mut body = fork.body(height(at)).unwrap().to_vec();
                assert_eq!(header_of(&body).unwrap(), above.header);
                assert!(is_body(&body));
                *body.last_mut().unwrap() ^= 1;
                assert!(!is_body(&body));
            }
            assert_eq!(fork.tip().total, 14);
            assert_eq!(fork.find(&trunk.tip().at.hash), None, "what it left is not on it");
            assert_eq!((fork.block(height(15)).is_none(), trunk.block(height(11)).is_none()), (true, true));
        }
    }
}
