//! Where things stand and how long they may be.

use super::{House, Offence};

/// What may stand at the top beside dot files.
const TOP: [&str; 12] = [
    "transport",
    "header_sync",
    "block_sync",
    "discovery",
    "zakura",
    "testkit",
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "target",
];

/// Code lines from which a file should be split.
const SMELL: usize = 400;

/// Code lines above which a file must be split: a reader loses the thread, and god files grow from here.
const CAP: usize = 600;

/// Files written by a program, which nobody reads as prose.
const GENERATED: [&str; 0] = [];

pub(super) fn top_level(house: &House) -> Vec<Offence> {
    let surplus = house.top.iter().filter(|name| !TOP.contains(&name.as_str()));
    surplus
        .map(|name| {
            let what = format!("`{name}` stands at the top of the house");
            Offence::new(name, 1, what, "move it into the member it belongs to")
        })
        .collect()
}

pub(super) fn line_cap(house: &House) -> Vec<Offence> {
    let counted = house.sources.iter().filter(|source| !source.is_test());
    let counted = counted.filter(|source| !GENERATED.contains(&source.path.as_str()));
    counted
        .filter(|source| source.code_lines > CAP)
        .map(|source| {
            let what = format!("{} code lines, the cap is {CAP}", source.code_lines);
            Offence::new(&source.path, 1, what, "split it by the state each part owns")
        })
        .collect()
}

/// The files that have more code lines than is good for them, tests included, longest first.
pub fn over_the_smell(house: &House) -> Vec<(usize, &str)> {
    let long = house.sources.iter().filter(|source| source.code_lines > SMELL);
    let mut long: Vec<_> = long.map(|source| (source.code_lines, source.path.as_str())).collect();
    long.sort();
    long.reverse();
    long
}

pub(super) fn no_logic_in_mod(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    let doors = house.sources.iter().filter(|source| source.is_in_src());
    for source in doors.filter(|source| ["lib.rs", "mod.rs"].contains(&source.file_name())) {
        offences.extend(source.facts.logic.iter().map(|logic| {
            let what = format!("{} in {}", logic.kind, source.file_name());
            Offence::new(
                &source.path,
                logic.line,
                what,
                "move it to a file with a name; keep docs, modules and re-exports",
            )
        }));
    }
    offences
}
