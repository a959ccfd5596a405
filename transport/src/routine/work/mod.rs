//! Ranges of keys (heights, say) that many peers fetch at once, each key by one peer at a time.
//!
//! [`table`] decides which key is pending, leased or done; [`queue`] holds the table behind the one lock; [`wait`] wakes
//! those who wait; a [`Lease`] is the right to finish some keys, given back by dropping it.

mod demand;
mod intervals;
#[cfg(feature = "simulation")]
mod keys;
mod lease;
mod queue;
mod table;
mod wait;

pub use demand::{Counts, Demand};
#[cfg(feature = "simulation")]
pub use keys::Keys;
pub use lease::Lease;
pub use queue::RangeQueue;
