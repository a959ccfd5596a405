//! One session's jobs on their way through the pool.

use super::{
    job::{Job, JobCx, JobFault, LatePolicy, WorkEvent, WorkPolicy, WorkReport},
    supervise::panic_message,
};
use crate::{Cancel, Fence};
use std::{
    collections::VecDeque,
    iter::Enumerate,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    vec,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

/// One job with all it needs, ready for a thread.
pub(super) type Ready = Box<dyn FnOnce() + Send>;

/// Jobs of one session, as the pool's queue sees them.
pub(super) trait Batch: Send {
    /// Takes the next job. Called under the queue's lock: it moves values and runs nobody's code.
    fn next(&mut self) -> Option<Ready>;

    /// Whether every job was taken.
    fn is_drained(&self) -> bool;
}

/// Sends `Closed` when the last who holds it lets go: queue, running job, all the same, through panics too. Hence
/// exactly once, and after every item, for who sends an item holds it.
struct Closing<T> {
    fence: Fence,
    tally: Tally,
    /// Room in the owner's channel that nothing else can take.
    room: Option<mpsc::OwnedPermit<WorkEvent<T>>>,
    /// The session's place in the pool, free after `Closed` is sent.
    _place: OwnedSemaphorePermit,
}

impl<T> Drop for Closing<T> {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            let report = self.tally.report();
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
    fn report(&self) -> WorkReport {
        let read = |tally: &AtomicUsize| tally.load(Ordering::Acquire);
        let (succeeded, failed, skipped_late) =
            (read(&self.succeeded), read(&self.failed), read(&self.skipped_late));
        let started = succeeded.saturating_add(failed);
        let skipped_cancelled = self.examined.saturating_sub(started).saturating_sub(skipped_late);
        let (late, discarded) = (read(&self.late), read(&self.discarded));
        let examined = self.examined;
        WorkReport { examined, started, succeeded, failed, skipped_late, skipped_cancelled, late, discarded }
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
    /// The opener's runtime, whose clock tells when the deadline is: a paused clock stays the only clock.
    runtime: Option<Handle>,
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
        cancel: Cancel,
        Outlet { out, room }: Outlet<J::Out>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let fence = Fence::mint();
        let tally = Tally { examined: jobs.len(), ..Tally::default() };
        let closing = Closing { fence, tally, room: Some(room), _place: place };
        let deadline = policy.deadline.and_then(|after| Instant::now().checked_add(after));
        let (cx, runtime) = (JobCx { fence, cancel }, Handle::try_current().ok());
        let shared = Shared { out, cx, deadline, late: policy.late, runtime, closing };
        Self { jobs: jobs.into_iter().enumerate(), shared: Arc::new(shared) }
    }

    pub(super) fn fence(&self) -> Fence {
        self.shared.cx.fence
    }
}

impl<J: Job> Batch for Jobs<J> {
    fn next(&mut self) -> Option<Ready> {
        let (index, job) = self.jobs.next()?;
        let shared = Arc::clone(&self.shared);
        Some(Box::new(move || shared.run(index, job)))
    }

    fn is_drained(&self) -> bool {
        self.jobs.len() == 0
    }
}

impl<T: Send + 'static> Shared<T> {
    fn run(&self, index: usize, job: impl Job<Out = T>) {
        if self.is_unwanted() {
            // Counted as what is left over when the session closes.
            return;
        }
        let tally = &self.closing.tally;
        if self.is_late() {
            count(&tally.skipped_late);
            return;
        }
        let result =
            shielded(|| job.run(&self.cx)).unwrap_or_else(|message| Err(JobFault::Panicked(message)));
        count(if result.is_ok() { &tally.succeeded } else { &tally.failed });
        let late = self.is_late();
        if late {
            count(&tally.late);
        }
        if late && self.late == LatePolicy::Discard {
            count(&tally.discarded);
            return;
        }
        // A full channel holds this thread back; it is the owner's own pace.
        let item = WorkEvent::Item { fence: self.cx.fence, index, late, result };
        if self.out.blocking_send(item).is_err() {
            count(&tally.discarded);
            self.cx.cancel.cancel();
        }
    }

    fn is_unwanted(&self) -> bool {
        if self.out.is_closed() {
            self.cx.cancel.cancel();
        }
        self.cx.is_cancelled()
    }

    fn is_late(&self) -> bool {
        let _clock = self.runtime.as_ref().map(Handle::enter);
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Runs a job's own code; its panic is its own.
pub(super) fn shielded<R>(job: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(job)).map_err(|panic| panic_message(&*panic))
}

/// One closure that waits for a thread.
pub(super) struct Single(pub(super) VecDeque<Ready>);

impl Batch for Single {
    fn next(&mut self) -> Option<Ready> {
        self.0.pop_front()
    }

    fn is_drained(&self) -> bool {
        self.0.is_empty()
    }
}
