//! Discovery's place in the house: its stream is declared and reserved, and not offered to peers yet.
//!
//! Until it is, peers are named by the operator. A node that does not offer the capability negotiates without it
//! (wire 2.4), so no peer waits for an exchange that would never come.

pub mod wire;

mod place;

pub use place::DiscoveryPlace;
