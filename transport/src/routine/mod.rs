//! The routine kit: what a per-peer service is built from.
//!
//! A service splits into three. A [`Machine`] decides: plain synchronous Rust that owns one peer's protocol state. A
//! routine is `drive(machine, session, ..)`, the only per-peer loop, run under supervision. A reactor owns what is
//! truly shared and hears from routines through bounded events.

mod machine;
mod work;

pub use machine::{Machine, Message};
pub use work::{Demand, Lease};
