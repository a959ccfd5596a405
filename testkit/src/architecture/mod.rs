//! The house rules, as a program: what a reviewer would otherwise have to remember.
//!
//! [`House::load`] reads a workspace folder (sources with `syn`, manifests and lock file with `toml`), and every entry
//! of [`RULES`] is a plain function from the house to its offences. `testkit/tests/architecture.rs` runs them on the
//! workspace, and on one planted tree per rule to prove that each rule can still go red.

mod arrows;
mod collector;
mod crates;
mod determinism;
mod facts;
mod files;
mod house;
mod locks;
mod manifest;
mod offence;
mod pattern;
mod purity;
mod real_time;
mod rules;
mod source;
mod testing;
mod words;

pub use files::over_the_smell;
pub use house::{House, HouseError};
pub use offence::Offence;
pub use rules::{RULES, Rule};
