//! What one peer and we say to each other about headers, without a socket or a clock.
//!
//! Four parts share a session: [`beacon`] says what we have, [`ask`] asks for pages and proves segments, [`page`] holds an
//! answer against its request, [`serve`] answers. [`peer`] is the machine that joins them.

mod ask;
mod beacon;
mod page;
mod peer;
mod serve;
mod words;

pub(crate) use ask::{OUT_OF_PATIENCE, rest_after};
pub(crate) use page::Rules;
pub(crate) use peer::PeerMachine;
pub(crate) use words::{Event, Failure, Input, Order, Received, Report, Segment, Settings};
