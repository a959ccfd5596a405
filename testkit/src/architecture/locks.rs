//! Where a lock may be, and what may not be beside it.

use super::pattern::{file_fits_any, path_names};
use super::source::Source;
use super::{House, Offence};

/// The files that own a lock, each wholly: the range queue, the byte budget, the work pool's queue, the socket adapter's
/// outbox, the read snapshots, the one file that gives queue and pool their locks (and another kind under test, where a
/// scheduler tries interleavings), the network in memory of transport's tests, the switch of simulated worlds (sockets are called
/// from every node's tasks and give no turn to wait for an owner's answer), and the disk in memory of the store's tests.
const LOCK_FILES: [&str; 10] = [
    "transport/src/routine/work.rs",
    "transport/src/routine/work/**",
    "transport/src/routine/budget.rs",
    "transport/src/routine/pool.rs",
    "transport/src/routine/sync.rs",
    "transport/src/quic/socket.rs",
    "transport/tests/common/net.rs",
    "testkit/src/disk.rs",
    "testkit/src/sim/switch.rs",
    "**/src/**/snapshot.rs",
];

/// Locks by their crate, and by the name that queue and pool know them by.
const LOCKS: [&str; 5] = [
    "parking_lot",
    "*::super::sync::Mutex",
    "*::super::sync::Condvar",
    "*::routine::sync::Mutex",
    "*::routine::sync::Condvar",
];

/// Locks that poison, or that may be held while waiting.
const OTHER_LOCKS: [&str; 7] = [
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::MutexGuard",
    "tokio::sync::Mutex",
    "tokio::sync::RwLock",
    "futures::lock",
];

pub(super) fn whitelist(house: &House) -> Vec<Offence> {
    let outside = house.sources.iter().filter(|source| !file_fits_any(&LOCK_FILES, &source.path));
    named(outside, &LOCKS, "give the state one owner and send it messages")
}

pub(super) fn no_other_locks(house: &House) -> Vec<Offence> {
    named(house.sources.iter(), &OTHER_LOCKS, "give the state one owner; whitelisted files use parking_lot")
}

pub(super) fn no_await_beside_lock(house: &House) -> Vec<Offence> {
    let locked = house.sources.iter().filter(|source| {
        file_fits_any(&LOCK_FILES, &source.path)
            && source.production_mentions().any(|mention| is_lock(&mention.path))
    });
    let waits = locked.flat_map(|source| source.facts.waits.iter().map(move |wait| (source, wait)));
    waits
        .filter(|(_, wait)| !wait.test && wait.text == "await")
        .map(|(source, wait)| {
            Offence::new(
                &source.path,
                wait.line,
                "`await` in a file that owns a lock",
                "wait in another file",
            )
        })
        .collect()
}

fn is_lock(path: &[String]) -> bool {
    LOCKS.iter().any(|lock| path_names(lock, path))
}

fn named<'h>(sources: impl Iterator<Item = &'h Source>, bans: &[&str], remedy: &str) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in sources {
        let banned = |path: &[String]| bans.iter().any(|ban| path_names(ban, path));
        for mention in source.facts.mentions.iter().filter(|mention| banned(&mention.path)) {
            let what = format!("`{}` outside the lock whitelist", mention.path.join("::"));
            offences.push(Offence::new(&source.path, mention.line, what, remedy));
        }
    }
    offences
}
