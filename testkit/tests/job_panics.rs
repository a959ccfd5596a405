//! Panics planted in jobs, in the drop of jobs and of what they computed cost a job its result and the work pool nothing:
//! every session still closes once, every place is given back, and every thread lives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its table, in its own functions too"
)]

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};
use zakura_testkit::{
    cluster::PATIENCE,
    sabotage::{Plan, asked_for, hush},
};
use zakura_transport::routine::{
    Job, JobCx, JobFault, LatePolicy, WorkEvent, WorkPolicy, WorkPool, WorkReport, events,
};

const THREADS: usize = 3;
const JOBS: usize = 8;

/// Says that it has begun and waits until it may go on, if there is a gate.
struct Count(usize, Option<Gate>);

struct Gate {
    began: SyncSender<()>,
    go: Receiver<()>,
}

impl Job for Count {
    type Out = usize;

    fn run(self, cx: &JobCx) -> Result<usize, JobFault> {
        if let Some(Gate { began, go }) = self.1 {
            // An error says that nobody stands at the gate.
            let _ = began.send(());
            let _ = go.recv();
            return Ok(self.0);
        }
        if cx.is_cancelled() { Err(JobFault::Cancelled) } else { Ok(self.0) }
    }
}

/// How an owner treats its session.
#[derive(Clone, Copy)]
enum Owner {
    Hears,
    Cancels,
    Leaves,
    IsLate,
}

/// One session to its end; its report, if its owner stays for it.
async fn session(pool: &WorkPool, owner: Owner) -> Option<WorkReport> {
    let (out, mut heard) = events(2);
    let is_late = matches!(owner, Owner::IsLate);
    let deadline = is_late.then_some(Duration::ZERO);
    let late = LatePolicy::Discard;
    let policy = WorkPolicy { deadline, late, max_parallel: THREADS, ..WorkPolicy::default() };
    let ((began, has_begun), (goes, go)) = (sync_channel(1), sync_channel::<()>(1));
    let mut gate = matches!(owner, Owner::Leaves).then_some(Gate { began, go });
    let jobs = (0..JOBS).map(|n| Count(n, gate.take())).collect();
    let session = pool.open(jobs, policy, out).unwrap();
    if matches!(owner, Owner::Leaves) {
        // An error says that it panicked before it began.
        let _ = has_begun.recv();
        drop(heard);
        drop(goes);
        return None;
    }
    let mut items = 0;
    loop {
        match heard.recv().await.expect("Closed comes before the end") {
            WorkEvent::Item { result, .. } => {
                items += 1;
                assert!(!matches!(result, Err(JobFault::Busy | JobFault::Closed)), "{result:?}");
                if matches!(owner, Owner::Cancels) {
                    session.cancel();
                }
            }
            WorkEvent::Closed { report, .. } => {
                assert_eq!(items + report.discarded, report.started, "{report:?}");
                assert_eq!(report.examined, JOBS);
                assert!(heard.recv().await.is_none(), "Closed is last");
                return Some(report);
            }
        }
    }
}

/// Waits until every place is given back.
async fn is_idle(pool: &WorkPool) {
    let looking = async {
        while pool.taken() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, looking).await;
    assert!(in_time.is_ok(), "{} places are never given back", pool.taken());
}

#[tokio::test]
async fn a_panicking_job_costs_itself() {
    hush();
    let plan = Plan::new(1, |_| true);
    let spawner = plan.spawner();
    let pool = WorkPool::new(&spawner, THREADS, 4).unwrap();
    let mut sessions = 0_u64;
    while plan.struck() < asked_for() / 5 {
        for owner in [Owner::Hears, Owner::Cancels, Owner::Leaves, Owner::IsLate] {
            plan.round(u64::MAX);
            let _ = session(&pool, owner).await;
            // A caller that leaves, and one that stays.
            let left = tokio::time::timeout(Duration::ZERO, pool.run(|| 7)).await;
            assert!(matches!(left, Err(_) | Ok(Ok(7) | Err(JobFault::Panicked(_)))), "{left:?}");
            let stayed = pool.run(|| 7).await;
            assert!(matches!(stayed, Ok(7) | Err(JobFault::Panicked(_))), "{stayed:?}");
            plan.rest();
            is_idle(&pool).await;
            assert_eq!(pool.run(|| 7).await, Ok(7));
            sessions += 1;
        }
    }
    let report = session(&pool, Owner::Hears).await.unwrap();
    assert_eq!(report.succeeded, JOBS, "{report:?}");
    let threads: usize = spawner.live().iter().map(|(_, live)| live).sum();
    assert_eq!(threads, THREADS, "a thread is gone");
    assert_eq!(pool.close(PATIENCE).await.ended, THREADS);
    assert_eq!(spawner.stop(PATIENCE).await.stragglers, [""; 0]);
    println!("{sessions} sessions of {JOBS} jobs:");
    for ((_, point), tally) in plan.tallies() {
        println!("  {point:<16} {:>9} passed {:>9} panicked", tally.passed, tally.struck);
    }
    for point in ["job run", "job drop", "job output drop"] {
        assert!(
            plan.tallies().get(&("work", point)).is_some_and(|tally| tally.struck > 0),
            "{point} never panicked"
        );
    }
}
