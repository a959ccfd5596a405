//! Pure worlds: the machines, plans, reactors and codecs that ship, stepped by a seed, without a runtime or a socket.
//!
//! ```text
//!  Plan (drawn from a seed) ──▶ World ── agenda ──▶ node: stepped services over a store, with a habit and a clock
//!                                 │                   │ bytes
//!                                 │                 wires: ordered, reliable, over the link model
//!                               Judge ◀── after every step: invariants; at the end: Report
//! ```
//!
//! [`sweep()`] runs many and counts what happened in them, [`shrink()`] makes a failing one small, and [`Narrow`] says in one
//! line which it is. Begin at [`plan`], then [`world`] with its parts (`connections`, `labour`, `trouble`); [`judge`] has the
//! invariants, [`habits`] what hostile and odd peers do, [`ladder`] the three chains that a world may be about: toy blocks
//! ([`toy`]), toy blocks that weigh as on Mainnet, and Regtest in the store that ships ([`quarry`], [`real`]).

pub mod agenda;
pub mod blocks;
pub mod clock;
mod connections;
mod draw;
mod event;
pub mod habits;
pub mod judge;
mod labour;
pub mod ladder;
pub mod narrow;
pub mod node;
pub mod plan;
pub mod quarry;
pub mod real;
pub mod regions;
pub mod run;
mod sayings;
pub mod shrink;
pub mod store;
pub mod sweep;
pub mod toy;
mod trouble;
pub mod wires;
pub mod world;

pub use ladder::Rung;
pub use narrow::{Narrow, Only};
pub use plan::{Plan, Size};
pub use run::{Report, run, run_seed};
pub use shrink::{Shrunk, shrink};
pub use sweep::{Summary, Tally, WALL_LIMIT, sweep};
