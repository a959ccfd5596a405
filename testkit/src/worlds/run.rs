//! Runs a world to its end: a phase in which things go wrong, and one in which whoever can arrive must.

use super::{
    judge::Breach,
    plan::{Plan, Size},
    world::World,
};
use std::collections::BTreeMap;

/// How long after the last fault everybody may take (I-V1), in nanoseconds.
const PATIENCE: u64 = 600_000_000_000;

/// Steps in one virtual instant, at most: more is a world that turns on the spot.
const STEPS_PER_INSTANT: u64 = 1_000_000;

/// What came of a world.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The hash of its trace.
    pub digest: String,
    /// Events that happened.
    pub steps: u64,
    /// Virtual nanoseconds.
    pub virtual_time: u64,
    /// What did not hold.
    pub breaches: Vec<Breach>,
    /// How often what was seen.
    pub seen: BTreeMap<String, u64>,
    /// How full everything that has a cap ever was, and the cap then.
    pub fullest: BTreeMap<&'static str, (u64, u64)>,
    /// The last events, for who looks into a breach.
    pub tail: Vec<(u64, String)>,
}

/// Draws a world from a seed and runs it.
#[must_use]
pub fn run_seed(seed: u64, size: Size) -> Report {
    run(Plan::draw(seed, size))
}

/// Runs a world.
#[must_use]
pub fn run(plan: Plan) -> Report {
    let (seed, calm) = (plan.seed, plan.calm);
    let mut world = World::new(plan);
    let last_fault = world.plan().faults.last().map_or(0, |(at, _)| *at);
    let end = calm.max(last_fault).saturating_add(PATIENCE);
    let (mut instant, mut here) = (0, 0_u64);
    while world.now() < end && world.judge().breaches().is_empty() && world.step() {
        here = if world.now() == instant { here.saturating_add(1) } else { 0 };
        instant = world.now();
        if here > STEPS_PER_INSTANT {
            let (at, step) = (world.now(), world.steps());
            world.judge_mut().breach("time goes on", at, step, format!("{here} steps in one instant"));
        }
        if world.now() >= last_fault && has_arrived(&world) {
            break;
        }
    }
    finish(&mut world);
    let judge = world.judge();
    Report {
        seed,
        digest: judge.digest(),
        steps: world.steps(),
        virtual_time: world.now(),
        breaches: judge.breaches().to_vec(),
        seen: judge.seen().clone(),
        fullest: judge.fullest().clone(),
        tail: judge.tail().cloned().collect(),
    }
}

fn has_arrived(world: &World) -> bool {
    world.travellers().all(|index| world.has_arrived(index))
}

fn finish(world: &mut World) {
    let (at, step, goal) = (world.now(), world.steps(), world.goal());
    if !world.judge().breaches().is_empty() {
        return;
    }
    let late: Vec<_> = world.travellers().filter(|index| !world.has_arrived(*index)).collect();
    world.with_judge(|nodes, judge| {
        for node in nodes.iter().filter(|node| late.contains(&node.index)) {
            judge.stranded(at, step, node, goal);
        }
        judge.close(nodes);
    });
}
