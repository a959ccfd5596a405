//! What is done off the reactor: every call of the port that may block or burn.

use super::state::{Done, Order};
use crate::ports::BlockStore;
use futures::{FutureExt, future::BoxFuture};
use std::{sync::Arc, time::Duration};
use zakura_transport::routine::{JobFault, Skipped, WorkPool};

/// How long to wait for a place in a busy work pool.
const BUSY_WAIT: Duration = Duration::from_millis(5);

impl Order {
    /// What kind of work it is.
    #[cfg(feature = "simulation")]
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Plan { .. } => "body plan",
            Self::Check(_) => "body check",
            Self::Commit(_) => "body commit",
            Self::Read { .. } => "body read",
        }
    }

    /// Bodies it goes over.
    #[cfg(feature = "simulation")]
    pub(crate) fn items(&self) -> usize {
        match self {
            Self::Plan { limit, .. } => *limit,
            Self::Check(batch) => batch.len(),
            Self::Commit(run) => run.len(),
            Self::Read { order, .. } => usize::try_from(order.count).unwrap_or(usize::MAX),
        }
    }

    /// Does the work here and now.
    pub(crate) fn perform(self, store: &dyn BlockStore) -> Done {
        match self {
            Self::Plan { epoch, from, limit, view } => {
                Done::Planned { epoch, limit, view, answer: Ok(store.missing(from, limit, view.fence)) }
            }
            Self::Check(batch) => {
                let judged = batch.into_iter().map(|(at, delivery)| {
                    let verdict = store.check(at, &delivery.raw);
                    (at, delivery, Ok(verdict))
                });
                Done::Checked(judged.collect())
            }
            Self::Commit(run) => Done::Committed(Ok(store.commit(run))),
            Self::Read { session, order } => {
                let answer = store.read(order.start, order.count, order.bytes);
                Done::Read { session, start: order.start, answer }
            }
        }
    }

    /// What is said in its place if it broke down.
    fn undone(self, reason: String) -> Done {
        match self {
            Self::Plan { epoch, limit, view, .. } => {
                Done::Planned { epoch, limit, view, answer: Err(reason) }
            }
            Self::Check(batch) => {
                let unjudged = batch.into_iter().map(|(at, delivery)| (at, delivery, Err(reason.clone())));
                Done::Checked(unjudged.collect())
            }
            Self::Commit(_) => Done::Committed(Err(reason)),
            Self::Read { session, order } => Done::Read { session, start: order.start, answer: Err(reason) },
        }
    }
}

/// How an order's turn on the work pool ended: it is done, or it is to be begun again since the pool was busy; and what the
/// pool skipped of it.
pub(super) type Turn = (Result<Done, Order>, Skipped);

/// Starts an order on the work pool. From a busy pool it comes back after a pause.
pub(super) fn begin(order: Order, store: &Arc<dyn BlockStore>, pool: &WorkPool) -> BoxFuture<'static, Turn> {
    let (store, pool, attempt) = (Arc::clone(store), pool.clone(), order.clone());
    async move {
        let fault = match pool.run(move || attempt.perform(&*store)).await {
            Ok(done) => return (Ok(done), Skipped::default()),
            Err(fault) => fault,
        };
        let skipped = Skipped::from(&fault);
        match fault {
            JobFault::Busy => {
                tokio::time::sleep(BUSY_WAIT).await;
                (Err(order), skipped)
            }
            // A panic of the embedder's, or the pool's end.
            _ => (Ok(order.undone(fault.to_string())), skipped),
        }
    }
    .boxed()
}
