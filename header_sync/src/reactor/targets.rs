//! Tips that are followed: one path of headers each, from our chain towards the tip.

mod orders;
mod path;
#[cfg(feature = "simulation")]
mod probe;

pub(super) use self::path::{Job, Need, Path};

use self::orders::{Orders, Out};
use super::staging::Deliverer;
use crate::{
    chain::{BlockHash, BlockRef, Height},
    machine::{Failure, Order, Received},
    ports::{HeaderChain, HeaderView},
    wire::MAX_LOCATOR,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use zakura_transport::Fence;
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;

/// Distances from our tip at which a locator names blocks (wire 5.2).
const LOCATOR_OFFSETS: [u32; 12] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000];

// The offsets and the finalized block.
const _: () = assert!(LOCATOR_OFFSETS.len() < MAX_LOCATOR);

/// Refused tips remembered: each costs one request to be refused again, so forgetting one is harmless.
const MAX_REFUSED: usize = 256;

/// One tip that is followed.
#[derive(Debug)]
pub(super) struct Target {
    /// Sessions that advertise it or did since it is followed.
    holders: BTreeSet<Fence>,
    orders: Orders,
    pub(super) path: Option<Path>,
}

impl Target {
    const fn is_idle(&self) -> bool {
        self.orders.is_empty() && self.path.is_none()
    }

    /// Whether somebody should be asked for its next headers.
    fn is_hungry(&self) -> bool {
        !self.orders.is_waiting() && !self.path.as_ref().is_some_and(|path| path.complete)
    }

    /// Whether the store could not say and nobody works on it now: it may be a while.
    fn is_put_off(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.job.is_none() && path.put_off > 0)
    }

    /// Whether no header on the way there is checked or being checked: pages cost an inventor nothing.
    fn is_unproven(&self) -> bool {
        self.path.as_ref().is_none_or(|path| path.job.is_none() && path.staged.checked() == 0)
    }
}

/// Every tip that is followed, and those that are not worth it. A tip is its height and its hash: a hash that a liar puts at
/// another height is another tip, and is in nobody's way.
#[derive(Debug)]
pub(super) struct Targets {
    open: BTreeMap<BlockRef, Target>,
    refused: BTreeMap<BlockRef, Instant>,
    max_open: usize,
    max_staged: usize,
    page: usize,
    /// How long one holder of a tip is waited for before another is asked too.
    patience: Duration,
}

impl Targets {
    pub(super) const fn new(max_open: usize, max_staged: usize, page: usize, patience: Duration) -> Self {
        Self { open: BTreeMap::new(), refused: BTreeMap::new(), max_open, max_staged, page, patience }
    }

    /// Brings the set up to date: `has` says whether our chain has a block, `advertised` are the sessions that lead to each tip
    /// now, `below` is the height under which tips are followed at all (segments lead above it).
    pub(super) fn refresh(
        &mut self,
        now: Instant,
        has: impl Fn(&BlockHash) -> bool,
        advertised: &BTreeMap<BlockRef, BTreeSet<Fence>>,
        below: Option<Height>,
    ) {
        self.refused.retain(|_, until| now < *until);
        self.open.retain(|tip, target| {
            let reached = has(&tip.hash);
            // A tip that moved on is still reached if we are on the way there: its server keeps it.
            let led_to = advertised.contains_key(tip) || !target.is_idle();
            let working = target.path.as_ref().is_some_and(|path| path.job.is_some());
            (!reached && led_to && !target.holders.is_empty()) || working
        });
        let held_by = |tip: &BlockRef| advertised.get(tip).map_or(0, BTreeSet::len);
        let mut ranked: Vec<_> = advertised.iter().collect();
        // What most peers hold comes first, then what claims to be highest: invented tips wait behind the true one.
        ranked.sort_by_key(|(tip, sessions)| Reverse((sessions.len(), **tip)));
        for (tip, sessions) in ranked {
            if let Some(target) = self.open.get_mut(tip) {
                target.holders.extend(sessions);
                continue;
            }
            let followed = below.is_none_or(|below| tip.height < below) && !self.refused.contains_key(tip);
            if followed && !has(&tip.hash) && self.has_place(now, sessions.len(), held_by) {
                self.open.insert(
                    *tip,
                    Target { holders: sessions.clone(), orders: Orders::default(), path: None },
                );
            }
        }
    }

    /// Whether there is a place for a tip with so many holders; if none is free, one is made.
    fn has_place(&mut self, now: Instant, holders: usize, held_by: impl Fn(&BlockRef) -> usize) -> bool {
        if self.open.len() < self.max_open {
            return true;
        }
        // The store may say so for as long as it likes: a header that is hours ahead of its time keeps no other tip out. But it
        // may have failed once: who gives way comes back when its rest is over, and then the tip with more holders stays.
        let rest = |target: &Target| target.path.as_ref()?.not_before.filter(|_| target.is_put_off());
        if let Some((tip, until)) = self.open.iter().find_map(|(tip, target)| Some((*tip, rest(target)?))) {
            self.refuse(tip, until.max(now));
            return true;
        }
        let least = self.least_held(&held_by).filter(|least| held_by(least) < holders);
        least.and_then(|least| self.open.remove(&least)).is_some()
    }

    /// Of the targets for which nothing is proven, the one that gives way to a tip with more holders: a few peers with
    /// invented tips shut nobody out. What was stored on the way there stays.
    fn least_held(&self, held_by: impl Fn(&BlockRef) -> usize) -> Option<BlockRef> {
        let unproven = self.open.iter().filter(|(_, target)| target.is_unproven());
        unproven.map(|(tip, _)| *tip).min_by_key(|tip| (held_by(tip), *tip))
    }

    /// The next order to give and whom to: `choose` picks the session among a target's holders.
    pub(super) fn poll_order(
        &mut self,
        now: Instant,
        view: &HeaderView,
        chain: &dyn HeaderChain,
        mut choose: impl FnMut(&BTreeSet<Fence>) -> Option<Fence>,
    ) -> Option<(Fence, Order)> {
        self.open.values_mut().for_each(|target| target.orders.lapse(now, self.patience));
        // All that wait share the room: sixteen tips get pages of 250, one gets its full page (wire 7.2).
        let hungry = self.open.values().filter(|target| target.is_hungry()).count();
        let room = self.room();
        let count = room.min(self.page).min(room.checked_div(hungry)?.max(1));
        if count == 0 {
            return None;
        }
        self.open.iter_mut().filter(|(_, target)| target.is_hungry()).find_map(|(tip, target)| {
            let session = choose(&target.holders)?;
            let continues = target.path.as_ref().and_then(|path| path.staged.tip());
            let locator = continues.map_or_else(|| locator(view, chain), |last| vec![last]);
            let fence = target.orders.give(now, session, count, continues);
            let max_count = u32::try_from(count).unwrap_or(u32::MAX);
            Some((session, Order { fence, target: *tip, locator, max_count }))
        })
    }

    /// Headers for which there is room, beyond those that are staged or waited for.
    fn room(&self) -> usize {
        let reserved: usize = self.open.values().map(|target| target.orders.reserved()).sum();
        self.max_staged.saturating_sub(self.staged().saturating_add(reserved))
    }

    /// The order with this fence, which is over, and the tip that it led to.
    fn answered(&mut self, fence: Fence) -> Option<(BlockRef, Out)> {
        self.open.iter_mut().find_map(|(tip, target)| Some((*tip, target.orders.answered(fence)?)))
    }

    /// An order brought a page: it goes on its path, as far as there is room. Who was asked for the same headers is waited for
    /// no longer.
    pub(super) fn page(
        &mut self,
        fence: Fence,
        from: Deliverer,
        (ancestor, mut headers, complete): (BlockRef, Vec<Received>, bool),
    ) {
        let Some((tip, _)) = self.answered(fence) else { return };
        let room = self.room();
        let Some(target) = self.open.get_mut(&tip) else { return };
        let whole = headers.len() <= room;
        headers.truncate(room);
        if target.path.is_none() && !whole && headers.is_empty() {
            return;
        }
        let path = target.path.get_or_insert_with(|| Path::new(ancestor));
        if path.staged.tip() == Some(ancestor) {
            path.staged.push(from, headers);
            path.complete = complete && whole;
            target.orders.make_late();
        }
    }

    /// An order brought no page. Says which tip its session does not lead to, if that is what it said.
    pub(super) fn failed(&mut self, fence: Fence, why: Failure) -> Option<BlockRef> {
        let (tip, out) = self.answered(fence)?;
        match why {
            Failure::TimedOut | Failure::Unable => None,
            // Somebody led us astray, or the server's chain changed under us: begin again at our own chain, unless somebody
            // else has led on.
            Failure::NoIntersection if out.continues.is_some() => {
                let astray = self.path(&tip).is_some_and(|path| path.staged.tip() == out.continues);
                if astray {
                    self.restart(&tip);
                }
                None
            }
            // It knows its tip no more, or forks below our finalized floor. It speaks for itself: others may lead there.
            Failure::TargetNotRetained | Failure::NoIntersection => {
                self.disown(&tip, out.session);
                Some(tip)
            }
        }
    }

    /// The first path that needs something.
    pub(super) fn poll_need(
        &mut self,
        now: Instant,
        tip: BlockRef,
        chain: &dyn HeaderChain,
        may_store: bool,
    ) -> Option<(BlockRef, Need, &mut Path)> {
        for target in self.open.values_mut() {
            if let Some(path) = target.path.as_mut().filter(|path| path.job.is_none()) {
                path.staged.trim_known(chain);
            }
            target.path.take_if(|path| path.job.is_none() && path.complete && path.staged.is_empty());
        }
        self.open.iter_mut().find_map(|(goal, target)| {
            let path = target.path.as_mut().filter(|path| !path.rests(now))?;
            match path.need(tip) {
                Need::Nothing => None,
                Need::Storing(_) if !may_store => None,
                need @ (Need::Weighing | Need::Checking | Need::Storing(_) | Need::Giving) => {
                    Some((*goal, need, path))
                }
            }
        })
    }

    /// The path whose job this is; the job is over.
    pub(super) fn finished(&mut self, ticket: Fence) -> Option<(BlockRef, Job, &mut Path)> {
        self.open.iter_mut().find_map(|(tip, target)| {
            let path = target.path.as_mut()?;
            path.finish(ticket).map(|job| (*tip, job, path))
        })
    }

    /// Drops a target's headers, so that it starts anew from our chain. A page that is under way is of no use then.
    pub(super) fn restart(&mut self, target: &BlockRef) {
        if let Some(target) = self.open.get_mut(target) {
            (target.path, target.orders) = (None, Orders::default());
        }
    }

    /// Drops a target and ignores it for a while.
    pub(super) fn refuse(&mut self, target: BlockRef, until: Instant) {
        self.open.remove(&target);
        if self.refused.len() >= MAX_REFUSED {
            let soonest = self.refused.iter().min_by_key(|(_, until)| **until).map(|(tip, _)| *tip);
            soonest.and_then(|tip| self.refused.remove(&tip));
        }
        self.refused.insert(target, until);
    }

    /// This session leads to the target no more.
    pub(super) fn disown(&mut self, target: &BlockRef, session: Fence) {
        if let Some(target) = self.open.get_mut(target) {
            target.holders.remove(&session);
        }
    }

    /// The session is gone, and its orders with it.
    pub(super) fn leave(&mut self, session: Fence) {
        for target in self.open.values_mut() {
            target.holders.remove(&session);
            target.orders.leave(session);
        }
    }

    /// Makes room when unproven branches fill the memory and none of them can move: the longest goes. Says where it was to
    /// lead and who delivered it. Nothing proves that it leads to that tip: whoever did not deliver it is asked next, and the
    /// tip is refused only if that is nobody.
    pub(super) fn evict(&mut self, now: Instant, pause: Duration) -> Option<(BlockRef, BTreeSet<Fence>)> {
        let moves = |target: &Target| {
            let path = target.path.as_ref();
            target.orders.is_waiting() || path.is_some_and(|path| path.job.is_some() || path.rests(now))
        };
        if self.staged() < self.max_staged || self.open.values().any(moves) {
            return None;
        }
        let paths = self.open.iter().filter_map(|(tip, target)| Some((*tip, &target.path.as_ref()?.staged)));
        let (longest, staged) = paths.max_by_key(|(_, staged)| staged.len())?;
        let deliverers = staged.deliverers();
        self.restart(&longest);
        deliverers.iter().for_each(|session| self.disown(&longest, *session));
        if self.open.get(&longest).is_some_and(|target| target.holders.is_empty()) {
            self.refuse(longest, now + pause);
        }
        Some((longest, deliverers))
    }

    /// When the next refused tip, or a path that was put off, may be tried again, or another holder of a tip be asked.
    pub(super) fn next_retry(&self, now: Instant) -> Option<Instant> {
        let paths = self.open.values().filter_map(|target| target.path.as_ref()?.not_before);
        let lapses = self.open.values().filter_map(|target| target.orders.lapses_at(self.patience));
        self.refused.values().copied().chain(paths).chain(lapses).filter(|until| now < *until).min()
    }

    pub(super) fn staged(&self) -> usize {
        self.open.values().filter_map(|target| target.path.as_ref()).map(|path| path.staged.len()).sum()
    }

    /// Whether this tip is followed.
    pub(super) fn is_open(&self, tip: &BlockRef) -> bool {
        self.open.contains_key(tip)
    }

    /// Headers in memory at most.
    #[cfg(feature = "simulation")]
    pub(super) const fn most_staged(&self) -> usize {
        self.max_staged
    }

    /// How full its maps are.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self) -> [Fill; 3] {
        [
            Fill::new("header_sync.targets", self.open.len(), self.max_open),
            Fill::new("header_sync.staged_headers", self.staged(), self.max_staged),
            Fill::new("header_sync.refused", self.refused.len(), MAX_REFUSED),
        ]
    }

    pub(super) fn tips(&self) -> Vec<BlockRef> {
        self.open.keys().copied().collect()
    }

    /// The path to an open target.
    pub(super) fn path(&self, target: &BlockRef) -> Option<&Path> {
        self.open.get(target)?.path.as_ref()
    }
}

/// Our chain in few words, newest first (wire 5.2): nothing below the finalized block, since a branch from there would be
/// refused anyway.
fn locator(view: &HeaderView, chain: &dyn HeaderChain) -> Vec<BlockRef> {
    let offsets = LOCATOR_OFFSETS.into_iter().filter(|offset| *offset <= view.tip.height.get());
    let heights = offsets.map(|offset| view.tip.height.saturating_sub(offset));
    let above = heights.filter(|height| view.finalized.height < *height);
    let named = above.filter_map(|height| chain.hash_at(height).map(|hash| BlockRef { height, hash }));
    named.chain([view.finalized]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rest_after;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_tip_that_the_store_puts_off_keeps_no_other_out() {
        let now = tokio::time::Instant::now().into_std();
        let tip =
            |height, fill| BlockRef { height: Height::new(height).unwrap(), hash: BlockHash([fill; 32]) };
        let (early, present) = (tip(9, 1), tip(8, 2));
        let (one, other) = (Fence::mint(), Fence::mint());
        let advertised = BTreeMap::from([(early, BTreeSet::from([one])), (present, BTreeSet::from([other]))]);
        let mut targets = Targets::new(1, 1_000, 100, PATIENCE);
        targets.refresh(now, |_| false, &advertised, None);
        assert_eq!(targets.tips(), [early], "the higher of two comes first");
        targets.refresh(now, |_| false, &advertised, None);
        assert_eq!(targets.tips(), [early], "and stays as long as it gets on");

        let path = targets.open.get_mut(&early).unwrap().path.insert(Path::new(tip(0, 0)));
        path.put_off(now);
        targets.refresh(now, |_| false, &advertised, None);
        assert_eq!(targets.tips(), [present]);
        targets.refresh(now, |_| false, &advertised, None);
        assert_eq!(targets.tips(), [present], "it comes back when there is a place, not before");
        targets.leave(other);
        let advertised = BTreeMap::from([(early, BTreeSet::from([one]))]);
        targets.refresh(now + rest_after(1) / 2, |_| false, &advertised, None);
        assert!(targets.tips().is_empty(), "and not at once");
        targets.refresh(now + rest_after(1), |_| false, &advertised, None);
        assert_eq!(targets.tips(), [early]);
    }

    #[test]
    fn a_store_that_fails_once_loses_the_true_tip_for_a_moment_only() {
        let now = tokio::time::Instant::now().into_std();
        let tip =
            |height, fill| BlockRef { height: Height::new(height).unwrap(), hash: BlockHash([fill; 32]) };
        let (true_tip, invented) = (tip(8, 1), tip(5_000, 2));
        let sessions = |count| (0..count).map(|_| Fence::mint()).collect::<BTreeSet<_>>();
        let advertised = BTreeMap::from([(true_tip, sessions(5)), (invented, sessions(1))]);
        let mut targets = Targets::new(1, 1_000, 100, PATIENCE);
        targets.refresh(now, |_| false, &advertised, None);
        assert_eq!(targets.tips(), [true_tip]);
        targets.open.get_mut(&true_tip).unwrap().path.insert(Path::new(tip(0, 0))).put_off(now);
        targets.refresh(now, |_| false, &advertised, None);
        assert_eq!(targets.tips(), [invented], "what the store put off keeps nobody out");
        targets.refresh(now + rest_after(1), |_| false, &advertised, None);
        assert_eq!(targets.tips(), [true_tip], "and comes back before long");
    }

    #[test]
    fn a_result_for_a_path_that_was_dropped_is_not_applied() {
        let now = tokio::time::Instant::now().into_std();
        let tip = |fill| BlockRef { height: Height::GENESIS, hash: BlockHash([fill; 32]) };
        let mut targets = Targets::new(4, 1_000, 100, PATIENCE);
        let target = |path| Target { holders: BTreeSet::new(), orders: Orders::default(), path };
        targets.open.insert(tip(1), target(Some(Path::new(tip(0)))));
        let start = |targets: &mut Targets| {
            let path = targets.open.get_mut(&tip(1)).unwrap().path.get_or_insert_with(|| Path::new(tip(0)));
            path.start(Job::Check(7))
        };
        let stale = start(&mut targets);
        targets.restart(&tip(1));
        assert!(targets.finished(stale).is_none(), "its path is gone");
        let current = start(&mut targets);
        assert!(
            targets.finished(stale).is_none(),
            "another path has taken its place, with the same kind of job"
        );
        assert!(matches!(targets.finished(current), Some((_, Job::Check(7), _))));
        assert!(targets.finished(current).is_none(), "once is enough");
        let refused = start(&mut targets);
        targets.refuse(tip(1), now);
        assert!(targets.finished(refused).is_none(), "its target is gone");
    }
}
