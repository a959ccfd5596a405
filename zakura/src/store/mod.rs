//! The stand-alone node's store: one redb file per network with the selected chain's headers and bodies.
//!
//! A store implements both ports, [`HeaderChain`](zakura_header_sync::ports::HeaderChain) and
//! [`BlockStore`](zakura_block_sync::ports::BlockStore), by the Zcash rules. It keeps the selected chain and nothing
//! else: a branch with more work replaces the heights above the fork in one durable change, a branch with less is not
//! stored. It lies in `DIR/store/NETWORK.redb`; only one process may write it.
//!
//! Not checked, and said so: scripts, proofs and subsidies; from NU5 on, a body's authorizing data, so that its row
//! is marked.

mod accept;
mod append;
mod bodies;
mod checkpoints;
mod durable;
mod error;
mod file;
mod headers;
mod rules;
mod snapshot;
mod tables;
mod wall_clock;

pub use append::{AppendError, Appended, Appender, BlockReject, Trial};
pub use durable::{CACHE_BYTES, Store, StoreOptions};
pub use error::StoreError;
pub use wall_clock::{FixedClock, SystemClock, WallClock};
