//! How a command fails.

use std::fmt;

use crate::store::{AppendError, StoreError};

/// The exit code of work that failed.
const WORK: u8 = 1;
/// The exit code of wrong usage.
const USAGE: u8 = 2;

/// A command's failure: the exit code, and one line that says what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
    is_result_out: bool,
}

impl Failure {
    /// The work failed: exit code 1.
    pub fn work(what: impl fmt::Display) -> Self {
        Self { code: WORK, message: one_line(&what.to_string()), is_result_out: false }
    }

    /// The command was used wrongly: exit code 2.
    pub fn usage(what: impl fmt::Display) -> Self {
        Self { code: USAGE, message: one_line(&what.to_string()), is_result_out: false }
    }

    /// The command has printed its result, which tells of the failure: it stays the last line of standard output.
    #[must_use]
    pub fn after_result(self) -> Self {
        Self { is_result_out: true, ..self }
    }

    /// Whether standard output ends with the result already.
    #[must_use]
    pub fn is_result_out(&self) -> bool {
        self.is_result_out
    }

    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }
}

/// Keeps a message on one line and free of what would steer a terminal: parts of it may come from files and peers.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoPow(_) => Self::usage(error),
            other => Self::work(other),
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Block(reject) => Self::work(reject),
            AppendError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_on_its_line() {
        let failure = Failure::work("first\n\n  second \u{1b}[2J");
        assert_eq!((failure.to_string().as_str(), failure.code()), ("first second ?[2J", 1));
        assert_eq!(Failure::usage("x").code(), 2);
    }
}
