//! What came of the planted bugs.

use std::fmt::Write as _;

/// What came of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was seen.
    Caught {
        /// By whom: `worlds`, or the test.
        by: String,
        /// What did not hold.
        seen: String,
        /// How many worlds it took.
        worlds: Option<u64>,
    },
    /// It was not, and an invariant that is to come will.
    Awaited(String),
    /// It was not, and should have been.
    Escaped(String),
    /// It could not be tried: the patch does not apply, or what it makes does not build.
    Untried(String),
}

/// One bug and what came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// The threats it is about.
    pub rows: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// How long that took, and of it the build.
    pub seconds: (f64, f64),
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of the catalogue.
    pub outcomes: Vec<Outcome>,
    /// So many worlds held without a bug.
    pub clean_worlds: u64,
    /// So many tests passed without one.
    pub clean_tests: usize,
}

impl Outcome {
    /// The word, and what there is to say of it.
    fn words(&self) -> (&'static str, String) {
        match &self.verdict {
            Verdict::Caught { by, seen, worlds: Some(worlds) } => {
                ("caught", format!("{by}, {worlds}: {seen}"))
            }
            Verdict::Caught { by, seen, worlds: None } => ("caught", format!("{by}: {seen}")),
            Verdict::Awaited(invariant) => ("awaited", format!("nothing sees it yet; {invariant} is to")),
            Verdict::Escaped(why) => ("ESCAPED", why.clone()),
            Verdict::Untried(why) => ("UNTRIED", why.clone()),
        }
    }

    /// A line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let (word, more) = self.words();
        let (all, build) = self.seconds;
        let rows = self.rows.join(" ");
        format!("{:<28} {rows:<14} {word:<8} {all:>6.1} s ({build:.1} s to build)  {more}", self.name)
    }

    fn json(&self) -> serde_json::Value {
        let (word, more) = self.words();
        let (all, build) = self.seconds;
        let mut told = serde_json::json!({
            "name": self.name, "rows": self.rows, "verdict": word.to_lowercase(), "why": more,
            "seconds": all, "build_seconds": build,
        });
        if let (Verdict::Caught { by, seen, worlds }, Some(told)) = (&self.verdict, told.as_object_mut()) {
            told.insert("by".into(), by.clone().into());
            told.insert("seen".into(), seen.clone().into());
            told.insert("worlds".into(), (*worlds).into());
        }
        told
    }
}

impl Report {
    /// Whether every bug was caught that there is something to catch it by.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let is_good = |verdict: &Verdict| matches!(verdict, Verdict::Caught { .. } | Verdict::Awaited(_));
        self.outcomes.iter().all(|outcome| is_good(&outcome.verdict))
    }

    fn count(&self, which: fn(&Verdict) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| which(&outcome.verdict)).count()
    }

    /// The last line.
    #[must_use]
    pub fn sum(&self) -> String {
        let (all, worlds, tests) = (self.outcomes.len(), self.clean_worlds, self.clean_tests);
        let caught = self.count(|verdict| matches!(verdict, Verdict::Caught { .. }));
        let awaited = self.count(|verdict| matches!(verdict, Verdict::Awaited(_)));
        let escaped = self.count(|verdict| matches!(verdict, Verdict::Escaped(_)));
        let untried = self.count(|verdict| matches!(verdict, Verdict::Untried(_)));
        format!(
            "{all} planted: {caught} caught, {awaited} awaited, {escaped} escaped, {untried} untried; \
             without them {worlds} worlds held and {tests} tests passed"
        )
    }

    /// A line for each, and the sum.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        for outcome in &self.outcomes {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{}", outcome.line());
        }
        out.push_str(&self.sum());
        out
    }

    /// The same as one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let bugs: Vec<_> = self.outcomes.iter().map(Outcome::json).collect();
        serde_json::json!({
            "bugs": bugs, "clean_worlds": self.clean_worlds, "clean_tests": self.clean_tests,
            "good": self.is_good(), "sum": self.sum(),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: Vec<Verdict>) -> Report {
        let outcome =
            |verdict| Outcome { name: "a".into(), rows: vec!["HS01".into()], verdict, seconds: (2.0, 1.0) };
        let outcomes = verdicts.into_iter().map(outcome).collect();
        Report { outcomes, clean_worlds: 60, clean_tests: 2 }
    }

    #[test]
    fn an_escape_or_a_bug_untried_is_a_failure_and_an_awaited_one_is_not() {
        let caught = Verdict::Caught { by: "worlds".into(), seen: "I-B1".into(), worlds: Some(3) };
        let awaited = Verdict::Awaited("I-V2".into());
        let good = report(vec![caught.clone(), awaited]);
        assert!(good.is_good());
        assert!(good.table().ends_with(
            "2 planted: 1 caught, 1 awaited, 0 escaped, 0 untried; without them 60 worlds held and 2 tests passed"
        ));
        assert!(good.json().contains(r#""worlds":3"#));
        for bad in [Verdict::Escaped("60 worlds".into()), Verdict::Untried("no build".into())] {
            assert!(!report(vec![caught.clone(), bad]).is_good());
        }
    }
}
