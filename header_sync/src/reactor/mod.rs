//! The single owner of what all peers share: which segments are open, which tips are followed, what waits for the store.
//!
//! [`state`] decides without a clock or a task: events go in, tasks and instructions come out. [`desk`] is the whole reactor
//! but for its waiting, which is [`actor`]'s.

mod actor;
mod desk;
mod jobs;
mod ledger;
mod peers;
mod segments;
mod staging;
mod state;
mod targets;

pub(crate) use actor::{Actor, EVENT_DEPTH};
pub(crate) use desk::{Desk, Outlets, our_status};
#[cfg(feature = "simulation")]
pub(crate) use jobs::{Done, Task};
