//! The facade an embedder names, the Zcash rules, the store and the stand-alone node.

mod base;
pub mod bytesize;
#[cfg(feature = "simulation")]
pub mod census;
pub mod cli;
pub mod config;
pub mod node;
mod services;
pub mod store;
pub mod zcash;

mod neighbours;
