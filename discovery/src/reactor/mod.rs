//! The owner of what all peers share: the book, the dial plan, our own record.
//!
//! [`state`] decides and [`actor`] performs; [`own`] keeps our record fresh and [`census`] knows who is connected.

mod actor;
mod census;
mod own;
mod state;

pub(crate) use actor::Actor;
pub(crate) use state::State;
