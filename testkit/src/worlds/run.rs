//! Runs a world to its end: a phase in which things go wrong, and one in which whoever can arrive must.

use super::{
    habits::Habit,
    judge::Breach,
    plan::{Plan, Size},
    world::World,
};
use std::collections::BTreeMap;

/// Steps in one virtual instant, at most: more is a world that turns on the spot.
const STEPS_PER_INSTANT: u64 = 1_000_000;

/// Steps of a world, at most: so many, and so many for each block and node. A world that goes on for ever shows as a breach.
const STEPS: u64 = 4_000_000;
const STEPS_PER_BLOCK: u64 = 200;

/// How long a world with late peers lives on after everyone has arrived: longer than their answers are late, so that what
/// comes after its time comes at all.
const AFTERLIFE: u64 = 45_000_000_000;

/// What came of a world.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The hash of its trace.
    pub digest: String,
    /// Events that happened.
    pub steps: u64,
    /// Virtual nanoseconds until everyone had arrived, or until the end if somebody has not.
    pub virtual_time: u64,
    /// What did not hold.
    pub breaches: Vec<Breach>,
    /// How often what was seen.
    pub seen: BTreeMap<String, u64>,
    /// How often each invariant had something to look at, in the order of the registry.
    pub checked: Vec<u64>,
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
    let (seed, calm, patience) = (plan.seed, plan.calm, plan.patience);
    let mut world = World::new(plan);
    let last_fault = world.plan().faults.last().map_or(0, |(at, _)| *at);
    let end = calm.max(last_fault).saturating_add(patience);
    let blocks = u64::from(world.plan().trunk().tip().at.height.get());
    let most = STEPS
        .saturating_add(blocks.saturating_mul(STEPS_PER_BLOCK).saturating_mul(world.nodes().len() as u64));
    let is_late = world.plan().members.iter().any(|member| member.habit == Habit::Late);
    let afterlife = if is_late { AFTERLIFE } else { 0 };
    let mut arrived = None;
    let (mut instant, mut here) = (0, 0_u64);
    while world.now() < end && world.judge().breaches().is_empty() && world.step() {
        here = if world.now() == instant { here.saturating_add(1) } else { 0 };
        instant = world.now();
        if here > STEPS_PER_INSTANT {
            let (at, step) = (world.now(), world.steps());
            world.judge_mut().told("K01", at, step, Err(format!("{here} steps in one instant")));
        }
        if world.steps() > most {
            let (at, step) = (world.now(), world.steps());
            world.judge_mut().told("K01", at, step, Err(format!("more than {most} steps")));
        }
        if arrived.is_none() && world.now() >= last_fault && has_arrived(&world) {
            arrived = Some(world.now());
        }
        if arrived.is_some_and(|at| world.now() >= at.saturating_add(afterlife)) {
            break;
        }
    }
    finish(&mut world);
    let judge = world.judge();
    Report {
        seed,
        digest: judge.digest(),
        steps: world.steps(),
        virtual_time: arrived.unwrap_or(world.now()),
        breaches: judge.breaches().to_vec(),
        seen: judge.seen().clone(),
        checked: judge.checked().to_vec(),
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
    let travellers: Vec<_> = world.travellers().collect();
    let late: Vec<_> = travellers.iter().copied().filter(|index| !world.has_arrived(*index)).collect();
    world.with_judge(|nodes, judge| {
        judge.told("K01", at, step, Ok(step));
        judge.close(at, step, nodes, goal, (&late, &travellers));
    });
    world.wind_up();
    world.with_judge(|nodes, judge| judge.drained(at, step, nodes, goal));
}
