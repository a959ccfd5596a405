//! Does the simulated network tell the truth? The same probe runs over simulated sockets and through the kernel, and the
//! two are compared.
//!
//! ```text
//!  measure ── transport, QUIC, UDP ──┬── Switch ── LinkModel                               (modelled)
//!  (round trip, goodput)             └── namespace ── tbf ── relay (delay) ── tbf ── namespace (the kernel)
//! ```
//!
//! What the kernel has no module for in every place, delay, is added by [`relay()`]; the rate and its queue are the
//! kernel's own.

mod modelled;
mod probe;
mod relay;

pub use modelled::{Line, modelled};
pub use probe::{Measured, Probe, ProbeError, measure, serve};
pub use relay::relay;
