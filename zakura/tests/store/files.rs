//! What is in the files: there after a reopening or a kill, and refused where it is not ours.

use super::{bodies, branch, extend, genesis, height, options};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use zakura::store::{Store, StoreError, StoreOptions};
use zakura::zcash::Network;
use zakura::zcash::network::REGTEST_BITS;
use zakura_block_sync::ports::{BlockStore, Commit};
use zakura_header_sync::chain::{BlockHash, BlockRef};
use zakura_header_sync::ports::{Accept, HeaderChain};

pub(super) fn reopen(dir: &Path) -> Result<Store, StoreError> {
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
