//! Header sync without tasks, for a simulation that owns time and order.

use crate::{
    HeaderSyncConfig, HeaderSyncHandle,
    machine::{Event, Report},
    ports::HeaderChain,
    reactor::{Done, Task},
    service::{INLET_DEPTH, Parts, parts, stream},
};
use std::{fmt, sync::Arc, time::Instant};
use zakura_transport::{
    Exit, Fence, PeerInfo, StreamSpec,
    routine::{
        Fill, JobResult, Keys, Recount, Stand, SteppedJob, SteppedRoutine, SteppedService, Stepper, inlet,
    },
};

/// Header sync, stepped by hand: the machines, the reactor and the codec that ship.
pub struct SteppedHeaderSync {
    parts: Parts,
    chain: Arc<dyn HeaderChain>,
    /// Whether the reactor has heard something since it last decided.
    is_stirred: bool,
    /// When the reactor is to look again, as it said last.
    wake_at: Option<Instant>,
    /// How often it has decided.
    turns: u64,
}

impl fmt::Debug for SteppedHeaderSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteppedHeaderSync")
            .field("status", &self.parts.handle.status())
            .finish_non_exhaustive()
    }
}

impl SteppedHeaderSync {
    /// Header sync over an embedder's chain.
    #[must_use]
    pub fn new(chain: Arc<dyn HeaderChain>, config: &HeaderSyncConfig) -> (Self, HeaderSyncHandle) {
        let parts = parts(Arc::clone(&chain), config);
        let handle = parts.handle.clone();
        (Self { parts, chain, is_stirred: true, wake_at: None, turns: 0 }, handle)
    }
}

impl SteppedService for SteppedHeaderSync {
    fn stream(&self) -> StreamSpec {
        stream()
    }

    fn open(&mut self, now: Instant, peer: &PeerInfo, session: Fence) -> Box<dyn SteppedRoutine> {
        let service = &self.parts.service;
        let (mailbox, inlet) = inlet(INLET_DEPTH);
        let (machine, ends) = service.routine((session, peer.id), inlet);
        let mut farewell = service.events.try_farewell(Report { from: session, event: Event::Left(None) });
        let joined = Report { from: session, event: Event::Joined { peer: peer.id, mailbox } };
        self.parts.desk.hear(now, joined);
        self.is_stirred = true;
        Box::new(Stepper::new(now, machine, ends, move |exit: &Exit| {
            if let Some(report) = farewell.as_mut().and_then(|farewell| farewell.event_mut()) {
                report.event = Event::Left(Some(exit.clone()));
            }
            drop(farewell.take());
        }))
    }

    fn advance(&mut self, now: Instant) -> Vec<SteppedJob> {
        let mut is_stirred = std::mem::take(&mut self.is_stirred);
        is_stirred |= self.wake_at.is_some_and(|at| at <= now);
        if let Some(Some(floor)) = self.parts.floor.take_changed() {
            self.parts.desk.finalize(floor);
            is_stirred = true;
        }
        while let Some(report) = self.parts.events.try_recv() {
            self.parts.desk.hear(now, report);
            is_stirred = true;
        }
        if !is_stirred {
            return Vec::new();
        }
        self.turns = self.turns.wrapping_add(1);
        let tasks = self.parts.desk.advance(now);
        self.wake_at = self.parts.desk.wake(now);
        tasks.into_iter().map(|task| self.job(task)).collect()
    }

    fn done(&mut self, now: Instant, result: JobResult) {
        if let Some(done) = result.open() {
            self.parts.desk.done(now, done);
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
        self.parts.desk.state().recounts(self.parts.desk.mailboxes())
    }

    fn jobs(&self) -> Vec<(&'static str, u64)> {
        self.parts.desk.state().jobs()
    }

    fn stranded(&self, now: Instant) -> u64 {
        self.parts.desk.state().stranded(now)
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

impl SteppedHeaderSync {
    fn job(&self, task: Task) -> SteppedJob {
        let chain = Arc::clone(&self.chain);
        SteppedJob::new::<Done>(task.name(), task.items(), move || task.perform(&*chain))
    }
}
