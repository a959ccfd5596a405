//! The reactor's loop: performs what [`State`] decides.

use super::{
    jobs::{Done, run},
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
use futures::{
    future::{BoxFuture, OptionFuture},
    stream::{FuturesUnordered, StreamExt},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use zakura_transport::{
    Fence,
    routine::{EventReceiver, Mailbox, Published, Publisher, RangeQueue, WorkPool},
};

/// Events that wait for the reactor. Every session keeps room for one farewell, so this is well above the sessions a node
/// has (wire 7.2: 256 in and 256 out).
pub(crate) const EVENT_DEPTH: usize = 2_048;

/// Events taken together before the next decision.
const EVENT_BATCH: usize = 64;

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

/// The reactor.
pub(crate) struct Actor {
    chain: Arc<dyn HeaderChain>,
    pool: WorkPool,
    page_headers: u32,
    state: State,
    mailboxes: BTreeMap<Fence, Mailbox<Input>>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    outlets: Outlets,
    /// The view that the outlets show.
    told: HeaderView,
    /// When the next status report is due.
    report_due: Option<Instant>,
}

impl Actor {
    pub(crate) fn new(
        chain: Arc<dyn HeaderChain>,
        pool: WorkPool,
        config: &HeaderSyncConfig,
        page_headers: u32,
        queue: RangeQueue<Segment>,
        outlets: Outlets,
    ) -> Self {
        let view = chain.view();
        let state = State::new(config, page_headers, chain.header_bytes(), view, queue);
        let (mailboxes, jobs) = (BTreeMap::new(), FuturesUnordered::new());
        Self { chain, pool, page_headers, state, mailboxes, jobs, outlets, told: view, report_due: None }
    }

    /// Runs until the service and every session are gone.
    pub(crate) async fn run(
        mut self,
        mut events: EventReceiver<Report>,
        mut floor: Published<Option<BlockRef>>,
    ) {
        let mut floor_is_open = true;
        loop {
            self.advance();
            let wake = [self.state.wake(now()), self.report_due].into_iter().flatten().min();
            let wake = wake.map(|at| tokio::time::sleep_until(tokio::time::Instant::from_std(at)));
            let sleep = OptionFuture::from(wake);
            tokio::select! {
                biased;
                changed = floor.changed(), if floor_is_open => match changed {
                    Ok(Some(floor)) => self.state.finalize(floor),
                    Ok(None) => {}
                    Err(_) => floor_is_open = false,
                },
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => {
                    self.changed();
                    self.state.done(now(), done, &*self.chain);
                }
                report = events.recv() => {
                    let Some(report) = report else { return };
                    self.changed();
                    self.hear(report);
                    for report in std::iter::from_fn(|| events.try_recv()).take(EVENT_BATCH) {
                        self.hear(report);
                    }
                }
                Some(()) = sleep => {}
            }
        }
    }

    /// Something happened that a status report should show before long.
    fn changed(&mut self) {
        self.report_due = self.report_due.or_else(|| Some(now() + REPORT_GAP));
    }

    fn hear(&mut self, Report { from, event }: Report) {
        let state = &mut self.state;
        match event {
            Event::Joined { peer, mailbox } => {
                self.mailboxes.insert(from, mailbox);
                state.joined(now(), from, peer);
            }
            Event::Tip(tip) => state.tip(from, tip),
            Event::Segment { lease, headers } => state.segment(from, lease, headers),
            Event::Page { fence, ancestor, headers, complete } => {
                state.page(now(), from, fence, (ancestor, headers, complete));
            }
            Event::Failed { fence, why } => state.failed(now(), from, fence, why),
            Event::Serve(query) => state.serve(from, query),
            Event::Left(exit) => {
                self.mailboxes.remove(&from);
                state.left(now(), from, exit.as_ref());
            }
        }
    }

    fn advance(&mut self) {
        self.state.advance(now(), &*self.chain);
        while let Some(effect) = self.state.poll_effect() {
            match effect {
                Effect::Run(task) => self.jobs.push(run(task, &self.chain, &self.pool)),
                // A mailbox that refuses belongs to a routine that ends: its farewell is on its way.
                Effect::Tell(session, input) => {
                    let mailbox = self.mailboxes.get(&session);
                    let told = mailbox.is_some_and(|mailbox| mailbox.send(input));
                    tracing::trace!(?session, told, "instructed");
                }
            }
        }
        self.report(now());
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

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
