//! One peer's exchange: what is said, what is owed, and by when (wire 5.1).

mod bucket;
mod peer;
mod round;
mod words;

pub(crate) use bucket::Bucket;
pub(crate) use peer::{PeerMachine, RECORDS, Terms};
pub(crate) use words::{Event, Guidance, Input, News, UnixClock};
