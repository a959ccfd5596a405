//! What starting and stopping came to.

use std::time::Duration;

/// Why a service failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Its own error, in its words.
    #[error("{0}")]
    Failed(String),
    /// It panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// It ended without an error and unasked before it had said that it is ready.
    #[error("it ended before it was ready")]
    EndedEarly,
    /// It was neither ready nor over when [`START_WINDOW`](super::START_WINDOW) was.
    #[error("it was not ready within {} s", super::START_WINDOW.as_secs())]
    Silent,
    /// Its task was dropped where it was: its runtime or its node was cut off.
    #[error("its task was cut off")]
    CutOff,
}

/// A service that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service {name}: {why}")]
pub struct ServiceFailure {
    /// Its name.
    pub name: &'static str,
    /// Why.
    pub why: Why,
}

/// What starting came to. Every service that was started is in exactly one of the lists, in the order of starting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct StartReport {
    /// Those that said that they are ready.
    pub ready: Vec<&'static str>,
    /// Those that ended instead.
    pub failed: Vec<ServiceFailure>,
    /// Those that did neither within [`START_WINDOW`](super::START_WINDOW). If such a service is not required, it goes on.
    pub timed_out: Vec<&'static str>,
}

/// What stopping came to. Every service that was started is in exactly one of the lists, in the order of stopping.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct StopReport {
    /// Those whose tasks have ended, without an error.
    pub stopped: Vec<&'static str>,
    /// Those whose tasks have ended with an error or a panic, now or before.
    pub failed: Vec<ServiceFailure>,
    /// Those whose tasks have not ended. They were asked to.
    pub stragglers: Vec<&'static str>,
}

/// How long stopping waits. Shorter limits force a stop: they shorten the wait, and the report names who straggles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLimits {
    /// For one service.
    pub each: Duration,
    /// For all of them together. Whoever was not asked by then is asked at once, and everybody waited for once more for
    /// [`LAST_WAIT`](super::LAST_WAIT).
    pub all: Duration,
}

impl StopLimits {
    /// 10 s for each service, 30 s for all: a service that writes what it holds to a slow disk ends in time, and an
    /// operator is not left to wait for ever.
    pub const RECOMMENDED: Self = Self { each: Duration::from_secs(10), all: Duration::from_secs(30) };
}
