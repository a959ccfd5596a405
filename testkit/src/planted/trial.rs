//! One bug after another: planted, built, and looked for.

use super::{
    catalogue::{Bug, Catalogue, Caught},
    child::Ended,
    report::{Outcome, Report, Verdict},
    workshop::Workshop,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// The program that runs worlds.
const SIM: &str = "zakura-sim";

/// What builds it.
const BUILD_SIM: [&str; 6] = ["build", "--locked", "-p", "zakura-testkit", "--bin", SIM];

/// Worlds of the first step of a sweep; each step doubles what was swept.
const FIRST_STEP: u64 = 4;

/// How much of everything there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Worlds at a time.
    pub threads: usize,
    /// For one build.
    pub build: Duration,
    /// For one step of a sweep.
    pub sweep: Duration,
    /// For one test.
    pub test: Duration,
}

/// Tries bugs, and tells of each as soon as it is over. First the same worlds and tests have to hold without any.
///
/// # Errors
///
/// If they do not, or the copy cannot be built.
pub fn run(
    workshop: &Workshop,
    catalogue: &Catalogue,
    bugs: &[&Bug],
    limits: Limits,
    mut tell: impl FnMut(&Outcome),
) -> Result<Report, String> {
    let trial = Trial { workshop, limits };
    let clean = trial.clean(bugs)?;
    let mut outcomes = Vec::new();
    for bug in bugs {
        let began = Instant::now();
        let mut build = 0.0;
        let verdict = trial.bug(catalogue, bug, &clean, &mut build);
        let verdict = verdict.unwrap_or_else(Verdict::Untried);
        let seconds = (began.elapsed().as_secs_f64(), build);
        let outcome = Outcome { name: bug.name.clone(), rows: bug.rows.clone(), verdict, seconds };
        tell(&outcome);
        outcomes.push(outcome);
    }
    workshop.refresh()?;
    Ok(Report { outcomes, clean_worlds: clean.worlds, clean_tests: clean.tests.len() })
}

/// What worlds and tests show without any bug.
struct Clean {
    worlds: u64,
    seen: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// What a sweep showed.
#[derive(Debug, Default)]
struct Swept {
    /// Worlds that came to an end.
    worlds: u64,
    /// What was seen in them.
    seen: BTreeSet<String>,
    /// The first world in which something broke, and what.
    broken: Option<(u64, String)>,
}

struct Trial<'a> {
    workshop: &'a Workshop,
    limits: Limits,
}

impl Trial<'_> {
    fn clean(&self, bugs: &[&Bug]) -> Result<Clean, String> {
        self.workshop.refresh()?;
        let worlds = bugs.iter().filter_map(|bug| match &bug.caught {
            Caught::Worlds { worlds, .. } => Some(*worlds),
            Caught::Test { .. } => None,
        });
        let mut swept = Swept::default();
        if let Some(worlds) = worlds.max() {
            self.build(&BUILD_SIM)?;
            swept = self.sweep_up_to(worlds)?;
            if let Some((seed, what)) = swept.broken {
                return Err(format!("without any bug the world of seed {seed} breaks: {what}"));
            }
        }
        let tests: BTreeSet<String> = bugs
            .iter()
            .filter_map(|bug| match &bug.caught {
                Caught::Test { test } => Some(test.clone()),
                Caught::Worlds { .. } => None,
            })
            .collect();
        for test in &tests {
            self.build(&test_words(test, &["--no-run"]))?;
            let ended = self.workshop.cargo(&test_words(test, &[]), self.limits.test)?;
            if !ended.worked() || !has_run(&ended.out) {
                return Err(format!("without any bug the test `{test}` does not pass:\n{}", ended.tail()));
            }
        }
        Ok(Clean { worlds: swept.worlds, seen: swept.seen, tests })
    }

    fn bug(
        &self,
        catalogue: &Catalogue,
        bug: &Bug,
        clean: &Clean,
        seconds: &mut f64,
    ) -> Result<Verdict, String> {
        self.workshop.plant(&catalogue.patch(bug))?;
        let began = Instant::now();
        let built = match &bug.caught {
            Caught::Worlds { .. } => self.build(&BUILD_SIM),
            Caught::Test { test } => self.build(&test_words(test, &["--no-run"])),
        };
        *seconds = began.elapsed().as_secs_f64();
        built?;
        match &bug.caught {
            Caught::Worlds { worlds, missing, awaits } => {
                let verdict = self.worlds(*worlds, missing.as_deref(), clean)?;
                Ok(match (verdict, awaits) {
                    (Verdict::Escaped(_), Some(invariant)) => Verdict::Awaited(invariant.clone()),
                    (verdict, _) => verdict,
                })
            }
            Caught::Test { test } => self.test(test),
        }
    }

    fn build(&self, arguments: &[&str]) -> Result<(), String> {
        let ended = self.workshop.cargo(arguments, self.limits.build)?;
        if ended.worked() { Ok(()) } else { Err(format!("it does not build: {}", ended.tail())) }
    }

    fn worlds(&self, worlds: u64, missing: Option<&str>, clean: &Clean) -> Result<Verdict, String> {
        let swept = self.sweep_up_to(worlds)?;
        let by = || "worlds".to_owned();
        if let Some((seed, seen)) = swept.broken {
            return Ok(Verdict::Caught { by: by(), seen, worlds: Some(seed.saturating_add(1)) });
        }
        Ok(match missing {
            Some(what) if !clean.seen.contains(what) => {
                Verdict::Escaped(format!("`{what}` is not seen without the bug either"))
            }
            Some(what) if !swept.seen.contains(what) => {
                Verdict::Caught { by: by(), seen: format!("I-X2, never `{what}`"), worlds: Some(worlds) }
            }
            Some(_) | None => Verdict::Escaped(format!("{worlds} worlds hold")),
        })
    }

    /// Sweeps in steps that double, until something breaks.
    fn sweep_up_to(&self, worlds: u64) -> Result<Swept, String> {
        let mut swept = Swept::default();
        while swept.worlds < worlds && swept.broken.is_none() {
            let from = swept.worlds;
            let count = from.max(FIRST_STEP).min(worlds.saturating_sub(from));
            let step = self.sweep(from, count)?;
            swept.worlds = from.saturating_add(step.worlds);
            swept.seen.extend(step.seen);
            swept.broken = step.broken;
        }
        Ok(swept)
    }

    fn sweep(&self, from: u64, count: u64) -> Result<Swept, String> {
        let mut program = self.workshop.program(SIM);
        program.args([
            "sweep",
            "--json",
            "--wall-limit",
            "60",
            "--from",
            &from.to_string(),
            "--seeds",
            &count.to_string(),
        ]);
        program.args(["--threads", &self.limits.threads.to_string()]);
        let ended = self.workshop.run(&mut program, self.limits.sweep)?;
        let swept = told(&ended).ok_or_else(|| format!("worlds from {from}: {}", ended.tail()))?;
        if swept.worlds < count && swept.broken.is_none() {
            return Err(format!("of {count} worlds from {from} {} came to an end", swept.worlds));
        }
        Ok(swept)
    }

    fn test(&self, test: &str) -> Result<Verdict, String> {
        let ended = self.workshop.cargo(&test_words(test, &[]), self.limits.test)?;
        if ended.status.is_none() || !has_run(&ended.out) {
            return Err(format!("`{test}`: {}", ended.tail()));
        }
        if ended.worked() {
            return Ok(Verdict::Escaped(format!("`{test}` passes")));
        }
        let failed = ended.out.lines().filter_map(|line| line.strip_suffix(" ... FAILED"));
        let failed: Vec<_> = failed.filter_map(|line| line.strip_prefix("test ")).collect();
        if failed.is_empty() {
            return Err(format!("`{test}` came to no verdict: {}", ended.tail()));
        }
        Ok(Verdict::Caught { by: test.to_owned(), seen: failed.join(", "), worlds: None })
    }
}

/// `cargo test` with what a bug says to it, and more.
fn test_words<'a>(test: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["test", "--locked"];
    words.extend(more);
    words.extend(test.split_whitespace());
    words
}

/// Whether any test was run at all.
fn has_run(out: &str) -> bool {
    let counts = out.lines().filter_map(|line| line.strip_prefix("running "));
    counts.filter_map(|line| line.split(' ').next()).any(|count| count != "0")
}

/// What a sweep says of itself in JSON, on either output.
fn told(ended: &Ended) -> Option<Swept> {
    let lines = ended.out.lines().chain(ended.err.lines());
    let told: serde_json::Value = lines.filter_map(|line| serde_json::from_str(line).ok()).next_back()?;
    let seen = told.get("seen")?.as_object()?.keys().cloned().collect();
    let mut broken = BTreeMap::new();
    for world in told.get("broken")?.as_array()? {
        let breach = world.get("breaches")?.as_array()?.first()?.as_str()?;
        let invariant = breach.split(" in world ").next().unwrap_or(breach);
        broken.insert(world.get("seed")?.as_u64()?, invariant.to_owned());
    }
    for (what, ended) in [("panicked", "a panic"), ("stuck", "a world that does not end")] {
        let seeds = told.get(what).and_then(serde_json::Value::as_array);
        let seeds = seeds.into_iter().flatten().filter_map(serde_json::Value::as_u64);
        broken.extend(seeds.map(|seed| (seed, ended.to_owned())));
    }
    Some(Swept { worlds: told.get("worlds")?.as_u64()?, seen, broken: broken.pop_first() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(out: &str, err: &str) -> Ended {
        Ended { status: None, out: out.into(), err: err.into() }
    }

    #[test]
    fn a_sweep_is_read_from_whichever_output_it_is_on() {
        let good = told(&ended("{\"worlds\":4,\"seen\":{\"connected\":[3,2]},\"broken\":[]}\n", "")).unwrap();
        assert_eq!((good.worlds, good.broken), (4, None));
        assert!(good.seen.contains("connected"));
        let line = "{\"worlds\":4,\"seen\":{},\"broken\":[\
            {\"seed\":9,\"breaches\":[\"I-B1 in world 9 at step 4 (3 ms): so\"]},{\"seed\":7,\"breaches\":[\"I-V1 in world 7 at step 1 (1 ms): so\"]}]}";
        let bad = told(&ended("", &format!("a thread panicked\n{line}\n"))).unwrap();
        assert_eq!(bad.broken, Some((7, "I-V1".to_owned())));
        assert!(told(&ended("", "killed")).is_none());
    }

    #[test]
    fn a_filter_that_matches_nothing_is_no_test() {
        assert!(has_run("running 0 tests\nrunning 3 tests\n"));
        assert!(!has_run("running 0 tests\n"));
        assert!(!has_run(""));
        assert_eq!(
            test_words("-p a --test b", &["--no-run"]),
            ["test", "--locked", "--no-run", "-p", "a", "--test", "b"]
        );
    }
}
