//! All connections of a node: who is dialled, who is let in, and which connection with a peer counts.

mod actor;
mod duplicate;
mod events;
mod meeting;
mod redial;
mod roster;
mod snapshot;

pub use events::{PeerEvent, PeerEvents, PeerEventsError};

pub(crate) use actor::{Command, DoorCommand, Pool, PoolParts};
pub(crate) use snapshot::Snapshot;
