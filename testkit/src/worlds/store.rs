//! A node's store in a world: toy blocks or the real store, and before either the faults that disks and liars have.

use super::{blocks::Branch, clock::Clock, real::RealStore, toy::ToyStore};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader},
};
use zakura_transport::{Fence, routine::SteppedJob};

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
    /// The power fails in the next commit, when so many of its bodies are written.
    pub torn_after: Option<u32>,
}

impl StoreFaults {
    /// These failures, with what the store's owner does on purpose.
    #[must_use]
    pub const fn over(self, now: Self) -> Self {
        Self { forges_from: now.forges_from, pruned_below: now.pruned_below, ..self }
    }
}

/// What holds the blocks.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// Toy blocks, in memory.
    Toy(ToyStore),
    /// The store that ships, on a disk in memory.
    Real(RealStore),
}

/// A store. Clones are the same store, until the power fails.
#[derive(Debug, Clone)]
pub struct NodeStore {
    shelf: Shelf,
    faults: Arc<watch::Sender<StoreFaults>>,
    /// The first committed body that is not the one its header asks for: nobody looks at it again, so it is remembered.
    foul: Arc<OnceLock<BlockRef>>,
    clock: Clock,
}

impl NodeStore {
    /// A store without faults. `clock` is the one that its shelf reads.
    #[must_use]
    pub fn new(shelf: Shelf, clock: Clock) -> Self {
        let faults = Arc::new(watch::Sender::new(StoreFaults::default()));
        Self { shelf, faults, foul: Arc::default(), clock }
    }

    fn chain(&self) -> &dyn HeaderChain {
        match &self.shelf {
            Shelf::Toy(toy) => toy,
            Shelf::Real(real) => real.store(),
        }
    }

    fn bodies(&self) -> &dyn BlockStore {
        match &self.shelf {
            Shelf::Toy(toy) => toy,
            Shelf::Real(real) => real.store(),
        }
    }

    /// The wall clock of its node.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut StoreFaults)) {
        self.faults.send_modify(change);
    }

    /// What goes wrong now.
    #[must_use]
    pub fn faults(&self) -> StoreFaults {
        *self.faults.borrow()
    }

    /// Counts one off a number of failures to come. Whether there was one.
    fn fails(&self, which: impl FnOnce(&mut StoreFaults) -> &mut u32) -> bool {
        self.faults.send_if_modified(|faults| {
            let left = which(faults);
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            fails
        })
    }

    /// Puts the store on a longer branch, as a miner's node would: its blocks come from elsewhere, with bodies.
    pub fn adopt(&self, branch: &Arc<Branch>) {
        match &self.shelf {
            Shelf::Toy(toy) => toy.adopt(branch, branch.tip().at.height),
            Shelf::Real(real) => real.adopt(branch),
        }
    }

    /// The power fails while these jobs are under way: each has got somewhere or nowhere, and nobody hears where. What the
    /// store had acknowledged stays. Says which jobs were torn.
    ///
    /// # Errors
    ///
    /// Why the store does not open again, or what it has lost.
    pub fn lose_power(
        &mut self,
        jobs: Vec<SteppedJob>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<&'static str>, String> {
        let begun: Vec<_> = jobs.into_iter().filter(|_| rng.next_u32().is_multiple_of(2)).collect();
        if let Shelf::Real(real) = &self.shelf {
            real.fail_soon(rng);
        }
        let torn: Vec<_> = begun.iter().map(|job| job.name).collect();
        let had = (self.view().tip, self.acknowledged());
        for job in begun {
            let bodies = u32::try_from(job.items).unwrap_or(u32::MAX).saturating_add(1);
            let torn_after = Some(rng.next_u32() % bodies);
            self.set_faults(|faults| faults.torn_after = torn_after);
            drop(job.run());
        }
        self.set_faults(|faults| faults.torn_after = None);
        if let Shelf::Real(real) = &mut self.shelf {
            real.restart(rng).map_err(|error| error.to_string())?;
        }
        // Another branch may have been stored in that moment; nothing else takes away what was acknowledged.
        if !torn.contains(&"header store") {
            self.still_has(had)?;
        }
        Ok(torn)
    }

    fn still_has(&self, (tip, acknowledged): (BlockRef, BlockRef)) -> Result<(), String> {
        let bodies = self.acknowledged();
        if self.hash_at(tip.height) != Some(tip.hash) {
            return Err(format!("the header of {tip} was acknowledged, the tip is {}", self.view().tip));
        }
        if bodies.height < acknowledged.height {
            return Err(format!(
                "bodies up to {acknowledged} were acknowledged, they are there up to {bodies}"
            ));
        }
        Ok(())
    }

    /// Whether it has a block and every body up to there. It may have more: what is ahead of its time, if its clock is too.
    #[must_use]
    pub fn reaches(&self, goal: BlockRef) -> bool {
        self.acknowledged().height >= goal.height && self.hash_at(goal.height) == Some(goal.hash)
    }

    /// Where a header names its parent.
    #[must_use]
    pub const fn parent_at(&self) -> usize {
        match self.shelf {
            Shelf::Toy(_) => 0,
            // The version comes first.
            Shelf::Real(_) => 4,
        }
    }

    /// The first committed body that was not the one its header asks for.
    #[must_use]
    pub fn foul(&self) -> Option<BlockRef> {
        self.foul.get().copied()
    }

    /// Whether a body of this chain is another than its header asks for.
    #[must_use]
    pub fn is_forged(&self, raw: &Bytes) -> bool {
        let bodies = self.bodies();
        let at = bodies.identify(raw).ok().and_then(|hash| {
            let height = self.chain().find(&hash)?;
            Some(BlockRef { height, hash })
        });
        at.is_some_and(|at| bodies.check(at, raw) != BodyVerdict::Valid)
    }

    /// What is wrong with the chain from `from` up to the highest body.
    ///
    /// # Errors
    ///
    /// The first break between two blocks.
    pub fn check(&self, from: Height) -> Result<(), String> {
        let (chain, end) = (self.chain(), self.bodies().acknowledged());
        let Some(start) = chain.hash_at(from) else { return Err(format!("there is no block at {from}")) };
        let max_count = end.height.get().saturating_sub(from.get());
        let query = HeaderQuery { locator: vec![start], target: end.hash, max_count };
        let Found::Headers { headers, .. } = chain.headers_after(&query) else {
            return Err(format!("{end} does not follow from block {from}"));
        };
        let (mut below, mut height) = (start, from);
        for header in headers {
            let facts = chain.describe(&header.raw).map_err(|invalid| invalid.reason)?;
            height = height.next().unwrap_or(height);
            if facts.parent != below || chain.hash_at(height) != Some(facts.hash) {
                return Err(format!("block {} at {height} does not continue {below}", facts.hash));
            }
            below = facts.hash;
        }
        Ok(())
    }
}

impl HeaderChain for NodeStore {
    fn header_bytes(&self) -> usize {
        self.chain().header_bytes()
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        self.chain().describe(raw)
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        self.chain().verify(raw)
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        if self.fails(|faults| &mut faults.header_writes) {
            return Accept::Unavailable { reason: "the disk is full".into() };
        }
        self.chain().accept(batch)
    }

    fn view(&self) -> HeaderView {
        self.chain().view()
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        self.chain().find(hash)
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.chain().hash_at(height)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        if self.fails(|faults| &mut faults.reads) {
            Found::Unavailable
        } else {
            self.chain().headers_after(query)
        }
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        self.chain().anchors_above(height, limit)
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        self.chain().finalize(floor)
    }
}

impl BlockStore for NodeStore {
    fn acknowledged(&self) -> BlockRef {
        self.bodies().acknowledged()
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        self.bodies().missing(from, limit, view)
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        self.bodies().identify(raw)
    }

    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict {
        self.bodies().check(at, raw)
    }

    fn commit(&self, mut bodies: Vec<Body>) -> Commit {
        if self.fails(|faults| &mut faults.body_writes) {
            return Commit::Unavailable { reason: "the disk is full".into() };
        }
        if let Some(written) = self.faults().torn_after {
            bodies.truncate(usize::try_from(written).unwrap_or(usize::MAX));
        }
        let is_foul = |body: &&Body| {
            self.bodies().identify(&body.raw) != Ok(body.at.hash)
                || self.bodies().check(body.at, &body.raw) != BodyVerdict::Valid
        };
        let foul = bodies.iter().find(is_foul).map(|body| body.at);
        let answer = self.bodies().commit(bodies);
        if let (Some(foul), Commit::Committed(_)) = (foul, &answer) {
            // The first one stays.
            self.foul.get_or_init(|| foul);
        }
        answer
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        if self.fails(|faults| &mut faults.reads) {
            return Err("the disk cannot be read".into());
        }
        let faults = self.faults();
        if start < faults.pruned_below {
            return Ok(Vec::new());
        }
        let read = self.bodies().read(start, max_count, max_bytes)?;
        let forge = |(height, raw): (u32, Bytes)| match faults.forges_from {
            Some(from) if height >= from.get() => self.forged(&raw),
            Some(_) | None => raw,
        };
        Ok((start.get()..).zip(read).map(forge).collect())
    }
}

impl NodeStore {
    /// The same header over another content.
    fn forged(&self, body: &Bytes) -> Bytes {
        let mut raw = body.to_vec();
        let middle = self.header_bytes().midpoint(raw.len());
        match raw.get_mut(middle) {
            Some(byte) => *byte ^= 0xff,
            None => raw.push(0),
        }
        raw.into()
    }
}
