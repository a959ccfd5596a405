//! One session's jobs on their way through the pool.

use super::{
    job::{Job, JobCx, JobFault, LatePolicy, WorkEvent, WorkPolicy, WorkReport, WorkSession},
    pace::Pace,
    supervise::{bury, shielded},
};
use crate::{Cancel, Fence, plant::planted};
use futures::future::{BoxFuture, FutureExt};
use std::{
    iter::Enumerate,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    vec,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

/// One job with all it needs. Whoever runs it polls it to its end: a thread of the pool, or the task of an inline pool.
/// Both so follow one policy, and differ only in what [`Pace`] makes a job's turn cost.
pub(super) trait Ready: Send {
    /// Runs the job and delivers its result.
    fn run(self: Box<Self>, pace: &mut Pace) -> BoxFuture<'_, ()>;
}

/// Jobs of one session, as the pool's queue sees them.
pub(super) trait Batch: Send {
    /// Takes the next job. Called under the queue's lock: it moves values and runs nobody's code.
    fn next(&mut self) -> Option<Box<dyn Ready>>;

    /// Whether every job was taken.
    fn is_drained(&self) -> bool;
}

/// Sends `Closed` when the last who holds it lets go: queue, running job, all the same, through panics too. Hence
/// exactly once, and after every item, for who sends an item holds it.
struct Closing<T> {
    fence: Fence,
    tally: Tally,
    /// The pool's own end.
    pool: Cancel,
    /// Room in the owner's channel that nothing else can take.
    room: Option<mpsc::OwnedPermit<WorkEvent<T>>>,
    /// The session's place in the pool, free after `Closed` is sent.
    _place: OwnedSemaphorePermit,
}

impl<T> Drop for Closing<T> {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            let report = self.tally.report(self.pool.is_cancelled());
            drop(room.send(WorkEvent::Closed { fence: self.fence, report }));
        }
    }
}

#[derive(Default)]
struct Tally {
    examined: usize,
    succeeded: AtomicUsize,
    failed: AtomicUsize,
    skipped_late: AtomicUsize,
    late: AtomicUsize,
    discarded: AtomicUsize,
}

fn count(tally: &AtomicUsize) {
    tally.fetch_add(1, Ordering::AcqRel);
}

impl Tally {
    /// Called when no job can run any more, so that what did not start was skipped.
    fn report(&self, is_closed: bool) -> WorkReport {
        let read = |tally: &AtomicUsize| tally.load(Ordering::Acquire);
        let (succeeded, failed, skipped_late) =
            (read(&self.succeeded), read(&self.failed), read(&self.skipped_late));
        let started = succeeded.saturating_add(failed);
        let left = self.examined.saturating_sub(started).saturating_sub(skipped_late);
        let (skipped_cancelled, skipped_closed) = if is_closed { (0, left) } else { (left, 0) };
        let (late, discarded) = (read(&self.late), read(&self.discarded));
        let examined = self.examined;
        WorkReport {
            examined,
            started,
            succeeded,
            failed,
            skipped_late,
            skipped_cancelled,
            skipped_closed,
            late,
            discarded,
        }
    }
}

/// Where a session's events go: the way for its items, and the room kept for `Closed`.
pub(super) struct Outlet<T> {
    pub(super) out: mpsc::Sender<WorkEvent<T>>,
    pub(super) room: mpsc::OwnedPermit<WorkEvent<T>>,
}

/// What the jobs of one session share.
struct Shared<T> {
    out: mpsc::Sender<WorkEvent<T>>,
    cx: JobCx,
    deadline: Option<Instant>,
    late: LatePolicy,
    closing: Closing<T>,
}

/// The jobs of one session that were not taken yet.
pub(super) struct Jobs<J: Job> {
    jobs: Enumerate<vec::IntoIter<J>>,
    shared: Arc<Shared<J::Out>>,
}

impl<J: Job> Jobs<J> {
    pub(super) fn new(
        jobs: Vec<J>,
        policy: &WorkPolicy,
        pool: &Cancel,
        Outlet { out, room }: Outlet<J::Out>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let fence = Fence::mint();
        let tally = Tally { examined: jobs.len(), ..Tally::default() };
        let closing = Closing { fence, tally, pool: pool.clone(), room: Some(room), _place: place };
        let deadline = policy.deadline.and_then(|after| Instant::now().checked_add(after));
        let give_up = deadline.and_then(|deadline| deadline.checked_add(policy.grace));
        let cx = JobCx { fence, cancel: pool.child(), give_up, runtime: Handle::try_current().ok() };
        let shared = Shared { out, cx, deadline, late: policy.late, closing };
        Self { jobs: jobs.into_iter().enumerate(), shared: Arc::new(shared) }
    }

    pub(super) fn session(&self) -> WorkSession {
        WorkSession { fence: self.shared.cx.fence, cancel: self.shared.cx.cancel.clone() }
    }
}

impl<J: Job> Batch for Jobs<J> {
    fn next(&mut self) -> Option<Box<dyn Ready>> {
        let (index, job) = self.jobs.next()?;
        Some(Box::new(Turn { job, index, shared: Arc::clone(&self.shared) }))
    }

    fn is_drained(&self) -> bool {
        self.jobs.len() == 0
    }
}

impl<J: Job> Drop for Jobs<J> {
    fn drop(&mut self) {
        self.jobs.by_ref().for_each(|(_, job)| bury("job drop", job));
    }
}

/// One job of a session. The fields' order is that of their drop: what the job holds goes before its hold on the session.
struct Turn<J: Job> {
    job: J,
    index: usize,
    shared: Arc<Shared<J::Out>>,
}

impl<J: Job> Ready for Turn<J> {
    fn run(self: Box<Self>, pace: &mut Pace) -> BoxFuture<'_, ()> {
        async move {
            if !self.shared.begins() {
                let Self { job, shared, .. } = *self;
                bury("job drop", job);
                return drop(shared);
            }
            pace.spend(self.shared.closing.tally.examined).await;
            let Self { job, index, shared } = *self;
            let Some(item) = shared.finish(index, job) else {
                return;
            };
            // A full channel holds the pool back; it is the owner's own pace.
            if let Err(unheard) = shared.out.send(item).await {
                count(&shared.closing.tally.discarded);
                shared.cx.cancel.cancel();
                bury("job output drop", unheard);
            }
        }
        .boxed()
    }
}

impl<T: Send + 'static> Shared<T> {
    /// Whether the next job is still to run. One that is not wanted is counted as what is left over when the session closes.
    fn begins(&self) -> bool {
        if self.is_unwanted() {
            return false;
        }
        let late = self.is_late();
        if late {
            count(&self.closing.tally.skipped_late);
        }
        !late
    }

    /// Runs a job; what its owner is to hear of it.
    fn finish(&self, index: usize, job: impl Job<Out = T>) -> Option<WorkEvent<T>> {
        let tally = &self.closing.tally;
        let run = || {
            planted("job run");
            job.run(&self.cx)
        };
        let result = shielded(run).unwrap_or_else(|message| Err(JobFault::Panicked(message)));
        count(if result.is_ok() { &tally.succeeded } else { &tally.failed });
        let late = self.is_late();
        if late {
            count(&tally.late);
        }
        if late && self.late == LatePolicy::Discard {
            count(&tally.discarded);
            bury("job output drop", result);
            return None;
        }
        Some(WorkEvent::Item { fence: self.cx.fence, index, late, result })
    }

    fn is_unwanted(&self) -> bool {
        if self.out.is_closed() {
            self.cx.cancel.cancel();
        }
        self.cx.cancel.is_cancelled()
    }

    fn is_late(&self) -> bool {
        self.cx.is_past(self.deadline)
    }
}

/// A single closure's turn: the closure, the way back to who waits for it, and its place in the pool.
pub(super) struct Lone<T, F> {
    pub(super) job: F,
    pub(super) answer: oneshot::Sender<Result<T, String>>,
    pub(super) place: OwnedSemaphorePermit,
}

/// A single closure that waits for its turn.
impl<T, F> Batch for Option<Lone<T, F>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    fn next(&mut self) -> Option<Box<dyn Ready>> {
        Some(Box::new(self.take()?))
    }

    fn is_drained(&self) -> bool {
        self.is_none()
    }
}

impl<T, F> Ready for Lone<T, F>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    fn run(self: Box<Self>, pace: &mut Pace) -> BoxFuture<'_, ()> {
        async move {
            // A caller that has gone meanwhile wants no answer.
            if self.answer.is_closed() {
                let Self { job, place, .. } = *self;
                bury("job drop", job);
                return drop(place);
            }
            pace.spend(1).await;
            let Self { job, answer, place } = *self;
            let run = || {
                planted("job run");
                job()
            };
            if let Err(unheard) = answer.send(shielded(run)) {
                bury("job output drop", unheard);
            }
            drop(place);
        }
        .boxed()
    }
}
