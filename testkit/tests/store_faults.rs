//! A disk fails under a syncing node: it is told, no peer is blamed, and the next start goes on from what was committed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use tokio::time::timeout;
use zakura::{
    store::{Store, StoreOptions},
    zcash::{Network, Parent},
};
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::ports::HeaderChain;
use zakura_testkit::{
    chain::{append, unmined},
    cluster::{Member, PATIENCE},
    disk::{Disk, Fault},
};

fn options() -> StoreOptions {
    // Without a cache, reads reach the disk.
    StoreOptions { no_pow: true, cache_bytes: 0, ..StoreOptions::default() }
}

fn open(disk: &Disk) -> Arc<Store> {
    Arc::new(Store::on_backend(disk.clone(), Network::Regtest, options()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_is_a_local_fault() {
    let chain = Arc::new(Store::in_memory(Network::Regtest, options()).unwrap());
    let tip = append(&chain, &unmined(Parent::genesis(), 400, 1)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (index, fault) in (1..).zip([Fault::Broken, Fault::Full, Fault::Unreadable]) {
        let server = Member::start(100 + index, &chain, &[]).await.unwrap();
        let disk = Disk::default();
        let own = open(&disk);
        disk.fail_from(disk.operations() + 8, fault);
        let node = Member::start(index, &own, &[server.peer()]).await.unwrap();
        let mut failure = own.failure();
        let told = timeout(PATIENCE, failure.changed()).await;
        let reason = told.unwrap_or_else(|_| panic!("{fault:?} is told")).unwrap().unwrap();
        assert!(reason.contains("in memory failed") && reason.contains("check the disk"), "{reason}");
        assert!(node.handle.peers().iter().any(|peer| peer.id == server.id()), "{fault:?}: still connected");
        let (header, body) = (own.view().tip, own.acknowledged());
        assert!(body.height < tip.height, "{fault:?} came too late");
        node.stop().await.unwrap();
        drop(own);

        let left = open(&disk.cut(&mut rng));
        assert!(left.view().tip.height >= header.height && left.acknowledged().height >= body.height);
        let again = Member::start(index, &left, &[server.peer()]).await.unwrap();
        again.commits(tip).await.unwrap();
        again.stop().await.unwrap();
        server.stop().await.unwrap();
    }
}
