//! The store keeps the selected chain: what it takes, replaces, refuses and remembers.

#![allow(clippy::unwrap_used, reason = "a test's own helpers may fail by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use zakura::{
    store::{AppendError, BlockReject, FixedClock, Store, StoreError, StoreOptions},
    zcash::{Network, Parent, mine_block, network::REGTEST_BITS},
};
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderQuery, Proof, SizedHeader},
};

const NOW: u64 = 1_800_000_000;
/// Twice the work of [`REGTEST_BITS`], about.
const HARDER: u32 = 0x2007_8787;

fn options(checkpoints: Option<Vec<BlockRef>>) -> StoreOptions {
    StoreOptions { checkpoints, no_pow: true, clock: Arc::new(FixedClock(NOW)), ..StoreOptions::default() }
}

fn fresh() -> Store {
    Store::in_memory(Network::Regtest, options(None)).unwrap()
}

fn height(number: u32) -> Height {
    Height::new(number).unwrap()
}

fn genesis() -> BlockRef {
    BlockRef { height: Height::GENESIS, hash: BlockHash(Network::Regtest.genesis_hash()) }
}

/// A header without proof-of-work: `salt` makes it one of its kind.
fn header(parent: BlockRef, salt: u64, bits: u32) -> (BlockRef, Bytes) {
    let mut raw = vec![0; 177];
    raw[..4].copy_from_slice(&4_u32.to_le_bytes());
    raw[4..36].copy_from_slice(&parent.hash.0);
    raw[36..44].copy_from_slice(&salt.to_le_bytes());
    let time = Parent::genesis().time + 75 * (parent.height.get() + 1);
    raw[100..104].copy_from_slice(&time.to_le_bytes());
    raw[104..108].copy_from_slice(&bits.to_le_bytes());
    raw[140] = 36;
    let hash = BlockHash(zakura::zcash::hash::sha256d(&[&raw]));
    (BlockRef { height: parent.height.next().unwrap(), hash }, raw.into())
}

/// `count` headers on a parent: where each is, and the batch.
fn branch(parent: BlockRef, salt: u64, bits: u32, count: usize) -> (Vec<BlockRef>, HeaderBatch) {
    let (mut at, mut refs, mut headers) = (parent, Vec::new(), Vec::new());
    for _ in 0..count {
        let (next, raw) = header(at, salt, bits);
        headers.push(SizedHeader { raw, size_hint: 7 });
        refs.push(next);
        at = next;
    }
    (refs, HeaderBatch { parent, headers, proof: Proof::Verified })
}

fn extend(store: &Store, parent: BlockRef, salt: u64, count: usize) -> Vec<BlockRef> {
    let (refs, batch) = branch(parent, salt, REGTEST_BITS, count);
    assert!(matches!(store.accept(batch), Accept::Extended(_)));
    refs
}

fn bodies(refs: &[BlockRef]) -> Vec<Body> {
    refs.iter().map(|at| Body { at: *at, raw: Bytes::copy_from_slice(&at.hash.0) }).collect()
}

#[test]
fn a_chain_with_more_work_replaces_heights_and_bodies_at_once() {
    let store = fresh();
    let old = extend(&store, genesis(), 1, 5);
    assert_eq!(store.commit(bodies(&old)), Commit::Committed(old[4]));
    let before = store.view();

    // Branches off after height 2: as long is not enough, one more is.
    let (new, batch) = branch(old[1], 2, REGTEST_BITS, 4);
    let mut same = batch.clone();
    same.headers.truncate(3);
    assert_eq!(store.accept(same), Accept::NotBetter);
    assert_eq!(store.view(), before, "a weaker branch leaves no trace");
    assert_eq!(store.find(&new[0].hash), None);

    let Accept::Extended(view) = store.accept(batch.clone()) else { panic!() };
    assert_eq!(view, store.view());
    assert_eq!(view.tip, new[3]);
    assert!(view.fence > before.fence, "a replaced height needs a new fence");
    assert_eq!(store.acknowledged(), old[1], "bodies above the fork are gone");
    assert_eq!(store.find(&old[4].hash), None);
    assert_eq!(store.hash_at(height(3)), Some(new[0].hash));
    assert_eq!(store.read(height(1), 9, 1000).unwrap().len(), 2);
    assert_eq!(store.accept(batch), Accept::Known);
    assert_eq!(store.missing(height(0), 9, before.fence), Missing::Stale);
    let Missing::Bodies(wanted) = store.missing(height(0), 3, view.fence) else { panic!() };
    assert_eq!(wanted.iter().map(|body| body.at).collect::<Vec<_>>(), new[..3]);
    assert_eq!(wanted[0].size_hint, 7);

    let more = extend(&store, new[3], 3, 1);
    assert_eq!(store.view().fence, view.fence, "growth keeps the fence");
    // A batch that begins below the tip is judged by what it adds.
    let (_, mut overlap) = branch(new[2], 2, REGTEST_BITS, 1);
    overlap.headers.push(SizedHeader { raw: header(new[3], 3, REGTEST_BITS).1, size_hint: 0 });
    overlap.headers.push(SizedHeader { raw: header(more[0], 4, REGTEST_BITS).1, size_hint: 0 });
    assert!(matches!(store.accept(overlap), Accept::Extended(view) if view.tip.height == height(8)));
    assert_eq!(store.accept(branch(old[4], 9, REGTEST_BITS, 9).1), Accept::Orphan);
}

#[test]
fn work_decides_and_not_length() {
    let store = fresh();
    extend(&store, genesis(), 1, 5);
    let (hard, batch) = branch(genesis(), 2, HARDER, 3);
    assert!(matches!(store.accept(batch), Accept::Extended(view) if view.tip == hard[2]));
    assert_eq!(store.hash_at(height(4)), None, "the longer chain's end is gone");
    assert_eq!(store.accept(branch(genesis(), 3, REGTEST_BITS, 5).1), Accept::NotBetter);
}

#[test]
fn nothing_at_or_below_the_floor_moves() {
    let store = fresh();
    let chain = extend(&store, genesis(), 1, 130);
    assert_eq!(store.view().finalized, chain[29], "tip - 100");
    assert_eq!(store.accept(branch(chain[28], 2, HARDER, 130).1), Accept::BelowFloor);
    assert!(matches!(store.accept(branch(chain[29], 2, HARDER, 60).1), Accept::Extended(_)));
    let view = store.view();
    assert_eq!(view.tip.height, height(90));
    assert_eq!(view.finalized, chain[29], "a lower tip does not lower the floor");
    let claimed = store.describe(&header(genesis(), 0, HARDER).1).unwrap().work;
    let sum = (0..60).fold(Work::ZERO, |sum, _| sum.saturating_add(claimed));
    assert_eq!(view.work, sum, "work counts from the floor");

    let raised = store.finalize(BlockRef { height: height(80), hash: store.hash_at(height(80)).unwrap() });
    assert_eq!(raised.finalized.height, height(80));
    assert_eq!(store.finalize(chain[40]), raised, "not on the chain");
    assert_eq!(store.finalize(chain[29]), raised, "below the floor");
}

#[test]
fn a_batch_that_closes_on_a_checkpoint_wins_and_another_block_there_is_refused() {
    let (good, batch) = branch(genesis(), 1, REGTEST_BITS, 10);
    let points = vec![good[4], good[9]];
    let store = Store::in_memory(Network::Regtest, options(Some(points.clone()))).unwrap();
    assert_eq!(store.anchors_above(height(4), 9), points);
    assert_eq!(store.anchors_above(height(5), 9), points[1..]);

    // A stranger's heavier chain up to the first checkpoint, which it cannot pass.
    let (_, mut heavy) = branch(genesis(), 2, HARDER, 5);
    assert!(matches!(store.accept(heavy.clone()), Accept::Invalid { index: 4, .. }));
    heavy.headers.truncate(4);
    assert!(matches!(store.accept(heavy.clone()), Accept::Extended(_)));
    assert_eq!(store.view().finalized, genesis(), "only checkpoints settle what is below the last one");

    let part = |range: std::ops::Range<usize>, parent| HeaderBatch {
        parent,
        headers: batch.headers[range].to_vec(),
        proof: Proof::Anchored,
    };
    assert!(matches!(store.accept(part(0..4, genesis())), Accept::Unavailable { .. }), "no checkpoint there");
    let false_end = HeaderBatch { proof: Proof::Anchored, ..branch(genesis(), 2, HARDER, 5).1 };
    assert!(matches!(store.accept(false_end), Accept::Invalid { index: 4, .. }));
    assert!(
        matches!(store.accept(part(0..5, genesis())), Accept::Extended(view) if view.finalized == good[4])
    );
    assert!(
        matches!(store.accept(part(5..10, good[4])), Accept::Extended(view) if view.finalized == good[9])
    );
}

#[test]
fn cheap_blocks_below_the_last_checkpoint_settle_nothing() {
    let (good, batch) = branch(genesis(), 1, REGTEST_BITS, 150);
    let store = Store::in_memory(Network::Regtest, options(Some(vec![good[149]]))).unwrap();
    let stranger = extend(&store, genesis(), 2, 140);
    assert_eq!(store.view().finalized, genesis());
    let (new, other) = branch(stranger[9], 3, REGTEST_BITS, 135);
    assert!(matches!(store.accept(other), Accept::Extended(view) if view.tip == new[134]));
    let anchored = HeaderBatch { proof: Proof::Anchored, ..batch };
    assert!(matches!(store.accept(anchored), Accept::Extended(view) if view.finalized == good[149]));
}

#[test]
fn contextual_rules_and_linkage_name_the_header() {
    let store = fresh();
    let (_, mut batch) = branch(genesis(), 1, REGTEST_BITS, 14);
    let mut early = batch.headers[12].raw.to_vec();
    early[100..104].copy_from_slice(&Parent::genesis().time.to_le_bytes());
    batch.headers[12].raw = early.into();
    batch.headers.truncate(13);
    let verdict = store.accept(batch.clone());
    assert!(
        matches!(&verdict, Accept::Invalid { index: 12, reason } if reason.contains("median")),
        "{verdict:?}"
    );
    batch.headers.remove(5);
    assert!(matches!(store.accept(batch.clone()), Accept::Invalid { index: 5, .. }));
    batch.headers[3].raw = Bytes::from_static(b"short");
    assert!(matches!(store.accept(batch), Accept::Invalid { index: 3, .. }));
    assert_eq!(store.view().tip, genesis());

    let early = StoreOptions { clock: Arc::new(FixedClock(1_000_000_000)), ..options(None) };
    let store = Store::in_memory(Network::Regtest, early).unwrap();
    let verdict = store.accept(branch(genesis(), 1, REGTEST_BITS, 1).1);
    assert!(matches!(verdict, Accept::Unavailable { .. }), "our clock may be wrong: {verdict:?}");
}

#[test]
fn headers_are_served_after_the_first_known_hash() {
    let store = fresh();
    let chain = extend(&store, genesis(), 1, 10);
    let ask = |locator: &[BlockHash], target, max_count| {
        store.headers_after(&HeaderQuery { locator: locator.to_vec(), target, max_count })
    };
    let unknown = BlockHash([9; 32]);
    let Found::Headers { ancestor, headers, complete } = ask(&[unknown, chain[3].hash], chain[8].hash, 3)
    else {
        panic!()
    };
    assert_eq!((ancestor, headers.len(), complete), (chain[3], 3, false));
    assert_eq!(store.describe(&headers[0].raw).unwrap().hash, chain[4].hash);
    let Found::Headers { headers, complete, .. } = ask(&[chain[3].hash], chain[8].hash, 99) else { panic!() };
    assert_eq!((headers.len(), complete), (5, true));
    // An entry above the target is not on the target's chain.
    let Found::Headers { ancestor, headers, complete } =
        ask(&[chain[9].hash, chain[8].hash], chain[8].hash, 9)
    else {
        panic!()
    };
    assert_eq!((ancestor, headers.len(), complete), (chain[8], 0, true));
    assert_eq!(ask(&[genesis().hash], unknown, 9), Found::TargetNotRetained);
    assert_eq!(ask(&[unknown], chain[8].hash, 9), Found::NoIntersection);
    assert_eq!(ask(&[], chain[8].hash, 9), Found::NoIntersection);
}

#[test]
fn bodies_are_committed_in_order_and_read_within_limits() {
    let store = fresh();
    let chain = extend(&store, genesis(), 1, 6);
    assert_eq!(store.commit(bodies(&chain[1..3])), Commit::Stale, "a gap");
    let mut odd = bodies(&chain[..2]);
    odd[1].at.hash = BlockHash([1; 32]);
    assert_eq!(store.commit(odd), Commit::Stale);
    assert_eq!(store.acknowledged(), genesis(), "nothing of a stale run is kept");
    assert_eq!(store.commit(Vec::new()), Commit::Stale);
    assert_eq!(store.commit(bodies(&chain[..4])), Commit::Committed(chain[3]));
    assert_eq!(store.commit(bodies(&chain[..4])), Commit::Stale, "it is there already");

    let read = |start, count, bytes| store.read(height(start), count, bytes).unwrap().len();
    assert_eq!(read(1, 9, 1000), 4);
    assert_eq!(read(1, 2, 1000), 2);
    assert_eq!(read(1, 9, 95), 2);
    assert_eq!(read(1, 9, 0), 1, "at least one");
    assert_eq!(read(5, 9, 1000), 0);
    let Found::Headers { headers, .. } = store.headers_after(&HeaderQuery {
        locator: vec![chain[2].hash],
        target: chain[5].hash,
        max_count: 9,
    }) else {
        panic!()
    };
    assert_eq!((headers[0].size_hint, headers[1].size_hint), (32, 7), "true sizes replace hints");
}

#[test]
fn real_blocks_are_judged_by_their_header() {
    let store = fresh();
    let raw = Bytes::from(mine_block(Parent::genesis(), 1, Some(400)));
    let hash = store.identify(&raw).unwrap();
    let at = BlockRef { height: height(1), hash };
    assert_eq!(store.check(at, &raw), BodyVerdict::Valid);
    assert!(matches!(store.check(genesis(), &raw), BodyVerdict::Invalid { .. }), "another block");
    let mut bad = raw.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    assert!(matches!(store.check(at, &bad.into()), BodyVerdict::Invalid { .. }));
    let mut later = raw.to_vec();
    later[178..182].copy_from_slice(&0x8000_0006_u32.to_le_bytes());
    assert!(matches!(store.check(at, &later.into()), BodyVerdict::Unsupported { .. }));
    assert!(store.identify(&raw[..100]).is_err());

    let strict = StoreOptions { no_pow: false, ..options(None) };
    let strict = Store::in_memory(Network::Regtest, strict).unwrap();
    assert_eq!(strict.verify(&raw[..177]), Ok(()));
    assert!(strict.verify(&header(genesis(), 1, REGTEST_BITS).1).is_err());
    assert!(store.verify(&header(genesis(), 1, REGTEST_BITS).1).is_ok());
}

#[test]
fn blocks_are_appended_together_or_not_at_all() {
    let store = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
    let mut blocks = vec![mine_block(Parent::genesis(), 1, Some(300))];
    for number in 1..4 {
        let hash = store.identify(&blocks[number - 1]).unwrap().0;
        let time = Parent::genesis().time + 75 * number as u32;
        blocks.push(mine_block(Parent { hash, height: number as u32, time }, 1, Some(300)));
    }
    let append = |blocks: &[Vec<u8>]| {
        store.append(&BTreeSet::new(), |appender| {
            blocks.iter().try_for_each(|raw| appender.push(raw).map(drop))
        })
    };
    let mut bad = blocks.clone();
    bad[3][150] ^= 1;
    assert!(
        matches!(append(&bad), Err(AppendError::Block(BlockReject::Pow { at, .. })) if at.height == height(4))
    );
    assert!(matches!(append(&blocks[1..]), Err(AppendError::Block(BlockReject::Unlinked { .. }))));
    assert_eq!((store.view().tip, store.acknowledged()), (genesis(), genesis()), "all or nothing");

    let (added, tip) = append(&blocks[..3]).unwrap();
    assert_eq!((added, tip.height, store.acknowledged()), (3, height(3), tip));
    assert_eq!(append(&blocks).unwrap().0, 1, "what is there is passed over");
    let other = mine_block(Parent::genesis(), 2, Some(300));
    assert!(matches!(append(&[other]), Err(AppendError::Block(BlockReject::Branch { .. }))));
    let foreign = Network::Testnet.genesis().to_vec();
    assert!(matches!(append(&[foreign]), Err(AppendError::Block(BlockReject::Header(..)))));
}

#[test]
fn a_header_only_chain_takes_its_bodies_from_files_in_order() {
    let store = Store::in_memory(Network::Regtest, StoreOptions::default()).unwrap();
    let first = mine_block(Parent::genesis(), 1, Some(300));
    let hash = store.identify(&first).unwrap();
    let second =
        mine_block(Parent { hash: hash.0, height: 1, time: Parent::genesis().time + 75 }, 1, Some(300));
    let sized = |raw: &[u8]| SizedHeader { raw: Bytes::copy_from_slice(&raw[..177]), size_hint: 0 };
    let headers = vec![sized(&first), sized(&second)];
    assert!(matches!(
        store.accept(HeaderBatch { parent: genesis(), headers, proof: Proof::Verified }),
        Accept::Extended(_)
    ));
    let append = |raw: &[u8]| store.append(&BTreeSet::new(), |appender| appender.push(raw).map(drop));
    assert!(matches!(append(&second), Err(AppendError::Block(BlockReject::Gap { .. }))));
    assert_eq!(append(&first).unwrap().0, 1);
    assert_eq!(append(&second).unwrap().0, 1);
    assert_eq!(store.acknowledged(), store.view().tip);
}

#[test]
fn a_reader_never_sees_two_states_at_once() {
    let store = fresh();
    extend(&store, genesis(), 0, 3);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Each branch leaves after height 1 and is one longer: a reorg every time, then a body.
            for salt in 1..40_u64 {
                let fork = BlockRef { height: height(1), hash: store.hash_at(height(1)).unwrap() };
                let new = extend(&store, fork, salt, 2 + salt as usize);
                let first = BlockRef { height: height(1), hash: fork.hash };
                let run = if salt == 1 { bodies(&[first, new[0]]) } else { bodies(&new[..1]) };
                assert!(matches!(store.commit(run), Commit::Committed(_)));
            }
            done.store(true, Ordering::Release);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut answered = 0;
                while !done.load(Ordering::Acquire) || answered == 0 {
                    let view = store.view();
                    // Room for a reorg in between.
                    thread::yield_now();
                    let _ = store.read(height(1), u32::MAX, u32::MAX);
                    match store.missing(Height::GENESIS, usize::MAX, view.fence) {
                        Missing::Bodies(wanted) => {
                            assert!(
                                wanted.iter().any(|body| body.at == view.tip),
                                "another chain under this fence"
                            );
                            answered += 1;
                        }
                        Missing::Stale => assert!(store.view().fence > view.fence),
                        Missing::Unavailable { reason } => panic!("{reason}"),
                    }
                }
            });
        }
    });
}

fn reopen(dir: &Path) -> Result<Store, StoreError> {
    Store::open(dir, Network::Regtest, options(None))
}

#[test]
fn what_was_committed_is_there_after_a_reopening() {
    let dir = TempDir::new().unwrap();
    let store = reopen(dir.path()).unwrap();
    let chain = extend(&store, genesis(), 1, 120);
    assert_eq!(store.commit(bodies(&chain[..50])), Commit::Committed(chain[49]));
    let before = store.view();
    assert!(matches!(reopen(dir.path()), Err(StoreError::InUse(at)) if at == dir.path()));
    drop(store);

    let store = reopen(dir.path()).unwrap();
    let after = store.view();
    assert_eq!((after.tip, after.finalized, after.work), (before.tip, before.finalized, before.work));
    assert_eq!(store.acknowledged(), chain[49]);
    drop(store);
    let reader = Store::open_existing(dir.path(), Network::Regtest, options(None)).unwrap();
    let second = Store::open_existing(dir.path(), Network::Regtest, options(None)).unwrap();
    assert_eq!(reader.view().tip, second.view().tip, "readers share the file");
    assert!(matches!(reader.accept(branch(chain[119], 1, REGTEST_BITS, 1).1), Accept::Unavailable { .. }));
}

#[test]
fn a_killed_process_leaves_what_it_had_committed() {
    let dir = TempDir::new().unwrap();
    let store = reopen(dir.path()).unwrap();
    let chain = extend(&store, genesis(), 1, 20);
    assert_eq!(store.commit(bodies(&chain[..5])), Commit::Committed(chain[4]));
    // The file as it stands while it is open is what a kill leaves.
    let copy = TempDir::new().unwrap();
    fs::create_dir(copy.path().join("store")).unwrap();
    fs::copy(dir.path().join("store/regtest.redb"), copy.path().join("store/regtest.redb")).unwrap();
    let again = reopen(copy.path()).unwrap();
    assert_eq!((again.view().tip, again.acknowledged()), (chain[19], chain[4]));
    assert_eq!(again.commit(bodies(&chain[5..20])), Commit::Committed(chain[19]));
}

/// Opens, expects a refusal, and sees that no byte changed and no file came.
fn refused(dir: &Path, network: Network, checkpoints: Option<Vec<BlockRef>>) -> String {
    let files = || -> Vec<_> {
        let mut files: Vec<_> =
            fs::read_dir(dir.join("store")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect()
    };
    let before = files();
    let error =
        Store::open(dir, network, StoreOptions { checkpoints, ..StoreOptions::default() }).unwrap_err();
    assert!(files() == before, "untouched after: {error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

#[test]
fn a_store_that_is_not_ours_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let file = |network: Network| dir.path().join(format!("store/{network}.redb"));
    drop(Store::open(dir.path(), Network::Regtest, StoreOptions::default()).unwrap());

    fs::copy(file(Network::Regtest), file(Network::Testnet)).unwrap();
    let text = refused(dir.path(), Network::Testnet, None);
    assert!(text.contains("holds \"regtest\", not testnet"), "{text}");

    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let set = |key: &str, value: &[u8]| {
        let database = redb::Database::open(file(Network::Regtest)).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(meta).unwrap().insert(key, value).unwrap();
        txn.commit().unwrap();
    };
    set("genesis", &[0; 32]);
    assert!(refused(dir.path(), Network::Regtest, None).contains("another genesis block"));
    set("format", &2_u64.to_le_bytes());
    let text = refused(dir.path(), Network::Regtest, None);
    assert!(text.contains("format 2") && text.contains("upgrade zakura"), "{text}");

    let good = fs::read(file(Network::Testnet)).unwrap();
    let damages: [(&str, Vec<u8>); 4] = [
        ("garbage", vec![7; 9000]),
        ("cut short", good[..100].to_vec()),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("a damaged page", {
            let mut bytes = good.clone();
            bytes[4096..].fill(0);
            bytes
        }),
    ];
    for (damage, bytes) in damages {
        fs::write(file(Network::Mainnet), bytes).unwrap();
        let text = refused(dir.path(), Network::Mainnet, None);
        assert!(text.contains("unreadable") && text.contains("sync again"), "{damage}: {text}");
    }
    assert!(matches!(
        Store::open(dir.path(), Network::Mainnet, StoreOptions { no_pow: true, ..StoreOptions::default() }),
        Err(StoreError::NoPow(Network::Mainnet))
    ));
}

#[test]
fn rows_that_contradict_each_other_are_refused_with_the_file_s_name() {
    type Damage = fn(&redb::WriteTransaction);
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        name: &'static str,
    ) -> redb::TableDefinition<'static, K, V> {
        redb::TableDefinition::new(name)
    }
    const NAMES: [&str; 6] = ["hash", "header", "size", "body", "floor", "length"];
    let damages: [Damage; 6] = [
        |txn| drop(txn.open_table(table::<[u8; 32], u32>("heights")).unwrap().pop_last().unwrap()),
        |txn| {
            let mut headers = txn.open_table(table::<u32, ([u8; 32], [u8; 32], &[u8])>("headers")).unwrap();
            headers.remove(3).unwrap();
        },
        |txn| drop(txn.open_table(table::<u32, u32>("sizes")).unwrap().pop_last().unwrap()),
        |txn| drop(txn.open_table(table::<u32, (bool, &[u8])>("bodies")).unwrap().remove(2).unwrap()),
        |txn| drop(txn.open_table(table::<&str, u64>("state")).unwrap().insert("floor", 99).unwrap()),
        |txn| drop(txn.open_table(table::<u32, u32>("sizes")).unwrap().insert(4, 1).unwrap()),
    ];
    for (name, damage) in NAMES.into_iter().zip(damages) {
        let dir = TempDir::new().unwrap();
        let store = reopen(dir.path()).unwrap();
        let chain = extend(&store, genesis(), 1, 6);
        assert_eq!(store.commit(bodies(&chain[..4])), Commit::Committed(chain[3]));
        drop(store);
        let database = redb::Database::open(dir.path().join("store/regtest.redb")).unwrap();
        let txn = database.begin_write().unwrap();
        damage(&txn);
        txn.commit().unwrap();
        drop(database);
        for open in [Store::open, Store::open_existing] {
            let text = open(dir.path(), Network::Regtest, options(None)).unwrap_err().to_string();
            assert!(
                text.contains("regtest.redb is unreadable (") && text.contains("sync again"),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn a_creation_that_was_broken_off_is_begun_anew() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("store")).unwrap();
    let (draft, file) = (dir.path().join("store/regtest.draft"), dir.path().join("store/regtest.redb"));
    fs::write(&draft, [0; 5000]).unwrap();
    let store = reopen(dir.path()).unwrap();
    assert!(!draft.exists() && file.exists());
    assert!(matches!(reopen(dir.path()), Err(StoreError::InUse(_))), "it is locked under its new name");
    extend(&store, genesis(), 1, 6);
    drop(store);

    // Broken off between the new name and the end of the old one; and after that, moved away by an operator.
    fs::hard_link(&file, &draft).unwrap();
    assert_eq!(reopen(dir.path()).unwrap().view().tip.height, height(6));
    fs::rename(&file, dir.path().join("store/away")).unwrap();
    assert_eq!(reopen(dir.path()).unwrap().view().tip, genesis());
}

#[test]
fn a_chain_beside_a_checkpoint_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = reopen(dir.path()).unwrap();
    extend(&store, genesis(), 1, 5);
    drop(store);
    let elsewhere = BlockRef { height: height(3), hash: BlockHash([3; 32]) };
    let refused = Store::open(dir.path(), Network::Regtest, options(Some(vec![elsewhere])));
    assert!(matches!(refused, Err(StoreError::OffCheckpoint { checkpoint, .. }) if checkpoint == elsewhere));
}

#[test]
fn a_store_that_must_be_there_is_not_made() {
    let dir = TempDir::new().unwrap();
    let open = || Store::open_existing(dir.path(), Network::Mainnet, StoreOptions::default());
    assert!(matches!(open(), Err(StoreError::Absent { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // What a kill in the first moment of a creation leaves is no obstacle.
    fs::create_dir(dir.path().join("store")).unwrap();
    fs::write(dir.path().join("store/mainnet.redb"), b"").unwrap();
    assert!(matches!(open(), Err(StoreError::Absent { .. })));
    assert!(Store::open(dir.path(), Network::Mainnet, StoreOptions::default()).is_ok());
}

/// What the store should hold, kept the simplest way: whole chains.
struct Model {
    chain: Vec<(BlockRef, u128)>,
    bodies: usize,
    floor: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Accept { fork: prop::sample::Index, salt: u64, hard: bool, count: usize },
    Commit { count: usize },
    Finalize { at: prop::sample::Index },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<prop::sample::Index>(), 0..4_u64, any::<bool>(), 1..30_usize)
            .prop_map(|(fork, salt, hard, count)| Step::Accept { fork, salt, hard, count }),
        3 => (1..20_usize).prop_map(|count| Step::Commit { count }),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Finalize { at }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

/// Applies a batch to the model and says how the store should answer.
fn model_accept(model: &mut Model, fork: usize, refs: &[BlockRef], work: u128) -> &'static str {
    let known = refs.iter().zip(&model.chain[fork + 1..]).take_while(|(new, old)| **new == old.0).count();
    let fork = fork + known;
    let new = &refs[known..];
    if new.is_empty() {
        return "known";
    }
    if fork < model.floor {
        return "below floor";
    }
    if model.chain[fork].1 + work * new.len() as u128 <= model.chain.last().unwrap().1 {
        return "not better";
    }
    model.chain.truncate(fork + 1);
    model.bodies = model.bodies.min(fork);
    for at in new {
        let sum = model.chain.last().unwrap().1 + work;
        model.chain.push((*at, sum));
    }
    model.floor = model.floor.max((model.chain.len() - 1).saturating_sub(100));
    "extended"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_naive_one(steps in steps()) {
        let dir = TempDir::new().unwrap();
        let mut store = reopen(dir.path()).unwrap();
        let mut model = Model { chain: vec![(genesis(), 17)], bodies: 0, floor: 0 };
        for step in steps {
            let former = store.view();
            match step {
                Step::Accept { fork, salt, hard, count } => {
                    // Half of the forks are near the tip, where most of them are.
                    let from = if hard { 0 } else { model.chain.len().saturating_sub(5) };
                    let fork = from + fork.index(model.chain.len() - from);
                    let (bits, work) = if hard { (HARDER, 34) } else { (REGTEST_BITS, 17) };
                    let (refs, batch) = branch(model.chain[fork].0, salt, bits, count);
                    let tip_was_fork = fork + 1 == model.chain.len();
                    let expected = model_accept(&mut model, fork, &refs, work);
                    let verdict = match store.accept(batch) {
                        Accept::Extended(view) => {
                            prop_assert_eq!(view, store.view());
                            if tip_was_fork { prop_assert_eq!(view.fence, former.fence); }
                            "extended"
                        }
                        Accept::Known => "known",
                        Accept::NotBetter => "not better",
                        Accept::BelowFloor => "below floor",
                        other => panic!("{other:?}"),
                    };
                    prop_assert_eq!(verdict, expected);
                }
                Step::Commit { count } => {
                    let end = (model.bodies + count).min(model.chain.len() - 1);
                    let refs: Vec<_> = model.chain[model.bodies + 1..=end].iter().map(|(at, _)| *at).collect();
                    let expected = refs.last().map_or(Commit::Stale, |last| Commit::Committed(*last));
                    prop_assert_eq!(store.commit(bodies(&refs)), expected);
                    model.bodies = end;
                }
                Step::Finalize { at } => {
                    let at = at.index(model.chain.len());
                    store.finalize(model.chain[at].0);
                    model.floor = model.floor.max(at);
                }
                Step::Reopen => {
                    drop(store);
                    store = reopen(dir.path()).unwrap();
                }
            }
            let view = store.view();
            let tip = model.chain.last().unwrap();
            prop_assert_eq!(view.tip, tip.0);
            prop_assert_eq!(view.finalized, model.chain[model.floor].0);
            let mut work = [0; 32];
            work[..16].copy_from_slice(&(tip.1 - model.chain[model.floor].1).to_le_bytes());
            prop_assert_eq!(view.work, Work::from_le_bytes(work));
            prop_assert_eq!(store.acknowledged(), model.chain[model.bodies].0);
            for (at, _) in &model.chain {
                prop_assert_eq!(store.hash_at(at.height), Some(at.hash));
                prop_assert_eq!(store.find(&at.hash), Some(at.height));
            }
            prop_assert_eq!(store.hash_at(height(model.chain.len() as u32)), None);
            let Missing::Bodies(wanted) = store.missing(Height::GENESIS, usize::MAX, view.fence) else { panic!() };
            let missing: Vec<_> = model.chain[model.bodies + 1..].iter().map(|(at, _)| *at).collect();
            prop_assert_eq!(wanted.iter().map(|body| body.at).collect::<Vec<_>>(), missing);
            prop_assert_eq!(store.read(height(1), u32::MAX, u32::MAX).unwrap().len(), model.bodies);
        }
    }
}
