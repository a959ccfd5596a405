//! The reactor's loop: waits, and lets the [`Desk`] decide.

use super::{
    desk::Desk,
    jobs::{Done, run},
};
use crate::{chain::BlockRef, machine::Report};
use futures::{
    future::{BoxFuture, OptionFuture},
    stream::{FuturesUnordered, StreamExt},
};
use std::time::Instant;
use zakura_transport::routine::{EventReceiver, Published, Skipped, WorkPool};

/// Events that wait for the reactor. Every session keeps room for one farewell, so this is well above the sessions a node
/// has (wire 7.2: 256 in and 256 out).
pub(crate) const EVENT_DEPTH: usize = 2_048;

/// Events taken together before the next decision.
const EVENT_BATCH: usize = 64;

/// The reactor.
pub(crate) struct Actor {
    pub(crate) desk: Desk,
    pub(crate) pool: WorkPool,
    pub(crate) events: EventReceiver<Report>,
    pub(crate) floor: Published<Option<BlockRef>>,
}

impl Actor {
    /// Runs until the service and every session are gone.
    pub(crate) async fn run(mut self) {
        let mut jobs: FuturesUnordered<BoxFuture<'static, (Done, Skipped)>> = FuturesUnordered::new();
        let mut floor_is_open = true;
        loop {
            let tasks = self.desk.advance(now());
            jobs.extend(tasks.into_iter().map(|task| run(task, self.desk.chain(), &self.pool)));
            let wake = self.desk.wake(now());
            let wake = wake.map(|at| tokio::time::sleep_until(tokio::time::Instant::from_std(at)));
            let sleep = OptionFuture::from(wake);
            tokio::select! {
                biased;
                changed = self.floor.changed(), if floor_is_open => match changed {
                    Ok(Some(floor)) => self.desk.finalize(floor),
                    Ok(None) => {}
                    Err(_) => floor_is_open = false,
                },
                Some((done, skipped)) = jobs.next(), if !jobs.is_empty() => {
                    self.desk.skipped(skipped);
                    self.desk.done(now(), done);
                }
                report = self.events.recv() => {
                    let Some(report) = report else { return };
                    self.desk.hear(now(), report);
                    for report in std::iter::from_fn(|| self.events.try_recv()).take(EVENT_BATCH) {
                        self.desk.hear(now(), report);
                    }
                }
                Some(()) = sleep => {}
            }
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
