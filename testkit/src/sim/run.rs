//! One world from one seed: a thread of its own, limits, and what is said when it fails.

use super::{
    link::{LinkModel, PathShape},
    measure::ThreadTime,
    seed::Seed,
    switch::{Switch, Traffic},
    trace::{Trace, TraceReport},
    world::{World, WorldError},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::ports::HeaderChain;
use zakura_transport::{Spawner, os_draws};

/// How often the watch looks at a world from outside.
const WATCH: Duration = Duration::from_millis(100);

/// How long a world that was told to end may take.
const LAST_TURN: Duration = Duration::from_secs(5);

/// What a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Virtual time.
    pub virtual_time: Duration,
    /// Real time, about.
    pub real_time: Duration,
    /// Processor time during which virtual time stands still: then tasks wake each other for ever.
    pub standstill: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            virtual_time: Duration::from_secs(3_600),
            real_time: Duration::from_secs(300),
            standstill: Duration::from_secs(10),
        }
    }
}

/// What makes a world, but for its nodes and its story.
#[derive(Debug, Clone)]
pub struct Genesis {
    /// Everything random grows from it.
    pub seed: u64,
    /// Paths that have no shape of their own.
    pub usual_path: PathShape,
    /// When to give up.
    pub limits: Limits,
    /// Keep every event, for a comparison.
    pub record: bool,
}

impl Genesis {
    /// A rough network.
    #[must_use]
    pub fn rough(seed: u64) -> Self {
        let usual_path = PathShape::rough();
        Self { seed, usual_path, limits: Limits::default(), record: false }
    }
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The scenario says so.
    #[error("{0}")]
    Scenario(String),
    /// The scenario panicked; usually an assertion.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The virtual time is over.
    #[error("the virtual time is over")]
    VirtualTime,
    /// The real time is over.
    #[error("the real time is over")]
    RealTime,
    /// Virtual time stands still while tasks run.
    #[error("livelock: tasks run and virtual time stands still")]
    Livelock,
    /// One task never lets go of the thread, which is left behind.
    #[error("stuck: one task never lets go of its thread")]
    Stuck,
    /// Something asked the operating system for randomness: the same seed does not give this world again.
    #[error("{0} draws of the operating system's randomness")]
    Entropy(u64),
    /// The operating system started no thread or runtime.
    #[error("cannot start: {0}")]
    NotStarted(String),
}

/// What a run was.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What happened.
    pub trace: TraceReport,
    /// How many datagrams.
    pub traffic: Traffic,
    /// How long it took in the world.
    pub virtual_time: Duration,
    /// Processor time it took.
    pub processor_time: Duration,
}

/// A run that came to its end.
#[derive(Debug, Clone)]
pub struct Finished<T> {
    /// What the scenario gives.
    pub value: T,
    /// What the run was.
    pub account: Account,
}

/// A run that did not. Its text is what a developer needs: the seed, the cause, the last events.
#[derive(Clone, thiserror::Error)]
pub struct FailedRun {
    /// Its seed.
    pub seed: u64,
    /// Why.
    pub failure: Failure,
    /// What the run was until then.
    pub account: Account,
}

impl fmt::Display for FailedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.account.trace.tail.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        let (seed, after) = (self.seed, self.account.virtual_time);
        write!(f, "seed {seed} failed after {after:?} of virtual time: {}", self.failure)
    }
}

impl fmt::Debug for FailedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

/// Lives one world on a thread of its own, whose state no other run has touched.
///
/// # Errors
///
/// [`FailedRun`], with the tail of events.
pub fn run<C, T, S>(genesis: Genesis, scenario: S) -> Result<Finished<T>, Box<FailedRun>>
where
    C: HeaderChain + BlockStore,
    T: Send + 'static,
    S: AsyncFnOnce(&mut World<C>) -> Result<T, WorldError> + Send + 'static,
{
    let (seed, limits) = (genesis.seed, genesis.limits);
    let pulse = Arc::new(Pulse::default());
    let (done, outcome) = sync_channel(1);
    let felt = Arc::clone(&pulse);
    let thread = Spawner::new().thread("world", move || {
        // The watch may have given up.
        drop(done.send(live(genesis, scenario, &felt)));
    });
    let (result, account) = match thread {
        Ok(()) => watch(&outcome, &limits, &pulse),
        Err(error) => (Err(Failure::NotStarted(error.to_string())), Account::default()),
    };
    match result {
        Ok(value) => Ok(Finished { value, account }),
        Err(failure) => Err(Box::new(FailedRun { seed, failure, account })),
    }
}

type Outcome<T> = (Result<T, Failure>, Account);

/// What the watch sees of a world.
#[derive(Debug, Default)]
struct Pulse {
    /// Virtual seconds so far.
    seconds: AtomicU64,
    /// The thread's clock.
    time: OnceLock<ThreadTime>,
    /// Why the world has to end.
    verdict: OnceLock<Failure>,
    /// Rings then.
    end: Notify,
}

impl Pulse {
    /// Ends the world at its next turn.
    fn end(&self, failure: Failure) {
        // The first verdict counts.
        drop(self.verdict.set(failure));
        self.end.notify_one();
    }

    fn spent(&self) -> Duration {
        self.time.get().and_then(ThreadTime::spent).unwrap_or_default()
    }
}

/// Waits for a world's end, in real time, and ends it if it takes too long or stands still.
fn watch<T>(outcome: &Receiver<Outcome<T>>, limits: &Limits, pulse: &Pulse) -> Outcome<T> {
    let (mut waited, mut second, mut moved_at) = (Duration::ZERO, 0, Duration::ZERO);
    let stuck = || (Err(Failure::Stuck), Account::default());
    loop {
        match outcome.recv_timeout(WATCH) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Disconnected) => return stuck(),
            Err(RecvTimeoutError::Timeout) => waited = waited.saturating_add(WATCH),
        }
        let (now, spent) = (pulse.seconds.load(Ordering::Relaxed), pulse.spent());
        if now != second {
            (second, moved_at) = (now, spent);
        }
        if waited >= limits.real_time {
            pulse.end(Failure::RealTime);
        } else if spent.saturating_sub(moved_at) >= limits.standstill {
            pulse.end(Failure::Livelock);
        } else {
            continue;
        }
        return outcome.recv_timeout(LAST_TURN).unwrap_or_else(|_| stuck());
    }
}

/// The thread's life.
fn live<C, T, S>(genesis: Genesis, scenario: S, pulse: &Arc<Pulse>) -> Outcome<T>
where
    C: HeaderChain + BlockStore,
    S: AsyncFnOnce(&mut World<C>) -> Result<T, WorldError>,
{
    if let Some(time) = ThreadTime::of_this_thread() {
        // Nobody else sets it.
        drop(pulse.time.set(time));
    }
    // No I/O: without a reactor an idle turn costs no system call, and nothing real can enter.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return (Err(Failure::NotStarted(error.to_string())), Account::default()),
    };
    let mut switch = None;
    let story = AssertUnwindSafe(|| runtime.block_on(tell(genesis, scenario, pulse, &mut switch)));
    let result = catch_unwind(story).unwrap_or_else(|panic| Err(Failure::Panicked(words(&*panic))));
    let virtual_time = Duration::from_secs(pulse.seconds.load(Ordering::Relaxed));
    let (trace, traffic, virtual_time) = switch.map_or_else(
        || (TraceReport::default(), Traffic::default(), virtual_time),
        |switch: Switch| {
            let (trace, traffic) = switch.report();
            let _entered = runtime.enter();
            (trace, traffic, switch.elapsed())
        },
    );
    (result, Account { trace, traffic, virtual_time, processor_time: pulse.spent() })
}

/// Lives the scenario within its virtual time.
async fn tell<C, T, S>(
    genesis: Genesis,
    scenario: S,
    pulse: &Arc<Pulse>,
    switch: &mut Option<Switch>,
) -> Result<T, Failure>
where
    C: HeaderChain + BlockStore,
    S: AsyncFnOnce(&mut World<C>) -> Result<T, WorldError>,
{
    let (seed, draws) = (Seed::root(genesis.seed), os_draws());
    let links = LinkModel::new(seed.child("links"), genesis.usual_path);
    let mut world = World::new(seed, links, Trace::new(genesis.record));
    *switch = Some(world.switch().clone());
    let heart = Spawner::new();
    heart.spawn("heart", beat(Arc::clone(pulse)));
    let result = tokio::select! {
        biased;
        () = pulse.end.notified() => Err(pulse.verdict.get().cloned().unwrap_or(Failure::RealTime)),
        () = sleep(genesis.limits.virtual_time) => Err(Failure::VirtualTime),
        result = scenario(&mut world) => result.map_err(|error| Failure::Scenario(error.to_string())),
    };
    world.end().await;
    heart.kill();
    // What was killed cannot stay.
    drop(heart.stop(LAST_TURN).await);
    match os_draws().saturating_sub(draws) {
        0 => result,
        drawn => Err(Failure::Entropy(drawn)),
    }
}

/// Shows the watch that virtual time passes.
async fn beat(pulse: Arc<Pulse>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        pulse.seconds.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a panic says.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}
