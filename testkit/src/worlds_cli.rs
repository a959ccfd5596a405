//! The commands of `zakura-sim` about pure worlds.

use crate::{
    sim::NodeIndex,
    worlds::{
        Narrow, Only, Plan, Report, Rung, Shrunk, Size, Summary, WALL_LIMIT,
        judge::{ELSEWHERE, INVARIANTS},
        run, shrink, sweep,
    },
};
use clap::Args;
use std::{fmt::Write as _, time::Duration};

/// How large pure worlds are.
#[derive(Debug, Clone, Copy, Args)]
pub struct SizeArgs {
    /// The chain they are about.
    #[arg(long, value_enum, default_value_t = Rung::Toy)]
    chain: Rung,
    /// Peers of the node that syncs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    peers: u16,
    /// Blocks of the honest branch.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    heights: u32,
    /// Peers that begin with nothing too.
    #[arg(long, default_value_t = 2)]
    newcomers: u16,
    /// Faults that are drawn.
    #[arg(long, default_value_t = 6)]
    faults: u16,
}

impl SizeArgs {
    pub(crate) const fn size(self) -> Size {
        let Self { chain: rung, peers, heights, newcomers, faults } = self;
        Size { rung, peers, heights, newcomers, faults }
    }
}

/// What is left of a world.
#[derive(Debug, Clone, Args)]
pub struct NarrowArgs {
    /// Only these of the drawn faults, by number: `3,7`, or `none`.
    #[arg(long)]
    only_faults: Option<Only>,
    /// Only these peers, by number.
    #[arg(long)]
    only_peers: Option<Only>,
    /// Everything goes wrong in half of the time, so many times over.
    #[arg(long, default_value_t = 0)]
    hurry: u32,
}

impl NarrowArgs {
    fn narrow(&self) -> Narrow {
        Narrow { faults: self.only_faults.clone(), peers: self.only_peers.clone(), hurry: self.hurry }
    }
}

/// A size, as it is asked for.
pub(crate) fn arguments(size: Size) -> String {
    let Size { rung, peers, heights, newcomers, faults } = size;
    format!("--chain {rung} --peers {peers} --heights {heights} --newcomers {newcomers} --faults {faults}")
}

/// The command that shows a world again.
fn replay(seed: u64, size: Size, narrow: &Narrow) -> String {
    format!("zakura-sim replay {seed} {}{}", arguments(size), narrow.arguments())
}

/// Runs many pure worlds and says how often what happened.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Worlds at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    narrow: NarrowArgs,
    /// Seconds for which nothing may be heard of any world before those that run are given up.
    #[arg(long, default_value_t = WALL_LIMIT.as_secs())]
    wall_limit: u64,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Lists what is checked in pure worlds, and what is not and why.
#[derive(Debug, Args)]
pub struct InvariantsArgs {
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs one pure world again and tells its last events.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The seed.
    seed: u64,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    narrow: NarrowArgs,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Makes a pure world that fails smaller.
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// The seed.
    seed: u64,
    /// Worlds to try at most.
    #[arg(long, default_value_t = 200)]
    tries: u32,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    narrow: NarrowArgs,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl SweepArgs {
    /// Sweeps.
    ///
    /// # Errors
    ///
    /// The summary with the worlds that broke an invariant, and how to see them again.
    pub fn run(&self) -> Result<String, String> {
        let seeds = self.from..self.from.saturating_add(self.seeds);
        let (size, narrow, limit) =
            (self.size.size(), self.narrow.narrow(), Duration::from_secs(self.wall_limit));
        let summary = sweep(seeds, size, &narrow, self.threads, limit).map_err(|error| error.to_string())?;
        let replay = |seed| replay(seed, size, &narrow);
        let text = if self.json { json(&summary, replay) } else { table(&summary, replay) };
        if summary.is_good() { Ok(text) } else { Err(text) }
    }
}

/// What a sweep amounts to, line by line. `replay` says how to see a seed again.
pub(crate) fn table(summary: &Summary, replay: impl Fn(u64) -> String) -> String {
    let mut out = String::new();
    for (what, tally) in &summary.seen {
        line(&mut out, &format!("{what:<60} {:>8} times in {:>6} worlds", tally.times, tally.worlds));
    }
    for (one, tally) in INVARIANTS.iter().zip(&summary.checked) {
        let name = format!("checked {one}");
        line(&mut out, &format!("{name:<60} {:>8} times in {:>6} worlds", tally.times, tally.worlds));
    }
    for (name, (holds, cap)) in &summary.fullest {
        line(&mut out, &format!("fullest {name:<52} {holds:>12} of {cap}"));
    }
    for (seed, report) in &summary.broken {
        for breach in &report.breaches {
            line(&mut out, &breach.to_string());
        }
        line(&mut out, &format!("  see it: {}", replay(*seed)));
    }
    for (seeds, what) in [(&summary.panicked, "panicked"), (&summary.stuck, "does not end")] {
        for seed in seeds {
            line(&mut out, &format!("seed {seed}: {what}\n  see it: {}", replay(*seed)));
        }
    }
    let (worlds, broken, steps) = (summary.worlds, summary.broken.len(), summary.steps);
    let seconds = summary.virtual_time / 1_000_000_000;
    let cost = summary.processor_time.as_secs_f64();
    line(
        &mut out,
        &format!(
            "{worlds} worlds, {broken} broken; {steps} events, {seconds} virtual s, {cost:.2} processor s"
        ),
    );
    out
}

/// The same as one JSON object.
pub(crate) fn json(summary: &Summary, replay: impl Fn(u64) -> String) -> String {
    let seen: std::collections::BTreeMap<_, _> =
        summary.seen.iter().map(|(what, tally)| (what, [tally.times, tally.worlds])).collect();
    let checked: Vec<_> = INVARIANTS
        .iter()
        .zip(&summary.checked)
        .map(|(one, tally)| {
            let class = one.class.to_string();
            serde_json::json!({ "id": one.id, "class": class, "times": tally.times, "worlds": tally.worlds })
        })
        .collect();
    let broken: Vec<_> = summary
        .broken
        .iter()
        .map(|(seed, report)| {
            let breaches: Vec<_> = report.breaches.iter().map(ToString::to_string).collect();
            serde_json::json!({ "seed": seed, "breaches": breaches, "replay": replay(*seed) })
        })
        .collect();
    serde_json::json!({
        "worlds": summary.worlds,
        "events": summary.steps,
        "virtual_s": summary.virtual_time / 1_000_000_000,
        "processor_s": summary.processor_time.as_secs_f64(),
        "seen": seen,
        "checked": checked,
        "fullest": summary.fullest,
        "broken": broken,
        "panicked": summary.panicked,
        "stuck": summary.stuck,
    })
    .to_string()
}

impl InvariantsArgs {
    /// Lists.
    ///
    /// # Errors
    ///
    /// None.
    pub fn run(&self) -> Result<String, String> {
        if self.json {
            let here = INVARIANTS.iter().map(
                |one| serde_json::json!({ "id": one.id, "class": one.class.to_string(), "says": one.says }),
            );
            let there = ELSEWHERE.iter().map(|one| serde_json::json!({ "id": one.id, "why": one.why }));
            let (here, there) = (here.collect::<Vec<_>>(), there.collect::<Vec<_>>());
            return Ok(serde_json::json!({ "invariants": here, "elsewhere": there }).to_string());
        }
        let mut out = String::new();
        for one in INVARIANTS {
            line(&mut out, &format!("{:<6} {:<6} {}", one.id, one.class.to_string(), one.says));
        }
        line(&mut out, "\nnot in pure worlds:");
        for one in ELSEWHERE {
            line(&mut out, &format!("{:<6} {}", one.id, one.why));
        }
        Ok(out)
    }
}

impl ReplayArgs {
    /// Replays.
    ///
    /// # Errors
    ///
    /// The same, if an invariant did not hold.
    pub fn run(&self) -> Result<String, String> {
        let (size, narrow) = (self.size.size(), self.narrow.narrow());
        let plan = Plan::draw(self.seed, size).narrowed(&narrow);
        let report = run(plan.clone());
        let text = match self.json {
            true => told_in_json(&plan, &report, &replay(self.seed, size, &narrow)).to_string(),
            false => told(&plan, &report),
        };
        if report.breaches.is_empty() { Ok(text) } else { Err(text) }
    }
}

impl ShrinkArgs {
    /// Shrinks.
    ///
    /// # Errors
    ///
    /// If the world does not fail.
    pub fn run(&self) -> Result<String, String> {
        let size = self.size.size();
        let whole = Plan::draw(self.seed, size);
        let (faults, dials) = (whole.faults.len(), whole.dials.len());
        let shrunk = shrink(self.seed, size, self.narrow.narrow(), self.tries);
        let Some(Shrunk { size, narrow, plan, report, tried, .. }) = shrunk else {
            return Err(format!("the world of seed {} holds every invariant: nothing to shrink", self.seed));
        };
        let see = replay(self.seed, size, &narrow);
        if self.json {
            let mut object = told_in_json(&plan, &report, &see);
            object["tried"] = tried.into();
            object["before"] = serde_json::json!({ "faults": faults, "connections": dials });
            return Ok(object.to_string());
        }
        let mut out = told(&plan, &report);
        line(&mut out, &format!("{tried} worlds tried; {faults} faults became {}:", plan.faults.len()));
        for (at, fault) in &plan.faults {
            line(&mut out, &format!("  at {} ms {fault:?}", at / 1_000_000));
        }
        line(&mut out, &format!("{dials} connections became {}:", plan.dials.len()));
        for (from, to) in connections(&plan) {
            line(&mut out, &format!("  {from} dials {to}"));
        }
        line(&mut out, &format!("see it: {see}"));
        Ok(out)
    }
}

/// A world's limits, its last events and what did not hold.
pub(crate) fn told(plan: &Plan, report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, &format!("{:?}\n{:?}", plan.config.0, plan.config.1));
    for (at, event) in &report.tail {
        line(&mut out, &format!("{:>7} us {event}", at / 1_000));
    }
    for breach in &report.breaches {
        line(&mut out, &breach.to_string());
    }
    line(&mut out, &format!("seed {}: trace {}, {} events", report.seed, report.digest, report.steps));
    out
}

/// The same as one JSON object, with what goes wrong, who is connected to whom, and the command that shows it.
fn told_in_json(plan: &Plan, report: &Report, replay: &str) -> serde_json::Value {
    let tail: Vec<_> = report
        .tail
        .iter()
        .map(|(at, event)| serde_json::json!({ "us": at / 1_000, "event": event }))
        .collect();
    let faults = plan.faults.iter();
    let faults: Vec<_> = faults
        .map(|(at, fault)| serde_json::json!({ "ms": at / 1_000_000, "fault": format!("{fault:?}") }))
        .collect();
    serde_json::json!({
        "seed": report.seed,
        "trace": report.digest,
        "events": report.steps,
        "virtual_ms": report.virtual_time / 1_000_000,
        "limits": [format!("{:?}", plan.config.0), format!("{:?}", plan.config.1)],
        "breaches": report.breaches.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tail": tail,
        "faults": faults,
        "connections": connections(plan).collect::<Vec<_>>(),
        "replay": replay,
    })
}

/// Who dials whom, each with its habit.
fn connections(plan: &Plan) -> impl Iterator<Item = (String, String)> {
    let name = |index: NodeIndex| {
        let habit = plan.member(index).map(|member| member.habit.to_string()).unwrap_or_default();
        format!("{index} ({habit})")
    };
    plan.dials.iter().map(move |(from, to)| (name(*from), name(*to)))
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> SizeArgs {
        SizeArgs { chain: Rung::Toy, peers: 3, heights: 20, newcomers: 0, faults: 2 }
    }

    #[test]
    fn a_replay_in_json_says_what_the_text_says_and_how_to_see_it_again() {
        let narrow = NarrowArgs { only_faults: None, only_peers: None, hurry: 1 };
        let told = |json| ReplayArgs { seed: 5, size: size(), narrow: narrow.clone(), json }.run().unwrap();
        let object: serde_json::Value = serde_json::from_str(&told(true)).unwrap();
        let text = told(false);
        assert!(text.contains(object["trace"].as_str().unwrap()), "{text}");
        assert_eq!(object["breaches"], serde_json::json!([]));
        let again = object["replay"].as_str().unwrap();
        assert!(again.starts_with("zakura-sim replay 5 ") && again.contains("--hurry 1"), "{again}");
        assert!(!object["connections"].as_array().unwrap().is_empty());
    }

    #[test]
    fn a_world_that_holds_has_nothing_to_shrink() {
        let narrow = NarrowArgs { only_faults: None, only_peers: None, hurry: 0 };
        let said = ShrinkArgs { seed: 5, tries: 1, size: size(), narrow, json: true }.run();
        assert!(said.unwrap_err().contains("holds every invariant"));
    }
}
