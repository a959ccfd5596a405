//! The work pool's words: jobs, their policy, what their owner hears.

use crate::{Cancel, Fence};
use std::time::Duration;

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
}

impl JobCx {
    /// The session's generation.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// Whether nobody wants the result any more: the session was cancelled, its receiver is gone, or the pool closes.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// Why a job gave no result. Always ours, never a peer's.
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

/// How a session's jobs are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPolicy {
    /// From opening; jobs not begun by then are skipped. It is soft: a job that runs may finish. `None`: no deadline.
    pub deadline: Option<Duration>,
    /// What happens to results after the deadline.
    pub late: LatePolicy,
    /// Jobs of this session at the same time (at least one), so that one session does not hold the whole pool.
    pub max_parallel: usize,
}

impl Default for WorkPolicy {
    /// No deadline, as many threads as there are.
    fn default() -> Self {
        Self { deadline: None, late: LatePolicy::Deliver, max_parallel: usize::MAX }
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

/// What became of a session's jobs. `examined = started + skipped_late + skipped_cancelled`,
/// `started = succeeded + failed`; late and discarded results are counted among those again.
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
    /// Jobs not begun before the session was cancelled, its receiver went or the pool closed.
    pub skipped_cancelled: usize,
    /// Jobs that finished after the deadline.
    pub late: usize,
    /// Results nobody got: late under [`LatePolicy::Discard`], or the receiver was gone.
    pub discarded: usize,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReport {
    /// Threads that have ended.
    pub ended: usize,
    /// Threads still busy when the grace was over.
    pub stragglers: Vec<&'static str>,
}
