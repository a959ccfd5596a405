//! Starting and stopping tell the truth. All in virtual time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed, and services panic on purpose"
)]

use std::{convert::Infallible, future::pending, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use zakura_transport::{
    Spawner,
    lifecycle::{
        DuplicateName, Lifecycle, Managed, Running, START_WINDOW, ServiceCx, ServiceFailure, StartReport,
        StopLimits, StopReport, Why,
    },
};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(&'static str);

/// How a test's service comes up.
#[derive(Clone, Copy)]
enum Up {
    /// Ready after so long.
    After(Duration),
    /// It never says anything.
    Silent,
    Fails(&'static str),
    Panics,
    Ends,
}

/// How it ends, once it is ready.
#[derive(Clone, Copy)]
enum Down {
    /// So long after it was asked.
    After(Duration),
    Never,
    Fails(&'static str),
    Panics,
    /// By itself, so long after it was ready.
    FailsAfter(Duration),
}

struct Part {
    name: &'static str,
    is_required: bool,
    up: Up,
    down: Down,
    log: mpsc::Sender<String>,
}

/// Says in the log that its service is gone: dropped with all the service owned.
struct Owned(&'static str, mpsc::Sender<String>);

impl Drop for Owned {
    fn drop(&mut self) {
        // Not every test reads on.
        let _ = self.1.try_send(format!("-{}", self.0));
    }
}

impl Managed for Part {
    type Error = Broken;

    fn name(&self) -> &'static str {
        self.name
    }

    fn is_required(&self) -> bool {
        self.is_required
    }

    async fn run(self, cx: ServiceCx) -> Result<(), Broken> {
        let _owned = Owned(self.name, self.log.clone());
        match self.up {
            Up::After(wait) => tokio::time::sleep(wait).await,
            Up::Silent => {
                cx.cancel().cancelled().await;
                return Ok(());
            }
            Up::Fails(why) => return Err(Broken(why)),
            Up::Panics => panic!("at the start"),
            Up::Ends => return Ok(()),
        }
        let _ = self.log.try_send(format!("+{}", self.name));
        cx.ready();
        if let Down::FailsAfter(wait) = self.down {
            tokio::time::sleep(wait).await;
            return Err(Broken("worn out"));
        }
        cx.cancel().cancelled().await;
        match self.down {
            Down::After(wait) => tokio::time::sleep(wait).await,
            Down::Never => pending().await,
            Down::Fails(why) => return Err(Broken(why)),
            Down::Panics => panic!("at the stop"),
            Down::FailsAfter(_) => unreachable!("it ended by itself"),
        }
        Ok(())
    }
}

/// A node of parts, and what they did.
struct Stage {
    spawner: Spawner,
    lifecycle: Lifecycle,
    log: mpsc::Sender<String>,
    told: mpsc::Receiver<String>,
}

impl Stage {
    fn new(limits: StopLimits) -> Self {
        let (log, told) = mpsc::channel(64);
        Self { spawner: Spawner::new(), lifecycle: Lifecycle::new(limits), log, told }
    }

    fn part(mut self, name: &'static str, up: Up, down: Down) -> Self {
        self.add(name, true, up, down);
        self
    }

    fn optional(mut self, name: &'static str, up: Up, down: Down) -> Self {
        self.add(name, false, up, down);
        self
    }

    fn add(&mut self, name: &'static str, is_required: bool, up: Up, down: Down) {
        let log = self.log.clone();
        self.lifecycle.add(Part { name, is_required, up, down, log }).unwrap();
    }

    async fn start(self) -> (Running, StartReport, Spawner, mpsc::Receiver<String>) {
        let (running, report) = self.lifecycle.start(&self.spawner).await.unwrap();
        (running, report, self.spawner, self.told)
    }
}

/// What the parts did so far, in order.
fn told(log: &mut mpsc::Receiver<String>) -> Vec<String> {
    std::iter::from_fn(|| log.try_recv().ok()).collect()
}

fn failure(name: &'static str, why: &str) -> ServiceFailure {
    ServiceFailure { name, why: Why::Failed(why.to_owned()) }
}

const AT_ONCE: Up = Up::After(Duration::ZERO);
const PROMPT: Down = Down::After(Duration::ZERO);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn started_is_what_a_service_says_of_itself() {
    let begin = Instant::now();
    let stage = Stage::new(StopLimits::RECOMMENDED)
        .part("store", Up::After(secs(3)), PROMPT)
        .part("reactor", Up::After(secs(4)), PROMPT)
        .part("socket", AT_ONCE, PROMPT);
    let (running, report, spawner, mut log) = stage.start().await;
    // Seven seconds in all: each has a window of its own, and nobody waits for the window to pass.
    assert_eq!(begin.elapsed(), secs(7));
    assert_eq!(report, StartReport { ready: vec!["store", "reactor", "socket"], ..StartReport::default() });
    assert_eq!(spawner.live(), [("reactor", 1), ("socket", 1), ("store", 1)]);
    assert_eq!(running.stop().await.stopped, ["socket", "reactor", "store"]);
    assert_eq!(told(&mut log), ["+store", "+reactor", "+socket", "-socket", "-reactor", "-store"]);
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_readiness() {
    let begin = Instant::now();
    let stage = Stage::new(StopLimits::RECOMMENDED)
        .optional("mute", Up::Silent, PROMPT)
        .optional("late", Up::After(START_WINDOW + secs(1)), PROMPT)
        .part("last", AT_ONCE, PROMPT);
    let (running, report, ..) = stage.start().await;
    assert_eq!(begin.elapsed(), START_WINDOW * 2);
    let (ready, timed_out) = (vec!["last"], vec!["mute", "late"]);
    assert_eq!(report, StartReport { ready, timed_out, ..StartReport::default() });
    // Who is not required goes on, and is stopped like the others.
    assert_eq!(running.stop().await.stopped, ["last", "late", "mute"]);

    let stage =
        Stage::new(StopLimits::RECOMMENDED).part("first", AT_ONCE, PROMPT).part("mute", Up::Silent, PROMPT);
    let error = stage.lifecycle.start(&stage.spawner).await.unwrap_err();
    assert_eq!(error.failure, ServiceFailure { name: "mute", why: Why::Silent });
    assert_eq!((error.report.timed_out, error.report.ready), (vec!["mute"], vec!["first"]));
    assert_eq!(error.rollback.stopped, ["mute", "first"]);
    assert_eq!(stage.spawner.live(), []);
}

#[tokio::test(start_paused = true)]
async fn stopped_means_that_the_task_has_ended() {
    let stage = Stage::new(StopLimits::RECOMMENDED)
        .part("slow", AT_ONCE, Down::After(secs(8)))
        .part("stuck", AT_ONCE, Down::Never)
        .part("prompt", AT_ONCE, PROMPT);
    let (running, _, spawner, mut log) = stage.start().await;
    let begin = Instant::now();
    let report = running.stop().await;
    assert_eq!(begin.elapsed(), secs(18), "one waits its whole time, and the next one has its own");
    let (stopped, stragglers) = (vec!["prompt", "slow"], vec!["stuck"]);
    assert_eq!(report, StopReport { stopped, stragglers, ..StopReport::default() });
    assert_eq!(spawner.live(), [("stuck", 1)], "the report and the roll agree");
    assert_eq!(told(&mut log)[3..], ["-prompt", "-slow"]);
}

#[tokio::test(start_paused = true)]
async fn the_whole_stop_has_a_limit_and_late_enders_are_not_hidden() {
    let parts = ["a", "b", "c", "d", "e"];
    let mut stage = Stage::new(StopLimits::RECOMMENDED);
    for name in parts {
        stage.add(name, true, AT_ONCE, Down::Never);
    }
    // Asked second, it is given up at 20 s and ends at 25 s: then it has ended, whoever gave it up.
    stage.add("late", true, AT_ONCE, Down::After(secs(15)));
    stage.add("f", true, AT_ONCE, Down::Never);
    let (running, ..) = stage.start().await;
    let begin = Instant::now();
    let report = running.stop().await;
    assert!((secs(30)..secs(31)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert_eq!((report.stopped, report.stragglers), (vec!["late"], vec!["f", "e", "d", "c", "b", "a"]));
}

#[tokio::test(start_paused = true)]
async fn a_forced_stop_waits_less_and_names_the_same_stragglers() {
    let mut reports = Vec::new();
    let forced = StopLimits { each: secs(1), all: secs(1) };
    for (limits, most) in [(StopLimits::RECOMMENDED, secs(31)), (forced, secs(2))] {
        let stage = Stage::new(limits)
            .part("good", AT_ONCE, PROMPT)
            .part("stuck", AT_ONCE, Down::Never)
            .part("wedged", AT_ONCE, Down::Never);
        let (running, ..) = stage.start().await;
        let begin = Instant::now();
        reports.push(running.stop().await);
        assert!(begin.elapsed() < most);
    }
    assert_eq!(reports[0].stragglers, ["wedged", "stuck"]);
    assert_eq!(reports[0].stopped, ["good"], "asked when all time was used up, it still had its turn");
    assert_eq!(reports[0], reports[1]);
}

#[tokio::test(start_paused = true)]
async fn a_required_service_that_fails_takes_back_those_before_it() {
    for (up, why) in [
        (Up::Fails("no socket"), Why::Failed("no socket".into())),
        (Up::Panics, Why::Panicked("at the start".into())),
        (Up::Ends, Why::EndedEarly),
    ] {
        let stage = Stage::new(StopLimits::RECOMMENDED)
            .part("store", AT_ONCE, Down::After(secs(2)))
            .part("reactor", AT_ONCE, PROMPT)
            .part("socket", up, PROMPT)
            .part("never", AT_ONCE, PROMPT);
        let Stage { spawner, lifecycle, log: _log, told: mut log } = stage;
        let begin = Instant::now();
        let error = lifecycle.start(&spawner).await.unwrap_err();
        let failure = ServiceFailure { name: "socket", why };
        assert_eq!(error.failure, failure);
        assert_eq!(error.to_string(), failure.to_string());
        assert_eq!((error.report.ready, error.report.failed), (vec!["store", "reactor"], vec![failure]));
        assert_eq!(error.rollback.stopped, ["reactor", "store"]);
        assert_eq!(error.rollback.failed.len(), 1);
        assert_eq!(begin.elapsed(), secs(2), "it waits for those it takes back");
        assert_eq!(spawner.live(), []);
        assert_eq!(told(&mut log), ["+store", "+reactor", "-socket", "-reactor", "-store"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_required_fails_alone() {
    let stage = Stage::new(StopLimits::RECOMMENDED)
        .part("store", AT_ONCE, PROMPT)
        .optional("metrics", Up::Fails("port taken"), PROMPT)
        .part("socket", AT_ONCE, PROMPT);
    let (running, report, ..) = stage.start().await;
    assert_eq!(report.ready, ["store", "socket"]);
    assert_eq!(report.failed, [failure("metrics", "port taken")]);
    let mut failed = tokio_test::task::spawn(running.failed());
    tokio_test::assert_pending!(failed.poll(), "the node can do without it");
    let report = running.stop().await;
    assert_eq!(
        (report.stopped, report.failed),
        (vec!["socket", "store"], vec![failure("metrics", "port taken")])
    );
}

#[tokio::test(start_paused = true)]
async fn errors_of_many_services_are_all_collected() {
    const NAMES: [&str; 20] = [
        "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15",
        "s16", "s17", "s18", "s19",
    ];
    // All fail in the same instant, in their own tasks, half by an error and half by a panic.
    let mut stage = Stage::new(StopLimits { each: Duration::ZERO, all: Duration::ZERO });
    for (at, name) in NAMES.into_iter().enumerate() {
        stage.add(name, true, AT_ONCE, if at % 2 == 0 { Down::Fails("lost") } else { Down::Panics });
    }
    let (running, ..) = stage.start().await;
    let mut failed = tokio_test::task::spawn(running.failed());
    tokio_test::assert_pending!(failed.poll());
    let report = running.stop().await;
    let collected: Vec<_> = report.failed.iter().map(|failure| failure.name).rev().collect();
    assert_eq!(collected, NAMES);
    for (at, failure) in report.failed.iter().rev().enumerate() {
        let why = [Why::Failed("lost".into()), Why::Panicked("at the stop".into())];
        assert_eq!(failure.why, why[at % 2]);
    }
    assert!(NAMES.contains(&failed.await.name));
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_of_a_required_service_is_told_while_it_runs() {
    let stage = Stage::new(StopLimits::RECOMMENDED)
        .part("first", AT_ONCE, Down::FailsAfter(secs(50)))
        .part("second", AT_ONCE, Down::FailsAfter(secs(40)))
        .optional("third", AT_ONCE, Down::FailsAfter(secs(30)));
    let (running, ..) = stage.start().await;
    let begin = Instant::now();
    assert_eq!(running.failed().await, failure("second", "worn out"));
    assert_eq!(begin.elapsed(), secs(40));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(running.failed().await.name, "second", "the first one stays");
    assert_eq!(running.stop().await.failed.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_services_of_one_name_are_refused_before_anything_runs() {
    let mut stage = Stage::new(StopLimits::RECOMMENDED).part("store", AT_ONCE, PROMPT);
    let (is_required, log) = (true, stage.log.clone());
    let twin = Part { name: "store", is_required, up: AT_ONCE, down: PROMPT, log };
    assert_eq!(stage.lifecycle.add(twin), Err(DuplicateName("store")));
    tokio::task::yield_now().await;
    assert_eq!(told(&mut stage.told), [""; 0]);
    // The one that was there first is not touched.
    let (_, report, ..) = stage.start().await;
    assert_eq!(report.ready, ["store"]);
}

/// Ends the node it belongs to when it is asked to end itself.
struct Recursive(mpsc::Receiver<Running>);

impl Managed for Recursive {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        "recursive"
    }

    async fn run(mut self, cx: ServiceCx) -> Result<(), Infallible> {
        cx.ready();
        cx.ready();
        let other = self.0.recv().await.unwrap();
        cx.cancel().cancelled().await;
        assert_eq!(other.stop().await.stopped, ["other"]);
        cx.ready();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_may_end_another_while_it_is_asked_to_end() {
    let (give, take) = mpsc::channel(1);
    let spawner = Spawner::new();
    let mut lifecycle = Lifecycle::new(StopLimits::RECOMMENDED);
    lifecycle.add(Recursive(take)).unwrap();
    let (running, _) = lifecycle.start(&spawner).await.unwrap();
    let (other, ..) = Stage::new(StopLimits::RECOMMENDED).part("other", AT_ONCE, PROMPT).start().await;
    give.send(other).await.unwrap();
    assert_eq!(running.stop().await.stopped, ["recursive"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_drops_it_ends_it() {
    let (running, _, spawner, _log) = Stage::new(StopLimits::RECOMMENDED)
        .part("one", AT_ONCE, PROMPT)
        .part("two", AT_ONCE, PROMPT)
        .start()
        .await;
    drop(running);
    assert_eq!(spawner.stop(MINUTE).await.stragglers, [""; 0]);

    // A start that is given up half-way, too.
    let stage =
        Stage::new(StopLimits::RECOMMENDED).part("one", AT_ONCE, PROMPT).part("two", Up::Silent, PROMPT);
    let Stage { spawner, lifecycle, log: _log, told: _told } = stage;
    let given_up = tokio::time::timeout(secs(1), lifecycle.start(&spawner)).await;
    assert!(given_up.is_err());
    assert_eq!(spawner.stop(MINUTE).await.stragglers, [""; 0]);
}
