//! The reactor's loop: waits, asks [`State`] what to do, and does it.

use super::{
    sequencer::{Delivery, QueueChange},
    state::{Done, Order, State},
};
use crate::{
    machine::{Event, Guidance},
    ports::{BlockStore, BodyVerdict, Wanted},
    status::BlockSyncStatus,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    future::pending,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast;
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderView,
};
use zakura_transport::routine::{EventReceiver, JobFault, Published, Publisher, RangeQueue, WorkPool};

/// Machines hear of changes at most so often: with many peers and many bodies a second, each change would wake them all.
const GUIDANCE_PACE: Duration = Duration::from_millis(10);

/// The status is drawn up at most so often, and at each commit.
const STATUS_PACE: Duration = Duration::from_millis(100);

/// Events taken in one go before anything else has its turn.
const EVENTS_PER_TURN: usize = 64;

/// How long to wait for a place in a busy work pool.
const BUSY_WAIT: Duration = Duration::from_millis(5);

/// A far instant, for a timer that is not to fire.
const IDLE: Duration = Duration::from_secs(3_600);

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

/// The reactor.
pub(crate) struct Actor {
    pub(crate) state: State,
    pub(crate) store: Arc<dyn BlockStore>,
    pub(crate) pool: WorkPool,
    pub(crate) queue: RangeQueue<Wanted>,
    pub(crate) events: EventReceiver<Event>,
    pub(crate) views: Published<HeaderView>,
    pub(crate) outlets: Outlets,
}

type Jobs = FuturesUnordered<BoxFuture<'static, Done>>;

/// What was said last, and when.
struct Said {
    guidance: Guidance,
    guidance_at: Instant,
    committed: BlockRef,
    status_at: Instant,
    /// Whether something has happened since.
    is_stale: bool,
}

impl Actor {
    /// Runs until the service and all its sessions are gone.
    pub(crate) async fn run(mut self) {
        let mut jobs = Jobs::new();
        let mut views_are_open = true;
        let mut timer = pin!(tokio::time::sleep(IDLE));
        let start = now();
        let (guidance, committed) = (self.state.guidance(start), self.state.committed());
        let mut said = Said { guidance, guidance_at: start, committed, status_at: start, is_stale: true };
        self.outlets.guidance.set(said.guidance);
        loop {
            self.perform(&mut jobs);
            let wake_at = self.speak(&mut said);
            if wake_at != timer.deadline().into_std() {
                timer.as_mut().reset(tokio::time::Instant::from_std(wake_at));
            }
            tokio::select! {
                biased;
                view = self.views.changed(), if views_are_open => match view {
                    Ok(view) => self.state.on_view(view),
                    Err(_) => views_are_open = false,
                },
                () = timer.as_mut() => {
                    self.state.wake(now());
                    continue;
                }
                done = next(&mut jobs) => self.state.on_done(now(), done),
                event = self.events.recv() => {
                    let Some(event) = event else { return };
                    self.state.on_event(now(), event);
                    for _ in 1..EVENTS_PER_TURN {
                        let Some(event) = self.events.try_recv() else { break };
                        self.state.on_event(now(), event);
                    }
                }
            }
            said.is_stale = true;
        }
    }

    /// Does what the state asks for, until it asks for nothing more.
    fn perform(&mut self, jobs: &mut Jobs) {
        if self.state.wants_resync() {
            self.state.resync(self.store.acknowledged());
        }
        // Before the queue, so that who is to keep away from a height hears it before the height is there for the taking.
        for (mailbox, input) in self.state.take_mail() {
            // A routine that is gone wants no mail; one whose mailbox is full ends by itself.
            let _ = mailbox.send(input);
        }
        for change in self.state.take_queue_changes(now()) {
            tell(&self.queue, change);
        }
        while let Some(order) = self.state.next_order() {
            jobs.push(begin(order, &self.store, &self.pool));
        }
    }

    /// Publishes what has changed, as far as it is time; when to look again.
    fn speak(&mut self, said: &mut Said) -> Instant {
        let now = now();
        let mut wake_at = self.state.next_timer(now).unwrap_or(now + IDLE);
        let guidance = self.state.guidance(now);
        if guidance != said.guidance {
            let due = said.guidance_at + GUIDANCE_PACE;
            // How much there is and how many share it decides what a newcomer takes at once: that cannot wait.
            let is_urgent =
                (guidance.backlog, guidance.usable) != (said.guidance.backlog, said.guidance.usable);
            if due <= now || is_urgent {
                (said.guidance, said.guidance_at) = (guidance, now);
                self.outlets.guidance.set(guidance);
            } else {
                wake_at = wake_at.min(due);
            }
        }
        let committed = self.state.committed();
        let has_committed = committed != said.committed;
        if has_committed || said.is_stale {
            let due = said.status_at + STATUS_PACE;
            if has_committed || due <= now {
                (said.status_at, said.is_stale) = (now, false);
                self.outlets.status.set(self.state.status());
            } else {
                wake_at = wake_at.min(due);
            }
        }
        // After the status, so that who hears of a commit finds it there.
        if has_committed {
            said.committed = committed;
            // First, so that who sees the last commit finds every one. An error says that nobody listens.
            let _ = self.outlets.commits.send(committed);
            self.outlets.committed.set(committed);
        }
        wake_at
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn next(jobs: &mut Jobs) -> Done {
    match jobs.next().await {
        Some(done) => done,
        None => pending().await,
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

/// Starts an order on the work pool.
fn begin(order: Order, store: &Arc<dyn BlockStore>, pool: &WorkPool) -> BoxFuture<'static, Done> {
    let (store, pool) = (Arc::clone(store), pool.clone());
    match order {
        Order::Plan { epoch, from, limit, view } => async move {
            let answer = on_pool(&pool, move || store.missing(from, limit, view.fence)).await;
            Done::Planned { epoch, limit, view, answer }
        }
        .boxed(),
        Order::Check(batch) => async move { Done::Checked(check(&pool, store, batch).await) }.boxed(),
        Order::Commit(run) => {
            async move { Done::Committed(on_pool(&pool, move || store.commit(run.clone())).await) }.boxed()
        }
        Order::Read { session, order } => async move {
            let read = on_pool(&pool, move || store.read(order.start, order.count, order.bytes)).await;
            Done::Read { session, start: order.start, answer: read.and_then(|answer| answer) }
        }
        .boxed(),
    }
}

type Checked = (BlockRef, Delivery, Result<BodyVerdict, String>);

async fn check(
    pool: &WorkPool,
    store: Arc<dyn BlockStore>,
    batch: Vec<(BlockRef, Delivery)>,
) -> Vec<Checked> {
    let bodies = batch.clone();
    let verdicts = on_pool(pool, move || {
        bodies.iter().map(|(at, delivery)| store.check(*at, &delivery.raw)).collect::<Vec<_>>()
    })
    .await;
    match verdicts {
        Ok(verdicts) => {
            let judged = batch.into_iter().zip(verdicts);
            judged.map(|((at, delivery), verdict)| (at, delivery, Ok(verdict))).collect()
        }
        Err(reason) => batch.into_iter().map(|(at, delivery)| (at, delivery, Err(reason.clone()))).collect(),
    }
}

/// Runs a call of the embedder's on the work pool; a busy pool is waited for. The error is a panic, or the pool's end.
async fn on_pool<T: Send + 'static>(
    pool: &WorkPool,
    call: impl Fn() -> T + Clone + Send + 'static,
) -> Result<T, String> {
    loop {
        match pool.run(call.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(JobFault::Busy) => tokio::time::sleep(BUSY_WAIT).await,
            Err(fault @ (JobFault::Cancelled | JobFault::Panicked(_) | JobFault::Closed)) => {
                return Err(fault.to_string());
            }
        }
    }
}
