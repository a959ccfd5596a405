//! The house keeps its rules, and each rule can still be broken.
//!
//! Every folder of `fixtures/` but `clean` is a few files laid over the clean house. A comment `//~ rule` (`#~ rule` where
//! the file is no Rust) marks each line where that rule, and no other, must report an offence. Manifests carry the suffix
//! `.planted` there, so that cargo never takes them for packages.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zakura_testkit::architecture::{House, RULES, over_the_smell};

/// Rules whose offence is planted by a test below, because a planted file would itself break the real house or be absurdly
/// long.
const PLANTED_BY_HAND: [&str; 4] = ["line_cap", "speaks_of_itself", "licences", "core_crate_budget"];

/// (rule, file, line): where a rule reports, or should.
type Place = (String, String, usize);

#[test]
fn the_house_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let house = House::load(root).unwrap();
    for (lines, file) in over_the_smell(&house) {
        println!("smell: {file} has {lines} code lines");
    }
    let mut report = String::new();
    for rule in RULES {
        for offence in rule.offences(&house) {
            report.push_str(&format!("[{}] {offence}\n", rule.name));
        }
    }
    assert!(report.is_empty(), "the house breaks its own rules:\n{report}");
}

#[test]
fn the_clean_house_breaks_nothing() {
    assert_eq!(places(&plant("clean")), []);
}

#[test]
fn every_planted_offence_is_found_and_nothing_else() {
    for name in fixtures() {
        let mut marked = Vec::new();
        for file in files_below(&fixture(&name)) {
            marked.extend(marks(&fixture(&name), &file));
        }
        marked.sort();
        assert!(!marked.is_empty(), "{name} plants nothing");
        assert_eq!(places(&plant(&name)), marked, "fixture {name}: found on the left, planted on the right");
    }
}

#[test]
fn every_rule_has_been_seen_red() {
    let files = fixtures().into_iter().flat_map(|name| {
        let folder = fixture(&name);
        files_below(&folder).into_iter().flat_map(move |file| marks(&folder, &file))
    });
    let marked: BTreeSet<String> = files.map(|(rule, _, _)| rule).collect();
    let known = RULES.iter().map(|rule| rule.name);
    let unseen: Vec<_> =
        known.filter(|name| !marked.contains(*name) && !PLANTED_BY_HAND.contains(name)).collect();
    assert_eq!(unseen, [""; 0], "plant an offence for each of these");
}

#[test]
fn a_file_of_more_than_six_hundred_code_lines_is_refused() {
    let house = plant("clean");
    let path = house.path().join("transport/src/long.rs");
    let tests = "\n#[cfg(test)]\nmod tests {\n    const MORE: u8 = 0;\n}\n";
    fs::write(&path, "// why\n\nconst A: u8 = 0;\n".repeat(600) + tests).unwrap();
    assert_eq!(places(&house), []);
    fs::write(&path, "// why\n\nconst A: u8 = 0;\n".repeat(601) + tests).unwrap();
    assert_eq!(places(&house), [place("line_cap", "transport/src/long.rs", 1)]);
}

#[test]
fn a_word_about_the_workplace_is_refused() {
    let house = plant("clean");
    let text = concat!("Fine: a/wo", "rk/b.\nSee /wo", "rk/notes.\nWritten by Cla", "ude.\n");
    fs::write(house.path().join("README.md"), text).unwrap();
    assert_eq!(places(&house), [2, 3].map(|line| place("speaks_of_itself", "README.md", line)));
}

#[test]
fn a_missing_licence_is_refused() {
    let house = plant("clean");
    fs::remove_file(house.path().join("LICENSE-MIT")).unwrap();
    assert_eq!(places(&house), [place("licences", "Cargo.toml", 1)]);
}

#[test]
fn a_core_of_more_than_a_hundred_and_thirty_crates_is_refused() {
    let house = plant("clean");
    let lock = house.path().join("Cargo.lock");
    // The clean core is transport and quinn; the chain hangs on quinn. What only tests or a feature bring in does not count.
    let chain = |length: usize| {
        let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        let mut text = String::from("version = 4\n");
        text.push_str("[[package]]\nname = \"zakura-transport\"\nversion = \"0.1.0\"\n");
        text.push_str("dependencies = [\"quinn\", \"only-in-tests\", \"only-by-feature\"]\n");
        for name in ["only-in-tests", "only-by-feature", "qlog"] {
            text.push_str(&format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{source}\n"));
        }
        text.push_str(&format!("[[package]]\nname = \"quinn\"\nversion = \"0.11.12\"\n{source}\n"));
        text.push_str("dependencies = [\"link0\", \"qlog\"]\n");
        for link in 0..length {
            text.push_str(&format!("[[package]]\nname = \"link{link}\"\nversion = \"1.0.0\"\n{source}\n"));
            text.push_str(&format!("dependencies = [\"link{} 1.0.0\"]\n", (link + 1) % length));
        }
        text
    };
    fs::write(&lock, chain(128)).unwrap();
    assert_eq!(places(&house), []);
    fs::write(&lock, chain(129)).unwrap();
    assert_eq!(places(&house), [place("core_crate_budget", "Cargo.lock", 1)]);
}

#[test]
fn an_offence_names_its_place_and_its_remedy() {
    let house = House::load(plant("no_async_files").path()).unwrap();
    let printed: Vec<_> =
        RULES.iter().flat_map(|rule| rule.offences(&house)).map(|found| found.to_string()).collect();
    let expected = "zakura/src/store/read.rs:1: `tokio::fs::File` in production code; \
                    let the store's named thread touch the disk";
    assert_eq!(printed, [expected]);
}

fn place(rule: &str, file: &str, line: usize) -> Place {
    (rule.to_owned(), file.to_owned(), line)
}

/// Where the rules report in a planted house.
fn places(house: &TempDir) -> Vec<Place> {
    let house = House::load(house.path()).unwrap();
    let found = RULES.iter().flat_map(|rule| {
        let offences = rule.offences(&house).into_iter();
        offences.map(|offence| (rule.name.to_owned(), offence.file, offence.line))
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found
}

/// The clean house with one fixture's files laid over it.
fn plant(name: &str) -> TempDir {
    let house = TempDir::new().unwrap();
    for layer in ["clean", name] {
        for file in files_below(&fixture(layer)) {
            let target = house.path().join(planted_name(&file));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(fixture(layer).join(&file), target).unwrap();
        }
    }
    house
}

/// The places a fixture's file marks.
fn marks(folder: &Path, file: &str) -> Vec<Place> {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let marked = text.lines().enumerate().filter_map(|(index, line)| {
        let (_, rules) = line.split_once("//~ ").or_else(|| line.split_once("#~ "))?;
        Some((index + 1, rules.split(' ').map(str::to_owned).collect::<Vec<_>>()))
    });
    marked
        .flat_map(|(line, rules)| rules.into_iter().map(move |rule| (rule, line)))
        .map(|(rule, line)| place(&rule, planted_name(file), line))
        .collect()
}

fn planted_name(file: &str) -> &str {
    file.strip_suffix(".planted").unwrap_or(file)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn fixtures() -> Vec<String> {
    let folders =
        fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = folders.filter(|name| name != "clean").collect();
    names.sort();
    names
}

/// Every file below `folder`, relative to it.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            files.push(name);
        }
    }
    files.sort();
    files
}
