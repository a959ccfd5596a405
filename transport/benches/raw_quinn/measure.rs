//! Processor time, allocations, and what pairs of both amount to.

use std::{fs, time::Duration};

/// What is measured.
pub struct Lane<'n> {
    pub name: &'n str,
    pub unit: &'n str,
    pub units: u64,
}

/// Processor time of this process so far: the sum over its live threads.
pub fn processor_time() -> Duration {
    processor_time_of("self")
}

/// The same of another process, by its number.
pub fn processor_time_of(process: &str) -> Duration {
    let spent = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    Duration::from_nanos(tasks.filter_map(|task| spent(task.ok()?)).sum())
}

/// Resident memory of this process.
pub fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// One arm's run: nanoseconds and allocations per unit.
async fn once(lane: &Lane<'_>, arm: impl Future<Output = ()>) -> (f64, f64) {
    let (time, allocations) = (processor_time(), crate::ALLOCATOR.stats().allocations);
    arm.await;
    let time = (processor_time() - time).as_nanos() as f64;
    let allocations = (crate::ALLOCATOR.stats().allocations - allocations) as f64;
    (time / lane.units as f64, allocations / lane.units as f64)
}

/// Runs both arms once to warm up, then in pairs, and prints what came of it. The arm is ours if told so.
pub async fn pairs(lane: &Lane<'_>, count: usize, mut arm: impl AsyncFnMut(bool)) {
    arm(true).await;
    arm(false).await;
    let (mut ours, mut plain, mut ratios, mut added) = (vec![], vec![], vec![], vec![]);
    for pair in 0..count {
        let first = pair % 2 == 0;
        let one = once(lane, arm(first)).await;
        let other = once(lane, arm(!first)).await;
        let (here, there) = if first { (one, other) } else { (other, one) };
        ratios.push(here.0 / there.0);
        added.push(here.0 - there.0);
        ours.push(here);
        plain.push(there);
    }
    let [low, ratio, high] = quartiles(&mut ratios);
    let middle = |of: &[(f64, f64)], what: fn(&(f64, f64)) -> f64| {
        quartiles(&mut of.iter().map(what).collect::<Vec<_>>())[1]
    };
    let (time, allocated) = (|it: &(f64, f64)| it.0, |it: &(f64, f64)| it.1);
    println!(
        "{:<44} ours {:>7.0} ns {:>5.2} allocations, raw {:>7.0} ns {:>5.2} a {}; added {:>5.0} ns {:>5.2}; \
         ratio {ratio:.2} ({low:.2} to {high:.2}, {count} pairs)",
        lane.name,
        middle(&ours, time),
        middle(&ours, allocated),
        middle(&plain, time),
        middle(&plain, allocated),
        lane.unit,
        quartiles(&mut added)[1],
        middle(&ours, allocated) - middle(&plain, allocated),
    );
}

/// The quartiles and the median between them.
pub fn quartiles(of: &mut [f64]) -> [f64; 3] {
    of.sort_by(f64::total_cmp);
    let at = |share: f64| of[((of.len() - 1) as f64 * share).round() as usize];
    [at(0.25), at(0.5), at(0.75)]
}
