//! Services that run, and their stop.

use super::{
    report::{ServiceFailure, StopLimits, StopReport},
    service::{Begun, FirstFailure, Phase, Planned},
};
use crate::{Cancel, Spawner, deadline::after};
use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

/// What is waited once more when the time for all is over: whoever is asked only then, and ends at once, is no straggler.
pub const LAST_WAIT: Duration = Duration::from_millis(250);

/// Services that were started. If it is dropped, all are asked to end at once and nobody waits for them.
#[derive(Debug)]
#[must_use = "dropping it asks every service to end"]
pub struct Running {
    begun: Vec<Begun>,
    limits: StopLimits,
    cancel: Cancel,
    first_failure: FirstFailure,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Running {
    pub(super) fn new(limits: StopLimits) -> Self {
        let first_failure = Arc::new(watch::Sender::new(None));
        Self { begun: Vec::new(), limits, cancel: Cancel::new(), first_failure }
    }

    pub(super) fn begin(&self, planned: Planned, spawner: &Spawner) -> Begun {
        let (task, begun) = planned.begin(self.cancel.child(), Arc::clone(&self.first_failure));
        spawner.spawn(begun.name, task);
        begun
    }

    pub(super) fn keep(&mut self, begun: Begun) {
        self.begun.push(begun);
    }

    /// Waits for the first failure of a required service: an error, or a panic.
    pub fn failed(&self) -> impl Future<Output = ServiceFailure> + Send + 'static {
        let mut first = self.first_failure.subscribe();
        async move {
            let failure = first.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
            // No service is left, so none can fail any more.
            if let Some(failure) = failure { failure } else { pending().await }
        }
    }

    /// Asks the services to end, the last one started first, and each once the one before has ended or has used up its
    /// time. If the wait is dropped, all are asked to end at once, as when this is dropped.
    pub async fn stop(mut self) -> StopReport {
        let until = after(self.limits.all);
        for service in self.begun.iter_mut().rev() {
            service.cancel.cancel();
            // Whether it has ended is read off its phase, when everybody was asked.
            let _ = timeout_at(until.min(after(self.limits.each)), service.ended()).await;
        }
        if Instant::now() >= until {
            let _ = timeout(LAST_WAIT, ended(&mut self.begun)).await;
        }
        let mut report = StopReport::default();
        for service in self.begun.iter().rev() {
            let name = service.name;
            match service.phase.borrow().clone() {
                Phase::Ended(None) => report.stopped.push(name),
                Phase::Ended(Some(why)) => report.failed.push(ServiceFailure { name, why }),
                Phase::Starting | Phase::Ready => report.stragglers.push(name),
            }
        }
        report
    }
}

async fn ended(services: &mut [Begun]) {
    for service in services {
        service.ended().await;
    }
}
