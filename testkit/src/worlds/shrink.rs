//! From a world that fails to a smaller one that fails the same way: fewer faults, then fewer peers, then an earlier end
//! of trouble. What is left is what matters.

use super::{
    plan::{Fault, Plan, SUBJECT},
    run::{Report, run},
};
use crate::sim::NodeIndex;

/// A smaller world and what came of it.
#[derive(Debug)]
pub struct Shrunk {
    /// The smaller world.
    pub plan: Plan,
    /// How it failed.
    pub report: Report,
    /// Worlds that were run on the way.
    pub tried: u32,
}

/// Makes a failing plan smaller, in `tries` runs at most. A plan that does not fail comes back as nothing.
#[must_use]
pub fn shrink(plan: Plan, tries: u32) -> Option<Shrunk> {
    let report = run(plan.clone());
    let invariant = report.breaches.first()?.invariant;
    let mut best = Shrunk { plan, report, tried: 1 };
    loop {
        let before = weight(&best.plan);
        best.drop_chunks(tries, invariant, |plan| plan.faults.len(), without_faults);
        best.drop_chunks(tries, invariant, |plan| peers(plan).len(), without_peers);
        if weight(&best.plan) == before || best.tried >= tries {
            return Some(best);
        }
    }
}

/// What counts as large.
fn weight(plan: &Plan) -> usize {
    plan.faults.len().saturating_add(plan.dials.len())
}

/// Peers that anybody dials or is dialled by.
fn peers(plan: &Plan) -> Vec<NodeIndex> {
    let mut peers: Vec<_> = plan.dials.iter().flat_map(|(from, to)| [*from, *to]).collect();
    peers.sort();
    peers.dedup();
    peers.retain(|peer| *peer != SUBJECT);
    peers
}

impl Shrunk {
    /// Leaves out half of the things, then quarters, down to one at a time, as long as it fails the same way.
    fn drop_chunks(
        &mut self,
        tries: u32,
        invariant: &str,
        count: impl Fn(&Plan) -> usize,
        without: impl Fn(&Plan, usize, usize) -> Plan,
    ) {
        let mut chunk = count(&self.plan).div_ceil(2);
        while chunk > 0 && self.tried < tries {
            let mut at = 0;
            while at < count(&self.plan) && self.tried < tries {
                let smaller = without(&self.plan, at, chunk);
                self.tried = self.tried.saturating_add(1);
                let report = run(smaller.clone());
                if report.breaches.first().is_some_and(|breach| breach.invariant == invariant) {
                    (self.plan, self.report) = (smaller, report);
                } else {
                    at = at.saturating_add(chunk);
                }
            }
            chunk /= 2;
        }
    }
}

fn without_faults(plan: &Plan, at: usize, count: usize) -> Plan {
    let mut smaller = plan.clone();
    let end = at.saturating_add(count).min(smaller.faults.len());
    smaller.faults.drain(at..end);
    smaller
}

fn without_peers(plan: &Plan, at: usize, count: usize) -> Plan {
    let gone: Vec<_> = peers(plan).into_iter().skip(at).take(count).collect();
    let mut smaller = plan.clone();
    smaller.dials.retain(|(from, to)| !gone.contains(from) && !gone.contains(to));
    smaller.faults.retain(|(_, fault)| !concerns(fault, &gone));
    smaller
}

fn concerns(fault: &Fault, gone: &[NodeIndex]) -> bool {
    match fault {
        Fault::Cut(from, to) | Fault::Heal(from, to) => gone.contains(from) || gone.contains(to),
        Fault::Crash(node)
        | Fault::Start(node)
        | Fault::Access(node, _)
        | Fault::Slow(node, _)
        | Fault::Store(node, _)
        | Fault::Mine(node, _) => gone.contains(node),
    }
}
