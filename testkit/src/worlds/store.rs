//! A node's store in a world: both ports over toy blocks, in memory, with the faults that disks have.

use super::blocks::{self, Block, Branch, Flaw, HEADER_BYTES};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing, Wanted};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height},
    ports::{
        Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader,
        SizedHeader,
    },
};
use zakura_transport::Fence;

/// What a store does that it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreFaults {
    /// So many of the next headers are not taken: the disk is full.
    pub header_writes: u32,
    /// So many of the next bodies are not taken.
    pub body_writes: u32,
    /// So many of the next reads for peers fail.
    pub reads: u32,
    /// Bodies at or above this height are given away with a wrong byte: a liar's store.
    pub forges_from: Option<Height>,
    /// Bodies below this height are not kept.
    pub pruned_below: Height,
}

impl StoreFaults {
    /// These failures, with what the store's owner does on purpose.
    #[must_use]
    pub const fn over(self, now: Self) -> Self {
        Self { forges_from: now.forges_from, pruned_below: now.pruned_below, ..self }
    }
}

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
    faults: StoreFaults,
    /// How often header contexts were checked: what a liar can make us burn.
    verified: u64,
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
        self.index.extend(new.iter().map(|block| (block.at.hash, block.at.height)));
        self.tail.extend(new);
        if self.find(&self.acknowledged.hash).is_none() {
            let fork = self.acknowledged.height.min(height);
            self.acknowledged = self.block(fork).map_or(self.tip().at, |block| block.at);
        }
    }
}

/// A store in memory. Clones are the same store.
#[derive(Debug, Clone)]
pub struct ToyStore {
    inside: Arc<watch::Sender<Inside>>,
    anchors: Arc<Vec<BlockRef>>,
    finality: u32,
}

impl ToyStore {
    /// A store that has a branch up to and with `tip`, with bodies up to `bodies`. What is `finality` below the tip is final.
    #[must_use]
    pub fn new(trunk: &Arc<Branch>, tip: Height, bodies: Height, finality: u32) -> Self {
        let tip = tip.min(trunk.tip().at.height);
        let acknowledged = trunk.block(bodies.min(tip)).map_or(trunk.tip().at, |block| block.at);
        let inside = Inside {
            trunk: Arc::clone(trunk),
            trunk_tip: tip,
            tail: Vec::new(),
            index: BTreeMap::new(),
            finalized: tip.saturating_sub(finality),
            fence: Fence::mint(),
            acknowledged,
            faults: StoreFaults::default(),
            verified: 0,
        };
        Self { inside: Arc::new(watch::Sender::new(inside)), anchors: Arc::new(Vec::new()), finality }
    }

    /// The same with checkpoints.
    #[must_use]
    pub fn with_anchors(mut self, anchors: Vec<BlockRef>) -> Self {
        self.anchors = Arc::new(anchors);
        self
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut StoreFaults)) {
        self.inside.send_modify(|inside| change(&mut inside.faults));
    }

    /// Puts the store on another branch, as a miner's node would: the branch's blocks come from elsewhere, with bodies.
    pub fn adopt(&self, branch: &Arc<Branch>, tip: Height) {
        self.inside.send_modify(|inside| {
            let tip = tip.min(branch.tip().at.height);
            let shared = |height: Height| {
                let ours = inside.block(height).map(|block| block.at);
                ours.is_some() && ours == branch.block(height).map(|block| block.at)
            };
            let is_reorg = !shared(inside.tip().at.height.min(tip)) || tip < inside.tip().at.height;
            inside.trunk = Arc::clone(branch);
            inside.trunk_tip = tip;
            inside.tail.clear();
            inside.index.clear();
            inside.finalized = inside.finalized.max(tip.saturating_sub(self.finality));
            inside.acknowledged = inside.tip().at;
            if is_reorg {
                inside.fence = Fence::mint();
            }
        });
    }

    /// How many headers were verified.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.inside.borrow().verified
    }

    /// What is wrong with what it holds.
    ///
    /// # Errors
    ///
    /// The first break between two blocks from `from` up.
    pub fn check(&self, from: Height) -> Result<(), String> {
        let inside = self.inside.borrow();
        let mut height = from;
        while let (Some(below), Some(above)) =
            (inside.block(height), height.next().and_then(|next| inside.block(next)))
        {
            let parent = blocks::read(&above.header).map(|(parent, ..)| parent);
            if parent != Some(below.at.hash) {
                return Err(format!("block {} does not continue {}", above.at, below.at));
            }
            height = above.at.height;
        }
        Ok(())
    }
}

impl HeaderChain for ToyStore {
    fn header_bytes(&self) -> usize {
        HEADER_BYTES
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        let (parent, work, ..) =
            blocks::read(raw).ok_or_else(|| InvalidHeader { reason: "no toy header".into() })?;
        Ok(HeaderFacts { hash: blocks::hash(raw), parent, work: blocks::work(work.into()), time: 0 })
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        self.inside.send_if_modified(|inside| {
            inside.verified = inside.verified.saturating_add(1);
            false
        });
        match blocks::read(raw) {
            Some((_, _, flaw, _)) if flaw != Flaw::Proof as u8 => Ok(()),
            Some(_) | None => Err(InvalidHeader { reason: "the proof does not hold".into() }),
        }
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        let mut answer = Accept::Orphan;
        self.inside.send_modify(|inside| answer = accept(inside, &batch, self.finality));
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
        if self.read_fails() {
            return Found::Unavailable;
        }
        let inside = self.inside.borrow();
        let Some(end) = inside.find(&query.target) else { return Found::TargetNotRetained };
        let on_path = |hash: &BlockHash| inside.find(hash).filter(|height| *height <= end);
        let Some(start) = query.locator.iter().find_map(on_path) else { return Found::NoIntersection };
        let Some(ancestor) = inside.block(start).map(|block| block.at) else { return Found::Unavailable };
        let last = start.checked_add(query.max_count).map_or(end, |last| last.min(end));
        let path = (start.get().saturating_add(1)..=last.get()).filter_map(Height::new);
        let headers = path.filter_map(|height| inside.block(height)).map(|block| {
            let size_hint = blocks::read(&block.header).map_or(0, |(.., size)| size);
            SizedHeader { raw: block.header.clone(), size_hint }
        });
        Found::Headers { ancestor, headers: headers.collect(), complete: last == end }
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        self.anchors.iter().filter(|anchor| anchor.height > height).take(limit).copied().collect()
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

fn accept(inside: &mut Inside, batch: &HeaderBatch, finality: u32) -> Accept {
    let Some(parent) = inside.find(&batch.parent.hash) else { return Accept::Orphan };
    if inside.faults.header_writes > 0 {
        inside.faults.header_writes -= 1;
        return Accept::Unavailable { reason: "the disk is full".into() };
    }
    let Some(mut below) = inside.block(parent).cloned() else { return Accept::Orphan };
    let mut new = Vec::with_capacity(batch.headers.len());
    for (index, header) in batch.headers.iter().enumerate() {
        let Some((before, claimed, flaw, _)) = blocks::read(&header.raw) else {
            return Accept::Invalid { index, reason: "no toy header".into() };
        };
        if before != below.at.hash || flaw == Flaw::Rule as u8 {
            return Accept::Invalid { index, reason: "it breaks the toy rule".into() };
        }
        let Some(height) = below.at.height.next() else { return Accept::Orphan };
        let at = BlockRef { height, hash: blocks::hash(&header.raw) };
        below = Block { at, header: header.raw.clone(), total: below.total.saturating_add(claimed.into()) };
        new.push(below.clone());
    }
    let known = new.iter().take_while(|block| inside.find(&block.at.hash) == Some(block.at.height)).count();
    let Some(first) = new.get(known) else { return Accept::Known };
    let fork = first.at.height.saturating_sub(1);
    if fork < inside.finalized {
        return Accept::BelowFloor;
    }
    if below.total <= inside.tip().total {
        return Accept::NotBetter;
    }
    if fork < inside.tip().at.height {
        inside.fence = Fence::mint();
    }
    inside.replace(fork, new.split_off(known));
    inside.finalized = inside.finalized.max(inside.tip().at.height.saturating_sub(finality));
    Accept::Extended(inside.view())
}

impl ToyStore {
    fn read_fails(&self) -> bool {
        let mut fails = false;
        self.inside.send_if_modified(|inside| {
            fails = inside.faults.reads > 0;
            inside.faults.reads = inside.faults.reads.saturating_sub(1);
            false
        });
        fails
    }
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
        let wanted = heights.filter_map(|height| inside.block(height)).map(|block| {
            let size_hint = blocks::read(&block.header).map_or(0, |(.., size)| size);
            Wanted { at: block.at, size_hint }
        });
        Missing::Bodies(wanted.take(limit).collect())
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        let header = raw.get(..HEADER_BYTES).ok_or_else(|| "shorter than a header".to_owned())?;
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
        self.inside.send_modify(|inside| answer = commit(inside, &bodies));
        answer
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        if self.read_fails() {
            return Err("the disk cannot be read".into());
        }
        let inside = self.inside.borrow();
        let (faults, last) = (inside.faults, inside.acknowledged.height);
        if start < faults.pruned_below {
            return Ok(Vec::new());
        }
        let heights = (start.get()..=last.get()).filter_map(Height::new);
        let held = heights
            .map_while(|height| inside.block(height))
            .take(usize::try_from(max_count).unwrap_or(usize::MAX));
        let mut bytes = 0_usize;
        let bodies = held.filter_map(|block| {
            let body = blocks::body(&block.header)?;
            let forges = faults.forges_from.is_some_and(|from| block.at.height >= from);
            Some(if forges { forged(&body) } else { body })
        });
        let most = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let fits = bodies.enumerate().take_while(|(nth, raw)| {
            bytes = bytes.saturating_add(raw.len());
            *nth == 0 || bytes <= most
        });
        Ok(fits.map(|(_, raw)| raw).collect())
    }
}

/// The same header over another content.
fn forged(body: &Bytes) -> Bytes {
    let mut raw = body.to_vec();
    match raw.get_mut(HEADER_BYTES..).and_then(<[u8]>::last_mut) {
        Some(byte) => *byte ^= 0xff,
        None => raw.push(0),
    }
    raw.into()
}

fn commit(inside: &mut Inside, bodies: &[Body]) -> Commit {
    if inside.faults.body_writes > 0 {
        inside.faults.body_writes -= 1;
        return Commit::Unavailable { reason: "the disk is full".into() };
    }
    let mut at = inside.acknowledged;
    for body in bodies {
        let next = at.height.next().and_then(|next| inside.block(next)).map(|block| block.at);
        if next != Some(body.at) {
            return Commit::Stale;
        }
        at = body.at;
    }
    inside.acknowledged = at;
    Commit::Committed(at)
}
