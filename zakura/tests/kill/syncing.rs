//! A syncing node is killed again and again: it never falls below what it had reported, and ends with the same store as
//! one that was left in peace.

use std::{fs, time::Duration};

use super::processes::{Running, assert_same_rows, committed, mine, node, now, pause, size, zakura};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;
use zakura::{
    store::{Store, StoreOptions},
    zcash::Network,
};
use zakura_block_sync::ports::BlockStore;

/// A node that syncs, is killed, and is started again where it was.
struct Victim {
    dir: TempDir,
    words: String,
    /// The highest height that it has reported as committed.
    reported: u32,
    kills: u32,
    /// The longest time from a start to the first line.
    slowest: Duration,
}

impl Victim {
    /// Starts it, and sees that it resumes at or above what it had reported.
    ///
    /// Under a new name: for some seconds its peer takes the killed connection for a living one, and refuses another under
    /// the same name. That is the transport's affair and would make this test a long wait.
    fn resume(&mut self) -> Running {
        let names = self.dir.path().join("identity");
        if names.exists() {
            fs::remove_dir_all(names).unwrap();
        }
        let since = now();
        let running = Running::start(node(self.dir.path(), "127.0.0.1:0", &self.words));
        let (_, start) = running.first();
        self.slowest = self.slowest.max(since.elapsed());
        assert!(start >= self.reported, "it reported {} and resumes at {start}", self.reported);
        self.reported = start;
        running
    }

    fn report(&mut self, height: u32) {
        assert!(height >= self.reported, "it fell from {} to {height}", self.reported);
        self.reported = height;
    }

    fn kill(&mut self, running: Running) {
        for line in running.kill() {
            committed(&line).into_iter().for_each(|height| self.report(height));
        }
        self.kills += 1;
    }

    /// Kills a start somewhere in its first moments, where it repairs and reads its store.
    fn kill_a_start(&mut self, after: u64) {
        let running = Running::start(node(self.dir.path(), "127.0.0.1:0", &self.words));
        pause(after);
        self.kill(running);
    }

    /// Looks into the store with nobody else's help.
    fn inspect(&self) {
        let store = Store::open_existing(self.dir.path(), Network::Regtest, StoreOptions::default()).unwrap();
        let held = store.acknowledged().height.get();
        assert!(held >= self.reported, "it reported {} and holds {held}", self.reported);
        assert_eq!(store.failure().get(), None);
    }
}

#[test]
fn a_killed_node_resumes_where_it_said_it_was() {
    let blocks = size("ZAKURA_KILL_BLOCKS", 600_u32);
    let points = size("ZAKURA_KILL_POINTS", 6_u32);
    let seed = size("ZAKURA_KILL_SEED", 1_u64);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut up_to = |limit: u64| rng.next_u64() % limit;
    let (chain, clean) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    mine(chain.path(), blocks);
    let mut serve = node(chain.path(), "127.0.0.1:0", "");
    // Each killed run leaves a connection that its peer takes for a living one for a while.
    serve.env("ZAKURA_TRANSPORT__MAX_INBOUND", "200").env("ZAKURA_NODE__MEMORY_LIMIT", "8 GiB");
    let server = Running::start(serve);
    let (peer, held) = server.first();
    assert_eq!(held, blocks);
    let words = format!("--until-height {blocks} --peer {peer}");
    let whole = Running::start(node(clean.path(), "127.0.0.1:0", &words)).ends();
    assert_eq!(whole.last().unwrap()["tip_height"], blocks);

    let dir = TempDir::new().unwrap();
    let mut victim = Victim { dir, words, reported: 0, kills: 0, slowest: Duration::ZERO };
    for point in 1..=points {
        if victim.reported == blocks {
            break;
        }
        // Once where a run has got somewhere,
        let target = (blocks * point / (points + 1)).max(victim.reported + 1).min(blocks);
        let running = victim.resume();
        while victim.reported < target {
            let line = running.line().unwrap_or_else(|| panic!("it ended: {}", running.complaints()));
            committed(&line).into_iter().for_each(|height| victim.report(height));
        }
        if victim.reported == blocks {
            break;
        }
        pause(up_to(30));
        victim.kill(running);
        if point % 3 == 0 {
            victim.inspect();
        }
        // once in a start, and once where a run finds its peer and begins.
        victim.kill_a_start(up_to(40));
        let running = victim.resume();
        pause(up_to(100));
        victim.kill(running);
    }
    // A quick machine is done before all points were reached.
    assert!(victim.kills >= points / 2, "{} kills at {points} points", victim.kills);
    let rest = victim.resume().ends();
    assert_eq!(rest.last().unwrap()["tip_height"], blocks);
    let (kills, slowest) = (victim.kills, victim.slowest);
    println!("{kills} kills over {blocks} blocks; the slowest restart took {slowest:?}");

    // A clean end, so that all three files can be read as they are.
    server.kill();
    victim.inspect();
    assert!(zakura(chain.path(), "id --network regtest").output().unwrap().status.success());
    drop(Store::open(chain.path(), Network::Regtest, StoreOptions::default()).unwrap());
    assert_same_rows(clean.path(), victim.dir.path(), true);
    assert_same_rows(clean.path(), chain.path(), false);
}

#[test]
fn a_node_killed_in_its_first_moments_starts_again() {
    let mut rng = ChaCha8Rng::seed_from_u64(size("ZAKURA_KILL_SEED", 1_u64));
    for _ in 0..30 {
        let dir = TempDir::new().unwrap();
        let first = Running::start(node(dir.path(), "127.0.0.1:0", ""));
        pause(rng.next_u64() % 60);
        let said = first.kill();
        let again = Running::start(node(dir.path(), "127.0.0.1:0", "--until-height 0"));
        let (peer, held) = again.first();
        assert_eq!(held, 0);
        if let Some(before) = said.first() {
            let id = |peer: &str| peer.split('@').next().map(str::to_owned);
            assert_eq!(id(before["listening"].as_str().unwrap()), id(&peer), "it keeps the name it gave");
        }
        again.ends();
    }
}
