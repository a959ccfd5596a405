//! The work pool without threads, for simulations: jobs take modelled time and run in a defined order.

use super::{
    batch::Ready,
    pace::Pace,
    pool::{Shared, Taken, WorkPool},
    supervise::{TaskEnd, contain},
};
use crate::{
    Spawner,
    observe::{Text, rationed, target},
};
use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The name of the task on which an inline pool's jobs run.
const TASK: &str = "work-inline";

/// What one job is modelled to take.
#[derive(Debug, Clone)]
pub enum JobCost {
    /// Every job the same. Zero is allowed.
    Each(Duration),
    /// What this says when the job begins.
    Priced(Arc<dyn JobPrice>),
}

/// Says what jobs take, and may change its mind while a pool runs.
pub trait JobPrice: fmt::Debug + Send + Sync + 'static {
    /// What a job takes of which so many were opened together (one for [`WorkPool::run`]).
    fn of(&self, jobs: usize) -> Duration;
}

impl JobCost {
    fn of(&self, jobs: usize) -> Duration {
        match self {
            Self::Each(cost) => *cost,
            Self::Priced(price) => price.of(jobs),
        }
    }
}

/// The modelled time of an inline pool's only worker.
#[derive(Debug)]
pub(super) struct Modelled {
    cost: JobCost,
    /// Until when the jobs run so far have kept the worker. Timers tick in milliseconds: without this account, jobs of
    /// a tenth of one would each take a whole one.
    busy_until: Instant,
}

impl Modelled {
    /// Lets one job's cost pass. Every other task has its turn first, at no cost too.
    pub(super) async fn spend(&mut self, jobs: usize) {
        let cost = self.cost.of(jobs);
        self.busy_until = self.busy_until.checked_add(cost).unwrap_or(self.busy_until);
        tokio::task::yield_now().await;
        tokio::time::sleep_until(self.busy_until).await;
    }
}

impl WorkPool {
    /// A pool without threads, for `max_sessions` open sessions (at least one), with the API and the policies of
    /// [`new`](Self::new): jobs run one after another on a task of `spawner`, each after its modelled cost has passed in
    /// tokio's time, in the order in which a pool of one thread would take them. Results depend on nothing but what was
    /// asked and when.
    ///
    /// A job that does not return blocks the runtime: this pool is for simulations. A cost beyond what the clock can
    /// name counts as none.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn inline(spawner: &Spawner, cost: JobCost, max_sessions: usize) -> Self {
        let pool = Self::without_workers(max_sessions);
        let living = pool.living(TASK);
        spawner.spawn_critical(TASK, async move { work(&living.shared, cost).await });
        pool
    }
}

/// The task's life: what a thread's is, with waits in place of sleeps.
async fn work(shared: &Shared, cost: JobCost) {
    let rested = || Pace::Modelled(Modelled { cost: cost.clone(), busy_until: Instant::now() });
    let (mut finished, mut pace) = (None, rested());
    while let ControlFlow::Continue(taken) = shared.look(finished.take()) {
        let Some(Taken { id, ready, drained }) = taken else {
            // Whoever rings before this waits leaves a permit: no ring is lost.
            shared.rung.notified().await;
            pace = rested();
            continue;
        };
        // The job holds the session open; the drained line goes first, so that the job's end is the session's.
        drop(drained);
        run(ready, &mut pace).await;
        finished = Some(id);
    }
}

async fn run(ready: Box<dyn Ready>, pace: &mut Pace) {
    if let TaskEnd::Panicked(panic) = contain(ready.run(pace)).await {
        rationed!(error, target::TASK, panic = %Text::of(&panic), "a job's value panicked while it was dropped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Cancel,
        routine::{Job, JobCx, JobFault, WorkEvent, WorkPolicy, events},
    };
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::sync::mpsc;

    struct Count(usize);

    impl Job for Count {
        type Out = usize;

        fn run(self, _: &JobCx) -> Result<usize, JobFault> {
            Ok(self.0)
        }
    }

    /// When each of so many jobs was done.
    async fn times(pool: &WorkPool, jobs: usize) -> Vec<Duration> {
        let (out, mut heard) = events(2);
        let start = Instant::now();
        pool.open((0..jobs).map(Count).collect(), WorkPolicy::default(), out).unwrap();
        let mut times = Vec::new();
        while let Some(WorkEvent::Item { index, result, .. }) = heard.recv().await {
            assert_eq!((index, result), (times.len(), Ok(times.len())));
            times.push(start.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_take_their_modelled_time_one_after_another() {
        let pool = WorkPool::inline(&Spawner::new(), JobCost::Each(Duration::from_millis(70)), 4);
        assert_eq!(times(&pool, 3).await, [70, 140, 210].map(Duration::from_millis));
        // Rest is no credit: the next jobs take their time again.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(times(&pool, 2).await, [70, 140].map(Duration::from_millis));
        let start = Instant::now();
        assert_eq!(pool.run(|| 7).await, Ok(7));
        assert_eq!(start.elapsed(), Duration::from_millis(70));
    }

    #[tokio::test(start_paused = true)]
    async fn costs_below_the_clocks_tick_add_up() {
        let pool = WorkPool::inline(&Spawner::new(), JobCost::Each(Duration::from_micros(100)), 4);
        let last = times(&pool, 1_000).await.pop().unwrap();
        assert!((100..=101).contains(&last.as_millis()), "{last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_price_may_depend_on_how_many_jobs_were_opened_and_change() {
        #[derive(Debug, Default)]
        struct Dearer(AtomicU64);

        impl JobPrice for Dearer {
            fn of(&self, jobs: usize) -> Duration {
                let times = 1 + self.0.load(Ordering::Relaxed);
                Duration::from_millis(if jobs == 1 { 5 } else { 50 } * times)
            }
        }

        let price = Arc::new(Dearer::default());
        let cost = JobCost::Priced(Arc::<Dearer>::clone(&price));
        let pool = WorkPool::inline(&Spawner::new(), cost, 4);
        assert_eq!(times(&pool, 1).await, [5].map(Duration::from_millis));
        assert_eq!(times(&pool, 2).await, [50, 100].map(Duration::from_millis));
        price.0.store(1, Ordering::Relaxed);
        assert_eq!(times(&pool, 2).await, [100, 200].map(Duration::from_millis));
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_at_no_cost_still_let_everybody_else_have_a_turn() {
        let (spawner, cancel) = (Spawner::new(), Cancel::new());
        let pool = WorkPool::inline(&spawner, JobCost::Each(Duration::ZERO), 4);
        let (told, mut turns) = mpsc::channel(1_000);
        let end = cancel.clone();
        spawner.spawn("beside", async move {
            while !end.is_cancelled() {
                told.send(()).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        // Results wait in a channel wide enough: nothing but its own yielding interrupts the pool.
        let (out, mut heard) = events(128);
        pool.open((0..100).map(Count).collect(), WorkPolicy::default(), out).unwrap();
        while heard.recv().await.is_some() {}
        cancel.cancel();
        let mut count = 0;
        while turns.recv().await.is_some() {
            count += 1;
        }
        assert!(count >= 100, "only {count} turns beside 100 jobs");
    }
}
