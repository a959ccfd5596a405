//! Whom to dial now, and when again: pure.
//!
//! [`Attempts`] is what became of dials to one node, [`Targets`] bounds what any address hears from us whatever identities
//! are said to live there, and [`Plan`] chooses.

mod attempts;
mod choice;
mod targets;

pub(crate) use attempts::Attempts;
pub(crate) use choice::{Limits, Outcome, Plan, Scene};
