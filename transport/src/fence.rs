//! Monotone ids that make late completions harmless.

use std::{
    fmt,
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

/// A generation: strictly increasing in the process, never reused. Its order is age.
///
/// Every asynchronous completion carries the fence it was started under and is applied only if that is still current.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(NonZeroU64);

impl Fence {
    /// A fence newer than every fence minted before.
    #[must_use]
    pub fn mint() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        // 2^64 mints at one a nanosecond take 584 years; wrapping to zero cannot be reached.
        NonZeroU64::new(id).map_or(Self(NonZeroU64::MAX), Self)
    }

    /// The generation as a number: what joins log lines, flights and an embedder's own records.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The current holder of something, under a fence.
#[derive(Debug)]
pub struct Slot<S> {
    holder: Option<(Fence, S)>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self { holder: None }
    }
}

impl<S> Slot<S> {
    /// Replaces the holder; fences handed out before become stale.
    pub fn install(&mut self, state: S) -> Fence {
        let fence = Fence::mint();
        self.holder = Some((fence, state));
        fence
    }

    /// The holder's state, if `fence` is current.
    pub fn check(&mut self, fence: Fence) -> Option<&mut S> {
        self.holder.as_mut().filter(|(current, _)| *current == fence).map(|(_, state)| state)
    }

    /// Empties the slot and returns the state; only the current holder can.
    pub fn clear(&mut self, fence: Fence) -> Option<S> {
        self.holder.take_if(|(current, _)| *current == fence).map(|(_, state)| state)
    }

    /// The current holder, whoever it is.
    #[must_use]
    pub fn current(&self) -> Option<(Fence, &S)> {
        self.holder.as_ref().map(|(fence, state)| (*fence, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_holder_reads_and_clears() {
        let mut slot = Slot::default();
        let old = slot.install("old");
        let new = slot.install("new");
        assert!(old < new);
        assert_eq!(slot.check(old), None);
        assert_eq!(slot.clear(old), None);
        assert_eq!(slot.check(new), Some(&mut "new"));
        assert_eq!(slot.clear(new), Some("new"));
        assert_eq!(slot.check(new), None);
    }
}
