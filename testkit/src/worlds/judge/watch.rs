//! What a node counts of itself between two looks: numbers that only grow, so that no look is missed.

use crate::worlds::store::StoreFaults;
use bytes::Buf as _;
use std::{collections::BTreeMap, time::Instant};
use zakura_transport::{
    Frame,
    routine::{SteppedJob, SteppedService},
};

/// The first byte of a Status, of either service (wire 5.2, 5.3).
const STATUS: u8 = 1;

/// What a node has taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Advertisements.
    pub statuses: u64,
    /// Other frames.
    pub others: u64,
    /// Results of jobs.
    pub results: u64,
    /// Of those, results that were about something that is gone.
    pub stale: u64,
    /// Failures of its own store.
    pub ailments: u64,
}

/// What a node counts.
#[derive(Debug, Default)]
pub struct Watch {
    heard: Heard,
    /// Jobs given out and not back, by service and name.
    out: BTreeMap<(usize, &'static str), u64>,
    /// What the first stale result changed that changed anything.
    disturbed: Option<String>,
}

impl Watch {
    /// What it has taken in.
    #[must_use]
    pub const fn heard(&self) -> Heard {
        self.heard
    }

    /// What a stale result has changed.
    #[must_use]
    pub fn disturbed(&self) -> Option<&str> {
        self.disturbed.as_deref()
    }

    /// Jobs of this name that are out.
    #[must_use]
    pub fn jobs_out(&self, service: usize, name: &'static str) -> u64 {
        self.out.get(&(service, name)).copied().unwrap_or_default()
    }

    /// All jobs that are out.
    #[must_use]
    pub fn all_out(&self) -> u64 {
        self.out.values().sum()
    }

    /// The node begins another life: nothing of the last one comes back.
    pub fn begin(&mut self) {
        self.out.clear();
    }

    /// A frame came.
    pub fn frame(&mut self, frame: &Frame) {
        let first = frame.head.first().or_else(|| frame.body.chunk().first());
        let count = if first == Some(&STATUS) { &mut self.heard.statuses } else { &mut self.heard.others };
        *count = count.saturating_add(1);
    }

    /// A job is given out.
    pub fn gave(&mut self, service: usize, job: &SteppedJob) {
        let out = self.out.entry((service, job.name)).or_default();
        *out = out.saturating_add(1);
    }

    /// Does a job of `service` and brings it the result. `faults` says what the store has yet to fail at.
    pub fn take_back(
        &mut self,
        now: Instant,
        (place, service): (usize, &mut dyn SteppedService),
        job: SteppedJob,
        faults: impl Fn() -> StoreFaults,
    ) {
        if let Some(out) = self.out.get_mut(&(place, job.name)) {
            *out = out.saturating_sub(1);
        }
        let (name, before) = (job.name, faults());
        let result = job.run();
        self.heard.ailments = self.heard.ailments.saturating_add(u64::from(before != faults()));
        self.heard.results = self.heard.results.saturating_add(1);
        let before = service.is_stale(&result).then(|| service.portrait());
        service.done(now, result);
        let Some(before) = before else { return };
        self.heard.stale = self.heard.stale.saturating_add(1);
        let after = service.portrait();
        if before != after && self.disturbed.is_none() {
            let (was, is) = first_difference(&before, &after);
            self.disturbed = Some(format!("a stale {name} made of ..{was} this: ..{is}"));
        }
    }
}

/// From where two texts differ, a little of each.
fn first_difference<'t>(before: &'t str, after: &'t str) -> (&'t str, &'t str) {
    const LITTLE: usize = 160;
    let same = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
    // Portraits are of plain letters; where they are not, all of it is shown.
    let rest = |text: &'t str| text.get(same..).unwrap_or(text);
    let little = |text: &'t str| text.get(..LITTLE).unwrap_or(text);
    (little(rest(before)), little(rest(after)))
}
