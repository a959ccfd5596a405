//! What a machine asks of the range queue, and what the queue says of itself.

use crate::Fence;
use std::ops::RangeInclusive;

/// What one peer could carry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Who asks: the session's generation. A hedge never goes to the owner it hedges against.
    pub owner: Fence,
    /// The keys the peer can serve.
    pub servable: RangeInclusive<u64>,
    /// Keys at most.
    pub max_count: u32,
    /// Cost at most (bytes, for bodies); a single key is given whatever it costs.
    pub max_cost: u64,
    /// Whether this peer may double the floor's lease (at most one such lease exists).
    pub hedge: bool,
}

/// How many keys are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Keys up to here are done and forgotten.
    pub floor: u64,
    /// Keys nobody carries.
    pub pending: u64,
    /// Keys somebody carries.
    pub leased: u64,
    /// Done keys above the floor.
    pub done: u64,
}
