//! Panics by plan: which occurrence of which point of a node panics, from a seed, and what was counted.

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader},
};
use zakura_transport::{Fence, Saboteur, Spawner, planted};

/// A task's or thread's name, and a point in it. Work threads are one name.
pub type Point = (&'static str, &'static str);

/// Whether a point may panic at all.
type Allowed = Box<dyn Fn(Point) -> bool + Send + Sync>;

/// How often a point was passed, and how often it panicked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passes.
    pub passed: u64,
    /// Panics.
    pub struck: u64,
    /// Not before so many passes.
    next: u64,
    /// The round in which it panicked last.
    round: u64,
}

struct State {
    draw: ChaCha8Rng,
    round: u64,
    left: u64,
    struck: u64,
    points: BTreeMap<Point, Tally>,
}

/// A seeded plan of panics: in each [round](Self::round) one at each point at most, where the seed says. A point that was
/// never struck is struck at its next pass, and one that is passed often is not struck soon, so that what comes late and
/// seldom has its turn too.
pub struct Plan {
    state: watch::Sender<State>,
    allowed: Allowed,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("struck", &self.struck()).finish_non_exhaustive()
    }
}

impl Plan {
    /// A plan for the points that are allowed.
    #[must_use]
    pub fn new(seed: u64, allowed: impl Fn(Point) -> bool + Send + Sync + 'static) -> Arc<Self> {
        let draw = ChaCha8Rng::seed_from_u64(seed);
        let state = State { draw, round: 0, left: 0, struck: 0, points: BTreeMap::new() };
        Arc::new(Self { state: watch::Sender::new(state), allowed: Box::new(allowed) })
    }

    /// A spawner that carries this plan.
    #[must_use]
    pub fn spawner(self: &Arc<Self>) -> Spawner {
        Spawner::sabotaged(Arc::clone(self) as _)
    }

    /// Begins a round of so many panics at most.
    pub fn round(&self, panics: u64) {
        self.state.send_modify(|state| {
            state.left = panics;
            state.round = state.round.saturating_add(1);
        });
    }

    /// Ends the round.
    pub fn rest(&self) {
        self.round(0);
    }

    /// Panics so far.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.state.borrow().struck
    }

    /// Every point that was passed.
    #[must_use]
    pub fn tallies(&self) -> BTreeMap<Point, Tally> {
        self.state.borrow().points.clone()
    }

    /// The points that were passed and may panic and never did.
    #[must_use]
    pub fn spared(&self) -> Vec<Point> {
        let spared = |(point, tally): (Point, Tally)| (tally.struck == 0).then_some(point);
        self.tallies().into_iter().filter_map(spared).collect()
    }
}

/// Says nothing of planted panics from here on, in this process; of others as before.
pub fn hush() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !words_of(panic.payload()).is_some_and(|words| words.starts_with("planted: ")) {
                loud(panic);
            }
        }));
    });
}

/// What a planted panic says; those of others may be no text at all.
fn words_of(payload: &dyn std::any::Any) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str)
}

/// How many panics a test is to plant, in all: what `ZAKURA_PANICS` says, or 500.
#[must_use]
pub fn asked_for() -> u64 {
    std::env::var("ZAKURA_PANICS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

impl State {
    fn pass(&mut self, point: Point) -> bool {
        let Self { draw, round, left, struck, points } = self;
        let tally = points.entry(point).or_default();
        tally.passed = tally.passed.saturating_add(1);
        if *left == 0 || tally.passed < tally.next || tally.round == *round {
            return false;
        }
        tally.round = *round;
        *left = left.saturating_sub(1);
        *struck = struck.saturating_add(1);
        tally.struck = tally.struck.saturating_add(1);
        let usual = tally.passed.checked_div(tally.struck).unwrap_or(0);
        let wait = draw.next_u64().checked_rem(usual.saturating_add(1)).unwrap_or(0);
        tally.next = tally.passed.saturating_add(1).saturating_add(wait);
        true
    }
}

impl Saboteur for Plan {
    fn strikes(&self, task: &'static str, point: &'static str) -> bool {
        let point = (if task.starts_with("work-") { "work" } else { task }, point);
        if !(self.allowed)(point) {
            return false;
        }
        let mut strikes = false;
        self.state.send_if_modified(|state| {
            strikes = state.pass(point);
            strikes
        });
        strikes
    }
}

/// An embedder's chain and store with a point at every call, and after the two that change something: the answer is lost
/// then, and the change made.
#[derive(Debug)]
pub struct PlantedPorts<C>(pub Arc<C>);

impl<C: HeaderChain> HeaderChain for PlantedPorts<C> {
    fn header_bytes(&self) -> usize {
        self.0.header_bytes()
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        planted("port describe");
        self.0.describe(raw)
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        planted("port verify");
        self.0.verify(raw)
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        planted("port accept");
        let answer = self.0.accept(batch);
        planted("after port accept");
        answer
    }

    fn view(&self) -> HeaderView {
        planted("port view");
        self.0.view()
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        planted("port find");
        self.0.find(hash)
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        planted("port hash_at");
        self.0.hash_at(height)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        planted("port headers_after");
        self.0.headers_after(query)
    }

    fn work_above(&self, fork: BlockRef) -> Option<Work> {
        planted("port work_above");
        self.0.work_above(fork)
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        planted("port anchors_above");
        self.0.anchors_above(height, limit)
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        planted("port finalize");
        self.0.finalize(floor)
    }
}

impl<C: BlockStore> BlockStore for PlantedPorts<C> {
    fn acknowledged(&self) -> BlockRef {
        planted("port acknowledged");
        self.0.acknowledged()
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        planted("port missing");
        self.0.missing(from, limit, view)
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        planted("port identify");
        self.0.identify(raw)
    }

    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict {
        planted("port check");
        self.0.check(at, raw)
    }

    fn commit(&self, bodies: Vec<Body>) -> Commit {
        planted("port commit");
        let answer = self.0.commit(bodies);
        planted("after port commit");
        answer
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        planted("port read");
        self.0.read(start, max_count, max_bytes)
    }
}
