//! The services of a node before they run, and their start.

use super::{
    report::{ServiceFailure, StartReport, StopLimits, StopReport, Why},
    running::Running,
    service::{Managed, Phase, Planned},
};
use crate::Spawner;
use std::time::Duration;

/// How long a service may take to say that it is ready: opening a socket or a file takes far less, and whoever waits for
/// more had better be told.
pub const START_WINDOW: Duration = Duration::from_secs(5);

/// Two services of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two services are named {0:?}: rename one")]
pub struct DuplicateName(pub &'static str);

/// A required service did not start. Whatever had been started was stopped again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct StartError {
    /// The service, and why it did not start.
    pub failure: ServiceFailure,
    /// How far the start had come.
    pub report: StartReport,
    /// What stopping the others came to.
    pub rollback: StopReport,
}

/// Services in the order in which they start.
#[derive(Debug)]
pub struct Lifecycle {
    planned: Vec<Planned>,
    limits: StopLimits,
}

impl Lifecycle {
    /// No service yet; how long [`Running::stop`] will wait.
    #[must_use]
    pub const fn new(limits: StopLimits) -> Self {
        Self { planned: Vec::new(), limits }
    }

    /// Adds a service, to be started after those added before and stopped before them.
    ///
    /// # Errors
    ///
    /// [`DuplicateName`] if another bears its name.
    pub fn add(&mut self, service: impl Managed) -> Result<(), DuplicateName> {
        let planned = Planned::new(service);
        if self.planned.iter().any(|other| other.name == planned.name) {
            return Err(DuplicateName(planned.name));
        }
        self.planned.push(planned);
        Ok(())
    }

    /// Starts the services one after another: the next one once this one is ready, or has not become so within
    /// [`START_WINDOW`] and is not required. If the future is dropped, those started are asked to end.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a required service failed or was silent for the whole window. By then it and those before it
    /// are stopped, in the reverse order and within the limits.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self, spawner: &Spawner) -> Result<(Running, StartReport), StartError> {
        let (mut running, mut report) = (Running::new(self.limits), StartReport::default());
        for planned in self.planned {
            let mut begun = running.begin(planned, spawner);
            // Its phase says whether it was in time.
            let _ = tokio::time::timeout(START_WINDOW, begun.settled()).await;
            let (name, is_required) = (begun.name, begun.is_required);
            let phase = begun.phase.borrow().clone();
            running.keep(begun);
            let why = match phase {
                Phase::Ready => {
                    report.ready.push(name);
                    continue;
                }
                Phase::Ended(why) => {
                    let why = why.unwrap_or(Why::EndedEarly);
                    report.failed.push(ServiceFailure { name, why: why.clone() });
                    why
                }
                Phase::Starting => {
                    report.timed_out.push(name);
                    Why::Silent
                }
            };
            if is_required {
                let failure = ServiceFailure { name, why };
                return Err(StartError { failure, report, rollback: running.stop().await });
            }
        }
        Ok((running, report))
    }
}
