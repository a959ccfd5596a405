//! What of the work pool waits: single jobs, and its end.

use super::{
    batch::Lone,
    job::{CloseReport, JobFault},
    pool::WorkPool,
    supervise::bury,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{TryAcquireError, oneshot};

impl WorkPool {
    /// Runs one job and waits for its result: for calls that must not block the runtime. Cancel-safe: a job that did
    /// not begin does not run once its caller is gone.
    ///
    /// # Errors
    ///
    /// [`JobFault::Busy`] if as many callers as the pool has sessions wait for a place already, `Panicked` if the job
    /// panicked, `Closed` if the pool was closed before it ran.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JobFault> {
        let in_line = self.shared.line.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits => JobFault::Busy,
            TryAcquireError::Closed => JobFault::Closed,
        })?;
        let place = Arc::clone(&self.shared.places).acquire_owned().await.map_err(|_| JobFault::Closed)?;
        drop(in_line);
        let (answer, answered) = oneshot::channel();
        let lone = Box::new(Some(Lone { job, answer, place }));
        self.shared.submit(lone, 1).map_err(|unrun| {
            bury("job drop", unrun);
            JobFault::Closed
        })?;
        answered.await.map_err(|_| JobFault::Closed)?.map_err(JobFault::Panicked)
    }

    /// Closes the pool: queued jobs are skipped, running ones asked to give up, and the threads waited for, `grace` at
    /// most. Every open session still gets its `Closed`. If the wait is dropped the pool is closed all the same; calling it
    /// again waits for those threads that are left.
    pub async fn close(&self, grace: Duration) -> CloseReport {
        let mut live = self.shared.live.subscribe();
        let before = live.borrow().len();
        self.shared.shut();
        let in_time = tokio::time::timeout(grace, live.wait_for(Vec::is_empty)).await.is_ok();
        let stragglers = if in_time { Vec::new() } else { self.shared.live.borrow().clone() };
        CloseReport { ended: before.saturating_sub(stragglers.len()), stragglers }
    }
}
