//! `run` as a user sees it: what it prints and when, how it ends, and what it refuses before it touches a store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a test speaks")]
#![allow(clippy::disallowed_methods, reason = "real processes end by the real clock")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// No line and no end takes longer than this, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the README promises of a signal.
const STOP: Duration = Duration::from_secs(5);

fn zakura(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zakura"));
    command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A data directory, and commands on it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// One with a Regtest chain in it.
    fn mined(blocks: u32) -> Self {
        let place = Self::new();
        let mined = place.ends(&format!("mine --blocks {blocks}"));
        assert!(mined.status.success(), "{mined:?}");
        place
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn command(&self, words: &str) -> Command {
        let mut command = zakura(words);
        command.args(["--json", "--data-dir"]).arg(self.data());
        command
    }

    /// Runs a command to its end.
    fn ends(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// `run` on a free port of loopback.
    fn node(&self, words: &str) -> Command {
        self.command(&format!("run --listen 127.0.0.1:0 {words}"))
    }

    /// A command fails with this code, on one line that has these words, and leaves the store as it was.
    fn refused(&self, mut command: Command, code: i32, words: &[&str]) {
        let store = self.data().join("store");
        let before = bytes(&store);
        let run = command.output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(code), "{said}");
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "one line: {said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        let out = String::from_utf8(run.stdout).unwrap();
        let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!(last["error"], said["error: ".len()..].trim_end(), "a reader of JSON gets the same words");
        assert!(bytes(&store) == before, "the store changed: {said}");
    }
}

/// The files of a directory; none if it is not there.
fn bytes(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// A running node, killed by id when the test is done with it, however the test ends.
struct Node {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    peer: String,
}

impl Node {
    /// Starts a node and reads its first line.
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let mut node = Self { child, out, err, peer: String::new() };
        let first = node.out.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{:?}", node.err.try_recv()));
        node.peer = serde_json::from_str::<Value>(&first).unwrap()["listening"].as_str().unwrap().to_owned();
        node
    }

    /// The first digits of its id, as other nodes name it in a sentence.
    fn short(&self) -> &str {
        &self.peer[..8]
    }

    /// Reads standard output until this height is committed.
    fn reaches(&self, height: u64) {
        while self.object()["committed"].as_u64() != Some(height) {}
    }

    fn object(&self) -> Value {
        serde_json::from_str(&self.out.recv_timeout(PATIENCE).unwrap()).unwrap()
    }

    /// Reads standard error until a line has this in it.
    fn says(&self, words: &str) -> String {
        loop {
            let line = self.err.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing says {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends a signal, and returns the exit code and the rest of standard output.
    fn stop(mut self, signal: &str) -> (Option<i32>, Vec<Value>) {
        let since = Instant::now();
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
        // Standard output ends with the process.
        let rest = self.out.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
        let code = self.child.wait().unwrap().code();
        assert!(since.elapsed() < STOP, "{signal} took {:?}", since.elapsed());
        (code, rest)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if lines.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[test]
fn a_node_tells_what_it_committed_and_ends_at_the_height_it_was_given() {
    let (a, b) = (Place::mined(30), Place::new());
    let server = Node::start(a.node("--network regtest"));
    let run =
        b.node(&format!("--network regtest --until-height 30 --peer {}", server.peer)).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    assert!(said.contains(&format!("connected to {}", server.short())), "{said}");

    let out = String::from_utf8(run.stdout).unwrap();
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, committed @ .., last] = &objects[..] else { panic!("{out}") };
    assert!(first["listening"].as_str().unwrap().contains("@127.0.0.1:"), "{out}");
    let heights: Vec<u64> = committed.iter().map(|line| line["committed"].as_u64().unwrap()).collect();
    assert!(heights.is_sorted() && heights.last() == Some(&30), "{out}");
    assert_eq!(last["tip_height"], 30);
    assert_eq!(server.stop("-TERM").1.last().unwrap(), last, "both have the same tip");
}

#[test]
fn a_height_that_is_there_already_needs_no_peers() {
    let place = Place::mined(3);
    let nobody = format!("{}@127.0.0.1:9", "ab".repeat(32));
    for until in [0, 2, 3] {
        let run = place
            .node(&format!("--network regtest --until-height {until} --peer {nobody}"))
            .output()
            .unwrap();
        assert!(run.status.success());
        let out = String::from_utf8(run.stdout).unwrap();
        assert_eq!(out.lines().count(), 2, "{out}");
        assert!(out.lines().last().unwrap().contains("\"tip_height\":3"), "{out}");
    }
    let mut human = zakura("run --network regtest --listen 127.0.0.1:0 --until-height 3 --data-dir");
    let out = String::from_utf8(human.arg(place.data()).output().unwrap().stdout).unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("listening on ") && lines[1].starts_with("the tip is block 3 ("), "{out}");
}

#[test]
fn a_signal_stops_a_node_cleanly() {
    let place = Place::mined(5);
    for signal in ["-INT", "-TERM"] {
        let server = Node::start(place.node("--network regtest"));
        let syncing = Place::new();
        let node = Node::start(syncing.node(&format!("--network regtest --peer {}", server.peer)));
        node.reaches(5);
        for node in [node, server] {
            let (code, rest) = node.stop(signal);
            assert_eq!(code, Some(0), "{signal}");
            assert_eq!(rest.last().unwrap()["tip_height"], 5);
        }
    }
    let waiting = Node::start(place.node("--network regtest --until-height 6"));
    let (code, rest) = waiting.stop("-TERM");
    assert_eq!(code, Some(1), "the work it was given is not done");
    assert!(rest.last().unwrap()["error"].as_str().unwrap().contains("before height 6"), "{rest:?}");
}

#[test]
fn a_peer_on_another_network_is_named_and_an_honest_one_still_serves() {
    let (elsewhere, honest, fresh) = (Place::new(), Place::mined(20), Place::new());
    let wrong = Node::start(elsewhere.node("--network mainnet"));
    let right = Node::start(honest.node("--network regtest"));
    let peers = format!("--network regtest --peer {} --peer {}", wrong.peer, right.peer);
    let node = Node::start(fresh.node(&peers));
    node.reaches(20);
    let line = node.says(&format!("cannot connect to {}", wrong.short()));
    assert!(line.contains("another network") && line.contains("check the network"), "{line}");
    let theirs = wrong.says("wrong network");
    assert!(theirs.contains("the peer has Regtest, we have Mainnet"), "{theirs}");

    let imposter = right.peer.replace(right.short(), wrong.short());
    let stranger = Place::new();
    let node = Node::start(stranger.node(&format!("--network regtest --peer {imposter}")));
    assert!(node.says("cannot connect to").contains("another identity"));
    let six = format!("{}@[::1]:9", "ab".repeat(32));
    let four = Place::new();
    let node = Node::start(four.node(&format!("--network regtest --peer {six}")));
    assert!(node.says("cannot connect to").contains("the kind that we listen on"));
}

#[test]
fn a_taken_port_is_refused_before_the_store_is_opened() {
    let place = Place::mined(3);
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let run = |place: &Place| place.command(&format!("run --network regtest --listen {addr}"));
    place.refused(run(&place), 1, &[&addr, "in use", "another port"]);
    let fresh = Place::new();
    fresh.refused(run(&fresh), 1, &["in use"]);
    assert!(!fresh.data().exists(), "nothing is begun");
}

#[test]
fn a_data_directory_belongs_to_one_process() {
    let place = Place::mined(3);
    let holder = Node::start(place.node("--network regtest"));
    for words in ["run --network regtest --listen 127.0.0.1:0", "mine --blocks 1", "localnet --blocks 1"] {
        let run = place.ends(words);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(said.contains("in use by another process") && said.lines().count() == 1, "{said}");
    }
    assert_eq!(holder.stop("-TERM").0, Some(0));
    assert!(place.node("--network regtest --until-height 3").output().unwrap().status.success());
}

#[test]
fn malformed_arguments_are_wrong_usage_and_begin_nothing() {
    let place = Place::new();
    let id = "ab".repeat(32);
    for (arguments, words) in [
        ("--peer nobody".to_owned(), &["nobody", "lacks an '@'", "ID@IP:PORT"][..]),
        ("--peer abc@127.0.0.1:1".to_owned(), &["\"abc\"", "64 hexadecimal digits"]),
        (format!("--peer {}@127.0.0.1:1", "zz".repeat(32)), &["64 hexadecimal digits"]),
        (format!("--peer {id}@127.0.0.1"), &["IP:PORT", "\"127.0.0.1\""]),
        (format!("--peer {id}@127.0.0.1:0"), &["from 1 to 65535"]),
        (format!("--peer {id}@localhost:1"), &["IP:PORT", "localhost:1"]),
        (format!("--peer {id}@::1:1"), &["brackets"]),
        ("--until-height 2147483648".to_owned(), &["2147483648", "--until-height"]),
        ("--until-height soon".to_owned(), &["soon"]),
    ] {
        place.refused(place.node(&format!("--network regtest {arguments}")), 2, words);
    }
    place.refused(place.command("run --network regtest --listen here"), 2, &["'here'", "IP:PORT"]);
    place.refused(place.command("run --network regtest --listen 127.0.0.1"), 2, &["--listen", "IP:PORT"]);
    place.refused(place.command("run --network regtest"), 2, &["--listen"]);
    place.refused(place.node("--network sidenet"), 2, &["sidenet", "mainnet, testnet or regtest"]);
    for network in ["mainnet", "testnet"] {
        let run = place.node(&format!("--network {network} --no-pow"));
        place.refused(run, 2, &["--no-pow", "regtest only", network]);
    }
    assert!(!place.data().exists());
    assert!(place.node("--network regtest --no-pow --until-height 0").output().unwrap().status.success());
}

#[test]
fn a_node_does_not_dial_itself() {
    let place = Place::mined(1);
    let id: Value = serde_json::from_slice(&place.ends("id --network regtest").stdout).unwrap();
    let own = format!("{}@127.0.0.1:9", id["node_id"].as_str().unwrap());
    let run = place.node(&format!("--network regtest --peer {own}"));
    place.refused(run, 2, &["--peer", "this node itself", "another node's id"]);
}

#[test]
fn settings_are_checked_before_anything_begins() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    let file = place.data().join("zakura.toml");
    for (text, words) in [
        ("nonsense", &["zakura.toml", "line 1"][..]),
        ("[transport]\nlissen = 1", &["zakura.toml", "lissen", "`listen`"]),
        ("[transport]\npeers = [\"x\"]", &["transport.peers", "lacks an '@'"]),
        ("[transport]\nmax_inbound = 1000", &["transport.max_inbound (1000)", "node.memory_limit"]),
        ("[transport]\nmax_inbound = 2000", &["2016 connections", "lower one"]),
        ("[block_sync]\nretained = \"8 MB\"", &["block_sync.retained", "64 MiB"]),
        ("[block_sync]\nretained = -1", &["block_sync.retained", "`-1`", "64 MiB"]),
    ] {
        fs::write(&file, text).unwrap();
        place.refused(place.node("--network regtest"), 2, words);
    }
    fs::remove_file(&file).unwrap();
    let nobody = format!("{}@127.0.0.1:9", "ab".repeat(32));
    for (name, value, words) in [
        ("ZAKURA_TRANSPORT__PEERS", "x", &["lacks an '@'"][..]),
        ("ZAKURA_TRANSPORT__MAX_OUTBOUND", "0", &["name 1 peers", "max_outbound", "raise it"]),
        ("ZAKURA_TRANSPORT__MAX_OUTBOUND", "many", &["ZAKURA_TRANSPORT__MAX_OUTBOUND", "many"]),
        ("ZAKURA_NODE__MEMORY_LIMIT", "much", &["ZAKURA_NODE__MEMORY_LIMIT", "\"much\"", "64 MiB"]),
        ("ZAKURA_NOD__WORK_THREADS", "1", &["ZAKURA_NOD__WORK_THREADS", "`nod`", "`node`"]),
    ] {
        let mut run = place.node(&format!("--network regtest --peer {nobody}"));
        run.env(name, value);
        place.refused(run, 2, words);
    }
    assert_eq!(fs::read_dir(place.data()).unwrap().count(), 0, "neither store nor identity");
}

#[test]
fn a_store_that_is_not_ours_is_left_alone() {
    let place = Place::mined(2);
    let file = place.data().join("store/regtest.redb");
    let good = fs::read(&file).unwrap();
    let everywhere = |words: &[&str]| {
        place.refused(place.node("--network regtest"), 1, words);
        place.refused(place.command("localnet --blocks 1"), 1, words);
    };
    let set = |key: &str, value: &[u8]| {
        fs::write(&file, &good).unwrap();
        let database = redb::Database::open(&file).unwrap();
        let txn = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
        txn.open_table(meta).unwrap().insert(key, value).unwrap();
        txn.commit().unwrap();
    };
    set("format", &9_u64.to_le_bytes());
    everywhere(&["regtest.redb", "format 9", "upgrade zakura"]);
    set("genesis", &[1; 32]);
    everywhere(&["regtest.redb", "another genesis block", "another --data-dir"]);
    set("network", b"testnet");
    everywhere(&["regtest.redb", "holds \"testnet\", not regtest", "--network"]);
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    everywhere(&["regtest.redb", "unreadable", "move it away"]);
    fs::write(&file, "not a store").unwrap();
    everywhere(&["regtest.redb", "unreadable", "move it away"]);
}
