//! Block sync without tasks, for a simulation that owns time and order.

use crate::{
    BlockSyncConfig, BlockSyncHandle,
    machine::{Event, News},
    ports::BlockStore,
    reactor::{Done, Order},
    service::{INSTRUCTIONS, Parts, parts},
    wire::STREAM,
};
use std::{fmt, sync::Arc, time::Instant};
use zakura_header_sync::ports::HeaderView;
use zakura_transport::{
    Exit, Fence, PeerInfo, StreamSpec,
    routine::{
        Fill, JobResult, Keys, Published, Recount, Stand, SteppedJob, SteppedRoutine, SteppedService,
        Stepper, inlet,
    },
};

/// Block sync, stepped by hand: the machines, the reactor and the codec that ship.
pub struct SteppedBlockSync {
    parts: Parts,
    views: Published<HeaderView>,
    /// Whether the reactor has heard something since it last decided.
    is_stirred: bool,
    /// When the reactor is to look again, as it said last.
    wake_at: Option<Instant>,
    /// How often it has decided.
    turns: u64,
}

impl fmt::Debug for SteppedBlockSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteppedBlockSync")
            .field("status", &self.parts.handle.status())
            .finish_non_exhaustive()
    }
}

impl SteppedBlockSync {
    /// Block sync over an embedder's store, following a header view.
    #[must_use]
    pub fn new(
        now: Instant,
        store: Arc<dyn BlockStore>,
        views: Published<HeaderView>,
        config: BlockSyncConfig,
    ) -> (Self, BlockSyncHandle) {
        let parts = parts(now, store, views.get(), config);
        let handle = parts.handle.clone();
        (Self { parts, views, is_stirred: true, wake_at: Some(now), turns: 0 }, handle)
    }

    fn job(&self, order: Order) -> SteppedJob {
        let store = Arc::clone(self.parts.desk.store());
        SteppedJob::new::<Done>(order.name(), order.items(), move || order.perform(&*store))
    }
}

impl SteppedService for SteppedBlockSync {
    fn stream(&self) -> StreamSpec {
        STREAM
    }

    fn open(&mut self, now: Instant, peer: &PeerInfo, session: Fence) -> Box<dyn SteppedRoutine> {
        let service = &self.parts.service;
        let (mailbox, inlet) = inlet(INSTRUCTIONS);
        let mut farewell = service.events.try_farewell(Event { session, news: News::Left });
        let (machine, ends) = service.routine(session, peer.capabilities, inlet);
        self.parts.desk.on_event(now, Event { session, news: News::Joined { peer: peer.id, mailbox } });
        self.is_stirred = true;
        Box::new(Stepper::new(now, machine, ends, move |_: &Exit| drop(farewell.take())))
    }

    fn advance(&mut self, now: Instant) -> Vec<SteppedJob> {
        let mut is_stirred = std::mem::take(&mut self.is_stirred);
        if let Some(view) = self.views.take_changed() {
            self.parts.desk.on_view(view);
            is_stirred = true;
        }
        if self.wake_at.is_some_and(|at| at <= now) {
            self.parts.desk.wake(now);
            is_stirred = true;
        }
        while let Some(event) = self.parts.events.try_recv() {
            self.parts.desk.on_event(now, event);
            is_stirred = true;
        }
        if !is_stirred {
            return Vec::new();
        }
        self.turns = self.turns.wrapping_add(1);
        let orders = self.parts.desk.perform(now);
        self.wake_at = self.parts.desk.speak(now);
        orders.into_iter().map(|order| self.job(order)).collect()
    }

    fn done(&mut self, now: Instant, result: JobResult) {
        if let Some(done) = result.open() {
            self.parts.desk.on_done(now, done);
            self.is_stirred = true;
        }
    }

    fn wake(&self, _now: Instant) -> Option<Instant> {
        self.wake_at
    }

    fn pulse(&self) -> u64 {
        self.turns.wrapping_add(self.parts.service.queue.version())
    }

    fn fills(&self) -> Vec<Fill> {
        self.parts.desk.fills()
    }

    fn stand(&self) -> Stand {
        self.parts.desk.state().stand()
    }

    fn recounts(&self) -> Vec<Recount> {
        let counts = self.parts.service.queue.counts();
        self.parts.desk.state().recounts(counts.pending.saturating_add(counts.leased))
    }

    fn jobs(&self) -> Vec<(&'static str, u64)> {
        self.parts.desk.state().jobs()
    }

    fn stranded(&self, _now: Instant) -> u64 {
        self.parts.desk.state().stranded()
    }

    fn portrait(&self) -> String {
        self.parts.desk.state().portrait()
    }

    fn is_stale(&self, result: &JobResult) -> bool {
        result.peek::<Done>().is_some_and(|done| self.parts.desk.state().is_stale(done))
    }

    fn keys(&self) -> &dyn Keys {
        &self.parts.service.queue
    }
}
