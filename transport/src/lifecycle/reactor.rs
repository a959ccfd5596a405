//! A reactor as a managed service.

use super::service::{Managed, ServiceCx};
use crate::Spawner;
use futures::future::{BoxFuture, FutureExt};
use std::{convert::Infallible, fmt, future::Future};

/// A service's reactor that does not run yet. It is ready as soon as it runs, and ends when it is asked to, or by itself
/// once nobody is left to hear from.
pub struct Reactor {
    name: &'static str,
    life: BoxFuture<'static, ()>,
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Reactor {
    /// The reactor whose loop is `life`. Its task bears the name.
    #[must_use]
    pub fn new(name: &'static str, life: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name, life: life.boxed() }
    }

    /// Runs it as a critical task, outside a lifecycle: it ends by itself.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn(self, spawner: &Spawner) {
        spawner.spawn_critical(self.name, self.life);
    }
}

impl Managed for Reactor {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(self, cx: ServiceCx) -> Result<(), Infallible> {
        cx.ready();
        tokio::select! {
            biased;
            () = cx.cancel().cancelled() => {}
            () = self.life => {}
        }
        Ok(())
    }
}
