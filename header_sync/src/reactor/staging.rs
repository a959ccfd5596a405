//! Linked headers in memory, on their way to the store.

use crate::{
    chain::{BlockRef, Work},
    machine::Received,
    ports::{HeaderBatch, HeaderChain, Proof},
};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use zakura_transport::{Fence, PeerId};

/// Who delivered a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deliverer {
    pub(super) session: Fence,
    pub(super) peer: PeerId,
}

/// Consecutive headers above `parent`, and who delivered which.
#[derive(Debug)]
pub(super) struct Staged {
    parent: BlockRef,
    headers: VecDeque<Received>,
    origins: VecDeque<(Deliverer, usize)>,
    /// How many of the first headers passed their check.
    checked: usize,
}

impl Staged {
    pub(super) const fn new(parent: BlockRef) -> Self {
        Self { parent, headers: VecDeque::new(), origins: VecDeque::new(), checked: 0 }
    }

    /// The block before the first header.
    pub(super) const fn parent(&self) -> BlockRef {
        self.parent
    }

    /// The last block; the parent while empty. `None` if its height would be illegal.
    pub(super) fn tip(&self) -> Option<BlockRef> {
        let Some(last) = self.headers.back() else { return Some(self.parent) };
        let count = u32::try_from(self.headers.len()).ok()?;
        Some(BlockRef { height: self.parent.height.checked_add(count)?, hash: last.hash })
    }

    pub(super) fn len(&self) -> usize {
        self.headers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    pub(super) const fn checked(&self) -> usize {
        self.checked
    }

    pub(super) fn push(&mut self, from: Deliverer, headers: Vec<Received>) {
        self.origins.push_back((from, headers.len()));
        self.headers.extend(headers);
    }

    /// Work the headers claim.
    pub(super) fn work(&self) -> Work {
        self.headers.iter().fold(Work::ZERO, |sum, header| sum.saturating_add(header.work))
    }

    /// The bytes of what is not checked yet.
    pub(super) fn unchecked(&self) -> Vec<Bytes> {
        self.headers.iter().skip(self.checked).map(|received| received.header.raw.clone()).collect()
    }

    pub(super) fn pass(&mut self, count: usize) {
        self.checked = self.checked.saturating_add(count).min(self.headers.len());
    }

    /// How many headers it says that somebody delivered.
    #[cfg(feature = "simulation")]
    pub(super) fn delivered(&self) -> usize {
        self.origins.iter().map(|(_, count)| count).sum()
    }

    /// The first `count` headers as a batch for the chain.
    pub(super) fn batch(&self, count: usize, proof: Proof) -> HeaderBatch {
        let headers = self.headers.iter().take(count).map(|received| received.header.clone()).collect();
        HeaderBatch { parent: self.parent, headers, proof }
    }

    /// Who delivered the header at `index`, and its hash.
    pub(super) fn culprit(&self, index: usize) -> Option<(Deliverer, &Received)> {
        let received = self.headers.get(index)?;
        let mut first = 0_usize;
        for (deliverer, count) in &self.origins {
            first = first.saturating_add(*count);
            if index < first {
                return Some((*deliverer, received));
            }
        }
        None
    }

    /// Every session that delivered part of it.
    pub(super) fn deliverers(&self) -> BTreeSet<Fence> {
        self.origins.iter().map(|(deliverer, _)| deliverer.session).collect()
    }

    /// Takes the first `count` headers away; says who delivered how many of them.
    pub(super) fn drop_front(&mut self, count: usize) -> Vec<(Deliverer, usize)> {
        let mut shares = Vec::new();
        for received in self.headers.drain(..count.min(self.headers.len())) {
            if let Some(height) = self.parent.height.next() {
                self.parent = BlockRef { height, hash: received.hash };
            }
        }
        self.checked = self.checked.saturating_sub(count);
        let mut left = count;
        while left > 0 {
            let Some((deliverer, held)) = self.origins.front_mut() else { break };
            let share = left.min(*held);
            shares.push((*deliverer, share));
            left = left.saturating_sub(share);
            *held = held.saturating_sub(share);
            if *held == 0 {
                self.origins.pop_front();
            }
        }
        shares
    }

    /// Takes away the first headers that the selected chain has already, from another peer or another path.
    pub(super) fn trim_known(&mut self, chain: &dyn HeaderChain) {
        let known = self.headers.iter().take_while(|header| chain.find(&header.hash).is_some()).count();
        self.drop_front(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::{BlockHash, Height},
        ports::SizedHeader,
    };

    fn deliverer(id: u8) -> Deliverer {
        Deliverer { session: Fence::mint(), peer: PeerId::new([id; 32]) }
    }

    fn headers(hashes: std::ops::Range<u8>) -> Vec<Received> {
        let header = |id| Received {
            header: SizedHeader { raw: vec![id].into(), size_hint: 0 },
            hash: BlockHash([id; 32]),
            work: Work::ZERO,
        };
        hashes.map(header).collect()
    }

    #[test]
    fn blame_and_praise_follow_the_deliverers_through_drops() {
        let genesis = BlockRef { height: Height::GENESIS, hash: BlockHash([0; 32]) };
        let (a, b) = (deliverer(1), deliverer(2));
        let mut staged = Staged::new(genesis);
        staged.push(a, headers(1..4));
        staged.push(b, headers(4..6));
        staged.pass(4);
        assert_eq!(staged.culprit(2).map(|(who, _)| who), Some(a));
        assert_eq!(staged.culprit(3).map(|(who, _)| who), Some(b));
        assert_eq!(staged.culprit(5), None);
        assert_eq!(staged.drop_front(4), [(a, 3), (b, 1)]);
        assert_eq!(staged.parent(), BlockRef { height: Height::new(4).unwrap(), hash: BlockHash([4; 32]) });
        assert_eq!((staged.len(), staged.checked()), (1, 0));
        assert_eq!(staged.culprit(0).map(|(who, _)| who), Some(b));
        assert_eq!(staged.tip().unwrap().height.get(), 5);
    }
}
