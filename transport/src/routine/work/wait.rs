//! Waiting for work. Apart from the lock's file, which must not wait.

use super::{demand::Demand, lease::Lease, queue::RangeQueue};

impl<M> RangeQueue<M> {
    /// Waits until [`take`](Self::take) gives a lease. No wake-up is lost; cancel-safe: a lease that is made is returned.
    pub async fn wait(&self, demand: &Demand) -> Lease<M> {
        loop {
            // Made before looking: `notify_waiters` wakes every such future that exists, polled or not.
            let changed = self.shared.changed.notified();
            if let Some(lease) = self.take(demand) {
                return lease;
            }
            changed.await;
        }
    }
}
