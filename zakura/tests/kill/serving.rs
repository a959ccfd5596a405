//! A serving node is killed and started again under the same identity and port: the node that syncs from it finds it
//! again by itself and finishes.

use std::time::Duration;

use super::processes::{Running, assert_same_rows, committed, mine, node, now, own_loopback, pause, size};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use zakura::{
    store::{Store, StoreOptions},
    zcash::Network,
};

#[test]
fn a_node_finishes_though_its_only_peer_is_killed_and_comes_back() {
    let blocks = size("ZAKURA_KILL_BLOCKS", 600_u32);
    // Each loss doubles the pause before the next dial, from two seconds on.
    let points = size("ZAKURA_KILL_SERVER_POINTS", 3_u32);
    let mut rng = ChaCha8Rng::seed_from_u64(size("ZAKURA_KILL_SEED", 1_u64));
    let (chain, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    mine(chain.path(), blocks);
    let mut server = Running::start(node(chain.path(), &format!("{}:0", own_loopback()), ""));
    let (peer, _) = server.first();
    let listen = peer.split('@').nth(1).unwrap().to_owned();

    let words = format!("--until-height {blocks} --peer {peer}");
    let syncing = Running::start(node(dir.path(), "127.0.0.1:0", &words));
    assert_eq!(syncing.first().1, 0);
    let (mut height, mut slowest) = (0, Duration::ZERO);
    for point in 0..points {
        let target = (blocks * point / points).max(height + 1);
        while height < target {
            let line = syncing.line().unwrap_or_else(|| panic!("it ended: {}", syncing.complaints()));
            height = committed(&line).unwrap_or(blocks);
        }
        assert!(height < blocks, "it was done before the server was killed {points} times");
        pause(rng.next_u64() % 20);
        server.kill();
        // A start is killed as well, in its first moments.
        let start = Running::start(node(chain.path(), &listen, ""));
        pause(rng.next_u64() % 40);
        start.kill();
        let since = now();
        server = Running::start(node(chain.path(), &listen, ""));
        assert_eq!(server.first(), (peer.clone(), blocks), "the same name, place and chain");
        slowest = slowest.max(since.elapsed());
    }
    let since = now();
    let rest = syncing.ends();
    assert_eq!(rest.last().unwrap()["tip_height"], blocks);
    println!("the slowest restart took {slowest:?}, and the sync ended {:?} after the last", since.elapsed());

    server.kill();
    drop(Store::open(chain.path(), Network::Regtest, StoreOptions::default()).unwrap());
    assert_same_rows(chain.path(), dir.path(), false);
}
