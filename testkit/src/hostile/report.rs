//! What came of acts, for people and for programs.

use super::Act;
use serde::Serialize;
use std::fmt::Write as _;

/// What came of one act.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The act.
    pub name: &'static str,
    /// The rule that it breaks.
    pub breaks: &'static str,
    /// What was to come of it.
    pub expected: String,
    /// What the hostile peer saw.
    pub seen: String,
    /// The victim's own words, where it can be asked.
    pub account: Option<String>,
    /// What was wrong; none if the victim did well.
    pub trouble: Option<String>,
    /// Why the act was not run.
    pub skipped: Option<&'static str>,
    /// How long it took.
    pub millis: u64,
}

impl Verdict {
    /// Nothing seen yet.
    pub(super) fn of(act: &Act) -> Self {
        Self {
            name: act.name,
            breaks: act.breaks,
            expected: act.expected.to_string(),
            seen: String::new(),
            account: None,
            trouble: None,
            skipped: None,
            millis: 0,
        }
    }

    /// Whether the victim did well, or was spared.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.trouble.is_none()
    }
}

/// A line for each act, and a last one with the sums.
#[must_use]
pub fn table(verdicts: &[Verdict]) -> String {
    let mut out = String::new();
    for verdict in verdicts {
        let mark = match (&verdict.trouble, verdict.skipped) {
            (Some(_), _) => "FAIL",
            (None, Some(_)) => "skip",
            (None, None) => "ok",
        };
        let end = verdict.trouble.as_deref().or(verdict.skipped).or(verdict.account.as_deref()).unwrap_or("");
        // A string takes every word.
        let _ = writeln!(
            out,
            "{mark:4} {:36} {:22} {:44} {:6} ms  {end}",
            verdict.name, verdict.breaks, verdict.expected, verdict.millis
        );
    }
    let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count();
    let (failed, skipped) = (count(|v| !v.passed()), count(|v| v.skipped.is_some()));
    let done = verdicts.len().saturating_sub(failed).saturating_sub(skipped);
    let _ = writeln!(out, "{done} passed, {failed} failed, {skipped} skipped");
    out
}

/// The same as one JSON object.
#[must_use]
pub fn json(verdicts: &[Verdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    serde_json::json!({ "failed": failed, "acts": verdicts }).to_string()
}
