//! The work pool's words: jobs, their policy, what their owner hears.
//!
//! Moving heavy work off its owner has been got wrong before. What was learnt, and where it is tested (in
//! `tests/work_lessons.rs` if no file is named):
//!
//! | lesson | test |
//! | --- | --- |
//! | the end marker is fenced like every item | `the_end_marker_is_fenced_like_every_item` |
//! | the fence is fresh and monotone, never a height | `a_fence_is_fresh_and_newer_though_the_work_is_the_same` |
//! | a session whose worker panics still closes | `pool.rs`: `a_panicking_job_is_that_jobs_fault_only_and_closed_is_last`; `values_that_panic_when_they_are_dropped_still_close_their_session` |
//! | the deadline is soft, and a late result has a policy | `pool.rs`: `the_deadline_is_soft_for_what_runs_and_hard_for_what_waits`; `after_the_grace_a_running_job_is_asked_to_give_up_and_not_before` |
//! | the owner never awaits a worker | `the_owner_goes_on_while_a_worker_hangs` |
//! | no place means busy, skipped and counted | `pool.rs`: `busy_instead_of_blocking`; both syncs: `a_busy_pool_is_counted_and_its_work_done_later` |
//! | results are applied against the current view | `header_sync`: `a_result_for_a_path_that_was_dropped_is_not_applied`; `block_sync`: `a_plan_from_before_a_reorg_is_not_taken`, `a_verdict_on_a_body_that_is_gone_changes_nothing` |
//! | a late wake-up skips no duty | the pool has no clock of its own; `block_sync`: `a_late_wake_up_does_all_that_came_due` |
//! | the runtime's blocking threads are not used | the house's rule `spawner_only` |
//! | the report's sums add up | `the_sums_add_up_whatever_happens`, `the_sums_add_up_on_threads_too` |

use crate::{Cancel, Fence};
use std::time::Duration;
use tokio::{runtime::Handle, time::Instant};

/// One piece of CPU work.
pub trait Job: Send + 'static {
    /// What it computes.
    type Out: Send + 'static;

    /// Does the work, on a thread of the pool. Long jobs ask [`JobCx::is_cancelled`] now and then.
    ///
    /// # Errors
    ///
    /// [`JobFault::Cancelled`] if it gave up because it was asked to. Verdicts about the data belong into `Out`.
    fn run(self, cx: &JobCx) -> Result<Self::Out, JobFault>;
}

/// What a running job may ask.
#[derive(Debug)]
pub struct JobCx {
    pub(super) fence: Fence,
    pub(super) cancel: Cancel,
    /// When the deadline and the grace after it are over.
    pub(super) give_up: Option<Instant>,
    /// The opener's runtime, whose clock tells the time: a paused clock stays the only clock.
    pub(super) runtime: Option<Handle>,
}

impl JobCx {
    /// The session's generation.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// Whether the job is asked to give up: the session was cancelled, its receiver is gone, the pool closes, or the grace
    /// after its deadline is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled() || self.is_past(self.give_up)
    }

    pub(super) fn is_past(&self, instant: Option<Instant>) -> bool {
        let _clock = self.runtime.as_ref().map(Handle::enter);
        instant.is_some_and(|instant| Instant::now() >= instant)
    }
}

/// Why a job gave no result. Always ours, never a peer's.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobFault {
    /// Too many wait for the pool already; try again later or give the pool more sessions.
    #[error("the work pool is busy; try again later")]
    Busy,
    /// The job gave up because it was asked to.
    #[error("the job was cancelled")]
    Cancelled,
    /// The job panicked; other jobs are not touched by that.
    #[error("the job panicked: {0}")]
    Panicked(String),
    /// The pool was closed before the job ran.
    #[error("the work pool is closed; it is closed only when the node stops")]
    Closed,
}

/// What happens to the result of a job that was running when the deadline came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatePolicy {
    /// It is delivered and marked late.
    Deliver,
    /// It is counted and dropped.
    Discard,
}

/// How a session's jobs are run. There is no budget of CPU time here: nobody keeps one yet, and a peer's is its service's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPolicy {
    /// From opening; jobs not begun by then are skipped. It is soft: a job that runs may finish. `None`: no deadline.
    pub deadline: Option<Duration>,
    /// What jobs that run at the deadline have to finish, before they are asked to give up.
    pub grace: Duration,
    /// What happens to results after the deadline.
    pub late: LatePolicy,
    /// Jobs of this session at the same time (at least one), so that one session does not hold the whole pool.
    pub max_parallel: usize,
}

impl Default for WorkPolicy {
    /// No deadline, as many threads as there are.
    fn default() -> Self {
        Self { deadline: None, grace: Duration::ZERO, late: LatePolicy::Deliver, max_parallel: usize::MAX }
    }
}

/// What the owner of a session hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkEvent<T> {
    /// One job's result. Jobs that were skipped have none.
    Item {
        /// The session's generation.
        fence: Fence,
        /// The job's place in the list that was opened.
        index: usize,
        /// Whether it came after the deadline.
        late: bool,
        /// What it computed, or why it did not.
        result: Result<T, JobFault>,
    },
    /// The session is over: exactly one for each, always the last.
    Closed {
        /// The session's generation.
        fence: Fence,
        /// What became of its jobs.
        report: WorkReport,
    },
}

/// What became of a session's jobs. `examined = started + skipped_late + skipped_cancelled + skipped_closed`,
/// `started = succeeded + failed`; late and discarded results are counted among those again.
///
/// What the owner looked at and prepared no job for is the owner's to count: the pool sees prepared jobs only.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkReport {
    /// Jobs that were given.
    pub examined: usize,
    /// Jobs that began.
    pub started: usize,
    /// Jobs that returned a result.
    pub succeeded: usize,
    /// Jobs that returned a fault or panicked.
    pub failed: usize,
    /// Jobs not begun before the deadline.
    pub skipped_late: usize,
    /// Jobs not begun before the session was cancelled or its receiver went.
    pub skipped_cancelled: usize,
    /// Jobs not begun before the pool closed.
    pub skipped_closed: usize,
    /// Jobs that finished after the deadline.
    pub late: usize,
    /// Results nobody got: late under [`LatePolicy::Discard`], or the receiver was gone.
    pub discarded: usize,
}

/// Work that a user of the pool asked for and did not get, by reason: for its status, so that nothing is skipped silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Times the pool had no place.
    pub busy: u64,
    /// Jobs not begun before their deadline.
    pub late: u64,
    /// Jobs not begun, or given up, because they were cancelled.
    pub cancelled: u64,
    /// Jobs not begun before the pool closed.
    pub closed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
}

impl Skipped {
    /// Adds what was skipped elsewhere.
    pub const fn add(&mut self, other: Self) {
        let Self { busy, late, cancelled, closed, panicked } = other;
        self.busy = self.busy.saturating_add(busy);
        self.late = self.late.saturating_add(late);
        self.cancelled = self.cancelled.saturating_add(cancelled);
        self.closed = self.closed.saturating_add(closed);
        self.panicked = self.panicked.saturating_add(panicked);
    }
}

impl From<Busy> for Skipped {
    fn from(_: Busy) -> Self {
        Self { busy: 1, ..Self::default() }
    }
}

impl From<&JobFault> for Skipped {
    fn from(fault: &JobFault) -> Self {
        match fault {
            JobFault::Busy => Busy.into(),
            JobFault::Cancelled => Self { cancelled: 1, ..Self::default() },
            JobFault::Panicked(_) => Self { panicked: 1, ..Self::default() },
            JobFault::Closed => Self { closed: 1, ..Self::default() },
        }
    }
}

impl From<&WorkReport> for Skipped {
    /// What did not begin; the faults of those that did are in their items.
    fn from(report: &WorkReport) -> Self {
        let count = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        let (late, cancelled) = (count(report.skipped_late), count(report.skipped_cancelled));
        Self { late, cancelled, closed: count(report.skipped_closed), ..Self::default() }
    }
}

/// No session now: too many are open, or the owner's channel has no room to spare for `Closed`. Count it and go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work pool takes no session now; skip this work or try later")]
pub struct Busy;

/// A session's owner's end. Dropping it cancels nothing: a result nobody wants is recognised by its fence.
#[derive(Debug, Clone)]
pub struct WorkSession {
    pub(super) fence: Fence,
    pub(super) cancel: Cancel,
}

impl WorkSession {
    /// The generation every event of this session carries.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// Skips the jobs not begun and asks the running ones to give up. `Closed` still comes.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

/// What closing a pool saw.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it names the stragglers"]
pub struct CloseReport {
    /// Threads that have ended.
    pub ended: usize,
    /// Threads still busy when the grace was over.
    pub stragglers: Vec<&'static str>,
}
