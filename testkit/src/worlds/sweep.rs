//! Many worlds, one thread each of a few, and what they amount to.

use super::{
    plan::Size,
    run::{Report, run_seed},
};
use crate::sim::ThreadTime;
use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    time::Duration,
};
use zakura_transport::Spawner;

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
    /// How full everything that has a cap ever was, and the cap then.
    pub fullest: BTreeMap<&'static str, (u64, u64)>,
    /// The worlds that broke an invariant, by seed.
    pub broken: BTreeMap<u64, Report>,
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

    /// What was never seen of `wanted`: a sweep in which little happened shows nothing (I-X2).
    #[must_use]
    pub fn missing<'w>(&self, wanted: &[&'w str]) -> Vec<&'w str> {
        wanted.iter().filter(|what| !self.seen.contains_key(**what)).copied().collect()
    }
}

/// Runs a world for each seed, on `threads` threads.
///
/// # Errors
///
/// What the operating system says if it starts no thread.
pub fn sweep(seeds: Range<u64>, size: Size, threads: usize) -> io::Result<Summary> {
    sweep_with(seeds, threads, move |seed| {
        let time = ThreadTime::of_this_thread();
        let spent = || time.as_ref().and_then(ThreadTime::spent).unwrap_or_default();
        let before = spent();
        (run_seed(seed, size), spent().saturating_sub(before))
    })
}

/// Lets something run a world for each seed, on `threads` threads, and say what processor time it took.
///
/// # Errors
///
/// What the operating system says if it starts no thread.
pub fn sweep_with(
    seeds: Range<u64>,
    threads: usize,
    run: impl Fn(u64) -> (Report, Duration) + Clone + Send + 'static,
) -> io::Result<Summary> {
    let (spawner, next) = (Spawner::new(), Arc::new(AtomicU64::new(seeds.start)));
    let (reports, came) = sync_channel(threads.max(1));
    for _ in 0..threads.max(1) {
        let (next, reports, run, end) = (Arc::clone(&next), reports.clone(), run.clone(), seeds.end);
        spawner.thread("worlds", move || {
            let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            for seed in seeds.take_while(|seed| *seed < end) {
                if reports.send(run(seed)).is_err() {
                    return;
                }
            }
        })?;
    }
    drop(reports);
    let mut summary = Summary::default();
    for (report, spent) in came {
        summary.processor_time = summary.processor_time.saturating_add(spent);
        summary.add(report);
    }
    Ok(summary)
}
