//! Who looks on: the invariants of `THREATS` that apply to pure worlds, each a function of its family's file, and the
//! judge, who calls them, counts how often each had something to say, and remembers the last events.
//!
//! ```text
//!  registry   INVARIANTS: id, when it is looked at, what it says, the function     ELSEWHERE: the others, and why
//!  sight      what such a function is shown: a node, what the judge remembers of it, or the end of a world
//!  watch      what a node counts of itself between two looks
//!  work memory fencing chain lifecycle blame liveness     the functions
//! ```
//!
//! A function says on how many things it looked, or what contradicts it. One that had nothing to look at in a whole sweep
//! has shown nothing, and the sweep's test fails (I-X2).

mod bench;
mod blame;
mod breach;
mod chain;
mod fencing;
mod lifecycle;
mod liveness;
mod memory;
mod registry;
mod sight;
mod watch;
mod work;

pub use bench::Judge;
pub use breach::Breach;
pub use chain::Reference;
pub use registry::{Class, ELSEWHERE, Elsewhere, INVARIANTS, Invariant};
pub use watch::Watch;
