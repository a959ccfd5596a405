//! One peer's block-sync state, without I/O.
//!
//! [`PeerMachine`] joins four parts that know nothing of each other: what we ask ([`ask`]), what we serve ([`serve`]),
//! what we say of ourselves ([`advert`]) and what we put up with ([`tolerance`]). [`window`] measures the peer.
//! [`exchange`] holds what machine and reactor say to each other.

mod advert;
mod ask;
mod exchange;
mod peer;
mod serve;
mod tolerance;
mod window;

pub(crate) use exchange::{Delivered, Event, Guidance, Input, News, Pulse, ReadOrder};
pub(crate) use peer::{PeerMachine, Terms};
pub(crate) use serve::SLICE_BYTES;
