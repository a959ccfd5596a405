//! Worlds from a seed: real nodes with real QUIC and TLS over simulated sockets, in virtual time.
//!
//! ```text
//!  run ── a thread, limits, a watch ── World ── nodes (zakura::Node) ── SimSocket ┐
//!                                       │                                         ├─ Switch ── LinkModel
//!                                    what befalls them: cuts, crashes      pump ──┘     └──── Trace
//! ```
//!
//! The same seed gives the same events, payload bytes included, in every process of the same build. What happens is
//! hashed ([`Trace`]) and can be recorded, so that two runs that should be the same and are not show where they part
//! ([`first_difference`]).
//!
//! What goes wrong, and when, is a [`Plan`](crate::worlds::Plan)'s to say, or a scenario's own: a [`World`] has a method for
//! everything that can befall it. [`stack`](crate::stack) lives plans here.
//!
//! Time is tokio's, paused: it moves when every task waits, to the next timer, in steps of a millisecond. What is due
//! within a step happens in the order of its exact times.

mod link;
mod measure;
mod mesh;
mod pump;
mod run;
mod seed;
mod switch;
mod trace;
mod voices;
mod wall;
mod world;

pub use link::{
    Access, Chance, DropReason, HEADER_BYTES, Lane, LinkModel, Loss, Nat, NodeIndex, Offer, PathShape,
};
pub use measure::{ThreadTime, resident_bytes};
pub use mesh::{Mesh, MeshReport, store, store_by, store_with};
pub use run::{Account, FailedRun, Failure, Finished, Genesis, Limits, run};
pub use seed::Seed;
pub use switch::{Switch, Traffic};
pub use trace::{DatagramNumber, Difference, Event, Trace, TraceReport, What, first_difference};
pub use voices::Heard;
pub use wall::Wall;
pub use world::{Departure, Outfit, World, WorldError};
