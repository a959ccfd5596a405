//! Real `zakura` processes that a test kills, and what their stores hold afterwards.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    net::Ipv4Addr,
    path::Path,
    process::{self, Child, Command, Stdio},
    str::FromStr,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use redb::{ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;

/// No line and no end takes longer than this, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes of every block's body.
pub(crate) const BODY_BYTES: u32 = 100_000;

/// Reads a size of the test from the environment.
pub(crate) fn size<N: FromStr>(name: &str, default: N) -> N {
    env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: set it to a number"))
    })
}

/// A loopback address that is this test process's alone, so that no other process on this machine takes a port of it
/// while a node that listened there is being started again. (All of 127.0.0.0/8 is loopback; what asks for any free
/// port of 127.0.0.1 never gets one here.)
pub(crate) fn own_loopback() -> Ipv4Addr {
    let [.., high, middle, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, high.wrapping_add(1), middle, low.max(1))
}

/// A command on a data directory.
pub(crate) fn zakura(dir: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zakura"));
    command.args(words.split(' ')).args(["--json", "--data-dir"]).arg(dir).stdin(Stdio::null());
    command
}

/// `zakura run` on Regtest.
pub(crate) fn node(dir: &Path, listen: &str, words: &str) -> Command {
    zakura(dir, format!("run --network regtest --listen {listen} {words}").trim_end())
}

/// Mines the chain that is to be synced.
pub(crate) fn mine(dir: &Path, blocks: u32) {
    let mined = zakura(dir, &format!("mine --blocks {blocks} --body-bytes {BODY_BYTES} --seed 7")).output();
    let mined = mined.unwrap();
    assert!(mined.status.success(), "{}", String::from_utf8_lossy(&mined.stderr));
}

/// A process, killed by its own id and reaped when the test is done with it, however the test ends.
pub(crate) struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// The next line of standard output, or none at its end.
    pub(crate) fn line(&self) -> Option<Value> {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap()),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}: {}", self.complaints()),
        }
    }

    /// The first line: who listens, and up to where its store reached as it was opened.
    pub(crate) fn first(&self) -> (String, u32) {
        let first = self.line().unwrap_or_else(|| panic!("it did not start: {}", self.complaints()));
        let (peer, height) = (first["listening"].as_str(), committed(&first));
        (peer.unwrap_or_else(|| panic!("{first}")).to_owned(), height.unwrap_or_else(|| panic!("{first}")))
    }

    /// What it has said on standard error so far.
    pub(crate) fn complaints(&self) -> String {
        self.err.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// Kills it without a word, and returns the rest of standard output: all that it had reported.
    pub(crate) fn kill(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What was printed last may have been cut off.
        self.out.iter().filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// Waits for its end, which is to be a success, and returns the rest of standard output.
    pub(crate) fn ends(mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Some(line) = self.line() {
            rest.push(line);
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.complaints());
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The child may have ended already; either way it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The height that a line reports as committed.
pub(crate) fn committed(line: &Value) -> Option<u32> {
    line["committed"].as_u64().map(|height| u32::try_from(height).unwrap())
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver): (Sender<String>, _) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A random moment.
pub(crate) fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Two stores hold the same chain: every header row, index row, size and body, and the same floor. The rows are compared as
/// the database keeps them, without the code that wrote them.
///
/// A body's mark is left out where one store was mined: a synced one marks by height, and a mined one by content.
pub(crate) fn assert_same_rows(left: &Path, right: &Path, with_marks: bool) {
    let open = |dir: &Path| ReadOnlyDatabase::open(dir.join("store/regtest.redb")).unwrap();
    let (left, right) = (open(left), open(right));
    let bytes = |value: &[u8]| value.to_vec();
    same::<&str, &[u8]>(&left, &right, "meta", |key, value| (bytes(key.as_bytes()), bytes(value)));
    same::<u32, ([u8; 32], [u8; 32], &[u8])>(&left, &right, "headers", |key, (hash, work, raw)| {
        (bytes(&key.to_be_bytes()), [&hash, &work, raw].concat())
    });
    same::<[u8; 32], u32>(&left, &right, "heights", |key, value| (bytes(&key), bytes(&value.to_be_bytes())));
    same::<u32, u32>(&left, &right, "sizes", |key, value| {
        (bytes(&key.to_be_bytes()), bytes(&value.to_be_bytes()))
    });
    same::<u32, (bool, &[u8])>(&left, &right, "bodies", |key, (mark, raw)| {
        (bytes(&key.to_be_bytes()), [&[u8::from(mark && with_marks)], raw].concat())
    });
    let floor = |database: &ReadOnlyDatabase| {
        let state = database.begin_read().unwrap().open_table(TableDefinition::<&str, u64>::new("state"));
        state.unwrap().get("floor").unwrap().unwrap().value()
    };
    assert_eq!(floor(&left), floor(&right), "the floor");
}

fn same<K: redb::Key + 'static, V: redb::Value + 'static>(
    left: &ReadOnlyDatabase,
    right: &ReadOnlyDatabase,
    name: &str,
    row: impl for<'r> Fn(K::SelfType<'r>, V::SelfType<'r>) -> (Vec<u8>, Vec<u8>),
) {
    let table = |database: &ReadOnlyDatabase| {
        database.begin_read().unwrap().open_table(TableDefinition::<K, V>::new(name))
    };
    let (left, right) = (table(left).unwrap(), table(right).unwrap());
    let (mut left, mut right) = (left.iter().unwrap(), right.iter().unwrap());
    let mut rows = 0;
    loop {
        let (one, other) = (left.next(), right.next());
        match (one, other) {
            (None, None) => break,
            (Some(one), Some(other)) => {
                let (one, other) = (one.unwrap(), other.unwrap());
                assert!(
                    row(one.0.value(), one.1.value()) == row(other.0.value(), other.1.value()),
                    "row {rows} of table {name} differs"
                );
            }
            (one, _) => panic!(
                "table {name} has {rows} rows, and the {} more",
                if one.is_some() { "left" } else { "right" }
            ),
        }
        rows += 1;
    }
    assert!(rows > 0, "table {name} is empty");
}
