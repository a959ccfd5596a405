//! Block sync: bodies from many peers at once, committed in order.
//!
//! ```text
//!  header view ──► reactor ── wants ──► range queue ◄── leases ── machine, one a peer ◄──► stream kind 6
//!                  │  ▲  ▲                                          │
//!        guidance ─┼──┼──┼─────────────────────────────────────────►│
//!                  │  │  └────────────── bodies, reads ─────────────┘
//!            check, commit, read
//!            on the work pool ──► BlockStore
//! ```
//!
//! A body moves from *wanted* through *received* and *checked* to *committed*; each height is in one of these, and none
//! is lost when a peer leaves, lies or falls silent. [`ports::BlockStore`] is what an embedder implements, [`BlockSync`] is
//! registered with the transport, and [`BlockSyncHandle`] says how far it is and why it is no further.

pub mod ports;
pub mod wire;

mod config;
mod machine;
mod plan;
mod reactor;
mod service;
mod status;
#[cfg(feature = "simulation")]
mod stepped;

pub use config::BlockSyncConfig;
pub use service::{BlockSync, BlockSyncHandle, Commits, CommitsError};
pub use status::{BlockSyncStatus, PeerProgress, SyncVerdict};
#[cfg(feature = "simulation")]
pub use stepped::SteppedBlockSync;
