//! The single owner of what all peers share: which segments are open, which tips are followed, what waits for the store.
//!
//! [`state`] decides without a clock or a task: events go in, tasks and instructions come out. [`actor`] performs them.

mod actor;
mod jobs;
mod ledger;
mod peers;
mod segments;
mod staging;
mod state;
mod targets;

pub(crate) use actor::{Actor, EVENT_DEPTH, Outlets, our_status};
