//! What a rule reports.

use std::fmt;

/// One place where the house breaks one of its rules. Prints as `file:line: what; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offence {
    /// The file, relative to the house's root, with `/` between folders.
    pub file: String,
    /// The line, counted from 1. An absence is reported at line 1 of the file that should have it.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
    /// What to do instead.
    pub remedy: String,
}

impl Offence {
    /// An offence at `file:line`.
    pub(super) fn new(file: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}; {}", self.file, self.line, self.what, self.remedy)
    }
}
