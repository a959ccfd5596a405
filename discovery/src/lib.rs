//! Discovery: who else is there, learned from peers and told to peers.
//!
//! ```text
//!  config: named peers ──┐                         ┌── machine, one a peer ◄──► stream kind 4
//!                        ▼        records, asks    │
//!            book ◄── reactor ◄────────────────────┤
//!                        │  └── our record, what ──┘
//!            plan ◄──────┤      our services have
//!                        └──► transport: dial once, close
//! ```
//!
//! Every node signs a record about itself. Peers exchange records as soon as they are connected and every 15 seconds; each
//! keeps what it hears in a bounded book, dials out of it, and tells others only of nodes that it has met or heard of from
//! themselves. [`Discovery`] is registered with the transport, [`ports::Surroundings`] is what an embedder implements, and
//! [`DiscoveryHandle`] says how far it is.

pub mod ports;
pub mod wire;

mod book;
mod config;
mod machine;
mod plan;
mod reactor;
mod service;
mod status;

pub use config::DiscoveryConfig;
pub use service::{Discovery, DiscoveryHandle};
pub use status::{DiscoveryStatus, Exchanges};
