//! The table of threats in `transport/README.md` names tests and patches that are there, and leaves no threat out.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own house has failed")]

use std::{collections::BTreeSet, fs, path::Path};

/// The groups that concern the transport, and how many rows each has.
const GROUPS: [(char, usize); 7] = [('T', 9), ('C', 6), ('F', 6), ('G', 5), ('P', 4), ('R', 6), ('X', 2)];
/// What stands in the place of a test that is still to be written.
const MISSING: &str = "no test";

struct Row {
    id: String,
    guard: String,
    tests: String,
    taken_away: String,
}

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(house().join(file)).unwrap_or_default()
}

/// The rows of the table: a letter and two digits in the first of five cells.
fn rows() -> Vec<Row> {
    let text = read("transport/README.md");
    let cells = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [id, _act, guard, tests, taken_away] = cells[..] else { return None };
        let is_row = id.len() == 3 && GROUPS.iter().any(|(group, _)| id.starts_with(*group));
        let owned = |cell: &str| cell.to_owned();
        is_row.then(|| Row {
            id: owned(id),
            guard: owned(guard),
            tests: owned(tests),
            taken_away: owned(taken_away),
        })
    });
    cells.collect()
}

/// Whether a file has a test of this name: an attribute that makes it one, and at once its head.
fn has_test(file: &str, name: &str) -> bool {
    let text = read(file);
    let head = format!("fn {name}(");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let before =
            lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        line.contains(&head) && before.into_iter().any(|line| line.starts_with("#[") && line.contains("test"))
    })
}

#[test]
fn every_threat_has_its_row_and_one_only() {
    let ids: Vec<_> = rows().into_iter().map(|row| row.id).collect();
    let wanted = GROUPS.iter().flat_map(|(group, count)| (1..=*count).map(move |n| format!("{group}{n:02}")));
    assert_eq!(ids, wanted.collect::<Vec<_>>());
}

#[test]
fn every_test_and_every_file_that_is_named_is_there() {
    let mut missing = Vec::new();
    for row in rows() {
        for test in row.tests.split(", ").filter(|test| *test != MISSING) {
            let is_there = test.split_once("::").is_some_and(|(file, name)| has_test(file, name));
            if !is_there {
                missing.push(format!("{}: {test}", row.id));
            }
        }
        let files = row.guard.split('`').filter(|word| word.ends_with(".rs") || word.ends_with('/'));
        let gone = files.filter(|file| !house().join("transport/src").join(file).exists());
        missing.extend(gone.map(|file| format!("{}: {file}", row.id)));
    }
    assert_eq!(missing, [""; 0], "rename it in transport/README.md too");
}

#[test]
fn every_constant_and_patch_that_is_named_is_there() {
    let mut missing = Vec::new();
    for row in rows() {
        let mut text = String::new();
        for part in row.guard.split('`') {
            if part.ends_with(".rs") {
                text = read(&format!("transport/src/{part}"));
            }
            let words = part.split([' ', ',', ';']).filter(|word| {
                word.contains('_')
                    && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            });
            missing
                .extend(words.filter(|word| !text.contains(word)).map(|word| format!("{}: {word}", row.id)));
        }
        let said = row.taken_away.split(';').next().unwrap_or_default();
        let patches = said.split(", ").filter(|name| name.contains('-'));
        let gone = patches.filter(|name| read(&format!("testkit/planted/{name}.patch")).is_empty());
        missing.extend(gone.map(|name| format!("{}: {name}", row.id)));
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn what_is_not_there_is_missed() {
    assert!(has_test("testkit/tests/threat_rows.rs", "what_is_not_there_is_missed"));
    assert!(!has_test("testkit/tests/threat_rows.rs", "has_test"), "a function is no test");
    assert!(!has_test("testkit/tests/threat_rows.rs", "nobody_wrote_this"));
    assert!(!has_test("testkit/tests/nowhere.rs", "every_threat_has_its_row_and_one_only"));
    let ids: BTreeSet<_> = rows().into_iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), 38);
}
