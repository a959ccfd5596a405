//! What those who look on may see of machines and reactors: numbers, drawn up without deciding anything.

use crate::Fence;
use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// One bounded thing and how full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: u64,
    /// What it may hold.
    pub cap: u64,
}

impl Fill {
    /// A fill.
    #[must_use]
    pub fn new(name: &'static str, holds: usize, cap: usize) -> Self {
        Self { name, holds: wide(holds), cap: wide(cap) }
    }
}

/// A number that somebody keeps, beside what counting the things themselves gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recount {
    /// Its name.
    pub name: &'static str,
    /// What is kept.
    pub says: u64,
    /// What there is.
    pub is: u64,
}

impl Recount {
    /// A recount of bytes and other wide numbers.
    #[must_use]
    pub const fn new(name: &'static str, says: u64, is: u64) -> Self {
        Self { name, says, is }
    }

    /// A recount of things.
    #[must_use]
    pub fn of(name: &'static str, says: usize, is: usize) -> Self {
        Self { name, says: wide(says), is: wide(is) }
    }
}

/// Where a reactor stands, in numbers that are at hand. Equal before and after whatever changed nothing; work that runs
/// off the reactor is not in it, since that a job is over is no news to anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stand {
    /// Sessions it knows.
    pub sessions: u64,
    /// The height up to which things are durable, as it tells.
    pub frontier: u64,
    /// The height up to which it has planned.
    pub reach: u64,
    /// Things it keeps in its books: heights, segments, tips.
    pub known: u64,
    /// Things that somebody has yet to bring.
    pub missing: u64,
    /// What it holds for the store: bytes of bodies, headers.
    pub held: u64,
    /// What is asked for or free to be asked for, in the same measure.
    pub asked: u64,
    /// What `asked` may be, with the one piece that is let in whatever the limit says.
    pub asked_cap: u64,
    /// How often it began anew.
    pub generation: u64,
    /// Peers it has found guilty and remembers, and instructions that wait to be posted.
    pub told: u64,
}

/// What a machine has asked of its peer, and what it could be given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Duty {
    /// Requests that are out.
    pub requests: u64,
    /// Whether something is to be asked that has not been sent yet.
    pub is_backed_up: bool,
    /// When the first request that is out runs out of time.
    pub first_due: Option<Instant>,
    /// When the last one does.
    pub last_due: Option<Instant>,
    /// Whether no time is charged now since our own store is slow.
    pub is_paused: bool,
    /// The keys that the peer says it has.
    pub servable: Option<RangeInclusive<u64>>,
    /// Until when it is left alone, in part or altogether.
    pub rests_until: Option<Instant>,
    /// The longest that it may be left alone.
    pub longest_rest: Duration,
    /// How long it may be idle beside pending work that it could do.
    pub patience: Duration,
    /// How long the lowest key may be in one other peer's hands while this one is idle; nothing if it is not fit for that.
    pub rescue: Option<Duration>,
}

impl Duty {
    /// Whether it has nothing to do and could be asked.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.requests == 0 && !self.is_backed_up && self.rests_until.is_none() && self.servable.is_some()
    }
}

/// The lowest key that is not done, and in whose hands it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lowest {
    /// The key.
    pub key: u64,
    /// Who holds it; nobody if it is pending.
    pub owner: Option<Fence>,
    /// Who holds it too.
    pub hedge: Option<Fence>,
}

pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
