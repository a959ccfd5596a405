//! From a world that fails to a smaller one of the same seed that fails the same way: fewer faults, then fewer peers, then a
//! shorter chain, then everything sooner. What is left is what matters, and one command shows it again.

use super::{
    narrow::{Narrow, Only},
    plan::{Plan, Size},
    run::{Report, run},
};
use std::collections::BTreeSet;

/// Chains are not made shorter than this: below it branches have no room.
const FEWEST_HEIGHTS: u32 = 30;

/// Halvings of time that are tried.
const MOST_HURRY: u32 = 4;

/// A smaller world and what came of it.
#[derive(Debug)]
pub struct Shrunk {
    /// How large it still is.
    pub size: Size,
    /// What is left of it.
    pub narrow: Narrow,
    /// The smaller world.
    pub plan: Plan,
    /// How it failed.
    pub report: Report,
    /// Worlds that were run on the way.
    pub tried: u32,
    most_tries: u32,
}

/// Makes a failing world smaller, in `tries` runs at most. One that does not fail comes back as nothing.
#[must_use]
pub fn shrink(seed: u64, size: Size, narrow: Narrow, tries: u32) -> Option<Shrunk> {
    let plan = Plan::draw(seed, size).narrowed(&narrow);
    let report = run(plan.clone());
    report.breaches.first()?;
    let mut best = Shrunk { size, narrow, plan, report, tried: 1, most_tries: tries };
    while best.tried < tries && best.improve() {}
    Some(best)
}

impl Shrunk {
    /// Tries every way to be smaller once. Whether one was.
    fn improve(&mut self) -> bool {
        let before = (self.size, self.narrow.clone());
        self.drop_faults();
        self.drop_peers();
        while self.size.heights / 2 >= FEWEST_HEIGHTS
            && self.try_it(Size { heights: self.size.heights / 2, ..self.size }, self.narrow.clone())
        {
        }
        while self.narrow.hurry < MOST_HURRY
            && self.try_it(self.size, Narrow { hurry: self.narrow.hurry + 1, ..self.narrow.clone() })
        {
        }
        before != (self.size, self.narrow.clone())
    }

    fn drop_faults(&mut self) {
        let drawn = Plan::draw(self.plan.seed, self.size).breaking();
        let kept = self.narrow.faults.clone().unwrap_or(drawn);
        self.drop_chunks(kept.0, |narrow, kept| narrow.faults = Some(kept));
    }

    fn drop_peers(&mut self) {
        let last = u16::try_from(self.plan.members.len()).unwrap_or(u16::MAX).saturating_sub(1);
        let all = (1..last).collect();
        let kept = self.narrow.peers.clone().unwrap_or(Only(all));
        self.drop_chunks(kept.0, |narrow, kept| narrow.peers = Some(kept));
    }

    /// Leaves out half of the numbers, then quarters, down to one at a time, as long as it fails the same way.
    fn drop_chunks(&mut self, mut kept: BTreeSet<u16>, put: impl Fn(&mut Narrow, Only)) {
        let mut chunk = kept.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < kept.len() {
                let (before, after) = (kept.iter().take(at), kept.iter().skip(at.saturating_add(chunk)));
                let fewer: BTreeSet<u16> = before.chain(after).copied().collect();
                let mut narrow = self.narrow.clone();
                put(&mut narrow, Only(fewer.clone()));
                if self.try_it(self.size, narrow) {
                    kept = fewer;
                } else {
                    at = at.saturating_add(chunk);
                }
            }
            chunk /= 2;
        }
    }

    /// Runs a smaller world and takes it if it fails the same way.
    fn try_it(&mut self, size: Size, narrow: Narrow) -> bool {
        if self.tried >= self.most_tries {
            return false;
        }
        self.tried = self.tried.saturating_add(1);
        let plan = Plan::draw(self.plan.seed, size).narrowed(&narrow);
        let report = run(plan.clone());
        let how = |report: &Report| report.breaches.first().map(|breach| breach.invariant);
        let fails = how(&report).is_some() && how(&report) == how(&self.report);
        if fails {
            (self.size, self.narrow, self.plan, self.report) = (size, narrow, plan, report);
        }
        fails
    }
}
