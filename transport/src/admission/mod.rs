//! Who is let in, and who has to go for it: decided here, in plain synchronous code that owns no connection.
//!
//! [`Door`] is what the pool asks. It knows the named peers, the [`Bans`](bans::Bans), and the connections whose handshake
//! is under way ([`Pending`](pending::Pending)); of the registered ones it is shown a list each time, so it has no counter
//! of them that could drift. [`choose`] says whose place a newcomer may take.

mod arrivals;
mod bans;
mod door;
mod eviction;
mod group_caps;
mod heat;
mod merit;
mod netgroup;
mod pending;
#[cfg(feature = "simulation")]
mod probe;
mod role;
mod storm;

pub use bans::{Ban, BanError, BanReason, BanTarget};
pub use group_caps::GroupCaps;
pub use merit::Merit;
pub use netgroup::Netgroup;
#[cfg(feature = "simulation")]
pub use probe::{AdmissionProbe, Tally};
pub use role::Role;

pub(crate) use door::{Door, Newcomer, Place};
pub(crate) use eviction::{Seat, Worth};
pub(crate) use pending::{Knock, Outcome};
