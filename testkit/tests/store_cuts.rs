//! A store whose disk is cut off at any write: what it had acknowledged is there afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a test speaks")]

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use redb::{Builder, DatabaseError};
use zakura::{
    store::{Store, StoreError, StoreOptions},
    zcash::{Header, Network, Parent},
};
use zakura_block_sync::ports::{BlockStore, Body, Commit};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height},
    ports::{Accept, HeaderBatch, HeaderChain, Proof, SizedHeader},
};
use zakura_testkit::{
    chain::unmined,
    disk::{Disk, Fault},
};

/// How many times a disk is cut.
const CUTS: u64 = 1_000;

/// Heights of each branch.
const LENGTH: u32 = 60;

/// A branch of the chain: each block, and its header.
type Branch = Vec<(BlockRef, Bytes)>;

fn branch(seed: u64) -> Branch {
    let decode = |(height, raw): (u32, Vec<u8>)| {
        let (header, length) = Header::decode_prefix(Network::Regtest, &raw).unwrap();
        let at = BlockRef { height: Height::new(height).unwrap(), hash: BlockHash(header.hash()) };
        (at, Bytes::copy_from_slice(&raw[..length]))
    };
    (1..).zip(unmined(Parent::genesis(), LENGTH, seed)).map(decode).collect()
}

fn genesis() -> BlockRef {
    BlockRef { height: Height::GENESIS, hash: BlockHash(Network::Regtest.genesis_hash()) }
}

fn open(disk: &Disk) -> Result<Store, StoreError> {
    let options = StoreOptions { no_pow: true, ..StoreOptions::default() };
    Store::on_backend(disk.clone(), Network::Regtest, options)
}

/// A body for a block: its length and bytes tell which.
fn body(at: BlockRef) -> Body {
    let length = 100 + usize::from(at.hash.0[0]) * 97;
    Body { at, raw: at.hash.0.iter().copied().cycle().take(length).collect() }
}

/// What a store says of itself: the header tip and the acknowledged body.
type Picture = [BlockRef; 2];

fn picture(store: &Store) -> Picture {
    [store.view().tip, store.acknowledged()]
}

/// Two branches of which the longer one counts, and how a step goes on from a picture.
struct World {
    branches: [Branch; 2],
    rng: ChaCha8Rng,
    /// What the step under way would lead to.
    attempt: Option<Picture>,
}

impl World {
    fn up_to(&mut self, limit: u64) -> usize {
        usize::try_from(self.rng.next_u64() % limit).unwrap()
    }

    fn branch_of(&self, at: BlockRef) -> Option<usize> {
        let index = usize::try_from(at.height.get()).unwrap().checked_sub(1)?;
        self.branches.iter().position(|branch| branch[index].0 == at)
    }

    /// Takes one step. True if it was acknowledged, none if the store cannot go on.
    fn step(&mut self, store: &Store) -> Option<bool> {
        let [tip, acknowledged] = picture(store);
        let top = usize::try_from(tip.height.get()).unwrap();
        let done = usize::try_from(acknowledged.height.get()).unwrap();
        if self.up_to(2) == 0 && done < top {
            let end = (done + 1 + self.up_to(5)).min(top);
            let chosen = &self.branches[self.branch_of(tip).unwrap()][done..end];
            self.attempt = Some([tip, chosen.last().unwrap().0]);
            let bodies = chosen.iter().map(|(at, _)| body(*at)).collect();
            return match store.commit(bodies) {
                Commit::Committed(at) => {
                    assert_eq!(store.acknowledged(), at);
                    Some(true)
                }
                Commit::Unavailable { .. } => None,
                Commit::Stale => panic!("stale at {acknowledged} under {tip}"),
            };
        }
        if self.up_to(8) == 0 {
            self.attempt = None;
            let floor = BlockRef {
                height: Height::new(u32::try_from(done / 4).unwrap()).unwrap(),
                hash: BlockHash([0; 32]),
            };
            let floor = BlockRef { hash: store.hash_at(floor.height)?, ..floor };
            return (store.finalize(floor).finalized.height >= floor.height).then_some(false);
        }
        // Now and then the other branch gets longer, which replaces everything.
        let side = match self.branch_of(tip) {
            Some(side) if self.up_to(10) > 0 => side,
            Some(side) => 1 - side,
            None => self.up_to(2),
        };
        let from = if self.branch_of(tip) == Some(side) { top } else { 0 };
        let end = (top + 1 + self.up_to(6)).min(usize::try_from(LENGTH).unwrap());
        let new = &self.branches[side][from.min(end)..end];
        let parent = from.checked_sub(1).map_or(genesis(), |index| self.branches[side][index].0);
        let rest = if from == top { acknowledged } else { genesis() };
        self.attempt = new.last().map(|(at, _)| [*at, rest]);
        let headers = new.iter().map(|(_, raw)| SizedHeader { raw: raw.clone(), size_hint: 5 }).collect();
        match store.accept(HeaderBatch { parent, headers, proof: Proof::Verified }) {
            Accept::Extended(view) => {
                assert_eq!(store.view(), view);
                Some(true)
            }
            Accept::Known | Accept::NotBetter | Accept::BelowFloor => Some(false),
            Accept::Unavailable { .. } => None,
            other => panic!("{other:?}"),
        }
    }

    /// Every row up to the tip is the branch's, and every body its own.
    fn inspect(&self, store: &Store) {
        let [tip, acknowledged] = picture(store);
        let Some(side) = self.branch_of(tip) else { return };
        for (at, _) in &self.branches[side][..usize::try_from(tip.height.get()).unwrap()] {
            assert_eq!((store.hash_at(at.height), store.find(&at.hash)), (Some(at.hash), Some(at.height)));
        }
        let bodies = store.read(Height::new(1).unwrap(), u32::MAX, u32::MAX).unwrap();
        assert_eq!(bodies.len(), usize::try_from(acknowledged.height.get()).unwrap());
        for ((at, _), raw) in self.branches[side].iter().zip(bodies) {
            assert!(raw == body(*at).raw, "the body of {at}");
        }
    }
}

/// Whether the database would have to walk through the whole file to open it.
fn needs_walk(disk: Disk) -> bool {
    let mut builder = Builder::new();
    builder.set_repair_callback(|repair| repair.abort());
    matches!(builder.create_with_backend(disk), Err(DatabaseError::RepairAborted))
}

#[test]
fn what_was_acknowledged_outlasts_every_cut() {
    let branches = [branch(1), branch(2)];
    let (mut cuts, mut stores, mut torn_creations) = (0, 0, 0);
    for seed in 0.. {
        if cuts >= CUTS {
            break;
        }
        let mut world =
            World { branches: branches.clone(), rng: ChaCha8Rng::seed_from_u64(seed), attempt: None };
        let mut disk = Disk::default();
        let mut acknowledged = None;
        stores += 1;
        // The same disk is cut several times, in openings and repairs too.
        for _ in 0..6 {
            let patience = if world.up_to(4) == 0 { 40 } else { 600 };
            disk.fail_from(world.rng.next_u64() % patience, Fault::Broken);
            world.attempt = None;
            if let Ok(store) = open(&disk) {
                let found = picture(&store);
                acknowledged.get_or_insert(found);
                loop {
                    let before = picture(&store);
                    acknowledged = Some(before);
                    match world.step(&store) {
                        Some(_) if before[0].height.get() == LENGTH && before[1] == before[0] => break,
                        Some(_) => {}
                        None => break,
                    }
                }
            }
            disk = disk.cut(&mut world.rng);
            cuts += 1;

            let Some(expected) = acknowledged else {
                // The store's file gets its name only when it is whole: until then another is begun.
                torn_creations += u32::from(open(&disk).is_err());
                break;
            };
            assert!(
                !needs_walk(disk.cut(&mut world.rng)),
                "seed {seed}: the next start walks through the file"
            );
            let store = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            world.inspect(&store);
            let found = picture(&store);
            assert!(
                found == expected || Some(found) == world.attempt,
                "seed {seed}: {expected:?} was acknowledged, {found:?} is there"
            );
            acknowledged = Some(found);
            drop(store);
        }
    }
    println!("{cuts} cuts of {stores} stores; {torn_creations} in their creation");
}
