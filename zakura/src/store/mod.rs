//! The stand-alone node's store: one redb file per network with the selected chain's headers and bodies.
//!
//! A store implements both ports, [`HeaderChain`](zakura_header_sync::ports::HeaderChain) and
//! [`BlockStore`](zakura_block_sync::ports::BlockStore), by the Zcash rules. It keeps the selected chain and nothing
//! else: a branch with more work replaces the heights above the fork in one durable change, a branch with less is not
//! stored. It lies in `DIR/store/NETWORK.redb`; only one process may write it.
//!
//! # What is durable when
//!
//! Whatever anyone is told is durable before they are told. One change is one transaction over all tables, and
//! its commit returns once it is on the disk; only then is the next snapshot published, and everything that leaves this
//! module comes from a published snapshot: verdicts on headers, the header view, the answer to a commit, and with them
//! the tip and the bodies that a Status offers to peers. So a node that is killed and started again never takes back what
//! a peer or an operator saw.
//!
//! No change is committed without a sync, though the database could batch some of them: a header view that runs ahead of
//! the disk would be such a thing taken back, and to hold the view until a later sync costs header sync the same wait. That
//! wait is some 5 to 15 ms a change, so what makes it small is the size of a change, which its callers choose: a run of
//! bodies hardly notices it, a batch of 160 headers spends most of its time in it.
//!
//! # What a start finds
//!
//! A kill at any moment leaves the last committed state, or the one whose commit was under way; a file that was being
//! created is begun anew. The allocator's state is part of every commit, so that no start walks through the file. Each
//! opening checks, at a cost that does not grow with the file, that the tables tell of one chain without a gap; if not, the
//! error names the file and what to do, and the file stays as it is.
//!
//! A file that fails under way stays failed, see [`Store::failure`]: `zakura run` then ends, and no peer is blamed.
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
pub use durable::{CACHE_BYTES, Failure, Store, StoreOptions};
pub use error::StoreError;
pub use wall_clock::{FixedClock, SystemClock, WallClock};
