//! Whose read is next.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::machine::ReadOrder;
use std::collections::{BTreeSet, VecDeque};
use zakura_transport::Fence;
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;

/// Reads for serving: one open per session, some at a time in all, sessions in turn.
#[derive(Debug)]
pub(super) struct Reading {
    line: VecDeque<(Fence, ReadOrder)>,
    running: BTreeSet<Fence>,
    limit: usize,
}

impl Reading {
    /// At most `limit` at a time.
    pub(super) const fn new(limit: usize) -> Self {
        Self { line: VecDeque::new(), running: BTreeSet::new(), limit }
    }

    /// A session wants a read. It has one open at most, so the line is as long as there are sessions.
    pub(super) fn push(&mut self, session: Fence, order: ReadOrder) {
        self.line.push_back((session, order));
    }

    /// The next read to make now.
    pub(super) fn pop(&mut self) -> Option<(Fence, ReadOrder)> {
        if self.running.len() >= self.limit.max(1) {
            return None;
        }
        let (session, order) = self.line.pop_front()?;
        self.running.insert(session);
        Some((session, order))
    }

    /// A session's read is over.
    pub(super) fn finished(&mut self, session: Fence) {
        self.running.remove(&session);
    }

    /// How full it is: one read a session waits at most.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self, sessions: usize) -> [Fill; 2] {
        [
            Fill::new("block_sync.reads_waiting", self.line.len(), sessions),
            Fill::new("block_sync.reads_running", self.running.len(), self.limit.max(1)),
        ]
    }

    /// Reads under way.
    #[cfg(feature = "simulation")]
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// A session is gone.
    pub(super) fn forget(&mut self, session: Fence) {
        self.line.retain(|(waiting, _)| *waiting != session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zakura_header_sync::chain::Height;

    #[test]
    fn sessions_take_turns_within_the_limit() {
        let order = ReadOrder { start: Height::GENESIS, count: 1, bytes: 1 };
        let [flooder, honest, gone] = std::array::from_fn(|_| Fence::mint());
        let mut reading = Reading::new(1);
        reading.push(flooder, order);
        reading.push(gone, order);
        reading.push(honest, order);
        reading.forget(gone);
        assert_eq!(reading.pop(), Some((flooder, order)));
        assert_eq!(reading.pop(), None, "one at a time");
        reading.finished(flooder);
        reading.push(flooder, order);
        assert_eq!(reading.pop(), Some((honest, order)), "the one that has waited");
    }
}
