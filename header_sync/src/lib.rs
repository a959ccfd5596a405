//! Header sync: checkpoint segments in parallel, tip following, reorgs.

pub mod chain;
pub mod ports;
pub mod wire;
