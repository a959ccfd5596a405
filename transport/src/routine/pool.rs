//! Bounded CPU work off the runtime, on threads of its own.

use super::{
    batch::{Batch, Jobs, Outlet, Ready},
    job::{Busy, Job, WorkEvent, WorkPolicy, WorkSession},
    mailbox::EventSender,
    pace::{Pace, wait_on_thread},
    supervise::{bury, shielded},
    sync::{Condvar, Mutex},
};
use crate::{
    Cancel, Spawner,
    observe::{Text, rationed, target},
};
use std::{collections::VecDeque, fmt, io, sync::Arc};
use tokio::sync::{Semaphore, watch};

/// The threads' names. Thirty-two threads verify headers faster than one connection can bring them.
pub(super) const THREADS: [&str; 32] = [
    "work-0", "work-1", "work-2", "work-3", "work-4", "work-5", "work-6", "work-7", "work-8", "work-9",
    "work-10", "work-11", "work-12", "work-13", "work-14", "work-15", "work-16", "work-17", "work-18",
    "work-19", "work-20", "work-21", "work-22", "work-23", "work-24", "work-25", "work-26", "work-27",
    "work-28", "work-29", "work-30", "work-31",
];

/// A session in the queue.
pub(super) struct Line {
    id: u64,
    running: usize,
    max_parallel: usize,
    batch: Box<dyn Batch>,
}

/// Sessions with jobs not taken yet. They take turns, one job each.
struct Queue {
    lines: VecDeque<Line>,
    next_id: u64,
    is_closed: bool,
}

impl Queue {
    /// Lets a session run one more, if it has any left.
    fn finish(&mut self, id: Option<u64>) {
        if let Some(line) = id.and_then(|id| self.lines.iter_mut().find(|line| line.id == id)) {
            line.running = line.running.saturating_sub(1);
        }
    }

    /// The next job of the next session that may run one more; a session without further jobs leaves the queue.
    fn take(&mut self) -> Option<Taken> {
        let at = self.lines.iter().position(|line| line.running < line.max_parallel)?;
        let mut line = self.lines.remove(at)?;
        let (id, ready) = (line.id, line.batch.next());
        line.running = line.running.saturating_add(1);
        let drained = if line.batch.is_drained() {
            Some(line)
        } else {
            self.lines.push_back(line);
            None
        };
        ready.map(|ready| Taken { id, ready, drained })
    }
}

/// A job and its session. A line without further jobs comes along, to be dropped outside the lock.
pub(super) struct Taken {
    pub(super) id: u64,
    pub(super) ready: Box<dyn Ready>,
    pub(super) drained: Option<Line>,
}

pub(super) struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    /// Wakes the task of an inline pool, as `ready` wakes threads.
    #[cfg(feature = "simulation")]
    pub(super) rung: tokio::sync::Notify,
    /// Sessions and single jobs that may be open.
    pub(super) places: Arc<Semaphore>,
    max_sessions: usize,
    /// Callers that may wait for a place.
    pub(super) line: Semaphore,
    pub(super) cancel: Cancel,
    /// Which threads live.
    pub(super) live: watch::Sender<Vec<&'static str>>,
}

impl Shared {
    /// One thread's life. No lock is held while a job or a drop of the embedder's values runs.
    pub(super) fn work(&self) {
        let (mut finished, mut pace) = (None, Pace::Burnt);
        while let Some(Taken { id, ready, drained }) = self.next(finished) {
            // The job holds the session open; the drained line goes first, so that the job's end is the session's.
            drop(drained);
            if let Err(panic) = shielded(|| wait_on_thread(ready.run(&mut pace))) {
                rationed!(error, target::TASK, panic = %Text::of(&panic), "a job's value panicked while it was dropped");
            }
            finished = Some(id);
        }
    }

    /// Says which session's job was finished, and waits for the next one. `None` once the pool is closed.
    fn next(&self, finished: Option<u64>) -> Option<Taken> {
        let mut queue = self.queue.lock();
        queue.finish(finished);
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(taken) = queue.take() {
                if finished.is_some() && !queue.lines.is_empty() {
                    // The session whose job ended may run one more, and that need not be the one just taken.
                    self.ready.notify_one();
                }
                return Some(taken);
            }
            self.ready.wait(&mut queue);
        }
    }

    /// Says which session's job was finished, and takes the next one if there is one. Stops at a closed pool.
    #[cfg(feature = "simulation")]
    pub(super) fn look(&self, finished: Option<u64>) -> std::ops::ControlFlow<(), Option<Taken>> {
        let mut queue = self.queue.lock();
        queue.finish(finished);
        use std::ops::ControlFlow;
        if queue.is_closed { ControlFlow::Break(()) } else { ControlFlow::Continue(queue.take()) }
    }

    fn ring(&self) {
        self.ready.notify_all();
        #[cfg(feature = "simulation")]
        self.rung.notify_one();
    }

    /// Queues a batch; hands it back if the pool is closed.
    pub(super) fn submit(&self, batch: Box<dyn Batch>, max_parallel: usize) -> Result<(), Box<dyn Batch>> {
        {
            let mut queue = self.queue.lock();
            if queue.is_closed {
                return Err(batch);
            }
            let id = queue.next_id;
            queue.next_id = id.wrapping_add(1);
            queue.lines.push_back(Line { id, running: 0, max_parallel: max_parallel.max(1), batch });
        }
        self.ring();
        Ok(())
    }

    /// Takes no batch any more and forgets those queued.
    pub(super) fn shut(&self) {
        let forgotten = {
            let mut queue = self.queue.lock();
            queue.is_closed = true;
            std::mem::take(&mut queue.lines)
        };
        self.cancel.cancel();
        self.places.close();
        self.line.close();
        self.ring();
        forgotten.into_iter().for_each(|line| bury("job drop", line));
    }
}

/// Takes a worker off the list of the living, on every path.
pub(super) struct Living {
    pub(super) shared: Arc<Shared>,
    name: &'static str,
}

impl Drop for Living {
    fn drop(&mut self) {
        self.shared.live.send_modify(|live| live.retain(|name| *name != self.name));
    }
}

/// Threads for CPU work, and the sessions that share them. Clones share one pool.
///
/// A session never blocks its owner, and its owner never waits for a worker: results come as events.
#[derive(Clone)]
pub struct WorkPool {
    pub(super) shared: Arc<Shared>,
    _owned: Arc<Owned>,
}

/// Lets the threads go when the last clone of the pool is dropped.
struct Owned(Arc<Shared>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.shut();
    }
}

impl fmt::Debug for WorkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkPool").field("live", &*self.shared.live.borrow()).finish_non_exhaustive()
    }
}

impl WorkPool {
    /// A pool of `threads` threads (one to 32) for `max_sessions` open sessions (at least one).
    ///
    /// Its threads end after [`close`](Self::close), or when the last clone of the pool is dropped.
    ///
    /// # Errors
    ///
    /// What the operating system says if it starts no thread; those already started are let go.
    pub fn new(spawner: &Spawner, threads: usize, max_sessions: usize) -> io::Result<Self> {
        let pool = Self::without_workers(max_sessions);
        for name in THREADS.into_iter().take(threads.max(1)) {
            let living = pool.living(name);
            spawner.thread(name, move || living.shared.work())?;
        }
        Ok(pool)
    }

    pub(super) fn without_workers(max_sessions: usize) -> Self {
        let max_sessions = max_sessions.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { lines: VecDeque::new(), next_id: 0, is_closed: false }),
            ready: Condvar::new(),
            #[cfg(feature = "simulation")]
            rung: tokio::sync::Notify::new(),
            places: Arc::new(Semaphore::new(max_sessions)),
            max_sessions,
            line: Semaphore::new(max_sessions),
            cancel: Cancel::new(),
            live: watch::Sender::new(Vec::new()),
        });
        Self { _owned: Arc::new(Owned(Arc::clone(&shared))), shared }
    }

    /// Puts a worker on the list of the living.
    pub(super) fn living(&self, name: &'static str) -> Living {
        self.shared.live.send_modify(|live| live.push(name));
        Living { shared: Arc::clone(&self.shared), name }
    }

    /// Places taken by sessions and single jobs.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.shared.max_sessions.saturating_sub(self.shared.places.available_permits())
    }

    /// Opens a session: its jobs run as threads come free, its results and one `Closed` go to `out` (made by
    /// [`events`](super::events())). Never blocks.
    ///
    /// A slot of `out` is kept for `Closed` at once, and one slot beyond the kept ones must be free for results.
    /// A full channel holds the pool's threads back, so its owner must keep reading; if it is dropped the session
    /// cancels itself.
    ///
    /// # Errors
    ///
    /// [`Busy`] if too many sessions are open, `out` has not two free slots or is closed, or the pool is closed.
    pub fn open<J: Job>(
        &self,
        jobs: Vec<J>,
        policy: WorkPolicy,
        out: EventSender<WorkEvent<J::Out>>,
    ) -> Result<WorkSession, Busy> {
        let place = Arc::clone(&self.shared.places).try_acquire_owned().map_err(|_| Busy)?;
        let out = out.into_queue();
        let room = out.clone().try_reserve_owned().map_err(|_| Busy)?;
        // Taken and let go: were every slot kept for a `Closed`, no result could ever pass.
        let spare = out.try_reserve().map_err(|_| Busy)?;
        drop(spare);
        let jobs = Jobs::new(jobs, &policy, &self.shared.cancel, Outlet { out, room }, place);
        let session = jobs.session();
        if jobs.is_drained() {
            return Ok(session);
        }
        // A pool closed meanwhile hands the jobs back; dropping them skips them and sends `Closed`.
        drop(self.shared.submit(Box::new(jobs), policy.max_parallel));
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routine::{EventReceiver, JobCx, JobFault, LatePolicy, WorkReport, events};
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    const GRACE: Duration = Duration::from_secs(20);

    type Work = Box<dyn FnOnce(&JobCx) -> Result<u32, JobFault> + Send>;

    struct Do(Work);

    impl Job for Do {
        type Out = u32;

        fn run(self, cx: &JobCx) -> Result<u32, JobFault> {
            (self.0)(cx)
        }
    }

    fn job(work: impl FnOnce(&JobCx) -> Result<u32, JobFault> + Send + 'static) -> Do {
        Do(Box::new(work))
    }

    fn pool(threads: usize, sessions: usize) -> WorkPool {
        WorkPool::new(&Spawner::new(), threads, sessions).unwrap()
    }

    /// Where a test runs: on a thread in real time, or inline in virtual time. What a pool promises holds on both.
    #[derive(Clone, Copy, PartialEq)]
    enum Stage {
        Thread,
        #[cfg(feature = "simulation")]
        Inline,
    }

    /// What every job of an inline pool takes here.
    #[cfg(feature = "simulation")]
    const COST: Duration = Duration::from_secs(10);

    impl Stage {
        /// A pool on which one job runs at a time.
        fn pool(self, spawner: &Spawner, sessions: usize) -> WorkPool {
            match self {
                Self::Thread => WorkPool::new(spawner, 1, sessions).unwrap(),
                #[cfg(feature = "simulation")]
                Self::Inline => WorkPool::inline(spawner, super::super::JobCost::Each(COST), sessions),
            }
        }
    }

    /// Holds a job between its beginning and its end. Inline the job's cost does that.
    #[derive(Clone)]
    struct Hold(Stage, Arc<Barrier>);

    impl Hold {
        fn new(stage: Stage) -> Self {
            Self(stage, Arc::new(Barrier::new(2)))
        }

        /// The job is here while it is held.
        fn here(&self) {
            if self.0 == Stage::Thread {
                self.1.wait();
                self.1.wait();
            }
        }

        async fn began(&self) {
            match self.0 {
                Stage::Thread => drop(self.1.wait()),
                #[cfg(feature = "simulation")]
                Stage::Inline => tokio::time::sleep(COST / 2).await,
            }
        }

        fn let_go(&self) {
            if self.0 == Stage::Thread {
                self.1.wait();
            }
        }
    }

    /// A job that is held.
    fn held(hold: &Hold) -> Do {
        let hold = hold.clone();
        job(move |_| {
            hold.here();
            Ok(0)
        })
    }

    macro_rules! on_both {
        ($($name:ident),* $(,)?) => {
            mod on_a_thread {
                use super::Stage;
                $(
                    #[tokio::test]
                    async fn $name() {
                        super::$name(Stage::Thread).await;
                    }
                )*
            }

            #[cfg(feature = "simulation")]
            mod inline {
                use super::Stage;
                $(
                    #[tokio::test(start_paused = true)]
                    async fn $name() {
                        super::$name(Stage::Inline).await;
                    }
                )*
            }
        };
    }

    on_both! {
        a_panicking_job_is_that_jobs_fault_only_and_closed_is_last,
        a_channel_full_of_items_never_loses_closed,
        busy_instead_of_blocking,
        sessions_cannot_fill_a_channel_with_kept_slots,
        cancel_skips_the_rest_and_asks_the_running,
        a_session_without_a_receiver_cancels_itself,
        the_deadline_is_soft_for_what_runs_and_hard_for_what_waits,
        closing_skips_what_waits_and_names_who_does_not_end,
        single_jobs_wait_for_a_place_in_a_bounded_line,
        dropping_the_pool_lets_its_workers_go,
        sessions_take_turns_one_job_each,
    }

    /// Reads a session to its end: results by index, and the report.
    async fn hear(
        heard: &mut EventReceiver<WorkEvent<u32>>,
        session: &WorkSession,
    ) -> (Vec<(usize, bool, Result<u32, JobFault>)>, WorkReport) {
        let mut items = Vec::new();
        while let Some(event) = heard.recv().await {
            match event {
                WorkEvent::Item { fence, index, late, result } => {
                    assert_eq!(fence, session.fence());
                    items.push((index, late, result));
                }
                WorkEvent::Closed { fence, report } => {
                    assert_eq!(fence, session.fence());
                    assert_eq!(
                        report.examined,
                        report.started
                            + report.skipped_late
                            + report.skipped_cancelled
                            + report.skipped_closed
                    );
                    assert_eq!(report.started, report.succeeded + report.failed);
                    items.sort_by_key(|(index, ..)| *index);
                    return (items, report);
                }
            }
        }
        panic!("the channel ended without Closed");
    }

    async fn a_panicking_job_is_that_jobs_fault_only_and_closed_is_last(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 4);
        let (out, mut heard) = events(2);
        let jobs = (0..9).map(|n| job(move |_| if n == 4 { panic!("job {n}") } else { Ok(n) })).collect();
        let session = pool.open(jobs, WorkPolicy::default(), out).unwrap();
        let (items, report) = hear(&mut heard, &session).await;
        assert_eq!(items.len(), 9);
        for (index, late, result) in items {
            let fault = Err(JobFault::Panicked("job 4".into()));
            assert_eq!(result, if index == 4 { fault } else { Ok(u32::try_from(index).unwrap()) });
            assert!(!late);
        }
        let expected =
            WorkReport { examined: 9, started: 9, succeeded: 8, failed: 1, ..WorkReport::default() };
        assert_eq!(report, expected);
        assert!(heard.recv().await.is_none(), "nothing after Closed");
        assert_eq!(pool.close(GRACE).await.ended, 1);
    }

    async fn a_channel_full_of_items_never_loses_closed(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 2);
        let (out, mut heard) = events(2);
        let session =
            pool.open((0..20).map(|n| job(move |_| Ok(n))).collect(), WorkPolicy::default(), out).unwrap();
        let (items, report) = hear(&mut heard, &session).await;
        assert_eq!((items.len(), report.succeeded), (20, 20));
    }

    async fn busy_instead_of_blocking(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 2);
        let (out, mut heard) = events(3);
        let open = || pool.open(vec![job(|_| Ok(0))], WorkPolicy::default(), out.clone());
        let hold = Hold::new(stage);
        let first = pool.open(vec![held(&hold)], WorkPolicy::default(), out.clone()).unwrap();
        let second = open().unwrap();
        hold.began().await;
        assert_eq!(open().unwrap_err(), Busy, "both places are taken");
        hold.let_go();
        assert_eq!(hear(&mut heard, &first).await.1.succeeded, 1);
        assert_eq!(hear(&mut heard, &second).await.1.succeeded, 1);
        let (narrow, _heard) = events(1);
        let refused = pool.open(vec![job(|_| Ok(0))], WorkPolicy::default(), narrow);
        let reason = "the one slot would be kept for Closed, and no item could pass";
        assert_eq!(refused.unwrap_err(), Busy, "{reason}");
    }

    async fn sessions_cannot_fill_a_channel_with_kept_slots(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 8);
        let (out, mut heard) = events(3);
        let hold = Hold::new(stage);
        let mut opened = Vec::new();
        while let Ok(session) = pool.open(vec![held(&hold)], WorkPolicy::default(), out.clone()) {
            opened.push(session.fence());
        }
        assert_eq!(opened.len(), 2, "the third slot stays for items");
        let mut closed = Vec::new();
        for _ in &opened {
            hold.began().await;
            hold.let_go();
            while !matches!(heard.recv().await, Some(WorkEvent::Closed { fence, .. }) if {
                closed.push(fence);
                true
            }) {}
        }
        assert_eq!(closed, opened);
    }

    async fn cancel_skips_the_rest_and_asks_the_running(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 1);
        let (out, mut heard) = events(4);
        let hold = Hold::new(stage);
        let kept = hold.clone();
        let patient = job(move |cx| {
            kept.here();
            if cx.is_cancelled() { Err(JobFault::Cancelled) } else { Ok(0) }
        });
        let session = pool.open(vec![patient, job(|_| Ok(1))], WorkPolicy::default(), out).unwrap();
        hold.began().await;
        session.cancel();
        hold.let_go();
        let (items, report) = hear(&mut heard, &session).await;
        assert_eq!(items, [(0, false, Err(JobFault::Cancelled))]);
        assert_eq!((report.started, report.failed, report.skipped_cancelled), (1, 1, 1));
    }

    async fn a_session_without_a_receiver_cancels_itself(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 1);
        let (out, heard) = events(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let hold = Hold::new(stage);
        let jobs = (0..50).map(|n| {
            let (ran, hold) = (Arc::clone(&ran), hold.clone());
            job(move |_| {
                if n == 0 {
                    hold.here();
                }
                ran.fetch_add(1, Ordering::SeqCst);
                Ok(0)
            })
        });
        pool.open(jobs.collect(), WorkPolicy::default(), out).unwrap();
        hold.began().await;
        drop(heard);
        hold.let_go();
        // The place is free again only after the session has closed.
        assert_eq!(pool.run(|| 7).await, Ok(7));
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    async fn the_deadline_is_soft_for_what_runs_and_hard_for_what_waits(stage: Stage) {
        if stage == Stage::Thread {
            // Nothing here waits for a timer, so that the clock stands still beside the thread.
            tokio::time::pause();
        }
        for late in [LatePolicy::Deliver, LatePolicy::Discard] {
            let pool = stage.pool(&Spawner::new(), 1);
            let (out, mut heard) = events(4);
            let hold = Hold::new(stage);
            let deadline = Some(Duration::from_secs(6));
            let policy = WorkPolicy { deadline, late, max_parallel: 1, ..WorkPolicy::default() };
            let session = pool.open(vec![held(&hold), job(|_| Ok(1))], policy, out).unwrap();
            hold.began().await;
            tokio::time::advance(Duration::from_secs(7)).await;
            hold.let_go();
            let (items, report) = hear(&mut heard, &session).await;
            let discarded = usize::from(late == LatePolicy::Discard);
            assert_eq!(items.len(), 1 - discarded);
            assert!(items.iter().all(|(index, late, _)| *index == 0 && *late));
            let expected = WorkReport {
                examined: 2,
                started: 1,
                succeeded: 1,
                skipped_late: 1,
                late: 1,
                discarded,
                ..WorkReport::default()
            };
            assert_eq!(report, expected);
        }
    }

    #[tokio::test]
    async fn one_session_does_not_hold_the_whole_pool() {
        let pool = pool(2, 2);
        let (out, mut heard) = events(4);
        // A gate for each job: two that run at once do not let each other through.
        let gates = [0, 1].map(|_| Arc::new(Barrier::new(2)));
        let hold = |gate: &Arc<Barrier>| {
            let gate = Arc::clone(gate);
            job(move |_| {
                gate.wait();
                Ok(0)
            })
        };
        let narrow = WorkPolicy { max_parallel: 1, ..WorkPolicy::default() };
        let session = pool.open(gates.iter().map(hold).collect(), narrow, out).unwrap();
        // Twice: the first may come before the thread has seen that the session has another job.
        for n in 0..2 {
            let other = tokio::time::timeout(GRACE, pool.run(move || n)).await;
            assert_eq!(other, Ok(Ok(n)), "the second thread is free though the session has jobs");
        }
        for gate in &gates {
            gate.wait();
        }
        assert_eq!(hear(&mut heard, &session).await.1.succeeded, 2);
    }

    async fn closing_skips_what_waits_and_names_who_does_not_end(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 2);
        let (out, mut heard) = events(4);
        let hold = Hold::new(stage);
        let session =
            pool.open(vec![held(&hold), job(|_| Ok(1))], WorkPolicy::default(), out.clone()).unwrap();
        hold.began().await;
        let name = if stage == Stage::Thread { "work-0" } else { "work-inline" };
        assert_eq!(pool.close(Duration::ZERO).await.stragglers, [name]);
        assert_eq!(pool.open(vec![job(|_| Ok(1))], WorkPolicy::default(), out).unwrap_err(), Busy);
        assert_eq!(pool.run(|| 1).await, Err(JobFault::Closed));
        hold.let_go();
        let (items, report) = hear(&mut heard, &session).await;
        assert_eq!((items.len(), report.succeeded, report.skipped_closed), (1, 1, 1));
        assert_eq!(pool.close(GRACE).await.stragglers, [""; 0]);
    }

    async fn single_jobs_wait_for_a_place_in_a_bounded_line(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 1);
        let hold = Hold::new(stage);
        let kept = hold.clone();
        let mut first = tokio_test::task::spawn(pool.run(move || kept.here()));
        tokio_test::assert_pending!(first.poll());
        let mut second = tokio_test::task::spawn(pool.run(|| panic!("single")));
        tokio_test::assert_pending!(second.poll());
        assert_eq!(pool.run(|| ()).await, Err(JobFault::Busy));
        hold.began().await;
        hold.let_go();
        assert!(first.await.is_ok());
        let end: Result<(), _> = second.await;
        assert_eq!(end, Err(JobFault::Panicked("single".into())));
    }

    async fn dropping_the_pool_lets_its_workers_go(stage: Stage) {
        let spawner = Spawner::new();
        let pool = stage.pool(&spawner, 1);
        assert_eq!(spawner.live().len(), 1);
        drop(pool);
        assert_eq!(spawner.stop(GRACE).await.stragglers, [""; 0]);
    }

    async fn sessions_take_turns_one_job_each(stage: Stage) {
        let pool = stage.pool(&Spawner::new(), 8);
        let (out, mut heard) = events(32);
        let hold = Hold::new(stage);
        let first = pool.open(vec![held(&hold)], WorkPolicy::default(), out.clone()).unwrap();
        hold.began().await;
        for base in [10, 20, 30] {
            let jobs = (0..3).map(|n| job(move |_| Ok(base + n))).collect();
            pool.open(jobs, WorkPolicy::default(), out.clone()).unwrap();
        }
        hold.let_go();
        assert_eq!(hear(&mut heard, &first).await.1.succeeded, 1);
        drop(out);
        let mut order = Vec::new();
        while let Some(event) = heard.recv().await {
            if let WorkEvent::Item { result, .. } = event {
                order.push(result.unwrap());
            }
        }
        assert_eq!(order, [10, 20, 30, 11, 21, 31, 12, 22, 32]);
    }

    #[tokio::test]
    async fn several_threads_share_one_session() {
        let pool = pool(3, 2);
        let (out, mut heard) = events(4);
        let gate = Arc::new(Barrier::new(3));
        let jobs = (0..3).map(|n| {
            let gate = Arc::clone(&gate);
            job(move |_| {
                gate.wait();
                Ok(n)
            })
        });
        let session = pool.open(jobs.collect(), WorkPolicy::default(), out).unwrap();
        assert_eq!(hear(&mut heard, &session).await.1.succeeded, 3);
        assert_eq!(pool.close(GRACE).await.ended, 3);
    }
}
