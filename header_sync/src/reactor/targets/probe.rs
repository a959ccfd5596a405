//! What those see of the targets who look on.

use super::{Job, Targets};
use zakura_transport::{Fence, routine::Recount};

impl Targets {
    /// Headers that are waited for.
    pub(in crate::reactor) fn ordered(&self) -> usize {
        self.open.values().map(|target| target.orders.reserved()).sum()
    }

    /// Tips that are followed, and tips that are refused.
    pub(in crate::reactor) fn sizes(&self) -> (usize, usize) {
        (self.open.len(), self.refused.len())
    }

    /// The sums of each path beside what they are the sums of, and orders beside those whose session is `busy` with one.
    pub(in crate::reactor) fn recounts(&self, busy: impl Fn(Fence) -> bool) -> Vec<Recount> {
        let paths = || self.open.values().filter_map(|target| target.path.as_ref());
        let delivered = paths().map(|path| path.staged.delivered()).sum();
        let overdone = paths().filter(|path| path.staged.checked() > path.staged.len()).count();
        let orders = || self.open.values().flat_map(|target| target.orders.sessions());
        let carried = orders().filter(|session| busy(*session)).count();
        vec![
            Recount::of("header_sync.staged_headers", self.staged(), delivered),
            Recount::of("header_sync.checked_and_not_staged", overdone, 0),
            Recount::of("header_sync.orders", orders().count(), carried),
        ]
    }

    /// Whether this path's job is under way still.
    pub(in crate::reactor) fn awaits(&self, ticket: Fence) -> bool {
        self.jobs().any(|(current, _)| current == ticket)
    }

    /// Paths that are being weighed, and paths that are being checked.
    pub(in crate::reactor) fn weighed_and_checked(&self) -> (usize, usize) {
        let weighed = self.jobs().filter(|(_, job)| matches!(job, Job::Weigh(_))).count();
        (weighed, self.jobs().filter(|(_, job)| matches!(job, Job::Check(_))).count())
    }

    fn jobs(&self) -> impl Iterator<Item = (Fence, Job)> {
        self.open.values().filter_map(|target| target.path.as_ref()?.job)
    }

    /// Tips that wait for a page beside a session of their own that is free, while there is room for headers.
    pub(in crate::reactor) fn stranded(&self, is_free: impl Fn(Fence) -> bool) -> usize {
        if self.max_staged <= self.staged().saturating_add(self.ordered()) {
            return 0;
        }
        let waits = self.open.values().filter(|target| target.is_hungry());
        waits.filter(|target| target.holders.iter().any(|session| is_free(*session))).count()
    }
}
