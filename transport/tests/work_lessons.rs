//! What a system learnt that moved heavy work off its owner, held against the work pool: the table is in `routine/job.rs`.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "jobs panic on purpose, and a test that cannot go on has failed"
)]

use proptest::prelude::*;
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use zakura_transport::{
    Spawner,
    routine::{
        EventReceiver, Job, JobCost, JobCx, JobFault, LatePolicy, Skipped, WorkEvent, WorkPolicy, WorkPool,
        WorkReport, events,
    },
};

const GRACE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Works,
    Fails,
    Panics,
    PanicsInDrop,
    GivesUp,
}

/// A job of some kind; it counts its runs.
struct Work(Kind, Arc<AtomicUsize>);

impl Job for Work {
    type Out = ();

    fn run(mut self, cx: &JobCx) -> Result<(), JobFault> {
        self.1.fetch_add(1, Ordering::SeqCst);
        match std::mem::replace(&mut self.0, Kind::Works) {
            Kind::Works => Ok(()),
            Kind::Fails => Err(JobFault::Cancelled),
            Kind::Panics => panic!("planted"),
            Kind::PanicsInDrop => {
                self.0 = Kind::PanicsInDrop;
                Ok(())
            }
            Kind::GivesUp if cx.is_cancelled() => Err(JobFault::Cancelled),
            Kind::GivesUp => Ok(()),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if matches!(self.0, Kind::PanicsInDrop) && !std::thread::panicking() {
            panic!("planted, in a drop");
        }
    }
}

fn works(count: usize) -> Vec<Work> {
    let runs = Arc::new(AtomicUsize::new(0));
    (0..count).map(|_| Work(Kind::Works, Arc::clone(&runs))).collect()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn inline(cost: Duration) -> WorkPool {
    WorkPool::inline(&Spawner::new(), JobCost::Each(cost), 4)
}

#[tokio::test(start_paused = true)]
async fn the_end_marker_is_fenced_like_every_item() {
    let (pool, (out, mut heard)) = (inline(secs(1)), events(16));
    let sessions = [1, 2, 3].map(|jobs| pool.open(works(jobs), WorkPolicy::default(), out.clone()).unwrap());
    drop(out);
    let (mut items, mut ends) = (Vec::new(), Vec::new());
    while let Some(event) = heard.recv().await {
        match event {
            WorkEvent::Item { fence, .. } => {
                assert!(!ends.iter().any(|(ended, _)| *ended == fence), "an item after its session's end");
                items.push(fence);
            }
            WorkEvent::Closed { fence, report } => ends.push((fence, report.examined)),
        }
    }
    for (session, jobs) in sessions.iter().zip(1..) {
        assert_eq!(items.iter().filter(|fence| **fence == session.fence()).count(), jobs);
        assert_eq!(ends.iter().filter(|end| **end == (session.fence(), jobs)).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fence_is_fresh_and_newer_though_the_work_is_the_same() {
    let (pool, (out, _heard)) = (inline(Duration::ZERO), events(64));
    let fences: Vec<_> =
        (0..4).map(|_| pool.open(works(2), WorkPolicy::default(), out.clone()).unwrap().fence()).collect();
    assert!(fences.is_sorted_by(|older, newer| older < newer), "{fences:?}");
}

#[tokio::test(start_paused = true)]
async fn values_that_panic_when_they_are_dropped_still_close_their_session() {
    let runs = Arc::new(AtomicUsize::new(0));
    let (pool, (out, mut heard)) = (inline(secs(1)), events(16));
    let kinds = [Kind::PanicsInDrop, Kind::Works, Kind::Panics];
    let jobs = kinds.into_iter().map(|kind| Work(kind, Arc::clone(&runs))).collect();
    let session = pool.open(jobs, WorkPolicy::default(), out).unwrap();
    let mut last = None;
    while let Some(event) = heard.recv().await {
        last = Some(event);
    }
    let Some(WorkEvent::Closed { fence, report }) = last else { panic!("{last:?}") };
    assert_eq!((fence, report.succeeded, report.failed), (session.fence(), 1, 2));
    assert_eq!(pool.run(|| 7).await, Ok(7), "the worker lives");
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_a_running_job_is_asked_to_give_up_and_not_before() {
    for (grace, gives_up) in [(secs(2), true), (secs(6), false)] {
        let (pool, (out, mut heard)) = (inline(secs(10)), events(4));
        let policy = WorkPolicy { deadline: Some(secs(5)), grace, ..WorkPolicy::default() };
        let jobs = vec![Work(Kind::GivesUp, Arc::default()), Work(Kind::GivesUp, Arc::default())];
        pool.open(jobs, policy, out).unwrap();
        let Some(WorkEvent::Item { late, result, .. }) = heard.recv().await else { panic!() };
        assert_eq!((late, result.is_err()), (true, gives_up));
        let Some(WorkEvent::Closed { report, .. }) = heard.recv().await else { panic!() };
        assert_eq!((report.started, report.late, report.skipped_late), (1, 1, 1), "late, not cancelled");
    }
}

/// A job that waits at the gate when it has begun, and again before it ends.
struct Hangs(Arc<Barrier>);

impl Job for Hangs {
    type Out = ();

    fn run(self, _: &JobCx) -> Result<(), JobFault> {
        self.0.wait();
        self.0.wait();
        Ok(())
    }
}

#[tokio::test]
async fn the_owner_goes_on_while_a_worker_hangs() {
    let (pool, gate) = (WorkPool::new(&Spawner::new(), 1, 2).unwrap(), Arc::new(Barrier::new(2)));
    let (out, mut heard) = events(4);
    let session = pool.open(vec![Hangs(Arc::clone(&gate))], WorkPolicy::default(), out.clone()).unwrap();
    gate.wait();
    let mut skipped = Skipped::default();
    // All of this on the one thread of this runtime, while the pool's only thread hangs.
    pool.open(vec![Hangs(Arc::clone(&gate))], WorkPolicy::default(), out.clone()).unwrap().cancel();
    for _ in 0..3 {
        let refused = pool.open(works(1), WorkPolicy::default(), events(4).0);
        skipped.add(refused.unwrap_err().into());
    }
    assert_eq!(skipped, Skipped { busy: 3, ..Skipped::default() }, "skipped and counted");
    session.cancel();
    drop(session);
    tokio::task::yield_now().await;
    assert!(heard.try_recv().is_none(), "nothing was waited for");
    gate.wait();
    assert!(matches!(heard.recv().await, Some(WorkEvent::Item { result: Ok(()), .. })));
}

fn add_up(report: &WorkReport) {
    let skipped = report.skipped_late + report.skipped_cancelled + report.skipped_closed;
    assert_eq!(report.examined, report.started + skipped, "{report:?}");
    assert_eq!(report.started, report.succeeded + report.failed, "{report:?}");
    assert!(report.late <= report.started && report.discarded <= report.started, "{report:?}");
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Nothing,
    Cancel,
    Leave,
    Close,
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        4 => Just(Kind::Works),
        1 => Just(Kind::Fails),
        1 => Just(Kind::Panics),
        1 => Just(Kind::PanicsInDrop),
        1 => Just(Kind::GivesUp),
    ];
    proptest::collection::vec(kind, 0..30)
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![Just(Act::Nothing), Just(Act::Cancel), Just(Act::Leave), Just(Act::Close)]
}

/// What the owner of a session heard: items, late items, the report.
async fn hear(mut heard: EventReceiver<WorkEvent<()>>) -> (usize, usize, WorkReport) {
    let (mut items, mut late_items, mut end) = (0, 0, None);
    while let Some(event) = heard.recv().await {
        assert!(end.is_none(), "something after Closed: {event:?}");
        match event {
            WorkEvent::Item { late, .. } => (items, late_items) = (items + 1, late_items + usize::from(late)),
            WorkEvent::Closed { report, .. } => end = Some(report),
        }
    }
    (items, late_items, end.expect("every session closes"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sums_add_up_whatever_happens(
        kinds in kinds(),
        cost in 0u64..20,
        deadline in proptest::option::of(0u64..300),
        grace in 0u64..100,
        delivers in any::<bool>(),
        width in 2usize..6,
        (act, at) in (acts(), 0u64..400),
    ) {
        let millis = Duration::from_millis;
        let late = if delivers { LatePolicy::Deliver } else { LatePolicy::Discard };
        let policy = WorkPolicy { deadline: deadline.map(millis), grace: millis(grace), late, max_parallel: 1 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (pool, (out, heard)) = (inline(millis(cost)), events(width));
            let (count, runs, begin) = (kinds.len(), Arc::new(AtomicUsize::new(0)), Instant::now());
            let jobs = kinds.into_iter().map(|kind| Work(kind, Arc::clone(&runs))).collect();
            let session = pool.open(jobs, policy, out).unwrap();
            if matches!(act, Act::Leave) {
                sleep(millis(at)).await;
                drop(heard);
            } else {
                let (spawner, (told, mut ended)) = (Spawner::new(), mpsc::channel(1));
                spawner.spawn("owner", async move { told.send(hear(heard).await).await.unwrap() });
                sleep(millis(at)).await;
                match act {
                    Act::Cancel => session.cancel(),
                    Act::Close => assert!(pool.close(GRACE).await.stragglers.is_empty()),
                    Act::Nothing | Act::Leave => {}
                }
                let (items, late_items, report) = ended.recv().await.unwrap();
                add_up(&report);
                assert_eq!((report.examined, report.started), (count, runs.load(Ordering::SeqCst)));
                assert_eq!(items, report.started - report.discarded);
                assert_eq!(late_items, if delivers { report.late } else { 0 });
                assert!(deadline.is_some() || report.late + report.skipped_late == 0);
                assert!(matches!(act, Act::Cancel) || report.skipped_cancelled == 0);
                assert!(matches!(act, Act::Close) || report.skipped_closed == 0);
            }
            // Whatever happened, the place is free again, unless the pool is closed.
            let after = pool.run(|| 7).await;
            assert_eq!(after, if matches!(act, Act::Close) { Err(JobFault::Closed) } else { Ok(7) });
            assert!(begin.elapsed() < secs(2));
        });
    }

    #[test]
    fn the_sums_add_up_on_threads_too(kinds in kinds(), threads in 1usize..4, cancel in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let pool = WorkPool::new(&Spawner::new(), threads, 2).unwrap();
            let (out, heard) = events(2);
            let (count, runs) = (kinds.len(), Arc::new(AtomicUsize::new(0)));
            let jobs = kinds.into_iter().map(|kind| Work(kind, Arc::clone(&runs))).collect();
            let session = pool.open(jobs, WorkPolicy::default(), out).unwrap();
            if cancel {
                session.cancel();
            }
            let (items, _, report) = hear(heard).await;
            add_up(&report);
            assert_eq!((report.examined, report.started), (count, runs.load(Ordering::SeqCst)));
            assert_eq!(items, report.started);
        });
    }
}
