//! The owner of what all peers share.
//!
//! [`state`] decides and [`actor`] performs. The state is four parts: [`sequencer`] knows each body between the committed
//! height and the look-ahead, [`census`] the sessions and what every peer has contributed, [`reading`] whose read is next,
//! and [`retry`] when to try again what our own store refused.

mod actor;
mod census;
mod reading;
mod retry;
mod sequencer;
mod state;
mod verdict;

pub(crate) use actor::{Actor, Outlets};
pub(crate) use state::State;
