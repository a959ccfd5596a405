//! Which tests may run in real time.

use super::pattern::path_names;
use super::source::Source;
use super::{House, Offence};

/// Every file with a test that waits in real time, and why it must. All others run in virtual time or wait for nothing.
const REAL_TIME: [(&str, &str); 59] = [
    ("block_sync/tests/quic.rs", SOCKETS),
    ("block_sync/tests/sync.rs", THREADS),
    ("discovery/tests/flood.rs", SOCKETS),
    ("header_sync/tests/sync.rs", THREADS),
    ("testkit/src/planted/child.rs", "programs that are ended when they take too long"),
    ("testkit/src/planted/workshop.rs", "git, in a process of its own"),
    ("testkit/tests/adversity.rs", NODES),
    ("testkit/tests/discovery.rs", NODES),
    ("testkit/tests/envelope.rs", HOSTILE),
    ("testkit/tests/floods.rs", HOSTILE),
    ("testkit/tests/hostile_bodies.rs", HOSTILE),
    ("testkit/tests/hostile_frames.rs", HOSTILE),
    ("testkit/tests/hostile_handshake.rs", HOSTILE),
    ("testkit/tests/hostile_headers.rs", HOSTILE),
    ("testkit/tests/hostile_silence.rs", HOSTILE),
    ("testkit/tests/hostile_streams.rs", HOSTILE),
    ("testkit/tests/job_panics.rs", THREADS),
    ("testkit/tests/kernel.rs", "the kernel is what is measured"),
    ("testkit/tests/node_end.rs", NODES),
    ("testkit/tests/panics.rs", NODES),
    ("testkit/tests/reorg.rs", NODES),
    ("testkit/tests/segments.rs", NODES),
    ("testkit/tests/service_panics.rs", NODES),
    ("testkit/tests/sim_determinism.rs", "waits for processes, whose worlds run in virtual time"),
    ("testkit/tests/stack.rs", "waits for processes, whose worlds run in virtual time"),
    ("testkit/tests/store_faults.rs", NODES),
    ("transport/benches/raw_quinn/idle.rs", BENCH),
    ("transport/benches/raw_quinn/main.rs", BENCH),
    ("transport/benches/raw_quinn/process.rs", BENCH),
    ("transport/benches/raw_quinn/refused.rs", BENCH),
    ("transport/src/pool/actor.rs", SOCKETS),
    ("transport/src/routine/pool.rs", THREADS),
    ("transport/src/routine/work/queue.rs", "threads race for one queue"),
    ("transport/src/spawner.rs", THREADS),
    ("transport/tests/admission.rs", SOCKETS),
    ("transport/tests/bandwidth.rs", SOCKETS),
    ("transport/tests/dial_once.rs", SOCKETS),
    ("transport/tests/duplicates.rs", SOCKETS),
    ("transport/tests/early.rs", SOCKETS),
    ("transport/tests/frames.rs", SOCKETS),
    ("transport/tests/handshake.rs", SOCKETS),
    ("transport/tests/metrics.rs", SOCKETS),
    ("transport/tests/observe.rs", SOCKETS),
    ("transport/tests/panicking.rs", THREADS),
    ("transport/tests/panics.rs", SOCKETS),
    ("transport/tests/qlog.rs", SOCKETS),
    ("transport/tests/requests.rs", SOCKETS),
    ("transport/tests/sessions.rs", SOCKETS),
    ("transport/tests/start_stop.rs", SOCKETS),
    ("transport/tests/streams.rs", SOCKETS),
    ("transport/tests/strangers.rs", SOCKETS),
    ("transport/tests/tls.rs", SOCKETS),
    ("transport/tests/wedged.rs", SOCKETS),
    ("transport/tests/work_lessons.rs", THREADS),
    ("zakura/tests/cli_localnet.rs", PROCESSES),
    ("zakura/tests/cli_run.rs", PROCESSES),
    ("zakura/tests/cli_store.rs", PROCESSES),
    ("zakura/tests/kill/processes.rs", PROCESSES),
    ("zakura/tests/two_processes.rs", PROCESSES),
];

const SOCKETS: &str = "real sockets on loopback";
const THREADS: &str = "the work pool's threads, or others";
const NODES: &str = "real nodes on loopback, over stores with threads";
const HOSTILE: &str = "a hostile peer with sockets and TLS of its own";
const BENCH: &str = "a bench, which measures";
const PROCESSES: &str = "the program itself, in a process of its own";

/// What waits in real time, or on what runs in it.
const REAL: [&str; 5] = [
    "std::thread::sleep",
    "std::process::Command",
    "tokio::process",
    "tokio::runtime::Builder",
    "tokio::runtime::Runtime",
];

pub(super) fn real_time_is_named(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in &house.sources {
        let reason = REAL_TIME.iter().find(|(path, _)| *path == source.path);
        let lines = lines_in_real_time(source);
        if reason.is_none() {
            let what = "a test in real time";
            let remedy =
                "pause tokio's time (`start_paused = true`), or name the file and why in the rule's list";
            offences.extend(lines.iter().map(|line| Offence::new(&source.path, *line, what, remedy)));
        } else if lines.is_empty() {
            let what = "listed as a test in real time, and is none";
            offences.push(Offence::new(&source.path, 1, what, "take it off the rule's list"));
        }
    }
    offences
}

fn lines_in_real_time(source: &Source) -> Vec<usize> {
    let is_paused = |words: &[String]| words.iter().any(|word| word == "start_paused");
    let tests = source.facts.attributes.iter();
    let tests = tests.filter(|attribute| attribute.name == "tokio::test" && !is_paused(&attribute.words));
    let is_real = |path: &[String]| REAL.iter().any(|real| path_names(real, path));
    let named = source.facts.mentions.iter();
    let named = named.filter(|mention| mention.test && !mention.import && is_real(&mention.path));
    let mut lines: Vec<_> = tests.map(|test| test.line).chain(named.map(|mention| mention.line)).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}
