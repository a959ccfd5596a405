//! The range queue's words: what a machine asks for, and what it holds.

use crate::Fence;
use std::{collections::BTreeMap, ops::RangeInclusive};

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

/// Keys held until finished; dropping the lease returns the rest to the queue.
#[derive(Debug)]
pub struct Lease<M> {
    fence: Fence,
    items: BTreeMap<u64, M>,
}

impl<M> Lease<M> {
    /// The lease's own generation.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// What is still held, in order.
    pub fn items(&self) -> impl Iterator<Item = (u64, &M)> {
        self.items.iter().map(|(key, item)| (*key, item))
    }
}
