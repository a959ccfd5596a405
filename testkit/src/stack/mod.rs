//! Plans lived by real nodes: the scenarios of pure [`worlds`](crate::worlds), over QUIC and TLS on simulated sockets.
//!
//! ```text
//!  Plan (drawn from a seed) ──▶ people: stores, links, habits, dials ──▶ sim::World ── nodes that ship
//!                           ──▶ befall: faults at their times ─────────▶     │
//!                                                                          Judge ── what nodes say and store
//! ```
//!
//! A [`Plan`](crate::worlds::Plan) is the one kind of scenario: what [`worlds::run`](crate::worlds::run()) steps without a
//! runtime, [`live`] gives to `zakura::Node`s. Who has a habit runs the same code with a tongue of its own, which asks the
//! same [`habits::send`](crate::worlds::habits::send). Invariants are judged from outside, by the ground truth of the plan.
//!
//! Begin at [`life`], then [`judge`].

pub mod befall;
pub mod judge;
pub mod life;
pub mod people;
pub mod tongue;

pub use life::{Lived, live, live_seed, sweep};
