//! Header sync: checkpoint segments in parallel, tip following, reorgs.
//!
//! ```text
//!  peer ── stream 5 ── drive(PeerMachine) ── events ──▶ reactor ── work pool ──▶ HeaderChain (the embedder's port)
//!                        ▲        ▲                       │
//!                        │        └── orders, answers ────┤
//!                        └── segment leases ◀── range queue┘
//! ```
//!
//! [`chain`] holds the chain words and [`ports`] the port. Below the last checkpoint, segments between known blocks are
//! fetched from many peers at once, and each is proved by the hash it ends on. Above it, each advertised tip is followed by
//! pages; a branch is stored only once it claims, and then proves, more work than what it replaces.
//!
//! Start it with [`HeaderSync::new`], register the service with the transport, and read [`HeaderSyncHandle`].

pub mod chain;
pub mod ports;
pub mod wire;

mod config;
mod handle;
mod machine;
mod reactor;
mod service;
#[cfg(feature = "simulation")]
mod stepped;

pub use config::HeaderSyncConfig;
pub use handle::{HeaderSyncHandle, HeaderSyncStatus, PeerProgress};
pub use service::HeaderSync;
#[cfg(feature = "simulation")]
pub use stepped::SteppedHeaderSync;
