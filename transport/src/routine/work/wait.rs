//! Waiting for work. Apart from the lock's file, which must not wait.

use super::{demand::Demand, lease::Lease, queue::RangeQueue};
use std::pin::pin;

impl<M> RangeQueue<M> {
    /// Waits until [`take`](Self::take) gives a lease. No wake-up is lost; cancel-safe: a lease that is made is returned.
    pub async fn wait(&self, demand: &Demand) -> Lease<M> {
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            // Listening before looking: what changes after the look wakes us.
            changed.as_mut().enable();
            if let Some(lease) = self.take(demand) {
                return lease;
            }
            changed.await;
        }
    }
}
