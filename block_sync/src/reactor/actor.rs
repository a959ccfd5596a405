//! The reactor's loop: waits, and lets the [`Desk`] decide.

use super::{
    desk::Desk,
    orders::{Turn, begin},
};
use crate::machine::Event;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    future::pending,
    pin::pin,
    time::{Duration, Instant},
};
use zakura_header_sync::ports::HeaderView;
use zakura_transport::routine::{EventReceiver, Published, WorkPool};

/// Events taken in one go before anything else has its turn.
const EVENTS_PER_TURN: usize = 64;

/// A far instant, for a timer that is not to fire.
const IDLE: Duration = Duration::from_secs(3_600);

/// The reactor.
pub(crate) struct Actor {
    pub(crate) desk: Desk,
    pub(crate) pool: WorkPool,
    pub(crate) events: EventReceiver<Event>,
    pub(crate) views: Published<HeaderView>,
}

type Jobs = FuturesUnordered<BoxFuture<'static, Turn>>;

impl Actor {
    /// Runs until the service and all its sessions are gone.
    pub(crate) async fn run(mut self) {
        let mut jobs = Jobs::new();
        let mut views_are_open = true;
        let mut timer = pin!(tokio::time::sleep(IDLE));
        loop {
            let orders = self.desk.perform(now());
            jobs.extend(orders.into_iter().map(|order| begin(order, self.desk.store(), &self.pool)));
            let wake_at = self.desk.speak(now()).unwrap_or_else(|| now() + IDLE);
            if wake_at != timer.deadline().into_std() {
                timer.as_mut().reset(tokio::time::Instant::from_std(wake_at));
            }
            tokio::select! {
                biased;
                view = self.views.changed(), if views_are_open => match view {
                    Ok(view) => self.desk.on_view(view),
                    Err(_) => views_are_open = false,
                },
                () = timer.as_mut() => self.desk.wake(now()),
                (ended, skipped) = next(&mut jobs) => {
                    self.desk.skipped(skipped);
                    match ended {
                        Ok(done) => self.desk.on_done(now(), done),
                        Err(order) => jobs.push(begin(order, self.desk.store(), &self.pool)),
                    }
                }
                event = self.events.recv() => {
                    let Some(event) = event else { return };
                    self.desk.on_event(now(), event);
                    for _ in 1..EVENTS_PER_TURN {
                        let Some(event) = self.events.try_recv() else { break };
                        self.desk.on_event(now(), event);
                    }
                }
            }
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn next(jobs: &mut Jobs) -> Turn {
    match jobs.next().await {
        Some(done) => done,
        None => pending().await,
    }
}
