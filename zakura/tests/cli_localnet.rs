//! `localnet`, the main job, as a user sees it.

#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "real processes end by the real clock")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

fn zakura(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zakura"));
    command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn within(dir: &Path, words: &str) -> Output {
    zakura(words).arg("--data-dir").arg(dir).output().unwrap()
}

fn last_line(run: &Output) -> Value {
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_str(std::str::from_utf8(&run.stdout).unwrap().lines().last().unwrap()).unwrap()
}

#[test]
fn a_fresh_node_ends_at_the_miners_tip_and_every_peer_has_a_part_in_it() {
    let dir = TempDir::new().unwrap();
    let (synced, mined) = (dir.path().join("synced"), dir.path().join("mined"));
    let result =
        last_line(&within(&synced, "localnet --json --peers 4 --blocks 60 --seed 5 --body-bytes 150000"));
    assert_eq!(result["synced"], true);
    assert_eq!(
        (&result["peers"], &result["blocks"], &result["tip_height"]),
        (&4.into(), &60.into(), &60.into())
    );
    assert_eq!(result["tip_hash"], result["expected_tip_hash"]);
    for rate in ["seconds", "mine_seconds", "headers_per_s", "blocks_per_s", "mb_per_s"] {
        assert!(result[rate].as_f64().unwrap() > 0.0, "{rate}: {result}");
    }

    let per_peer = result["per_peer"].as_array().unwrap();
    let all = |field: &str| per_peer.iter().map(|peer| peer[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(per_peer.len(), 4);
    assert_eq!((all("headers"), all("blocks")), (60, 60), "{result}");
    assert_eq!(Some(all("bytes")), result["bytes"].as_u64());
    for peer in per_peer {
        assert_eq!(peer["id"].as_str().unwrap().len(), 64);
        // So short a chain is over before shares are even; a long one is what the promise of half a fair share is for.
        assert!(peer["blocks"].as_u64().unwrap() > 0, "{result}");
    }

    // The same seed mines the same chain, and what was synced is that chain to the byte.
    let chain = last_line(&within(&mined, "mine --json --blocks 60 --seed 5 --body-bytes 150000"));
    assert_eq!(chain["tip_hash"], result["tip_hash"]);
    let export = |data: &Path, out: &str| {
        let out = dir.path().join(out);
        let mut export = zakura("export --json --network regtest --from 0 --to 60 --out");
        let run = export.arg(&out).arg("--data-dir").arg(data).output().unwrap();
        assert_eq!(last_line(&run)["exported"], 61);
        out
    };
    let (left, right) = (export(&synced, "left"), export(&mined, "right"));
    let mut bytes = 0;
    for height in 1..=60 {
        let name = format!("regtest-{height:07}.block");
        let block = fs::read(left.join(&name)).unwrap();
        assert!(block == fs::read(right.join(&name)).unwrap(), "{name}");
        bytes += block.len();
    }
    assert_eq!(result["bytes"], bytes, "every body came once");
}

#[test]
fn a_person_reads_what_each_peer_gave_and_where_the_time_went() {
    let run = zakura("localnet --peers 2 --blocks 4 --body-bytes 3000").output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("synced 4 blocks from 2 peers in "), "{said}");
    assert!(lines[1].starts_with("tip 4 "), "{said}");
    assert_eq!(lines.len(), 5, "two of the chain, one a peer, one of the time: {said}");
    for word in ["time: mining ", "first connection at ", "all headers durable at ", "all bodies durable at "]
    {
        assert!(lines[4].contains(word), "{said}");
    }
    assert!(!said.contains("never"), "{said}");
    let progress = String::from_utf8(run.stderr).unwrap();
    assert_eq!(progress, "mining 4 blocks\nsyncing a fresh node from 2 peers\n");
}

#[test]
fn one_block_from_one_peer_is_a_network_too() {
    let result = last_line(&zakura("localnet --json --peers 1 --blocks 1 --body-bytes 1").output().unwrap());
    assert_eq!((&result["synced"], &result["tip_height"]), (&true.into(), &1.into()));
}

#[test]
fn a_store_with_blocks_is_no_fresh_node() {
    let dir = TempDir::new().unwrap();
    last_line(&within(dir.path(), "mine --json --blocks 2"));
    let file = dir.path().join("store/regtest.redb");
    let before = fs::read(&file).unwrap();
    for blocks in ["1", "3"] {
        let run = within(dir.path(), &format!("localnet --peers 1 --blocks {blocks}"));
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "refused before anything is mined: {said}");
        assert!(said.contains("holds 2 Regtest blocks") && said.contains("another --data-dir"), "{said}");
    }
    assert!(fs::read(&file).unwrap() == before);
}

#[test]
fn a_signal_stops_the_main_job() {
    for signal in ["-INT", "-TERM"] {
        let mut child = zakura("localnet --json --blocks 100000").spawn().unwrap();
        let mut progress = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        progress.read_line(&mut line).unwrap();
        assert_eq!(line, "mining 100000 blocks\n");
        let since = Instant::now();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        progress.read_to_string(&mut line).unwrap();
        let run = child.wait_with_output().unwrap();
        assert!(since.elapsed() < Duration::from_secs(5), "{signal} took {:?}", since.elapsed());
        assert_eq!(run.status.code(), Some(1), "{line}");
        let last: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert!(last["error"].as_str().unwrap().contains("interrupted while mining"), "{last}");
    }
}
