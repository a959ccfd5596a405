//! What an invariant is shown.

use super::{chain::Reference, watch::Heard};
use crate::{
    sim::NodeIndex,
    worlds::{habits::Habit, node::Node},
};
use std::{collections::BTreeMap, time::Instant};
use zakura_header_sync::{chain::BlockRef, ports::HeaderView};
use zakura_transport::{
    Exit, Fence,
    routine::{Fill, Stand},
};

/// On how many things an invariant was looked at, or what contradicts it.
pub(super) type Finding = Result<u64, String>;

/// What the judge remembers of a node from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Looks so far.
    pub(super) looks: u64,
    /// The life that the node led then.
    pub(super) epoch: u32,
    /// The committed body, through all lives.
    pub(super) committed: Option<BlockRef>,
    /// Where its reactors stood, in this life.
    pub(super) stands: Option<[Stand; 2]>,
    /// What it had heard.
    pub(super) heard: Heard,
    /// The view it told of, in this life.
    pub(super) view: Option<HeaderView>,
    /// The step in which its store failed last.
    pub(super) ailed: Option<u64>,
    /// The step in which it convicted a peer last.
    pub(super) convicted: Option<u64>,
    /// Since when each queue has had pending keys.
    pub(super) pending_since: [Option<u64>; 2],
    /// The lowest key that one session alone holds, that session, and since when.
    pub(super) lone_floor: Option<(u64, Fence, u64)>,
    /// The session with a peer that could help, and since when it could and this was committed.
    pub(super) able: Option<(Fence, u64, BlockRef)>,
}

/// A node after its turn, or while it is quiet.
pub(super) struct Sight<'s> {
    /// The virtual time, in nanoseconds.
    pub(super) at: u64,
    /// The same, as machines count it.
    pub(super) now: Instant,
    /// The step.
    pub(super) step: u64,
    /// The node.
    pub(super) node: &'s Node,
    /// Where its reactors stand.
    pub(super) stands: [Stand; 2],
    /// How full everything of its is.
    pub(super) fills: &'s [Fill],
    /// What is remembered of it.
    pub(super) record: &'s mut Record,
    /// Every node of the world, in a survey.
    pub(super) nodes: &'s [Node],
    /// When the last fault of the plan is over.
    pub(super) calm_from: u64,
    /// What everybody is to arrive at, by fork choice.
    pub(super) best: BlockRef,
}

/// A session that came to an end of its own.
pub(super) struct Ending<'e> {
    /// Whose it was, and their habit.
    pub(super) us: (NodeIndex, Habit),
    /// With whom, and their habit.
    pub(super) peer: (NodeIndex, Habit),
    /// How.
    pub(super) exit: &'e Exit,
}

/// The end of a world.
pub(super) struct Finale<'f> {
    /// The nodes.
    pub(super) nodes: &'f [Node],
    /// Those that had to arrive and have not.
    pub(super) late: &'f [NodeIndex],
    /// Those that had to arrive.
    pub(super) travellers: &'f [NodeIndex],
    /// What everybody was to arrive at, by the plan.
    pub(super) goal: BlockRef,
    /// What everybody was to arrive at, by fork choice.
    pub(super) reference: &'f Reference,
    /// Honest peers whom honest nodes have convicted.
    pub(super) wronged: &'f BTreeMap<NodeIndex, u64>,
}
