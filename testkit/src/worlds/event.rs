//! What can happen in a world.

use super::{
    node::Seat,
    wires::{Signal, WireId},
};
use crate::sim::NodeIndex;

/// What happens in a world.
pub(super) enum Event {
    /// Something about a wire.
    Wire(Signal),
    /// A node asked to be looked at.
    Wake(NodeIndex, u32),
    /// A job of a node is done.
    Done(NodeIndex, u64),
    /// A node dials another.
    Dial(NodeIndex, NodeIndex),
    /// A connection's stream is opened again.
    Reopen(Seat),
    /// The other side hears that a session ended.
    Finished(Seat, NodeIndex),
    /// The other side hears that a connection is closed.
    Closed(WireId, NodeIndex),
    /// A peer has broken a rule on this connection; by now it has been seen.
    Verdict(Seat, u32, NodeIndex),
    /// A doomed node's power fails, in this life of it.
    PowerCut(NodeIndex, u32),
    /// It comes back.
    PowerBack(NodeIndex),
    /// A fault of the plan.
    Fault(usize),
    /// Connections that are dead are found out.
    Sweep,
}
