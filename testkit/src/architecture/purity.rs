//! Deciding happens in plain synchronous Rust.

use super::pattern::{file_fits_any, path_names};
use super::source::Source;
use super::{House, Offence};

/// Machines, codecs, plans, books, reactor state, the chain words and the chain's rules.
const PURE: [&str; 13] = [
    "**/src/**/machine/**",
    "**/src/**/machine.rs",
    "**/src/**/wire/**",
    "**/src/**/wire.rs",
    "**/src/**/plan/**",
    "**/src/**/plan.rs",
    "**/src/**/book/**",
    "**/src/**/state.rs",
    "**/src/**/chain.rs",
    "zakura/src/zcash/**",
    "zakura/src/zcash.rs",
    "transport/src/handshake/verdict.rs",
    "transport/src/exit.rs",
];

/// What would let the outside in. `now` and randomness come as arguments instead.
const IMPURE: [&str; 26] = [
    "tokio",
    "tokio_util",
    "tokio_test",
    "quinn",
    "rustls",
    "parking_lot",
    "getrandom",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::fs",
    "std::thread",
    "std::env",
    "*::Instant::now",
    "*::SystemTime::now",
    "rand::rng",
    "rand::random",
    "*::thread_rng",
    "*::OsRng",
    "*::SysRng",
    "*::HashMap",
    "*::HashSet",
    "*::RandomState",
];

/// A method that reads the clock without saying so.
const CLOCK_METHOD: &str = "elapsed";

pub(super) fn pure_files(house: &House) -> Vec<Offence> {
    house.sources.iter().filter(|source| file_fits_any(&PURE, &source.path)).flat_map(impurities).collect()
}

fn impurities(source: &Source) -> Vec<Offence> {
    let offence = |line, what: String| {
        Offence::new(&source.path, line, what, "this file decides: take time, chance and bytes as arguments")
    };
    let named = source
        .production_mentions()
        .filter(|mention| IMPURE.iter().any(|ban| path_names(ban, &mention.path)));
    let named =
        named.map(|mention| offence(mention.line, format!("`{}` in a pure file", mention.path.join("::"))));
    let waits = source.facts.waits.iter().filter(|word| !word.test);
    let clocks = source.facts.methods.iter().filter(|word| !word.test && word.text == CLOCK_METHOD);
    let words = waits.chain(clocks).map(|word| offence(word.line, format!("`{}` in a pure file", word.text)));
    named.chain(words).collect()
}
