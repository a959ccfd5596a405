//! The command line: what a user types, and how every command answers.
//!
//! A command prints its result on standard output, everything else on standard error. With `--json` the last line of
//! standard output is one JSON object. Exit codes: 0 done, 1 the work failed, 2 wrong usage; a failure is one line
//! that says what, where and what to do.

pub mod args;
pub mod export;
pub mod id;
pub mod import;
pub mod localnet;
pub mod mine;
pub mod run;

mod failure;
mod output;
mod start;
mod unreachable;

pub use failure::Failure;
pub use output::{Bar, Output, Tip};
pub use start::{Edge, main};
