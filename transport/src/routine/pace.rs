//! What a job's turn costs: a thread's own time, or modelled time.

use super::sync::{Thread, current, park};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

/// Spent by a job between its beginning and its end.
#[derive(Debug)]
pub(super) enum Pace {
    /// The job burns its thread's time; nothing is added.
    Burnt,
    /// The job is modelled to have taken time.
    #[cfg(feature = "simulation")]
    Modelled(super::inline::Modelled),
}

impl Pace {
    /// Lets the cost of one job pass, of a session of so many.
    #[cfg_attr(
        not(feature = "simulation"),
        expect(unused_variables, reason = "what a job costs is modelled in simulations only")
    )]
    pub(super) async fn spend(&mut self, jobs: usize) {
        match self {
            Self::Burnt => {}
            #[cfg(feature = "simulation")]
            Self::Modelled(modelled) => modelled.spend(jobs).await,
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls to its end what a thread of the pool runs. The thread sleeps where a task would wait.
pub(super) fn wait_on_thread<R>(future: impl Future<Output = R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(current())));
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return result;
        }
        park();
    }
}
