//! What the range queue, the byte budget and the work pool lock, count and wait with.
//!
//! In every product these are `parking_lot`'s, `std`'s and `tokio`'s own. Under the feature `shuttle` they are a scheduler's
//! that tries interleavings, for the tests in `shuttle.rs`: outside of such a test they panic. `Arc`, channels, semaphores
//! and [`Cancel`](crate::Cancel) stay what they are and count as one step each.

#[cfg(not(feature = "shuttle"))]
pub(super) use parking_lot::{Condvar, Mutex};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::{
    sync::atomic::AtomicU64,
    thread::{Thread, current, park},
};
#[cfg(not(feature = "shuttle"))]
pub(super) use tokio::sync::Notify;

#[cfg(feature = "shuttle")]
pub(super) use scheduled::{AtomicU64, Condvar, Mutex, Notify, Thread, current, park};

#[cfg(feature = "shuttle")]
mod scheduled {
    pub(in crate::routine) use shuttle::{
        sync::atomic::AtomicU64,
        thread::{Thread, current, park},
    };
    use std::{
        ops::{Deref, DerefMut},
        sync::{PoisonError, atomic::Ordering},
    };
    use tokio::sync::futures::Notified;

    /// `parking_lot`'s, as far as it is used: a panic of who holds it leaves it usable.
    #[derive(Debug)]
    pub(in crate::routine) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(in crate::routine) const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(in crate::routine) fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
        }

        pub(in crate::routine) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Empty only while [`Condvar::wait`] has the lock.
    pub(in crate::routine) struct Guard<'m, T>(Option<shuttle::sync::MutexGuard<'m, T>>);

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        #[expect(clippy::expect_used, reason = "in tests only, and the borrow shows that nobody waits")]
        fn deref(&self) -> &T {
            self.0.as_deref().expect("the lock is held")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        #[expect(clippy::expect_used, reason = "in tests only, and the borrow shows that nobody waits")]
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_deref_mut().expect("the lock is held")
        }
    }

    /// `parking_lot`'s, as far as it is used.
    #[derive(Debug)]
    pub(in crate::routine) struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        pub(in crate::routine) const fn new() -> Self {
            Self(shuttle::sync::Condvar::new())
        }

        pub(in crate::routine) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(in crate::routine) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(in crate::routine) fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            let held = guard.0.take();
            guard.0 = held.map(|held| self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// `tokio`'s, with a turn for others before each step.
    #[derive(Debug)]
    pub(in crate::routine) struct Notify {
        inner: tokio::sync::Notify,
        turn: AtomicU64,
    }

    impl Notify {
        pub(in crate::routine) const fn new() -> Self {
            Self { inner: tokio::sync::Notify::const_new(), turn: AtomicU64::new(0) }
        }

        pub(in crate::routine) fn notified(&self) -> Notified<'_> {
            self.others_may_run();
            self.inner.notified()
        }

        pub(in crate::routine) fn notify_waiters(&self) {
            self.others_may_run();
            self.inner.notify_waiters();
        }

        /// Looking at an atomic is a step before which the scheduler may choose somebody else; unlike a yield it asks for
        /// nobody else.
        fn others_may_run(&self) {
            self.turn.load(Ordering::Relaxed);
        }
    }
}
