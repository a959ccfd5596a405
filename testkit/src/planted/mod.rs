//! Planted bugs: each is a small patch that makes one mistake in what ships, and each has to be caught (I-X3).
//!
//! ```text
//!  testkit/planted/NAME.patch + catalogue.toml ──▶ Workshop: a copy of the sources, with a build folder of its own
//!                                                      │ one patch at a time, built
//!                                                    Trial: pure worlds in growing steps, or a named test
//!                                                      │
//!                                                    Report: who caught it, by what, after how many worlds
//! ```
//!
//! Nothing of it is in any build: a mistake is a patch on a copy, not a switch in the code. Before any patch the same worlds
//! and tests run over the unpatched copy and have to hold, or a catch would show nothing.

mod catalogue;
mod child;
mod report;
mod rotation;
mod trial;
mod workshop;

pub use catalogue::{Bug, Catalogue, Caught};
pub use report::{Outcome, Report, Verdict};
pub use rotation::{head, rotation};
pub use trial::{Limits, run};
pub use workshop::{Workshop, applies};
