//! The owner of what all peers share.
//!
//! [`state`] decides and [`actor`] performs. The state is six parts: [`sequencer`] knows each body between the committed
//! height and the look-ahead, [`census`] the sessions and what every peer has contributed, [`opening`] whether it is time
//! to begin, [`reading`] whose read is next, [`puzzle`] what cannot be judged here, and [`retry`] when to try
//! again what our own store refused.

mod actor;
mod census;
mod opening;
mod puzzle;
mod reading;
mod retry;
mod sequencer;
mod state;
mod verdict;

pub(crate) use actor::{Actor, Outlets};
pub(crate) use state::State;
