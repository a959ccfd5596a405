//! Who was asked for a tip's next headers.

use crate::chain::BlockRef;
use std::time::{Duration, Instant};
use zakura_transport::Fence;

/// An order that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) fence: Fence,
    pub(super) session: Fence,
    /// Headers that it may bring.
    pub(super) count: usize,
    /// The last header of the path that it is to continue, if there was a path.
    pub(super) continues: Option<BlockRef>,
    given: Instant,
}

/// One tip's orders: at most one that is waited for, and those that were waited for long enough. A late order holds no room
/// and keeps nobody else from being asked, so a silent peer costs its patience and not a page's whole time; what it brings
/// is taken nevertheless if it is of use, so that slow peers alone suffice.
#[derive(Debug, Default)]
pub(super) struct Orders {
    current: Option<Out>,
    /// At most one a session: nobody is asked twice at once.
    late: Vec<Out>,
}

impl Orders {
    pub(super) fn give(
        &mut self,
        now: Instant,
        session: Fence,
        count: usize,
        continues: Option<BlockRef>,
    ) -> Fence {
        let fence = Fence::mint();
        self.make_late();
        self.current = Some(Out { fence, session, count, continues, given: now });
        fence
    }

    /// Whether one is waited for.
    pub(super) const fn is_waiting(&self) -> bool {
        self.current.is_some()
    }

    /// Whether none is out.
    pub(super) const fn is_empty(&self) -> bool {
        self.current.is_none() && self.late.is_empty()
    }

    /// Headers that one is waited for with.
    pub(super) fn reserved(&self) -> usize {
        self.current.map_or(0, |out| out.count)
    }

    /// Nobody is waited for any longer who has been for `patience`.
    pub(super) fn lapse(&mut self, now: Instant, patience: Duration) {
        if self.lapses_at(patience).is_some_and(|at| at <= now) {
            self.make_late();
        }
    }

    /// When whoever is waited for has been for `patience`.
    pub(super) fn lapses_at(&self, patience: Duration) -> Option<Instant> {
        self.current.map(|out| out.given + patience)
    }

    /// Waits for nobody, but takes what comes.
    pub(super) fn make_late(&mut self) {
        self.late.extend(self.current.take());
    }

    /// The order with this fence, which is over.
    pub(super) fn answered(&mut self, fence: Fence) -> Option<Out> {
        let current = self.current.take_if(|out| out.fence == fence);
        current.or_else(|| {
            let at = self.late.iter().position(|out| out.fence == fence)?;
            Some(self.late.swap_remove(at))
        })
    }

    /// The session is gone.
    pub(super) fn leave(&mut self, session: Fence) {
        self.current.take_if(|out| out.session == session);
        self.late.retain(|out| out.session != session);
    }

    /// The sessions that were asked and have not answered.
    #[cfg(feature = "simulation")]
    pub(super) fn sessions(&self) -> impl Iterator<Item = Fence> {
        self.current.iter().chain(&self.late).map(|out| out.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_order_holds_no_room_and_its_answer_is_still_known() {
        let start = tokio::time::Instant::now().into_std();
        let patience = Duration::from_secs(5);
        let (silent, other) = (Fence::mint(), Fence::mint());
        let mut orders = Orders::default();
        let first = orders.give(start, silent, 300, None);
        let until = orders.lapses_at(patience).unwrap();
        orders.lapse(until - Duration::from_millis(1), patience);
        assert_eq!((orders.is_waiting(), orders.reserved()), (true, 300));
        orders.lapse(until, patience);
        assert_eq!((orders.is_waiting(), orders.reserved(), orders.is_empty()), (false, 0, false));
        let second = orders.give(until, other, 200, None);
        assert_eq!(orders.reserved(), 200);
        assert_eq!(orders.answered(first).map(|out| out.session), Some(silent));
        assert!(orders.answered(first).is_none(), "once is enough");
        assert!(orders.is_waiting(), "the other is under way");
        assert_eq!(orders.answered(second).map(|out| out.session), Some(other));
        assert!(orders.is_empty());
    }

    #[test]
    fn who_leaves_takes_its_orders_with_it() {
        let now = tokio::time::Instant::now().into_std();
        let (one, other) = (Fence::mint(), Fence::mint());
        let mut orders = Orders::default();
        orders.give(now, one, 1, None);
        orders.give(now, other, 1, None);
        orders.leave(one);
        assert!(orders.is_waiting() && !orders.is_empty());
        orders.leave(other);
        assert!(orders.is_empty());
    }
}
