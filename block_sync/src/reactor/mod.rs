//! The owner of what all peers share.
//!
//! [`state`] decides, [`desk`] is the whole reactor but for its waiting, which is [`actor`]'s, and [`orders`] are what is
//! done off it. The state is six parts: [`sequencer`] knows each body between the committed
//! height and the look-ahead, [`census`] the sessions and what every peer has contributed, [`opening`] whether it is time
//! to begin, [`reading`] whose read is next, [`puzzle`] what cannot be judged here, and [`retry`] when to try
//! again what our own store refused.

mod actor;
mod census;
mod desk;
mod opening;
mod orders;
mod puzzle;
mod reading;
mod retry;
mod sequencer;
mod state;
mod verdict;

pub(crate) use actor::Actor;
pub(crate) use desk::{Desk, Outlets};
pub(crate) use state::State;
#[cfg(feature = "simulation")]
pub(crate) use state::{Done, Order};
