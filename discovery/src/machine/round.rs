//! One exchange: three answers of the peer's within two seconds, and then a rest.

use std::time::{Duration, Instant};

/// What the peer has for its answers (wire 5.1).
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// From one round's start to the next (wire 5.1).
pub(super) const REFRESH: Duration = Duration::from_secs(15);

/// How long our last answers may take to reach the peer, before a connection that carries nothing else is closed.
const LINGER: Duration = Duration::from_millis(250);

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// We have no record to introduce ourselves with yet.
    Early,
    /// Answers are awaited.
    Open { since: Instant, peers: bool, services: bool },
    /// A round is complete; the next one begins then.
    Resting { until: Instant },
    /// The only round is complete, and we owe answers, or they are on their way. It is over then.
    Parting { since: Instant, until: Instant },
    /// The reactor was told how it ended, and decides.
    Over,
}

impl Phase {
    pub(super) const fn begun(now: Instant) -> Self {
        Self::Open { since: now, peers: false, services: false }
    }

    /// When something is due, and what.
    pub(super) fn timeout(self) -> Option<(Instant, &'static str)> {
        match self {
            Self::Open { since, .. } => Some((after(since, PATIENCE), "the exchange is incomplete")),
            Self::Resting { until } => Some((until, "the next exchange")),
            Self::Parting { until, .. } => Some((until, "the end of the only exchange")),
            Self::Early | Self::Over => None,
        }
    }

    /// The round that began at `since` is the only one: it is over once both sides have what they asked for, and else with
    /// the peer's patience.
    pub(super) fn parting(now: Instant, since: Instant, has_answered: bool) -> Self {
        let until = if has_answered { after(now, LINGER) } else { after(since, PATIENCE) };
        Self::Parting { since, until }
    }
}

pub(super) fn after(at: Instant, pause: Duration) -> Instant {
    at.checked_add(pause).unwrap_or(at)
}
