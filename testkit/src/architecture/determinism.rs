//! Same seed, same build, same trace: what would break that, and what would let a peer grow us without bound.

use super::pattern::{file_fits_any, path_names};
use super::{House, Offence};

/// The edge where a person starts the stand-alone node; nothing there is simulated.
const CLI: &str = "zakura/src/cli/**";

pub(super) fn select_is_biased(house: &House) -> Vec<Offence> {
    let selects = house
        .sources
        .iter()
        .flat_map(|source| source.facts.selects.iter().map(move |select| (source, select)));
    selects
        .filter(|(_, select)| !select.biased)
        .map(|(source, select)| {
            let remedy =
                "start it with `biased;` and order the arms: cancel, local, timers, outgoing, incoming";
            Offence::new(&source.path, select.line, "`select!` picks an arm by chance", remedy)
        })
        .collect()
}

pub(super) fn spawner_only(house: &House) -> Vec<Offence> {
    let bans = [
        "tokio::spawn",
        "tokio::task::spawn",
        "tokio::task::spawn_blocking",
        "tokio::task::spawn_local",
        "tokio::task::JoinSet",
        "tokio::task::LocalSet",
        "std::thread::spawn",
        "std::thread::scope",
        "std::thread::Builder",
    ];
    named(house, &bans, &["transport/src/spawner.rs", CLI], "spawn through the node's `Spawner`")
}

pub(super) fn no_clock(house: &House) -> Vec<Offence> {
    let system = ["*::SystemTime::now"];
    let mut offences =
        named(house, &system, &["**/wall_clock.rs", CLI], "take the wall clock from its injected source");
    let instant = ["std::time::Instant::now", "Instant::now", "quinn::Instant::now"];
    offences.extend(named(
        house,
        &instant,
        &[CLI],
        "take `now` as an argument, or read tokio's clock in a shell",
    ));
    offences
}

pub(super) fn no_thread_randomness(house: &House) -> Vec<Offence> {
    let bans = [
        "rand::rng",
        "rand::random",
        "getrandom",
        "*::thread_rng",
        "*::OsRng",
        "*::SysRng",
        "*::SystemRandom",
    ];
    let homes = ["transport/src/entropy.rs", "transport/src/quic/**", CLI];
    named(house, &bans, &homes, "take a seeded generator as an argument")
}

pub(super) fn no_hash_order(house: &House) -> Vec<Offence> {
    let bans = ["*::HashMap", "*::HashSet", "*::hash_map", "*::hash_set", "*::RandomState"];
    named(house, &bans, &[], "use BTreeMap or BTreeSet, whose order is the same in every run")
}

pub(super) fn ed25519_only(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in &house.sources {
        let random = |path: &[String]| path.iter().any(|segment| segment.to_lowercase().contains("ecdsa"));
        for mention in source.production_mentions().filter(|mention| random(&mention.path)) {
            let what = format!("`{}` is ECDSA, whose signatures are random", mention.path.join("::"));
            offences.push(Offence::new(&source.path, mention.line, what, "sign with Ed25519"));
        }
    }
    offences
}

pub(super) fn bounded_channels(house: &House) -> Vec<Offence> {
    let bans = [
        "*::unbounded_channel",
        "*::mpsc::unbounded",
        "crossbeam_channel::unbounded",
        "*::UnboundedSender",
        "*::UnboundedReceiver",
        "std::sync::mpsc::channel",
    ];
    named(house, &bans, &[], "give the queue a bound and say what happens when it is full")
}

pub(super) fn no_async_files(house: &House) -> Vec<Offence> {
    named(house, &["tokio::fs"], &[], "let the store's named thread touch the disk")
}

/// Production code outside `homes` that names something in `bans`.
fn named(house: &House, bans: &[&str], homes: &[&str], remedy: &str) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in house.sources.iter().filter(|source| !file_fits_any(homes, &source.path)) {
        let banned = |path: &[String]| bans.iter().any(|ban| path_names(ban, path));
        for mention in source.production_mentions().filter(|mention| banned(&mention.path)) {
            let what = format!("`{}` in production code", mention.path.join("::"));
            offences.push(Offence::new(&source.path, mention.line, what, remedy));
        }
    }
    offences
}
