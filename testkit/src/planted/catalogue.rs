//! Which mistakes there are, and what has to catch each.

use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where the patches lie, from the top of the house.
const FOLDER: &str = "testkit/planted";

/// The members whose mistakes count: what ships.
const SHIPPED: [&str; 5] = ["transport/", "header_sync/", "block_sync/", "discovery/", "zakura/"];

/// What has to catch a bug.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Caught {
    /// Pure worlds.
    Worlds {
        /// So many seeds, from 0, at most.
        worlds: u64,
        /// What such worlds show without the bug and never with it, where no invariant breaks (I-X2).
        missing: Option<String>,
        /// The invariant that will see it and is not checked yet: an escape is told, and is no failure.
        awaits: Option<String>,
    },
    /// A test: what is said to `cargo test`.
    Test {
        /// Package, target, and a filter.
        test: String,
    },
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// Its name, and its patch's.
    pub name: String,
    /// The threats and invariants that it is about.
    pub rows: Vec<String>,
    /// What is wrong, in a sentence.
    pub mistake: String,
    /// What has to catch it.
    pub caught: Caught,
}

/// The list.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// In the order of the file.
    pub bugs: Vec<Bug>,
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    bug: Vec<Bug>,
}

impl Catalogue {
    /// Reads the list of a house.
    ///
    /// # Errors
    ///
    /// What cannot be read, or is wrong in it.
    pub fn load(house: &Path) -> Result<Self, String> {
        let folder = house.join(FOLDER);
        let path = folder.join("catalogue.toml");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let written: Written =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { bugs: written.bug, folder })
    }

    /// A bug's patch.
    #[must_use]
    pub fn patch(&self, bug: &Bug) -> PathBuf {
        self.folder.join(format!("{}.patch", bug.name))
    }

    /// What is wrong with the list: two of one name, no threat, a patch that is missing, that nobody lists, or that
    /// changes something that does not ship.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn faults(&self) -> Result<Vec<String>, String> {
        let mut names = BTreeSet::new();
        let mut faults = Vec::new();
        for bug in &self.bugs {
            if !names.insert(bug.name.as_str()) {
                faults.push(format!("{} is listed twice", bug.name));
            }
            if bug.rows.is_empty() || !bug.rows.iter().all(|row| is_row(row)) {
                faults.push(format!("{} names no threat: {:?}", bug.name, bug.rows));
            }
            match fs::read_to_string(self.patch(bug)) {
                Ok(patch) => faults.extend(strays(&patch).map(|file| format!("{} changes {file}", bug.name))),
                Err(error) => faults.push(format!("{}: {error}", self.patch(bug).display())),
            }
        }
        let there =
            fs::read_dir(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))?;
        for entry in there.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let unlisted = file.strip_suffix(".patch").filter(|name| !names.contains(name));
            faults.extend(unlisted.map(|name| format!("{name} is not in the catalogue")));
        }
        Ok(faults)
    }
}

/// Whether it is written like a threat (`HS03`, `T01`) or an invariant (`I-W1`).
fn is_row(row: &str) -> bool {
    let (letters, number) = match row.strip_prefix("I-") {
        Some(invariant) => (1..=1, invariant),
        None => (1..=2, row),
    };
    let digits = number.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let ahead = number.len().saturating_sub(digits.len());
    letters.contains(&ahead)
        && !digits.is_empty()
        && digits.len() <= 2
        && digits.chars().all(|digit| digit.is_ascii_digit())
}

/// The files of a patch that do not ship.
fn strays(patch: &str) -> impl Iterator<Item = &str> {
    let ships = |file: &str| SHIPPED.iter().any(|member| file.starts_with(member)) && file.contains("/src/");
    patch.lines().filter_map(|line| line.strip_prefix("+++ b/")).filter(move |file| !ships(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threats_and_invariants_are_told_from_other_words() {
        for row in ["HS03", "T01", "BS11", "I-W1", "I-B4", "X02"] {
            assert!(is_row(row), "{row}");
        }
        for row in ["", "HS", "ABC01", "I-WX1", "03", "I-", "hs03", "HS003"] {
            assert!(!is_row(row), "{row}");
        }
    }

    #[test]
    fn a_bug_says_how_it_is_caught_and_nothing_else() {
        let bug = |caught: &str| {
            toml::from_str::<Bug>(&format!("name = 'a'\nrows = []\nmistake = 'b'\ncaught = {caught}"))
        };
        let worlds = |missing: Option<&str>| Caught::Worlds {
            worlds: 9,
            missing: missing.map(str::to_owned),
            awaits: None,
        };
        assert_eq!(bug("{ worlds = 9 }").unwrap().caught, worlds(None));
        assert_eq!(bug("{ worlds = 9, missing = 'c' }").unwrap().caught, worlds(Some("c")));
        assert_eq!(bug("{ test = '-p c' }").unwrap().caught, Caught::Test { test: "-p c".into() });
        assert!(bug("{ worlds = 9, test = '-p c' }").is_err());
        assert!(bug("{ }").is_err());
    }

    #[test]
    fn a_patch_may_change_what_ships_only() {
        let of = |file: &str| strays(&format!("--- a/{file}\n+++ b/{file}\n")).count();
        assert_eq!((of("transport/src/exit.rs"), of("zakura/src/store/file.rs")), (0, 0));
        assert_eq!((of("testkit/src/lib.rs"), of("transport/tests/frames.rs"), of("Cargo.toml")), (1, 1, 1));
    }
}
