//! A chain of 64-byte headers with a toy hash: parent (32), salt (4), work (1), flaw (1), zeros.

use bytes::Bytes;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use tokio::sync::watch;
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView},
    ports::{InvalidHeader, SizedHeader},
};
use zakura_transport::Fence;

pub const HEADER_BYTES: usize = 64;

/// What is wrong with a header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None = 0,
    /// Fails the check without context.
    Proof = 1,
    /// Fails when it is stored.
    Rule = 2,
    /// The store cannot judge it yet.
    Early = 3,
}

pub fn header(parent: BlockHash, salt: u32, work: u8, flaw: Flaw) -> Bytes {
    let mut raw = vec![0; HEADER_BYTES];
    raw[..32].copy_from_slice(&parent.0);
    raw[32..36].copy_from_slice(&salt.to_le_bytes());
    (raw[36], raw[37]) = (work, flaw as u8);
    raw.into()
}

pub fn hash(raw: &[u8]) -> BlockHash {
    let mut out = [0; 32];
    for (lane, chunk) in out.chunks_exact_mut(8).enumerate() {
        let mut state = 0xcbf2_9ce4_8422_2325_u64 ^ (lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in raw {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            state ^= state >> 29;
        }
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    BlockHash(out)
}

pub fn work(amount: u64) -> Work {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&amount.to_le_bytes());
    Work::from_le_bytes(bytes)
}

/// Headers from genesis on.
pub type Headers = Vec<Bytes>;

pub fn genesis() -> Headers {
    vec![header(BlockHash([0; 32]), 0, 0, Flaw::None)]
}

/// `base` and `count` more headers.
pub fn grow(base: &[Bytes], count: usize, salt: u32, work: u8) -> Headers {
    let mut headers = base.to_vec();
    for _ in 0..count {
        headers.push(header(hash(headers.last().unwrap()), salt, work, Flaw::None));
    }
    headers
}

/// The headers with the one at `height` flawed, and all after it linked anew.
pub fn flawed(headers: &[Bytes], height: usize, flaw: Flaw) -> Headers {
    let mut out = headers[..height].to_vec();
    out.push(header(hash(out.last().unwrap()), 99, headers[height][36], flaw));
    let rest = headers.len() - out.len();
    grow(&out, rest, 98, headers[height][36])
}

pub fn block(headers: &[Bytes], height: usize) -> BlockRef {
    BlockRef { height: Height::new(height as u32).unwrap(), hash: hash(&headers[height]) }
}

pub fn tip(headers: &[Bytes]) -> BlockRef {
    block(headers, headers.len() - 1)
}

struct Stored {
    headers: Headers,
    index: std::collections::BTreeMap<BlockHash, usize>,
    finalized: usize,
    fence: Fence,
}

impl Stored {
    fn replace(&mut self, from: usize, headers: impl IntoIterator<Item = Bytes>) {
        for dropped in self.headers.drain(from..) {
            self.index.remove(&hash(&dropped));
        }
        for raw in headers {
            self.index.insert(hash(&raw), self.headers.len());
            self.headers.push(raw);
        }
    }
}

pub struct Toy {
    stored: watch::Sender<Stored>,
    anchors: Vec<BlockRef>,
    finality: usize,
    pub verified: AtomicUsize,
    pub stores: AtomicUsize,
    pub batches: AtomicUsize,
    /// How many of the next batches the store fails to take.
    pub out_of_order: AtomicU32,
    /// How many of the next reads the store fails to answer.
    pub unreadable: AtomicU32,
}

impl Toy {
    pub fn new(headers: &[Bytes]) -> Self {
        Self::with_anchors(headers, vec![])
    }

    pub fn with_anchors(headers: &[Bytes], anchors: Vec<BlockRef>) -> Self {
        let mut stored =
            Stored { headers: vec![], index: Default::default(), finalized: 0, fence: Fence::mint() };
        stored.replace(0, headers.iter().cloned());
        let (verified, stores, batches) = Default::default();
        let (stored, out_of_order) = (watch::Sender::new(stored), AtomicU32::new(0));
        let unreadable = AtomicU32::new(0);
        Self { stored, anchors, finality: usize::MAX, verified, stores, batches, out_of_order, unreadable }
    }

    /// The floor is this far below the tip.
    pub fn final_after(mut self, depth: usize) -> Self {
        self.finality = depth;
        self.stored.send_modify(|stored| {
            stored.finalized = stored.headers.len().saturating_sub(1).saturating_sub(depth);
        });
        self
    }

    pub fn headers(&self) -> Headers {
        self.stored.borrow().headers.clone()
    }

    pub fn tip(&self) -> BlockRef {
        tip(&self.stored.borrow().headers)
    }
}

fn claimed(headers: &[Bytes]) -> u64 {
    headers.iter().map(|raw| u64::from(raw[36])).sum()
}

impl HeaderChain for Toy {
    fn header_bytes(&self) -> usize {
        HEADER_BYTES
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        let parent = raw.get(..32).and_then(|parent| parent.try_into().ok()).map(BlockHash);
        let parent = parent.filter(|_| raw.len() == HEADER_BYTES && raw[63] == 0);
        let parent = parent.ok_or(InvalidHeader { reason: "no toy header".into() })?;
        Ok(HeaderFacts { hash: hash(raw), parent, work: work(raw[36].into()), time: 0 })
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        self.verified.fetch_add(1, Ordering::SeqCst);
        match raw[37] == Flaw::Proof as u8 {
            true => Err(InvalidHeader { reason: "the proof does not hold".into() }),
            false => Ok(()),
        }
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        self.batches.fetch_add(1, Ordering::SeqCst);
        if self.out_of_order.load(Ordering::SeqCst) > 0 {
            self.out_of_order.fetch_sub(1, Ordering::SeqCst);
            return Accept::Unavailable { reason: "the toy store is out of order".into() };
        }
        let new: Vec<Bytes> = batch.headers.into_iter().map(|header| header.raw).collect();
        if new.iter().any(|raw| raw[37] == Flaw::Early as u8) {
            return Accept::Unavailable { reason: "a header comes from the future".into() };
        }
        let mut answer = None;
        self.stored.send_modify(|stored| {
            let Some(parent) = stored.index.get(&batch.parent.hash).copied() else { return };
            assert_eq!(parent, batch.parent.height.get() as usize, "the parent stands where it is said to");
            let same = new.iter().zip(&stored.headers[parent + 1..]).take_while(|(a, b)| a == b).count();
            let mut before = batch.parent.hash;
            for raw in &new {
                assert_eq!(raw[..32], before.0, "a batch links");
                before = hash(raw);
            }
            answer = Some(if same == new.len() {
                Accept::Known
            } else if parent + same < stored.finalized {
                Accept::BelowFloor
            } else if let Some(index) = new.iter().position(|raw| raw[37] == Flaw::Rule as u8) {
                Accept::Invalid { index, reason: "it breaks the toy rule".into() }
            } else if claimed(&new) <= claimed(&stored.headers[parent + 1..]) {
                Accept::NotBetter
            } else {
                if parent + same + 1 < stored.headers.len() {
                    stored.fence = Fence::mint();
                }
                stored.replace(parent + 1, new);
                let depth = (stored.headers.len() - 1).saturating_sub(self.finality);
                stored.finalized = stored.finalized.max(depth);
                Accept::Extended(view(stored))
            });
        });
        if matches!(answer, Some(Accept::Extended(_))) {
            self.stores.fetch_add(1, Ordering::SeqCst);
        }
        answer.unwrap_or(Accept::Orphan)
    }

    fn view(&self) -> HeaderView {
        view(&self.stored.borrow())
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        self.stored.borrow().index.get(hash).and_then(|height| Height::new(*height as u32))
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        self.stored.borrow().headers.get(height.get() as usize).map(|raw| hash(raw))
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        if self.unreadable.load(Ordering::SeqCst) > 0 {
            self.unreadable.fetch_sub(1, Ordering::SeqCst);
            return Found::Unavailable;
        }
        let stored = self.stored.borrow();
        let Some(end) = stored.index.get(&query.target).copied() else { return Found::TargetNotRetained };
        let on_path = |hash| stored.index.get(hash).copied().filter(|height| *height <= end);
        let Some(start) = query.locator.iter().find_map(on_path) else { return Found::NoIntersection };
        let last = end.min(start + query.max_count as usize);
        let headers = stored.headers[start + 1..=last].iter();
        let headers = headers.map(|raw| SizedHeader { raw: raw.clone(), size_hint: 0 }).collect();
        Found::Headers { ancestor: block(&stored.headers, start), headers, complete: last == end }
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        self.anchors.iter().filter(|anchor| anchor.height > height).take(limit).copied().collect()
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        self.stored.send_modify(|stored| {
            if let Some(height) = stored.index.get(&floor.hash) {
                stored.finalized = stored.finalized.max(*height);
            }
        });
        self.view()
    }
}

fn view(stored: &Stored) -> HeaderView {
    HeaderView {
        fence: stored.fence,
        finalized: block(&stored.headers, stored.finalized),
        tip: tip(&stored.headers),
        work: work(claimed(&stored.headers[stored.finalized + 1..])),
    }
}
