//! When a peer was last of use.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// When a connection was last of use, in the order of all uses of the process. Clones are the same connection's.
///
/// A lease that [`drive`](crate::routine::drive()) hands to a machine credits its session's connection with every key
/// that is finished under it. A service without leases calls [`credit`](Self::credit) through
/// [`Session::merit`](crate::Session::merit), an embedder
/// [`TransportHandle::credit`](crate::TransportHandle::credit). It decides nothing but who makes room when places are
/// short.
#[derive(Debug, Clone, Default)]
pub struct Merit(Arc<AtomicU64>);

impl Merit {
    /// The peer was of use just now: it brought something that we wanted and that proved right.
    pub fn credit(&self) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.0.fetch_max(NEXT.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The last use's place in the order of all; `None` without any.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|last| *last != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_use_ranks_above_an_earlier_one() {
        let (early, late) = (Merit::default(), Merit::default());
        let same = early.clone();
        assert_eq!(early.last(), None);
        same.credit();
        late.credit();
        assert!(early.last().is_some() && early.last() < late.last());
    }
}
