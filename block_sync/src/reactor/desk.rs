//! The reactor without its waiting: what came in, what is to be done off it, what everybody is told.

use super::{
    sequencer::QueueChange,
    state::{Done, Order, State},
};
use crate::{
    machine::{Event, Guidance},
    ports::{BlockStore, Wanted},
    status::BlockSyncStatus,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast;
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderView,
};
use zakura_transport::routine::{Publisher, RangeQueue, Skipped};

/// Machines hear of changes at most so often: with many peers and many bodies a second, each change would wake them all.
const GUIDANCE_PACE: Duration = Duration::from_millis(10);

/// The status is drawn up at most so often, and at each commit.
const STATUS_PACE: Duration = Duration::from_millis(100);

/// Where the reactor speaks.
#[derive(Debug)]
pub(crate) struct Outlets {
    /// To machines.
    pub(crate) guidance: Publisher<Guidance>,
    /// The last durable commit.
    pub(crate) committed: Publisher<BlockRef>,
    /// Each durable commit.
    pub(crate) commits: broadcast::Sender<BlockRef>,
    /// To whoever looks.
    pub(crate) status: Publisher<BlockSyncStatus>,
}

/// What was said last, and when.
struct Said {
    guidance: Guidance,
    guidance_at: Instant,
    committed: BlockRef,
    status_at: Instant,
    /// Whether something has happened since.
    is_stale: bool,
}

/// The reactor, told what happened and asked what to do.
pub(crate) struct Desk {
    state: State,
    store: Arc<dyn BlockStore>,
    queue: RangeQueue<Wanted>,
    outlets: Outlets,
    said: Said,
}

impl Desk {
    pub(crate) fn new(
        now: Instant,
        mut state: State,
        store: Arc<dyn BlockStore>,
        queue: RangeQueue<Wanted>,
        outlets: Outlets,
    ) -> Self {
        let (guidance, committed) = (state.guidance(now), state.committed());
        let said = Said { guidance, guidance_at: now, committed, status_at: now, is_stale: true };
        outlets.guidance.set(guidance);
        Self { state, store, queue, outlets, said }
    }

    /// The store that orders work on.
    pub(crate) const fn store(&self) -> &Arc<dyn BlockStore> {
        &self.store
    }

    /// The header chain has changed.
    pub(crate) fn on_view(&mut self, view: HeaderView) {
        self.said.is_stale = true;
        self.state.on_view(view);
    }

    /// A session said something.
    pub(crate) fn on_event(&mut self, now: Instant, event: Event) {
        self.said.is_stale = true;
        self.state.on_event(now, event);
    }

    /// An order is done.
    pub(crate) fn on_done(&mut self, now: Instant, done: Done) {
        self.said.is_stale = true;
        self.state.on_done(now, done);
    }

    /// The pool skipped something of an order.
    pub(crate) fn skipped(&mut self, skipped: Skipped) {
        self.said.is_stale = true;
        self.state.skipped.add(skipped);
    }

    /// The instant that [`speak`](Self::speak) named has come.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.state.wake(now);
    }

    /// Instructs routines and changes the queue as the state asks. The orders that are to be carried out come back.
    pub(crate) fn perform(&mut self, now: Instant) -> Vec<Order> {
        if self.state.wants_resync() {
            self.state.resync(self.store.acknowledged());
        }
        // Before the queue, so that who is to keep away from a height hears it before the height is there for the taking.
        for (mailbox, input) in self.state.take_mail() {
            // A routine that is gone wants no mail; one whose mailbox is full ends by itself.
            let _ = mailbox.send(input);
        }
        for change in self.state.take_queue_changes(now) {
            tell(&self.queue, change);
        }
        std::iter::from_fn(|| self.state.next_order()).collect()
    }

    /// How full everything is that has a cap.
    #[cfg(feature = "simulation")]
    pub(crate) fn fills(&self) -> Vec<zakura_transport::routine::Fill> {
        self.state.fills()
    }

    /// The state, for those who look on.
    #[cfg(feature = "simulation")]
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Publishes what has changed, as far as it is time; when to look again, if at all.
    pub(crate) fn speak(&mut self, now: Instant) -> Option<Instant> {
        let guidance_due = self.guide(now);
        let status_due = self.report(now);
        [self.state.next_timer(now), guidance_due, status_due].into_iter().flatten().min()
    }

    /// Tells machines what they go by; when to, if it is too early.
    fn guide(&mut self, now: Instant) -> Option<Instant> {
        let (guidance, said) = (self.state.guidance(now), &mut self.said);
        if guidance == said.guidance {
            return None;
        }
        let due = said.guidance_at + GUIDANCE_PACE;
        // How much there is and how many share it decides what a newcomer takes at once: that cannot wait.
        let is_urgent = (guidance.backlog, guidance.usable) != (said.guidance.backlog, said.guidance.usable);
        if due > now && !is_urgent {
            return Some(due);
        }
        (said.guidance, said.guidance_at) = (guidance, now);
        self.outlets.guidance.set(guidance);
        None
    }

    /// Tells whoever looks; when to, if it is too early.
    fn report(&mut self, now: Instant) -> Option<Instant> {
        let committed = self.state.committed();
        let has_committed = committed != self.said.committed;
        let due = self.said.status_at + STATUS_PACE;
        if has_committed || self.said.is_stale && due <= now {
            (self.said.status_at, self.said.is_stale) = (now, false);
            self.outlets.status.set(self.state.status());
        }
        // After the status, so that who hears of a commit finds it there.
        if has_committed {
            self.said.committed = committed;
            // First, so that who sees the last commit finds every one. An error says that nobody listens.
            let _ = self.outlets.commits.send(committed);
            self.outlets.committed.set(committed);
        }
        self.said.is_stale.then_some(due)
    }
}

fn tell(queue: &RangeQueue<Wanted>, change: QueueChange) {
    let key = |height: Height| u64::from(height);
    match change {
        QueueChange::Push(wanted) => queue.push([(key(wanted.at.height), wanted.size_hint.into(), wanted)]),
        QueueChange::Reopen(wanted) => queue.reopen(key(wanted.at.height), wanted.size_hint.into(), wanted),
        QueueChange::Cover(height) => queue.cover(key(height)..=key(height)),
        QueueChange::ResetAbove(height) => queue.reset_above(key(height)),
        QueueChange::AdvanceFloor(height) => queue.advance_floor(key(height)),
    }
}
