//! Blocks that are known to be on the chain.

use zakura_header_sync::chain::{BlockHash, BlockRef, Height};

use crate::zcash::Network;

/// Known (height, hash) pairs, ascending, one a height.
#[derive(Debug, Clone)]
pub(super) struct Checkpoints(Vec<BlockRef>);

impl Checkpoints {
    /// These blocks, in any order; of two at one height the first given counts.
    pub(super) fn new(mut blocks: Vec<BlockRef>) -> Self {
        blocks.sort_by_key(|block| block.height);
        blocks.dedup_by_key(|block| block.height);
        Self(blocks)
    }

    /// The network's own.
    pub(super) fn built_in(network: Network) -> Self {
        let block = |(height, hash)| Some(BlockRef { height: Height::new(height)?, hash: BlockHash(hash) });
        Self::new(network.checkpoints().filter_map(block).collect())
    }

    /// The checkpoint at a height.
    pub(super) fn at(&self, height: Height) -> Option<BlockRef> {
        let index = self.0.binary_search_by_key(&height, |block| block.height).ok()?;
        self.0.get(index).copied()
    }

    /// The last one at or below a height.
    pub(super) fn last_up_to(&self, height: Height) -> Option<BlockRef> {
        let end = self.0.partition_point(|block| block.height <= height);
        self.0.get(..end).and_then(<[_]>::last).copied()
    }

    /// The first `limit` above a height.
    pub(super) fn above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        let start = self.0.partition_point(|block| block.height <= height);
        self.0.iter().skip(start).take(limit).copied().collect()
    }

    /// Whether any is above a height.
    pub(super) fn any_above(&self, height: Height) -> bool {
        self.0.last().is_some_and(|last| last.height > height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(height: u32, byte: u8) -> BlockRef {
        BlockRef { height: Height::new(height).unwrap(), hash: BlockHash([byte; 32]) }
    }

    #[test]
    fn they_are_found_from_either_side() {
        let points = Checkpoints::new(vec![block(20, 2), block(10, 1), block(20, 9)]);
        let height = |number| Height::new(number).unwrap();
        assert_eq!(points.at(height(20)), Some(block(20, 2)), "the first given at a height counts");
        assert_eq!(points.at(height(11)), None);
        assert_eq!(points.last_up_to(height(9)), None);
        assert_eq!(points.last_up_to(height(10)), Some(block(10, 1)));
        assert_eq!(points.last_up_to(height(99)), Some(block(20, 2)));
        assert_eq!(points.above(height(10), 5), [block(20, 2)]);
        assert_eq!(points.above(height(0), 1), [block(10, 1)]);
        assert!(points.any_above(height(19)) && !points.any_above(height(20)));
    }
}
