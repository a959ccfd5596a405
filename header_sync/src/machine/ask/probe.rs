//! What those see of the asking side who look on.

use super::{Ask, FIRST_REST, LONGEST_REST, Run};
use crate::machine::Segment;
use zakura_transport::routine::{Duty, Lease};

impl Ask {
    /// What it owes as of the machine's last word: a rest that is over by then is none.
    pub(in crate::machine) fn duty(&self, now: Option<std::time::Instant>) -> Duty {
        let page = self.pending.as_ref().map(|pending| pending.deadline);
        let run = self.run.as_ref().map(|run| run.deadline);
        let rests_until = self.rest_until.filter(|until| now.is_none_or(|now| now < *until));
        Duty {
            requests: [page, run].iter().flatten().map(|_| 1).sum(),
            is_backed_up: self.order.is_some(),
            first_due: [page, run].into_iter().flatten().min(),
            last_due: [page, run].into_iter().flatten().max(),
            is_paused: false,
            servable: self.theirs.map(|theirs| 0..=theirs.tip.height.into()),
            rests_until,
            longest_rest: LONGEST_REST,
            patience: FIRST_REST,
            rescue: None,
        }
    }

    pub(in crate::machine) fn lease(&self) -> Option<&Lease<Segment>> {
        self.run.as_ref().map(|Run { lease, .. }| lease)
    }
}
