//! Which chain is the selected one, and which headers are served of it.

use super::{HARDER, bodies, branch, extend, fresh, genesis, header, height, options};
use bytes::Bytes;
use std::sync::Arc;
use zakura::store::{FixedClock, Store, StoreOptions};
use zakura::zcash::network::REGTEST_BITS;
use zakura::zcash::{Network, Parent};
use zakura_block_sync::ports::{BlockStore, Commit, Missing};
use zakura_header_sync::chain::{BlockHash, BlockRef, Work};
use zakura_header_sync::ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderQuery, Proof, SizedHeader};

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
