//! The life of a plan on real nodes: a phase in which things go wrong, one in which whoever can arrive must, a rest, and an
//! end after which nothing is left.

use super::{
    befall::{befall, timeline},
    judge::{AGREED, Judge},
    people::{Person, settle},
};
use crate::{
    sim::{Account, FailedRun, Finished, Genesis, Heard, Limits, NodeIndex, World, WorldError, run},
    worlds::{
        Plan, Report, Size, Summary,
        judge::Breach,
        store::NodeStore,
        sweep::{WALL_LIMIT, sweep_with},
    },
};
use std::{collections::BTreeMap, io, ops::Range, sync::atomic::Ordering, time::Duration};
use tokio::sync::mpsc;

/// How often nodes are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What a life may last beyond its patience: its rest, and the stop of every node.
const AFTERLIFE: Duration = Duration::from_secs(600);

/// A life that was lived.
#[derive(Debug)]
pub struct Lived {
    /// What came of it, as of a pure world's.
    pub report: Report,
    /// Its trace, its datagrams and what it cost.
    pub account: Account,
}

/// Draws a plan from a seed and lives it.
#[must_use]
pub fn live_seed(seed: u64, size: Size) -> Lived {
    live(Plan::draw(seed, size), false)
}

/// Lives a plan on real nodes, on a thread of its own. `record` keeps every event.
#[must_use]
pub fn live(plan: Plan, record: bool) -> Lived {
    let (seed, end) = (plan.seed, end_of_patience(&plan));
    let limits = Limits { virtual_time: end.saturating_add(AFTERLIFE), ..Limits::default() };
    let genesis = Genesis { seed, usual_path: plan.usual_path(), limits, record };
    let outcome = run(genesis, async move |world: &mut World<NodeStore>| {
        let mut life = Life::begin(world, plan).await?;
        life.live(world).await?;
        Ok(life.judge)
    });
    match outcome {
        Ok(Finished { value: judge, account }) => {
            lived(seed, account, judge.breaches().to_vec(), judge.tally())
        }
        Err(failed) => {
            let FailedRun { seed, failure, account } = *failed;
            let at = u64::try_from(account.virtual_time.as_nanos()).unwrap_or(u64::MAX);
            let seen = failure.to_string();
            let breach =
                Breach { invariant: "a world comes to its end", seed, step: account.trace.count, at, seen };
            lived(seed, account, vec![breach], BTreeMap::new())
        }
    }
}

fn lived(seed: u64, account: Account, breaches: Vec<Breach>, mut seen: BTreeMap<String, u64>) -> Lived {
    for (reason, count) in &account.traffic.drops {
        seen.insert(format!("datagram dropped: {reason:?}"), *count);
    }
    let report = Report {
        seed,
        digest: account.trace.hash.clone(),
        steps: account.trace.count,
        virtual_time: u64::try_from(account.virtual_time.as_nanos()).unwrap_or(u64::MAX),
        breaches,
        seen,
        checked: Vec::new(),
        fullest: BTreeMap::new(),
        tail: account.trace.words.clone(),
    };
    Lived { report, account }
}

/// Lives a plan for each seed, on `threads` threads.
///
/// # Errors
///
/// What the operating system says if it starts no thread.
pub fn sweep(seeds: Range<u64>, size: Size, threads: usize) -> io::Result<Summary> {
    sweep_with(seeds, threads, WALL_LIMIT, move |seed| {
        let Lived { report, account } = live_seed(seed, size);
        (report, account.processor_time)
    })
}

fn last_fault(plan: &Plan) -> Duration {
    Duration::from_nanos(plan.faults.last().map_or(0, |(at, _)| *at))
}

fn end_of_patience(plan: &Plan) -> Duration {
    Duration::from_nanos(plan.calm).max(last_fault(plan)).saturating_add(Duration::from_nanos(plan.patience))
}

/// A plan while it is lived.
struct Life {
    plan: Plan,
    people: Vec<Person>,
    judge: Judge,
    heard: mpsc::Receiver<Heard>,
    /// Faults that have happened.
    befallen: usize,
}

impl Life {
    async fn begin(world: &mut World<NodeStore>, mut plan: Plan) -> Result<Self, WorldError> {
        plan.faults = timeline(&plan);
        let heard = world.listen();
        let people = settle(world, &plan).await?;
        let mut names = BTreeMap::new();
        for node in world.nodes() {
            names.insert(world.peer(node)?.id, node);
        }
        for node in world.nodes().into_iter().filter(|node| !plan.absent.contains(node)) {
            world.start(node).await?;
        }
        let judge = Judge::new(&plan, names);
        Ok(Self { plan, people, judge, heard, befallen: 0 })
    }

    async fn live(&mut self, world: &mut World<NodeStore>) -> Result<(), WorldError> {
        let (last_fault, end) = (last_fault(&self.plan), end_of_patience(&self.plan));
        while world.switch().elapsed() < last_fault || !self.late(world)?.is_empty() {
            if world.switch().elapsed() >= end {
                self.strand(world)?;
            }
            self.turn(world, end).await?;
            if self.is_broken(world) {
                return Ok(());
            }
        }
        world.switch().say(None, "all have arrived".to_owned());
        let rest = world.switch().elapsed().max(last_fault).saturating_add(AGREED + LOOK);
        while world.switch().elapsed() < rest {
            self.turn(world, rest).await?;
            if self.is_broken(world) {
                return Ok(());
            }
        }
        self.judge.look_at_rest(world.switch().elapsed(), world);
        self.finish(world).await
    }

    /// Lets the next thing happen, or a little time pass, and looks.
    async fn turn(&mut self, world: &mut World<NodeStore>, most: Duration) -> Result<(), WorldError> {
        let next = self.next_fault().map_or(most, |at| at.min(most));
        world.until(next.min(world.switch().elapsed().saturating_add(LOOK))).await;
        self.judge.turn_to(world.switch().events());
        while self.next_fault().is_some_and(|at| at <= world.switch().elapsed()) {
            let Some((_, fault)) = self.plan.faults.get(self.befallen).cloned() else { break };
            self.befallen = self.befallen.saturating_add(1);
            self.hear();
            befall(world, &self.plan, &self.people, &fault).await?;
            self.hear();
            self.judge.befell(&fault);
        }
        self.hear();
        self.set_clocks(world)?;
        for node in world.nodes() {
            let (now, store) = (world.switch().elapsed(), world.outfit(node)?.store.clone());
            self.judge.look(now, node, &store, world.handle(node).ok());
        }
        Ok(())
    }

    /// Stores read the wall clocks of their nodes.
    fn set_clocks(&self, world: &mut World<NodeStore>) -> Result<(), WorldError> {
        let now = self.plan.epoch.saturating_add(world.switch().elapsed().as_secs());
        for (node, person) in world.nodes().into_iter().zip(&self.people) {
            let ahead = person.ahead.load(Ordering::Relaxed);
            world.outfit(node)?.store.clock().set(now.saturating_add_signed(ahead));
        }
        Ok(())
    }

    fn next_fault(&self) -> Option<Duration> {
        self.plan.faults.get(self.befallen).map(|(at, _)| Duration::from_nanos(*at))
    }

    fn hear(&mut self) {
        while let Ok(heard) = self.heard.try_recv() {
            self.judge.hear(heard);
        }
    }

    fn is_broken(&self, world: &World<NodeStore>) -> bool {
        self.judge
            .breaches()
            .iter()
            .for_each(|breach| world.switch().say(None, format!("BREACH of {breach}")));
        !self.judge.breaches().is_empty()
    }

    /// Those who have to arrive and have not.
    fn late(&self, world: &mut World<NodeStore>) -> Result<Vec<NodeIndex>, WorldError> {
        let goal = self.plan.goal();
        let mut late = Vec::new();
        for (node, person) in world.nodes().into_iter().zip(&self.people) {
            if person.habit.has_to_arrive()
                && !self.plan.absent.contains(&node)
                && !world.outfit(node)?.store.reaches(goal)
            {
                late.push(node);
            }
        }
        Ok(late)
    }

    fn strand(&mut self, world: &mut World<NodeStore>) -> Result<(), WorldError> {
        let (now, goal) = (world.switch().elapsed(), self.plan.goal());
        for node in self.late(world)? {
            let store = world.outfit(node)?.store.clone();
            self.judge.stranded(now, (node, goal), &store, world.handle(node).ok());
        }
        Ok(())
    }

    /// Stops everybody, one after the other, and counts what they leave.
    async fn finish(&mut self, world: &mut World<NodeStore>) -> Result<(), WorldError> {
        for node in world.nodes() {
            if let Some(departure) = world.stop(node).await? {
                self.judge.nothing_is_left(world.switch().elapsed(), node, departure);
            }
            self.hear();
        }
        for person in &self.people {
            if person.tongue.as_ref().is_some_and(|tongue| tongue.acts() > 0) {
                self.judge.count(format!("habit: {}", person.habit));
            }
        }
        self.is_broken(world);
        Ok(())
    }
}
