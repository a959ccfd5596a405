//! Many worlds, each on a thread of its own, and what they amount to.

use super::{
    judge::INVARIANTS,
    narrow::Narrow,
    plan::{Plan, Size},
    run::{Report, run},
};
use crate::sim::ThreadTime;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};
use zakura_transport::Spawner;

/// How long nothing may be heard of any world before those that run are given up, as a rule.
pub const WALL_LIMIT: Duration = Duration::from_secs(600);

/// How often something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// In all.
    pub times: u64,
    /// In so many worlds.
    pub worlds: u64,
}

/// What many worlds amount to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Worlds that were run.
    pub worlds: u64,
    /// Events in all of them.
    pub steps: u64,
    /// Their virtual time, in nanoseconds.
    pub virtual_time: u64,
    /// Processor time of all of them; nothing where the kernel does not tell.
    pub processor_time: Duration,
    /// The hash of each trace, by seed.
    pub digests: BTreeMap<u64, String>,
    /// How often what was seen.
    pub seen: BTreeMap<String, Tally>,
    /// How often each invariant had something to look at, in the order of the registry.
    pub checked: Vec<Tally>,
    /// How full everything that has a cap ever was, and the cap then.
    pub fullest: BTreeMap<&'static str, (u64, u64)>,
    /// The worlds that broke an invariant, by seed.
    pub broken: BTreeMap<u64, Report>,
    /// Worlds that panicked: the panic's words are on standard error.
    pub panicked: BTreeSet<u64>,
    /// Worlds that were given up because nothing was heard of them for too long.
    pub stuck: BTreeSet<u64>,
}

impl Summary {
    fn add(&mut self, report: Report) {
        self.worlds = self.worlds.saturating_add(1);
        self.steps = self.steps.saturating_add(report.steps);
        self.virtual_time = self.virtual_time.saturating_add(report.virtual_time);
        self.digests.insert(report.seed, report.digest.clone());
        for (what, times) in &report.seen {
            let tally = self.seen.entry(what.clone()).or_default();
            tally.times = tally.times.saturating_add(*times);
            tally.worlds = tally.worlds.saturating_add(1);
        }
        self.checked.resize(INVARIANTS.len(), Tally::default());
        for (tally, times) in self.checked.iter_mut().zip(&report.checked) {
            tally.times = tally.times.saturating_add(*times);
            tally.worlds = tally.worlds.saturating_add(u64::from(*times > 0));
        }
        for (name, (holds, cap)) in &report.fullest {
            let fullest = self.fullest.entry(name).or_default();
            if *holds > fullest.0 {
                *fullest = (*holds, *cap);
            }
        }
        if !report.breaches.is_empty() {
            self.broken.insert(report.seed, report);
        }
    }

    /// Whether every world came to its end and held every invariant.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.broken.is_empty() && self.panicked.is_empty() && self.stuck.is_empty()
    }

    /// Invariants that had nothing to look at in any world: they have shown nothing (I-X2).
    #[must_use]
    pub fn unchecked(&self) -> Vec<String> {
        let times = self.checked.iter().map(|tally| tally.times).chain(std::iter::repeat(0));
        let unchecked = INVARIANTS.iter().zip(times).filter(|(_, times)| *times == 0);
        unchecked.map(|(invariant, _)| invariant.to_string()).collect()
    }

    /// What was never seen of `wanted`: a sweep in which little happened shows nothing (I-X2).
    #[must_use]
    pub fn missing<'w>(&self, wanted: &[&'w str]) -> Vec<&'w str> {
        wanted.iter().filter(|what| !self.seen.contains_key(**what)).copied().collect()
    }
}

/// A world that is over.
struct Ended {
    seed: u64,
    /// What came of it and what it cost; nothing if it panicked.
    report: Option<(Report, Duration)>,
}

/// Says that a world is over, however it ends.
struct Farewell {
    ended: Option<Ended>,
    to: SyncSender<Ended>,
}

impl Farewell {
    const fn new(seed: u64, to: SyncSender<Ended>) -> Self {
        Self { ended: Some(Ended { seed, report: None }), to }
    }

    fn report(mut self, report: Report, spent: Duration) {
        if let Some(ended) = &mut self.ended {
            ended.report = Some((report, spent));
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            // If nobody listens any more, it does not matter.
            let _ = self.to.send(ended);
        }
    }
}

/// Runs a world for each seed, `threads` at a time, each on a fresh thread: nothing that one leaves in a thread reaches
/// another. If none ends for `wall_limit`, those that run are given up.
///
/// # Errors
///
/// What the operating system says if it starts no thread.
pub fn sweep(
    seeds: Range<u64>,
    size: Size,
    narrow: &Narrow,
    threads: usize,
    wall_limit: Duration,
) -> io::Result<Summary> {
    let narrow = narrow.clone();
    sweep_with(seeds, threads, wall_limit, move |seed| {
        let time = ThreadTime::of_this_thread();
        let report = run(Plan::draw(seed, size).narrowed(&narrow));
        (report, time.as_ref().and_then(ThreadTime::spent).unwrap_or_default())
    })
}

/// Lets something run a world for each seed, each on a fresh thread, `threads` at a time, and say what processor time it
/// took. If no world ends for `wall_limit`, those that run are left behind.
///
/// # Errors
///
/// What the operating system says if it starts no thread.
pub fn sweep_with(
    mut seeds: Range<u64>,
    threads: usize,
    wall_limit: Duration,
    run: impl Fn(u64) -> (Report, Duration) + Clone + Send + 'static,
) -> io::Result<Summary> {
    let (spawner, (to, came)) = (Spawner::new(), sync_channel(threads.max(1)));
    let (mut summary, mut running) = (Summary::default(), BTreeSet::new());
    loop {
        while running.len() < threads.max(1)
            && let Some(seed) = seeds.next()
        {
            let (farewell, run) = (Farewell::new(seed, to.clone()), run.clone());
            spawner.thread("world", move || {
                let (report, spent) = run(seed);
                farewell.report(report, spent);
            })?;
            running.insert(seed);
        }
        if running.is_empty() {
            return Ok(summary);
        }
        match came.recv_timeout(wall_limit) {
            Ok(Ended { seed, report }) => {
                running.remove(&seed);
                match report {
                    Some((report, spent)) => {
                        summary.processor_time = summary.processor_time.saturating_add(spent);
                        summary.add(report);
                    }
                    None => drop(summary.panicked.insert(seed)),
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                summary.stuck = running;
                return Ok(summary);
            }
        }
    }
}
