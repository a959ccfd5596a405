//! What the rules want to know about one source file.

use std::collections::BTreeMap;

/// A Rust path as the file means it: its first segment is replaced by what the file's `use` items say it stands for.
#[derive(Debug)]
pub(super) struct Mention {
    /// The segments; the last is `*` for a glob import.
    pub(super) path: Vec<String>,
    pub(super) line: usize,
    /// Whether it stands in a test.
    pub(super) test: bool,
    /// Whether it is (part of) a `use` item.
    pub(super) import: bool,
    /// Whether a `pub` item shows it: in a signature, a field, a trait's item or a re-export, not in a body.
    pub(super) shown: bool,
}

/// A word of interest at a place: a defined name, a called method, or `async`/`await`.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) test: bool,
}

/// A `select!`.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) line: usize,
    /// Whether it starts with `biased;`.
    pub(super) biased: bool,
}

/// An attribute, doc comments excepted.
#[derive(Debug)]
pub(super) struct Attribute {
    /// `cfg`, `allow`, `ignore` and so on.
    pub(super) name: String,
    pub(super) line: usize,
    /// Every identifier inside it, flattened.
    pub(super) words: Vec<String>,
    /// Whether it stands on an inline `mod tests` that closes the file.
    pub(super) on_tests: bool,
}

/// An item at the top of a file that is neither documentation, a module, nor a re-export.
#[derive(Debug)]
pub(super) struct Logic {
    pub(super) kind: &'static str,
    pub(super) line: usize,
}

/// Everything collected from one file.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) mentions: Vec<Mention>,
    /// Names of types, traits, functions and modules the file defines.
    pub(super) names: Vec<Word>,
    /// Methods the file calls.
    pub(super) methods: Vec<Word>,
    /// Each `async` and `await`.
    pub(super) waits: Vec<Word>,
    pub(super) selects: Vec<Select>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) logic: Vec<Logic>,
    /// The line on which `mod tests` begins.
    pub(super) tests_begin: Option<usize>,
}

/// What the names brought in by `use` stand for, apart for tests and for production code.
#[derive(Debug, Default)]
pub(super) struct Imports {
    names: BTreeMap<(String, bool), Vec<Vec<String>>>,
}

/// `use` items may build on each other; longer chains than this are not followed.
const LONGEST_CHAIN: usize = 4;

impl Imports {
    pub(super) fn add(&mut self, name: String, test: bool, path: Vec<String>) {
        self.names.entry((name, test)).or_default().push(path);
    }

    /// Everything `path` may mean. A name imported twice (in two functions, say) has two meanings.
    pub(super) fn meanings(&self, path: &[String], test: bool) -> Vec<Vec<String>> {
        let mut meanings = vec![path.to_vec()];
        for _ in 0..LONGEST_CHAIN {
            let longer: Vec<_> = meanings.iter().flat_map(|known| self.step(known, test)).collect();
            if longer == meanings {
                break;
            }
            meanings = longer;
        }
        meanings.sort();
        meanings.dedup();
        meanings
    }

    fn step(&self, path: &[String], test: bool) -> Vec<Vec<String>> {
        let unchanged = vec![path.to_vec()];
        let Some((first, rest)) = path.split_first() else { return unchanged };
        let own = self.names.get(&(first.clone(), test));
        let Some(targets) = own.or_else(|| self.names.get(&(first.clone(), false))) else { return unchanged };
        targets
            .iter()
            .map(|target| match target.first() {
                Some(head) if head == first => path.to_vec(),
                _ => target.iter().chain(rest).cloned().collect(),
            })
            .collect()
    }
}
