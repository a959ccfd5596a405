//! What goes wrong, and when, as data.

use super::link::{Access, NodeIndex, PathShape};
use std::{collections::BTreeSet, time::Duration};

/// Something that befalls a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// One direction of a pair is cut.
    Cut {
        /// From here
        from: NodeIndex,
        /// to there.
        to: NodeIndex,
    },
    /// One direction of a pair is whole again.
    Heal {
        /// From here
        from: NodeIndex,
        /// to there.
        to: NodeIndex,
    },
    /// Nothing passes between these and the rest.
    Split(BTreeSet<NodeIndex>),
    /// What [`Split`](Self::Split) cut is whole again.
    Rejoin(BTreeSet<NodeIndex>),
    /// A node loses its power.
    Crash(NodeIndex),
    /// A node that crashed starts again, with its identity and its store.
    Restart(NodeIndex),
    /// A node's access link changes.
    Access(NodeIndex, Access),
    /// One direction of a pair changes its shape.
    Path {
        /// From here
        from: NodeIndex,
        /// to there.
        to: NodeIndex,
        /// What it is like from now on.
        shape: PathShape,
    },
}

/// Faults in the order in which they happen. Those at the same time happen in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline(Vec<(Duration, Fault)>);

impl Timeline {
    /// Nothing goes wrong.
    #[must_use]
    pub const fn calm() -> Self {
        Self(Vec::new())
    }

    /// Adds a fault at a time since the world began.
    #[must_use]
    pub fn at(mut self, time: Duration, fault: Fault) -> Self {
        let place = self.0.partition_point(|(earlier, _)| *earlier <= time);
        self.0.insert(place, (time, fault));
        self
    }

    /// When the next fault happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Duration> {
        self.0.first().map(|(time, _)| *time)
    }

    /// Takes the next fault if its time has come.
    pub fn take_due(&mut self, now: Duration) -> Option<Fault> {
        (self.next_at()? <= now).then(|| self.0.remove(0).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order() {
        let (a, b) = (NodeIndex(0), NodeIndex(1));
        let second = Duration::from_secs;
        let mut timeline = Timeline::calm()
            .at(second(2), Fault::Restart(a))
            .at(second(1), Fault::Crash(a))
            .at(second(1), Fault::Cut { from: a, to: b });
        assert_eq!(timeline.take_due(Duration::ZERO), None);
        assert_eq!(timeline.take_due(second(1)), Some(Fault::Crash(a)));
        assert_eq!(timeline.take_due(second(1)), Some(Fault::Cut { from: a, to: b }));
        assert_eq!(timeline.next_at(), Some(second(2)));
    }
}
