//! Bodies: committed in order, judged by their header, read while others write.

use super::{bodies, extend, fresh, genesis, header, height, options};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use zakura::store::{AppendError, BlockReject, Store, StoreOptions};
use zakura::zcash::network::REGTEST_BITS;
use zakura::zcash::{Network, Parent, mine_block};
use zakura_block_sync::ports::{BlockStore, BodyVerdict, Commit, Missing};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};
use zakura_header_sync::ports::{Accept, Found, HeaderBatch, HeaderChain, HeaderQuery, Proof, SizedHeader};

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
