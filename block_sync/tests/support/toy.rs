//! A chain of toy blocks: parent hash (32), salt (4), height (4), then as many bytes as the height says.

use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::sync::watch;
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing, Wanted};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::HeaderView,
};
use zakura_transport::Fence;

const HEADER: usize = 40;

pub fn height(height: usize) -> Height {
    Height::new(u32::try_from(height).unwrap()).unwrap()
}

fn hash(raw: &[u8]) -> BlockHash {
    let mut out = [0; 32];
    for (lane, chunk) in out.chunks_exact_mut(8).enumerate() {
        let mut state = 0xcbf2_9ce4_8422_2325_u64 ^ (lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in &raw[..HEADER] {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            state ^= state >> 29;
        }
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    BlockHash(out)
}

/// Blocks from genesis on, with their names.
#[derive(Clone)]
pub struct Chain(pub Vec<(BlockRef, Bytes)>);

impl Chain {
    pub fn genesis() -> Self {
        Self(Vec::new()).grow(1, 0, |_| 0)
    }

    /// This chain up to and with `top`.
    pub fn upto(&self, top: usize) -> Self {
        Self(self.0[..=top].to_vec())
    }

    /// `count` more blocks, whose filling is as long as `size` says for their height.
    pub fn grow(&self, count: usize, salt: u32, size: impl Fn(usize) -> usize) -> Self {
        let mut blocks = self.0.clone();
        for _ in 0..count {
            let at = blocks.len();
            let parent = blocks.last().map_or([0; 32], |(at, _)| at.hash.0);
            let number = u32::try_from(at).unwrap();
            let mut raw = [&parent[..], &salt.to_le_bytes(), &number.to_le_bytes()].concat();
            raw.resize(HEADER + size(at), filling(at));
            blocks.push((BlockRef { height: height(at), hash: hash(&raw) }, raw.into()));
        }
        Self(blocks)
    }

    pub fn tip(&self) -> BlockRef {
        self.0.last().unwrap().0
    }

    pub fn raw(&self, at: usize) -> Bytes {
        self.0[at].1.clone()
    }
}

fn filling(at: usize) -> u8 {
    u8::try_from(at % 250).unwrap()
}

/// The first byte of content whose rules no store knows.
const STRANGE: u8 = 254;

/// The block with a content of unknown rules under the same header.
pub fn strange(raw: &Bytes) -> Bytes {
    let mut raw = raw.to_vec();
    raw[HEADER] = STRANGE;
    raw.into()
}

/// The block with another content under the same header.
pub fn forged(raw: &Bytes) -> Bytes {
    let mut raw = raw.to_vec();
    *raw.last_mut().unwrap() ^= 0xff;
    raw.into()
}

#[derive(Clone)]
pub struct Inside {
    pub headers: Vec<BlockRef>,
    pub fence: Fence,
    pub bodies: BTreeMap<BlockHash, Bytes>,
    pub commits_fail: bool,
    /// Heights whose rules the store does not know.
    pub unknown: Vec<usize>,
    /// Whether hints are a single byte.
    pub hints_lie: bool,
    pub largest_commit: usize,
}

impl Inside {
    fn acknowledged(&self) -> BlockRef {
        let held = self.headers.iter().take_while(|at| self.bodies.contains_key(&at.hash));
        *held.last().unwrap()
    }
}

/// A store in memory.
pub struct Store(pub watch::Sender<Inside>);

impl Store {
    /// All headers of `chain`, and its bodies below `held`.
    pub fn new(chain: &Chain, held: usize) -> Self {
        let headers = chain.0.iter().map(|(at, _)| *at).collect();
        let bodies = chain.0[..held].iter().map(|(at, raw)| (at.hash, raw.clone())).collect();
        Self(watch::Sender::new(Inside {
            headers,
            fence: Fence::mint(),
            bodies,
            commits_fail: false,
            unknown: Vec::new(),
            hints_lie: false,
            largest_commit: 0,
        }))
    }

    /// Headers of another chain, under a new fence.
    pub fn reorganise(&self, chain: &Chain) {
        self.0.send_modify(|inside| {
            inside.headers = chain.0.iter().map(|(at, _)| *at).collect();
            inside.fence = Fence::mint();
        });
    }

    pub fn view(&self) -> HeaderView {
        let inside = self.0.borrow();
        let (finalized, tip) = (inside.headers[0], *inside.headers.last().unwrap());
        HeaderView { fence: inside.fence, finalized, tip, work: Work::ZERO }
    }

    pub fn change(&self, change: impl FnOnce(&mut Inside)) {
        self.0.send_modify(change);
    }
}

impl BlockStore for Store {
    fn acknowledged(&self) -> BlockRef {
        self.0.borrow().acknowledged()
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        let inside = self.0.borrow();
        if inside.fence != view {
            return Missing::Stale;
        }
        let above = inside.headers.iter().skip(from.get() as usize);
        let missing = above.filter(|at| !inside.bodies.contains_key(&at.hash));
        let size_hint = u32::from(inside.hints_lie);
        Missing::Bodies(missing.take(limit).map(|at| Wanted { at: *at, size_hint }).collect())
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        if raw.len() < HEADER { Err("shorter than a header".to_owned()) } else { Ok(hash(raw)) }
    }

    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict {
        let number = at.height.get() as usize;
        if self.0.borrow().unknown.contains(&number) || raw.get(HEADER) == Some(&STRANGE) {
            return BodyVerdict::Unsupported { reason: "a transaction of version 99".to_owned() };
        }
        if raw[HEADER..].iter().all(|byte| *byte == filling(number)) {
            BodyVerdict::Valid
        } else {
            BodyVerdict::Invalid { reason: "wrong filling".to_owned() }
        }
    }

    fn commit(&self, bodies: Vec<Body>) -> Commit {
        let mut outcome = Commit::Stale;
        self.0.send_modify(|inside| {
            if inside.commits_fail {
                outcome = Commit::Unavailable { reason: "the disk is full".to_owned() };
                return;
            }
            inside.largest_commit = inside.largest_commit.max(bodies.len());
            let next = inside.acknowledged().height.get() as usize + 1;
            let fits = |(offset, body): (usize, &Body)| inside.headers.get(next + offset) == Some(&body.at);
            if bodies.iter().enumerate().all(fits) {
                inside.bodies.extend(bodies.into_iter().map(|body| (body.at.hash, body.raw)));
                outcome = Commit::Committed(inside.acknowledged());
            }
        });
        outcome
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        let (inside, mut bytes) = (self.0.borrow(), 0);
        let wanted = inside.headers.iter().skip(start.get() as usize).take(max_count as usize);
        let held = wanted.map_while(|at| inside.bodies.get(&at.hash).cloned()).enumerate();
        let fits = held.take_while(|(nth, raw)| {
            bytes += raw.len();
            *nth == 0 || bytes <= max_bytes as usize
        });
        Ok(fits.map(|(_, raw)| raw).collect())
    }
}
