//! A store of toy blocks: both ports, in memory. What follows a shared branch is kept there, so that a node with a million
//! blocks costs what one with none does.

use super::{
    blocks::{self, Block, Branch, Flaw},
    clock::Clock,
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use zakura::store::WallClock as _;
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing, Wanted};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height},
    ports::{
        Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader, Proof,
        SizedHeader,
    },
};
use zakura_transport::Fence;

/// Seconds a header may be ahead of local time, as on the real chain (protocol specification 7.6).
pub const MAX_AHEAD_OF_CLOCK: u64 = 2 * 60 * 60;

#[derive(Debug)]
struct Inside {
    /// The part of a shared branch that is ours: up to and with this height.
    trunk: Arc<Branch>,
    trunk_tip: Height,
    /// Our own blocks above it.
    tail: Vec<Block>,
    index: BTreeMap<BlockHash, Height>,
    finalized: Height,
    fence: Fence,
    /// Bodies up to and with this height of the selected chain are durable.
    acknowledged: BlockRef,
}

impl Inside {
    fn block(&self, height: Height) -> Option<&Block> {
        if height <= self.trunk_tip {
            return self.trunk.block(height);
        }
        let above = height.above(self.trunk_tip).checked_sub(1)?;
        self.tail.get(usize::try_from(above).ok()?)
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        let shared = self.trunk.find(hash).filter(|height| *height <= self.trunk_tip);
        shared.or_else(|| self.index.get(hash).copied())
    }

    fn tip(&self) -> &Block {
        self.tail.last().or_else(|| self.trunk.block(self.trunk_tip)).unwrap_or_else(|| self.trunk.tip())
    }

    fn view(&self) -> HeaderView {
        let below = self.block(self.finalized).map_or(0, |block| block.total);
        let finalized = self.block(self.finalized).map_or(self.tip().at, |block| block.at);
        let (tip, total) = (self.tip().at, self.tip().total);
        HeaderView { fence: self.fence, finalized, tip, work: blocks::work(total.saturating_sub(below)) }
    }

    /// Cuts the chain above `height` and puts `new` there.
    fn replace(&mut self, height: Height, new: Vec<Block>) {
        if height < self.trunk_tip {
            self.trunk_tip = height;
            self.tail.clear();
            self.index.clear();
        }
        let keep = usize::try_from(height.above(self.trunk_tip)).unwrap_or(usize::MAX);
        for gone in self.tail.drain(keep.min(self.tail.len())..) {
            self.index.remove(&gone.at.hash);
        }
        for block in new {
            let shared = self.trunk.block(block.at.height).is_some_and(|shared| shared.at == block.at);
            if shared && self.tail.is_empty() {
                self.trunk_tip = block.at.height;
            } else {
                self.index.insert(block.at.hash, block.at.height);
                self.tail.push(block);
            }
        }
        if self.find(&self.acknowledged.hash).is_none() {
            let fork = self.acknowledged.height.min(height);
            self.acknowledged = self.block(fork).map_or(self.tip().at, |block| block.at);
        }
    }

    fn adopt(&mut self, branch: &Arc<Branch>, tip: Height) {
        let tip = tip.min(branch.tip().at.height);
        let shared = |height: Height| {
            let ours = self.block(height).map(|block| block.at);
            ours.is_some() && ours == branch.block(height).map(|block| block.at)
        };
        let is_reorg = !shared(self.tip().at.height.min(tip)) || tip < self.tip().at.height;
        self.trunk = Arc::clone(branch);
        self.trunk_tip = tip;
        self.tail.clear();
        self.index.clear();
        self.acknowledged = self.tip().at;
        if is_reorg {
            self.fence = Fence::mint();
        }
    }

    fn accept(&mut self, batch: &HeaderBatch, now: u64, finality: u32) -> Accept {
        let Some(parent) = self.find(&batch.parent.hash) else { return Accept::Orphan };
        let Some(mut below) = self.block(parent).cloned() else { return Accept::Orphan };
        let mut new = Vec::with_capacity(batch.headers.len());
        for (index, header) in batch.headers.iter().enumerate() {
            let Some(fields) = blocks::read(&header.raw) else {
                return Accept::Invalid { index, reason: "no toy header".into() };
            };
            if fields.parent != below.at.hash || fields.flaw == Flaw::Rule as u8 {
                return Accept::Invalid { index, reason: "it breaks the toy rule".into() };
            }
            let Some(height) = below.at.height.next() else { return Accept::Orphan };
            let at = BlockRef { height, hash: blocks::hash(&header.raw) };
            let is_early = u64::from(fields.time) > now.saturating_add(MAX_AHEAD_OF_CLOCK);
            if is_early && batch.proof == Proof::Verified && self.find(&at.hash) != Some(height) {
                let reason = "a header is more than two hours ahead of local time: check the clock";
                return Accept::Unavailable { reason: reason.into() };
            }
            let total = below.total.saturating_add(fields.work.into());
            below = Block { at, header: header.raw.clone(), total };
            new.push(below.clone());
        }
        let known = new.iter().take_while(|block| self.find(&block.at.hash) == Some(block.at.height)).count();
        let Some(first) = new.get(known) else { return Accept::Known };
        let fork = first.at.height.saturating_sub(1);
        if fork < self.finalized {
            return Accept::BelowFloor;
        }
        if below.total <= self.tip().total {
            return Accept::NotBetter;
        }
        if fork < self.tip().at.height {
            self.fence = Fence::mint();
        }
        self.replace(fork, new.split_off(known));
        self.finalized = self.finalized.max(self.tip().at.height.saturating_sub(finality));
        Accept::Extended(self.view())
    }

    fn commit(&mut self, bodies: &[Body]) -> Commit {
        let mut at = self.acknowledged;
        for body in bodies {
            let next = at.height.next().and_then(|next| self.block(next)).map(|block| block.at);
            if next != Some(body.at) {
                return Commit::Stale;
            }
            at = body.at;
        }
        self.acknowledged = at;
        Commit::Committed(at)
    }
}

/// A store in memory. Clones are the same store.
#[derive(Debug, Clone)]
pub struct ToyStore {
    inside: Arc<watch::Sender<Inside>>,
    anchors: Arc<Vec<BlockRef>>,
    finality: u32,
    clock: Clock,
    header_bytes: usize,
}

impl ToyStore {
    /// A store that has a branch up to and with `tip`, bodies too, and knows these checkpoints (ascending). What is
    /// `finality` below the tip is final.
    #[must_use]
    pub fn new(
        trunk: &Arc<Branch>,
        tip: Height,
        anchors: Vec<BlockRef>,
        finality: u32,
        clock: Clock,
    ) -> Self {
        let tip = tip.min(trunk.tip().at.height);
        let acknowledged = trunk.block(tip).map_or(trunk.tip().at, |block| block.at);
        let inside = Inside {
            trunk: Arc::clone(trunk),
            trunk_tip: tip,
            tail: Vec::new(),
            index: BTreeMap::new(),
            finalized: tip.saturating_sub(finality),
            fence: Fence::mint(),
            acknowledged,
        };
        let (inside, anchors) = (Arc::new(watch::Sender::new(inside)), Arc::new(anchors));
        Self { inside, anchors, finality, clock, header_bytes: trunk.tip().header.len() }
    }

    /// Puts the store on another branch, as a miner's node would: the branch's blocks come from elsewhere, with bodies.
    pub fn adopt(&self, branch: &Arc<Branch>, tip: Height) {
        self.inside.send_modify(|inside| {
            inside.adopt(branch, tip);
            inside.finalized = inside.finalized.max(tip.saturating_sub(self.finality));
        });
    }
}

impl HeaderChain for ToyStore {
    fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        let fields = blocks::read(raw).filter(|_| raw.len() == self.header_bytes);
        let fields = fields.ok_or_else(|| InvalidHeader { reason: "no toy header".into() })?;
        let work = blocks::work(fields.work.into());
        Ok(HeaderFacts { hash: blocks::hash(raw), parent: fields.parent, work, time: fields.time })
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        match blocks::read(raw) {
            Some(fields) if fields.flaw != Flaw::Proof as u8 => Ok(()),
            Some(_) | None => Err(InvalidHeader { reason: "the proof does not hold".into() }),
        }
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        let (mut answer, now) = (Accept::Orphan, self.clock.unix_seconds());
        self.inside.send_modify(|inside| answer = inside.accept(&batch, now, self.finality));
        answer
    }

    fn view(&self) -> HeaderView {
        self.inside.borrow().view()
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        self.inside.borrow().find(hash)
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.inside.borrow().block(height).map(|block| block.at.hash)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        let inside = self.inside.borrow();
        let Some(end) = inside.find(&query.target) else { return Found::TargetNotRetained };
        let on_path = |hash: &BlockHash| inside.find(hash).filter(|height| *height <= end);
        let Some(start) = query.locator.iter().find_map(on_path) else { return Found::NoIntersection };
        let Some(ancestor) = inside.block(start).map(|block| block.at) else { return Found::Unavailable };
        let last = start.checked_add(query.max_count).map_or(end, |last| last.min(end));
        let path = (start.get().saturating_add(1)..=last.get()).filter_map(Height::new);
        let headers = path
            .filter_map(|height| inside.block(height))
            .map(|block| SizedHeader { raw: block.header.clone(), size_hint: size_hint(block) });
        Found::Headers { ancestor, headers: headers.collect(), complete: last == end }
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        let first = self.anchors.partition_point(|anchor| anchor.height <= height);
        self.anchors.iter().skip(first).take(limit).copied().collect()
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        self.inside.send_modify(|inside| {
            if inside.find(&floor.hash) == Some(floor.height) {
                inside.finalized = inside.finalized.max(floor.height);
            }
        });
        self.view()
    }
}

fn size_hint(block: &Block) -> u32 {
    blocks::read(&block.header).map_or(0, |fields| fields.body_bytes)
}

impl BlockStore for ToyStore {
    fn acknowledged(&self) -> BlockRef {
        self.inside.borrow().acknowledged
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        let inside = self.inside.borrow();
        if inside.fence != view {
            return Missing::Stale;
        }
        let from = from.max(inside.acknowledged.height.next().unwrap_or(Height::MAX));
        let heights = (from.get()..=inside.tip().at.height.get()).filter_map(Height::new);
        let blocks = heights.filter_map(|height| inside.block(height));
        let wanted = blocks.map(|block| Wanted { at: block.at, size_hint: size_hint(block) });
        Missing::Bodies(wanted.take(limit).collect())
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        let header = raw.get(..self.header_bytes).ok_or_else(|| "shorter than a header".to_owned())?;
        Ok(blocks::hash(header))
    }

    fn check(&self, _at: BlockRef, raw: &Bytes) -> BodyVerdict {
        if blocks::is_body(raw) {
            BodyVerdict::Valid
        } else {
            BodyVerdict::Invalid { reason: "the filling does not match the header".into() }
        }
    }

    fn commit(&self, bodies: Vec<Body>) -> Commit {
        let mut answer = Commit::Stale;
        self.inside.send_modify(|inside| answer = inside.commit(&bodies));
        answer
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        let inside = self.inside.borrow();
        let heights = (start.get()..=inside.acknowledged.height.get()).filter_map(Height::new);
        let held = heights.map_while(|height| inside.block(height));
        let bodies = held.take(usize::try_from(max_count).unwrap_or(usize::MAX));
        let (mut bytes, most) = (0_usize, usize::try_from(max_bytes).unwrap_or(usize::MAX));
        let fits =
            bodies.filter_map(|block| blocks::body(&block.header)).enumerate().take_while(|(nth, raw)| {
                bytes = bytes.saturating_add(raw.len());
                *nth == 0 || bytes <= most
            });
        Ok(fits.map(|(_, raw)| raw).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::blocks::{Recipe, SPACING, TOY_HEADER},
        *,
    };

    const HOUR: u32 = 60 * 60;

    fn store(clock: &Clock) -> (ToyStore, Arc<Branch>) {
        let recipe = |salt, later| Recipe { salt, work: 2, flaw: Flaw::None, body_bytes: 100, later };
        let recipes = (0..10).map(|salt| recipe(salt, SPACING)).chain([recipe(10, 3 * HOUR)]);
        let branch = Branch::genesis(TOY_HEADER).grow(Height::GENESIS, recipes);
        (ToyStore::new(&branch, Height::GENESIS, Vec::new(), 100, clock.clone()), branch)
    }

    fn batch(branch: &Branch, heights: std::ops::RangeInclusive<u32>, proof: Proof) -> HeaderBatch {
        let block = |height| branch.block(Height::new(height).unwrap()).unwrap();
        let parent = block(heights.start() - 1).at;
        let headers = heights.map(|at| SizedHeader { raw: block(at).header.clone(), size_hint: 0 });
        HeaderBatch { parent, headers: headers.collect(), proof }
    }

    #[test]
    fn a_header_from_the_future_is_nobodys_fault_and_taken_when_its_time_comes() {
        let clock = Clock::default();
        let (store, branch) = store(&clock);
        let time = blocks::read(&branch.block(Height::new(10).unwrap()).unwrap().header).unwrap().time;
        clock.set(time.into());
        assert!(matches!(store.accept(batch(&branch, 1..=10, Proof::Verified)), Accept::Extended(_)));
        assert!(matches!(store.accept(batch(&branch, 1..=11, Proof::Verified)), Accept::Unavailable { .. }));
        clock.set(u64::from(time + HOUR));
        assert!(matches!(store.accept(batch(&branch, 11..=11, Proof::Verified)), Accept::Extended(_)));
        assert_eq!(store.view().tip, branch.tip().at);
        clock.set(0);
        assert_eq!(store.accept(batch(&branch, 1..=11, Proof::Verified)), Accept::Known, "it has them");
    }

    #[test]
    fn a_checkpoint_proves_its_headers_whatever_the_clock_says() {
        let (store, branch) = store(&Clock::default());
        assert!(matches!(store.accept(batch(&branch, 1..=11, Proof::Anchored)), Accept::Extended(_)));
    }

    #[test]
    fn what_follows_the_shared_branch_is_kept_there() {
        let clock = Clock::default();
        clock.set(u64::MAX);
        let (store, branch) = store(&clock);
        for at in 1..=11 {
            assert!(matches!(store.accept(batch(&branch, at..=at, Proof::Verified)), Accept::Extended(_)));
        }
        assert_eq!(store.inside.borrow().tail.len(), 0);
        assert_eq!((store.view().tip, store.find(&branch.tip().at.hash)), (branch.tip().at, Height::new(11)));
    }
}
