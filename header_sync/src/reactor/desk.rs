//! The reactor without its waiting: what came in, what is to be computed, what everybody is told.

use super::{
    jobs::{Done, Task},
    state::{Effect, State},
};
use crate::{
    chain::{BlockRef, Height},
    config::HeaderSyncConfig,
    handle::HeaderSyncStatus,
    machine::{Event, Input, Report, Segment},
    ports::{HeaderChain, HeaderView},
    wire::{MAX_MESSAGE_BYTES, Status},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use zakura_transport::{
    Fence,
    routine::{Mailbox, Publisher, RangeQueue, Skipped},
};

/// The shortest time between two status reports, unless the view changed: a report lists every peer.
const REPORT_GAP: Duration = Duration::from_millis(50);

/// What the reactor tells everybody.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) ours: Publisher<Status>,
    pub(crate) views: Publisher<HeaderView>,
    pub(crate) status: Publisher<Arc<HeaderSyncStatus>>,
}

/// Our Status for a view of our chain. We keep all headers.
pub(crate) fn our_status(view: &HeaderView, page_headers: u32) -> Status {
    Status {
        anchor: view.finalized,
        tip: view.tip,
        work: view.work,
        oldest: Height::GENESIS,
        max_headers: page_headers,
        max_requests: 1,
        max_bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap_or(u32::MAX),
        aux_mask: 0,
    }
}

/// The reactor, told what happened and asked what to do.
pub(crate) struct Desk {
    chain: Arc<dyn HeaderChain>,
    page_headers: u32,
    state: State,
    mailboxes: BTreeMap<Fence, Mailbox<Input>>,
    outlets: Outlets,
    /// The view that the outlets show.
    told: HeaderView,
    /// When the next status report is due.
    report_due: Option<Instant>,
}

impl Desk {
    pub(crate) fn new(
        chain: Arc<dyn HeaderChain>,
        config: &HeaderSyncConfig,
        page_headers: u32,
        queue: RangeQueue<Segment>,
        outlets: Outlets,
    ) -> Self {
        let view = chain.view();
        let state = State::new(config, page_headers, chain.header_bytes(), view, queue);
        let mailboxes = BTreeMap::new();
        Self { chain, page_headers, state, mailboxes, outlets, told: view, report_due: None }
    }

    /// The chain that the tasks work on.
    pub(crate) const fn chain(&self) -> &Arc<dyn HeaderChain> {
        &self.chain
    }

    /// A session said something.
    pub(crate) fn hear(&mut self, now: Instant, Report { from, event }: Report) {
        self.changed(now);
        let state = &mut self.state;
        match event {
            Event::Joined { peer, mailbox } => {
                self.mailboxes.insert(from, mailbox);
                state.joined(now, from, peer);
            }
            Event::Tip(tip) => state.tip(from, tip),
            Event::Segment { lease, headers } => state.segment(from, lease, headers),
            Event::Page { fence, ancestor, headers, complete } => {
                state.page(now, from, fence, (ancestor, headers, complete));
            }
            Event::Failed { fence, why } => state.failed(now, from, fence, why),
            Event::Serve(query) => state.serve(from, query),
            Event::Left(exit) => {
                self.mailboxes.remove(&from);
                state.left(now, from, exit.as_ref());
            }
        }
    }

    /// A task is done.
    pub(crate) fn done(&mut self, now: Instant, done: Done) {
        self.changed(now);
        self.state.done(now, done, &*self.chain);
    }

    /// The pool skipped something of a task.
    pub(crate) fn skipped(&mut self, skipped: Skipped) {
        self.state.skipped.add(skipped);
    }

    /// The floor is to be raised.
    pub(crate) fn finalize(&mut self, floor: BlockRef) {
        self.state.finalize(floor);
    }

    /// Decides, instructs the routines and tells everybody. The tasks that are to be run come back.
    pub(crate) fn advance(&mut self, now: Instant) -> Vec<Task> {
        let mut tasks = Vec::new();
        self.state.advance(now, &*self.chain);
        while let Some(effect) = self.state.poll_effect() {
            match effect {
                Effect::Run(task) => tasks.push(task),
                // A mailbox that refuses belongs to a routine that ends: its farewell is on its way.
                Effect::Tell(session, input) => {
                    let mailbox = self.mailboxes.get(&session);
                    let told = mailbox.is_some_and(|mailbox| mailbox.send(input));
                    tracing::trace!(?session, told, "instructed");
                }
            }
        }
        self.report(now);
        tasks
    }

    /// When to [`advance`](Self::advance) although nothing has happened.
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        [self.state.wake(now), self.report_due].into_iter().flatten().min()
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

    /// Sessions that can be instructed.
    #[cfg(feature = "simulation")]
    pub(crate) fn mailboxes(&self) -> usize {
        self.mailboxes.len()
    }

    /// Something happened that a status report should show before long.
    fn changed(&mut self, now: Instant) {
        self.report_due = self.report_due.or_else(|| Some(now + REPORT_GAP));
    }

    /// Publishes what changed. The status goes first, so that it never lags behind the view.
    fn report(&mut self, now: Instant) {
        let view = self.state.view();
        let moved = self.told != view;
        if moved || self.report_due.is_some_and(|due| due <= now) {
            self.report_due = None;
            self.outlets.status.set(Arc::new(self.state.status()));
        }
        if moved {
            self.told = view;
            self.outlets.ours.set(our_status(&view, self.page_headers));
            self.outlets.views.set(view);
        }
    }
}
