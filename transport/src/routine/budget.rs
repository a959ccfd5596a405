//! A bound on bytes held, shared by all who hold them.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::sync::{AtomicU64, Notify};
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::Semaphore;

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
    released: Notify,
    /// One place at the head of the line: who waits for a large piece is not overtaken by small ones for ever.
    head: Semaphore,
}

impl Shared {
    /// Counts `bytes` in if they fit, or if nothing else is held: a piece larger than the limit must pass some day.
    fn try_add(&self, bytes: u64) -> bool {
        let fits = |used: u64| {
            let sum = used.checked_add(bytes)?;
            (sum <= self.limit || used == 0).then_some(sum)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }

    fn subtract(&self, bytes: u64) {
        // Only what was added is ever subtracted, so this cannot wrap.
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        self.released.notify_waiters();
    }
}

/// Bytes that may be held at once. Clones share one budget; what is reserved is released by dropping it, on every path.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Shared>);

impl ByteBudget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        let (used, released, head) = (AtomicU64::new(0), Notify::new(), Semaphore::new(1));
        Self(Arc::new(Shared { limit, used, released, head }))
    }

    /// Reserves `bytes` if they fit now and nobody waits in line. A piece larger than the limit is granted alone, when
    /// the budget is empty. Whoever asks in the very moment in which another does may hear `None` although both fit.
    #[must_use]
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let _head = self.0.head.try_acquire().ok()?;
        self.grant(bytes)
    }

    /// Waits in line until `bytes` fit. Cancel-safe: nothing is held before it returns, though the place in line is lost.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        // The semaphore is never closed; if it were, the worst is a race for the next piece.
        let _head = self.0.head.acquire().await;
        loop {
            // Made before looking: `notify_waiters` wakes every such future that exists, polled or not.
            let released = self.0.released.notified();
            if let Some(reservation) = self.grant(bytes) {
                return reservation;
            }
            released.await;
        }
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Acquire)
    }

    /// Bytes that may be held, one piece larger than that apart.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    fn grant(&self, bytes: u64) -> Option<Reservation> {
        self.0.try_add(bytes).then(|| Reservation { budget: Arc::clone(&self.0), bytes })
    }
}

/// Bytes counted against a [`ByteBudget`]; dropping it releases them.
#[derive(Debug)]
#[must_use = "dropping a reservation releases its bytes"]
pub struct Reservation {
    budget: Arc<Shared>,
    bytes: u64,
}

impl Reservation {
    /// Bytes held here.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Moves up to `bytes` of it into a second reservation; [`bytes`](Self::bytes) of that says how many.
    pub fn split(&mut self, bytes: u64) -> Self {
        let moved = bytes.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(moved);
        Self { budget: Arc::clone(&self.budget), bytes: moved }
    }

    /// Adds another reservation of the same budget to this one. One of another budget is handed back untouched.
    ///
    /// # Errors
    ///
    /// `other`, if it belongs to another budget.
    pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
        if !Arc::ptr_eq(&self.budget, &other.budget) {
            return Err(other);
        }
        self.bytes = self.bytes.saturating_add(std::mem::take(&mut other.bytes));
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.subtract(self.bytes);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio_test::{assert_pending, assert_ready, task};

    #[test]
    fn a_piece_larger_than_the_limit_passes_alone() {
        let budget = ByteBudget::new(100);
        let small = budget.try_reserve(1).unwrap();
        assert!(budget.try_reserve(101).is_none());
        drop(small);
        let large = budget.try_reserve(101).unwrap();
        assert!(budget.try_reserve(1).is_none());
        drop(large);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_large_piece_in_line_is_not_overtaken() {
        let budget = ByteBudget::new(100);
        let held = budget.try_reserve(60).unwrap();
        let mut large = task::spawn(budget.reserve(80));
        assert_pending!(large.poll());
        assert!(budget.try_reserve(1).is_none(), "the small piece must queue behind the large one");
        let mut small = task::spawn(budget.reserve(30));
        assert_pending!(small.poll());
        drop(held);
        assert!(large.is_woken());
        let large = assert_ready!(large.poll());
        assert_eq!(large.bytes(), 80);
        assert_pending!(small.poll());
        drop(large);
        assert_eq!(assert_ready!(small.poll()).bytes(), 30);
    }

    #[test]
    fn leaving_the_line_blocks_nobody() {
        let budget = ByteBudget::new(10);
        let held = budget.try_reserve(10).unwrap();
        let mut waiting = task::spawn(budget.reserve(5));
        assert_pending!(waiting.poll());
        drop(waiting);
        drop(held);
        assert!(budget.try_reserve(10).is_some());
    }

    proptest! {
        #[test]
        fn bytes_are_conserved(limit in 1u64..100, steps in prop::collection::vec((0u8..4, 0u64..60, 0usize..8), 1..100)) {
            let budget = ByteBudget::new(limit);
            let mut held: Vec<Reservation> = Vec::new();
            for (step, bytes, at) in steps {
                let at = if held.is_empty() { None } else { Some(at % held.len()) };
                match (step, at) {
                    (0, _) => held.extend(budget.try_reserve(bytes)),
                    (1, Some(at)) => drop(held.swap_remove(at)),
                    (2, Some(at)) => { let half = held[at].split(bytes); held.push(half); }
                    (_, Some(at)) => {
                        let other = held.swap_remove(at);
                        match held.first_mut() {
                            Some(first) => prop_assert!(first.merge(other).is_ok()),
                            None => held.push(other),
                        }
                    }
                    (_, None) => {}
                }
                let sum: u64 = held.iter().map(Reservation::bytes).sum();
                prop_assert_eq!(budget.used(), sum);
                let pieces = held.iter().filter(|piece| piece.bytes() > 0).count();
                prop_assert!(sum <= limit || pieces <= 1 || step == 2 || sum < 60, "{sum} of {limit} in {pieces}");
            }
            drop(held);
            prop_assert_eq!(budget.used(), 0);
        }
    }
}
