//! `mine`, `import` and `export` as a user sees them: results, exit codes, one-line errors, and a store that a refusal
//! leaves untouched to the byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "real processes end by the real clock")]

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use zakura::{
    store::{Store, StoreOptions},
    zcash::Network,
};

const MAINNET_10: &str = "00074c46a4aa8172df8ae2ad1848a2e084e1b6989b7d9e6132adc938bf835b36";

fn zakura<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    command(args).output().unwrap()
}

fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zakura"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A temporary node: its directory, and commands on it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn args(&self, line: &str) -> Vec<String> {
        let line = format!("{line} --json --data-dir");
        line.split(' ').map(str::to_owned).chain([self.data().display().to_string()]).collect()
    }

    /// Runs a command that must succeed, and returns the object on its last line.
    fn done(&self, line: &str, files: &[PathBuf]) -> Value {
        let run = self.run(line, files);
        assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_str(String::from_utf8(run.stdout).unwrap().lines().last().unwrap()).unwrap()
    }

    fn run(&self, line: &str, files: &[PathBuf]) -> Output {
        let files = files.iter().map(|file| file.display().to_string());
        zakura(self.args(line).into_iter().chain(files))
    }

    /// Runs a command that must fail with this code, on one line that has these words, and change nothing.
    fn refused(&self, line: &str, files: &[PathBuf], code: i32, words: &[&str]) {
        let before = everything(&self.data());
        let run = self.run(line, files);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(code), "{line}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "one line: {said}");
        for word in words {
            assert!(said.contains(word), "{line}: {word:?} is not in: {said}");
        }
        assert!(everything(&self.data()) == before, "{line}: the data directory changed");
    }
}

/// Every file below a directory with its bytes; nothing if it is not there.
fn everything(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(everything(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn block(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/blocks/{name}.block"))
}

fn blocks(network: &str, range: std::ops::RangeInclusive<u32>) -> Vec<PathBuf> {
    range.map(|height| block(&format!("{network}-{height:07}"))).collect()
}

#[test]
fn the_same_seed_mines_the_same_chain() {
    let (one, two, other) = (Place::new(), Place::new(), Place::new());
    let at_once = one.done("mine --blocks 12 --seed 7", &[]);
    assert_eq!(at_once["tip_height"], 12);
    assert_eq!(at_once["tip_hash"].as_str().unwrap().len(), 64);
    two.done("mine --blocks 5 --seed 7", &[]);
    assert_eq!(two.done("mine --blocks 7 --seed 7", &[]), at_once, "in two goes");
    assert_ne!(other.done("mine --blocks 12 --seed 8", &[]), at_once);
    let sized = other.done("mine --blocks 1 --body-bytes 5000", &[]);
    assert_eq!(sized["tip_height"], 13);
    let out = other.dir.path().join("out");
    other.done(&format!("export --network regtest --from 13 --to 13 --out {}", out.display()), &[]);
    assert_eq!(fs::metadata(out.join("regtest-0000013.block")).unwrap().len(), 5000);
}

#[test]
fn real_blocks_come_out_as_they_went_in() {
    for (network, short) in [("mainnet", "main"), ("testnet", "test")] {
        let place = Place::new();
        let import = format!("import --network {network}");
        let first = place.done(&import, &blocks(short, 0..=6));
        assert_eq!(
            (&first["tip_height"], &first["imported"]),
            (&6.into(), &6.into()),
            "genesis is there already"
        );
        let all = place.done(&import, &blocks(short, 0..=10));
        assert_eq!((&all["tip_height"], &all["imported"]), (&10.into(), &4.into()));
        if network == "mainnet" {
            assert_eq!(all["tip_hash"], MAINNET_10);
        }
        let again = place.done(&import, &blocks(short, 3..=5));
        assert_eq!((&again["tip_hash"], &again["imported"]), (&all["tip_hash"], &0.into()));

        let out = place.dir.path().join("out");
        let export = format!("export --network {network} --from 0 --to 10 --out {}", out.display());
        assert_eq!(place.done(&export, &[])["exported"], 11);
        for (height, came_in) in blocks(short, 0..=10).into_iter().enumerate() {
            let went_out = out.join(format!("{network}-{height:07}.block"));
            assert_eq!(fs::read(went_out).unwrap(), fs::read(came_in).unwrap(), "{network} {height}");
        }
        assert_eq!(fs::read_dir(&out).unwrap().count(), 11);
    }
}

#[test]
fn an_identity_is_made_once_a_network_and_beside_the_store() {
    let place = Place::new();
    let id = |network: &str| {
        place.done(&format!("id --network {network}"), &[])["node_id"].as_str().unwrap().to_owned()
    };
    let first = id("mainnet");
    assert!(
        first.len() == 64 && first.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
        "{first}"
    );
    assert_eq!(id("mainnet"), first);
    assert_ne!(id("testnet"), first);
    let key = place.data().join("identity/mainnet.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!place.data().join("store").exists());
    fs::write(&key, "no key").unwrap();
    place.refused("id --network mainnet", &[], 1, &["mainnet.key", "move it away"]);
}

#[test]
fn a_person_reads_sentences() {
    let place = Place::new();
    let data = place.data().display().to_string();
    let file = block("main-0000001").display().to_string();
    let run = zakura(["import", "--data-dir", &data, "--network", "mainnet", &file]);
    let said = String::from_utf8(run.stdout).unwrap();
    assert_eq!(
        said,
        "imported 1 blocks; the tip is block 1 (0007bc227e1c57a4a70e237cad00e7b7ce565155ab49166bc57397a26d339283)\n"
    );
    assert_eq!(String::from_utf8(run.stderr).unwrap(), "", "no bar where there is no terminal");
}

/// A copy of a block with a change.
fn altered(place: &Place, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut raw = fs::read(block(name)).unwrap();
    change(&mut raw);
    let path = place.dir.path().join("altered.block");
    fs::write(&path, raw).unwrap();
    path
}

#[test]
fn bad_files_are_named_and_nothing_of_an_import_is_kept() {
    for fresh in [true, false] {
        let place = Place::new();
        if !fresh {
            place.done("import --network mainnet", &blocks("main", 0..=3));
        }
        let with = |bad: PathBuf| [blocks("main", 1..=4), vec![bad]].concat();
        let refused = |files: &[PathBuf], words: &[&str]| {
            place.refused("import --network mainnet", files, 1, &[&["error: "], words].concat());
        };

        let cut = altered(&place, "main-0000005", |raw| raw.truncate(1600));
        refused(&with(cut), &["altered.block", "block 5 (", "truncated", "get it again"]);
        let cut = altered(&place, "main-0000005", |raw| raw.truncate(700));
        refused(&with(cut), &["altered.block", "not a header", "truncated"]);
        let empty = altered(&place, "main-0000005", Vec::clear);
        refused(&with(empty), &["altered.block", "truncated"]);
        refused(
            &with(block("main-0000007")),
            &["main-0000007.block", "does not link", "tip is block 4", "lowest first"],
        );
        let forged = altered(&place, "main-0000005", |raw| raw[1000] ^= 1);
        refused(&with(forged), &["altered.block", "bad proof-of-work", "above its target", "another source"]);
        let forged = altered(&place, "main-0000005", |raw| raw[104] = 0xfe);
        refused(&with(forged), &["altered.block", "bad proof-of-work"]);
        let swapped = altered(&place, "main-0000005", |raw| *raw.last_mut().unwrap() ^= 1);
        refused(&with(swapped), &["altered.block", "merkle root", "get it again"]);
        let known = altered(&place, "main-0000002", |raw| *raw.last_mut().unwrap() ^= 1);
        refused(&with(known), &["altered.block", "merkle root"]);
        let long = altered(&place, "main-0000005", |raw| raw.push(0));
        refused(&with(long), &["altered.block", "bytes follow"]);
        let huge = altered(&place, "main-0000005", |raw| raw.resize(2_000_001, 0));
        refused(&with(huge), &["altered.block", "one raw block a file"]);
        refused(&with(block("test-0000000")), &["test-0000000.block", "testnet", "--network testnet"]);
        refused(&with(block("test-0000001")), &["test-0000001.block", "testnet", "--network testnet"]);
        refused(
            &with(block("regtest-0000000")),
            &["regtest-0000000.block", "not a mainnet header", "--network"],
        );
        refused(&with("absent.block".into()), &["absent.block", "check the path"]);
        refused(&with(place.dir.path().to_owned()), &["cannot read", "check the path"]);
    }
}

#[test]
fn a_branch_is_not_appended() {
    let (place, other) = (Place::new(), Place::new());
    place.done("mine --blocks 3 --seed 1", &[]);
    other.done("mine --blocks 3 --seed 2", &[]);
    let out = other.dir.path().join("out");
    other.done(&format!("export --network regtest --from 1 --to 3 --out {}", out.display()), &[]);
    let file = out.join("regtest-0000001.block");
    place.refused("import --network regtest", &[file], 1, &["does not link", "below the tip 3", "branches"]);
}

#[test]
fn wrong_usage_ends_with_two() {
    let place = Place::new();
    let refused = |line: &str, words: &[&str]| place.refused(line, &[], 2, words);
    refused("import --network mainnet", &["FILE"]);
    refused("import --network mainet x", &["mainet", "choose mainnet, testnet or regtest"]);
    refused("mine --blocks many", &["many"]);
    refused("mine --blocks 1 --body-bytes 2000001", &["2000001"]);
    refused("export --network mainnet --from 5 --to 4 --out x", &["--from 5 is above --to 4"]);
    refused("export --network mainnet --from 0 --to 2147483648 --out x", &["2147483648"]);
    refused("mint", &["mint"]);
    assert_eq!(zakura::<&str>([]).status.code(), Some(2));
    assert_eq!(zakura(["--help"]).status.code(), Some(0));
    assert_eq!(zakura(["import", "--help"]).status.code(), Some(0));
}

#[test]
fn only_what_is_there_is_exported() {
    let place = Place::new();
    let out = place.dir.path().join("out");
    let export = |network: &str, to: u32| {
        format!("export --network {network} --from 0 --to {to} --out {}", out.display())
    };
    place.refused(&export("mainnet", 1), &[], 1, &["has no mainnet store", "--data-dir"]);
    place.done("import --network mainnet", &blocks("main", 1..=2));
    place.refused(&export("mainnet", 3), &[], 1, &["up to height 2", "--to 2"]);
    place.refused(&export("testnet", 0), &[], 1, &["has no testnet store", "--network"]);
    assert!(!out.exists(), "nothing is written before everything is known to be there");
}

#[test]
fn one_process_at_a_time_writes() {
    let place = Place::new();
    let store = Store::open(&place.data(), Network::Mainnet, StoreOptions::default()).unwrap();
    let said = ["is in use by another process", "another --data-dir"];
    place.refused("import --network mainnet", &blocks("main", 1..=1), 1, &said);
    place.refused("export --network mainnet --from 0 --to 0 --out x", &[], 1, &said);
    drop(store);
    place.done("import --network mainnet", &blocks("main", 1..=1));
}

#[test]
fn a_store_of_another_kind_is_left_alone() {
    let place = Place::new();
    place.done("mine --blocks 2", &[]);
    let file = place.data().join("store/regtest.redb");
    let refused = |words: &[&str]| {
        place.refused("mine --blocks 1", &[], 1, words);
        place.refused("export --network regtest --from 0 --to 0 --out x", &[], 1, words);
        place.refused("import --network regtest", &[block("regtest-0000000")], 1, words);
    };

    let good = fs::read(&file).unwrap();
    let set = |key: &str, value: &[u8]| {
        let database = redb::Database::open(&file).unwrap();
        let txn = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
        txn.open_table(meta).unwrap().insert(key, value).unwrap();
        txn.commit().unwrap();
    };
    set("format", &9_u64.to_le_bytes());
    refused(&["regtest.redb", "format 9", "upgrade zakura"]);
    fs::write(&file, &good).unwrap();
    set("genesis", &[1; 32]);
    refused(&["regtest.redb", "another genesis block"]);
    fs::write(&file, &good).unwrap();
    fs::rename(&file, place.data().join("store/testnet.redb")).unwrap();
    place.refused(
        "import --network testnet",
        &blocks("test", 1..=1),
        1,
        &["testnet.redb", "holds \"regtest\""],
    );
    fs::write(&file, "not a store").unwrap();
    refused(&["regtest.redb", "unreadable", "move it away"]);
    fs::remove_dir_all(place.data()).unwrap();
    fs::write(place.data(), "a file where a directory should be").unwrap();
    place.refused("mine --blocks 1", &[], 1, &["cannot open", "data"]);
}

/// Waits for a process to end, and returns how long that took.
fn ended(child: &mut std::process::Child) -> (Option<i32>, Duration) {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), since.elapsed());
        }
        assert!(since.elapsed() < Duration::from_secs(30), "it does not end");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_signal_stops_a_miner_cleanly_and_a_kill_loses_nothing_committed() {
    for (signal, code) in [("-INT", Some(1)), ("-TERM", Some(1)), ("-KILL", None)] {
        let place = Place::new();
        place.done("mine --blocks 3", &[]);
        let mut child = command(place.args("mine --blocks 2000000 --body-bytes 30000")).spawn().unwrap();
        let file = place.data().join("store/regtest.redb");
        // It is at work once the file has grown; its first batch may or may not be committed.
        let since = Instant::now();
        while fs::metadata(&file).map_or(0, |meta| meta.len()) < 2_000_000 {
            assert!(since.elapsed() < Duration::from_secs(60), "it does not mine");
            thread::park_timeout(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let (status, took) = ended(&mut child);
        assert_eq!(status, code, "{signal}");
        assert!(took < Duration::from_secs(5), "{signal} took {took:?}");

        let tip = place.done("mine --blocks 0", &[])["tip_height"].as_u64().unwrap();
        assert!(
            tip > 3 || signal == "-KILL" && tip == 3,
            "what was committed stays, and a stop commits: {tip}"
        );
        let out = place.dir.path().join("out");
        let export = format!("export --network regtest --from 0 --to {tip} --out {}", out.display());
        assert_eq!(place.done(&export, &[])["exported"], tip + 1);
    }
}
