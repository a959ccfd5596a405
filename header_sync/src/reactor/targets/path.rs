//! Headers on the way to one tip.

use crate::{
    chain::{BlockRef, Work},
    machine::rest_after,
    reactor::staging::{Deliverer, Staged},
};
use std::time::Instant;
use zakura_transport::Fence;

/// Work under way on a path's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum Job {
    /// Weighing the chain that the path would replace, as of this tip of ours.
    Weigh(BlockRef),
    /// Checking this many headers after the checked ones.
    Check(usize),
    /// Storing this many headers from the front.
    Store(usize),
}

/// Headers on the way to a target.
#[derive(Debug)]
pub(in crate::reactor) struct Path {
    pub(in crate::reactor) staged: Staged,
    /// Whether the last header is the target.
    pub(in crate::reactor) complete: bool,
    /// Work of our chain above the path's parent, as of our tip then.
    rival: Option<(BlockRef, Work)>,
    pub(super) job: Option<(Fence, Job)>,
    /// How often in a row the store could not say.
    pub(super) put_off: u32,
    pub(super) not_before: Option<Instant>,
}

/// What a path needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum Need {
    /// More headers, or the end of its job.
    Nothing,
    /// To know what it has to beat.
    Weighing,
    /// Proof of its claimed work.
    Checking,
    /// The store.
    Storing(usize),
    /// Nothing any more: it leads to no better chain.
    Giving,
}

impl Path {
    pub(super) const fn new(parent: BlockRef) -> Self {
        Self {
            staged: Staged::new(parent),
            complete: false,
            rival: None,
            job: None,
            put_off: 0,
            not_before: None,
        }
    }

    /// What to do with it. A path that continues our tip is proved and stored as it comes. A branch first has to claim more
    /// work than what it would replace, then to prove it: nothing of it is stored before.
    pub(super) fn need(&self, tip: BlockRef) -> Need {
        let (len, checked) = (self.staged.len(), self.staged.checked());
        if self.job.is_some() || len == 0 {
            return Need::Nothing;
        }
        if self.staged.parent() == tip {
            return if checked > 0 { Need::Storing(checked) } else { Need::Checking };
        }
        match self.rival {
            Some((as_of, rival)) if as_of == tip => match self.staged.work() > rival {
                true if checked < len => Need::Checking,
                true => Need::Storing(len),
                false if self.complete => Need::Giving,
                false => Need::Nothing,
            },
            Some(_) | None => Need::Weighing,
        }
    }

    pub(in crate::reactor) fn start(&mut self, job: Job) -> Fence {
        let ticket = Fence::mint();
        self.job = Some((ticket, job));
        ticket
    }

    pub(super) fn finish(&mut self, ticket: Fence) -> Option<Job> {
        self.job.take_if(|(current, _)| *current == ticket).map(|(_, job)| job)
    }

    /// The store cannot say now: this path waits, the others do not. Were they to wait too, one header from the future, which
    /// is nobody's proven fault, would hold up the whole chain.
    pub(in crate::reactor) fn put_off(&mut self, now: Instant) {
        self.put_off = self.put_off.saturating_add(1);
        self.not_before = Some(now + rest_after(self.put_off));
    }

    /// The store has taken the first `count` headers; says who delivered how many of them.
    pub(in crate::reactor) fn taken(&mut self, count: usize) -> Vec<(Deliverer, usize)> {
        (self.put_off, self.not_before) = (0, None);
        self.staged.drop_front(count)
    }

    pub(super) fn rests(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|until| now < until)
    }

    /// Whether it was weighed against a chain that is not ours any more.
    pub(in crate::reactor) fn is_outweighed(&self, tip: BlockRef) -> bool {
        self.rival.is_none_or(|(as_of, _)| as_of != tip)
    }

    pub(in crate::reactor) const fn weighed(&mut self, as_of: BlockRef, rival: Work) {
        self.rival = Some((as_of, rival));
    }
}
