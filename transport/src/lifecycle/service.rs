//! What a service is to whoever starts and stops it.

use super::report::{ServiceFailure, Why};
use crate::{
    Cancel,
    routine::{TaskEnd, contain},
};
use futures::future::{BoxFuture, FutureExt};
use std::{error::Error, fmt, future::Future, sync::Arc};
use tokio::sync::watch;

/// A long-lived part of a node.
pub trait Managed: Send + 'static {
    /// What can go wrong with it; [`Infallible`](std::convert::Infallible) if nothing can.
    type Error: Error + Send;

    /// Its name, unique in the node: reports and errors carry it, and its task bears it.
    fn name(&self) -> &'static str;

    /// Whether the node can do without it. If a required service does not start, those started before it are stopped
    /// again; if it fails later, [`Running::failed`](super::Running::failed) names it.
    fn is_required(&self) -> bool {
        true
    }

    /// Its whole life: it comes up, says [`ready`](ServiceCx::ready), works, and returns soon after
    /// [`cancel`](ServiceCx::cancel) is asked for. It may also end by itself, when there is nothing left to do.
    ///
    /// # Errors
    ///
    /// Why it could not start or go on.
    fn run(self, cx: ServiceCx) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What a running service is handed.
#[derive(Debug)]
pub struct ServiceCx {
    phase: Arc<watch::Sender<Phase>>,
    cancel: Cancel,
}

impl ServiceCx {
    /// Says that the service has started: who depends on it may come now. Idempotent.
    pub fn ready(&self) {
        self.phase.send_if_modified(|phase| {
            let starts = *phase == Phase::Starting;
            if starts {
                *phase = Phase::Ready;
            }
            starts
        });
    }

    /// Asked for when the service is to end.
    #[must_use]
    pub const fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

/// Where a service stands. It goes one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    /// Its task has ended, and what it owned is dropped.
    Ended(Option<Why>),
}

/// The first failure of a required service.
pub(super) type FirstFailure = Arc<watch::Sender<Option<ServiceFailure>>>;

type Life = Box<dyn FnOnce(ServiceCx) -> BoxFuture<'static, Result<(), String>> + Send>;

/// A service that has not been started.
pub(super) struct Planned {
    pub(super) name: &'static str,
    pub(super) is_required: bool,
    life: Life,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Planned {
    pub(super) fn new<S: Managed>(service: S) -> Self {
        let (name, is_required) = (service.name(), service.is_required());
        let life: Life = Box::new(move |cx| {
            async move { service.run(cx).await.map_err(|error| error.to_string()) }.boxed()
        });
        Self { name, is_required, life }
    }

    /// Its task, and what whoever waits for it holds.
    pub(super) fn begin(
        self,
        cancel: Cancel,
        first_failure: FirstFailure,
    ) -> (impl Future<Output = ()> + Send + 'static, Begun) {
        let (sender, phase) = watch::channel(Phase::Starting);
        let phase_in = Arc::new(sender);
        let begun = Begun { name: self.name, is_required: self.is_required, cancel: cancel.clone(), phase };
        let cx = ServiceCx { phase: Arc::clone(&phase_in), cancel };
        let mut ending = Ending {
            name: self.name,
            why: Some(Why::CutOff),
            cancel: cx.cancel.clone(),
            phase: phase_in,
            first_failure: self.is_required.then_some(first_failure),
        };
        let life = self.life;
        let task = async move {
            // The life begins in its own task, so that a panic before its first wait is contained too.
            ending.tell(contain(async move { life(cx).await }).await);
        };
        (task, begun)
    }
}

/// A service that was started.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) name: &'static str,
    pub(super) is_required: bool,
    pub(super) cancel: Cancel,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Begun {
    /// Waits until it is ready or has ended.
    pub(super) async fn settled(&mut self) {
        // An error says that its task is gone, which its last phase says too.
        let _ = self.phase.wait_for(|phase| *phase != Phase::Starting).await;
    }

    pub(super) async fn ended(&mut self) {
        let _ = self.phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
    }
}

/// Says that a service has ended, on every path: return, panic, or a task that is dropped.
struct Ending {
    name: &'static str,
    why: Option<Why>,
    cancel: Cancel,
    phase: Arc<watch::Sender<Phase>>,
    first_failure: Option<FirstFailure>,
}

impl Ending {
    fn tell(&mut self, end: TaskEnd<Result<(), String>>) {
        self.why = match end {
            TaskEnd::Finished(Ok(())) => None,
            TaskEnd::Finished(Err(error)) => Some(Why::Failed(error)),
            TaskEnd::Panicked(panic) => Some(Why::Panicked(panic)),
        };
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let is_early = *self.phase.borrow() == Phase::Starting && !self.cancel.is_cancelled();
        let why = self.why.take().or_else(|| is_early.then_some(Why::EndedEarly));
        self.phase.send_replace(Phase::Ended(why.clone()));
        let Some(why) = why else { return };
        let name = self.name;
        let failure = ServiceFailure { name, why };
        tracing::error!(target: crate::observe::target::SERVICE, %failure, "a service failed");
        if let Some(first) = &self.first_failure {
            first.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(failure);
                is_first
            });
        }
    }
}
