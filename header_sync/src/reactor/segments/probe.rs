//! What those see of the segments who look on.

use super::Segments;
use crate::chain::Height;
use zakura_transport::Fence;

impl Segments {
    /// The end of the highest segment that is planned.
    pub(in crate::reactor) fn reach(&self) -> Height {
        self.slots.values().next_back().map_or(self.base.height, |slot| slot.segment.end.height)
    }

    /// Segments that are being checked.
    pub(in crate::reactor) fn checking(&self) -> usize {
        self.slots.values().filter(|slot| slot.checking.is_some()).count()
    }

    /// Whether this check is under way still.
    pub(in crate::reactor) fn awaits(&self, ticket: Fence) -> bool {
        self.slots.values().any(|slot| slot.checking == Some(ticket))
    }
}
