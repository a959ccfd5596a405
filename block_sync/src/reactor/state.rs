//! The reactor's decisions: told what happened, it says what to do next.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(feature = "simulation")]
mod probe;

use super::{
    census::Census,
    opening::{Opening, Picture},
    puzzle::Puzzles,
    reading::Reading,
    retry::Retry,
    sequencer::{Delivery, QueueChange, Receipt, Sequencer, Source},
};
use crate::{
    config::BlockSyncConfig,
    machine::{Delivered, Event, Guidance, Input, News, ReadOrder},
    plan::patience::LEASH,
    ports::{Body, BodyVerdict, Commit, Missing},
};
use bytes::Bytes;
use std::time::Instant;
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderView,
};
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;
use zakura_transport::{
    Fence, PeerId,
    routine::{Mailbox, Skipped},
};

/// Bodies in one check job: enough to make the hop to the pool cheap.
const CHECK_BLOCKS: usize = 64;

/// Bytes in one check job, or one body.
const CHECK_BYTES: u64 = 2 * 1024 * 1024;

/// Something to be done off the reactor.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Ask the store what is missing.
    Plan { epoch: u64, from: Height, limit: usize, view: HeaderView },
    /// Check bodies against their headers.
    Check(Vec<(BlockRef, Delivery)>),
    /// Commit a run.
    Commit(Vec<Body>),
    /// Read for a peer.
    Read { session: Fence, order: ReadOrder },
}

/// An order is done. The error is what broke down instead: a panic of the embedder's code, or a closing pool.
#[derive(Debug)]
pub(crate) enum Done {
    Planned { epoch: u64, limit: usize, view: HeaderView, answer: Result<Missing, String> },
    Checked(Vec<(BlockRef, Delivery, Result<BodyVerdict, String>)>),
    Committed(Result<Commit, String>),
    Read { session: Fence, start: Height, answer: Result<Vec<Bytes>, String> },
}

/// What all peers share.
#[derive(Debug)]
pub(crate) struct State {
    config: BlockSyncConfig,
    pub(super) view: HeaderView,
    pub(super) sequencer: Sequencer,
    pub(super) census: Census,
    opening: Opening,
    reading: Reading,
    /// Counts resets, so that an answer about the chain before one is not taken.
    epoch: u64,
    is_planning: bool,
    is_committing: bool,
    checks: usize,
    resync_due: bool,
    pub(super) plan_retry: Retry,
    pub(super) commit_retry: Retry,
    pub(super) puzzles: Puzzles,
    /// What the work pool did not do.
    pub(super) skipped: Skipped,
    /// The most bodies missing at a time since none was.
    backlog: u64,
    /// The floor, and since when it stands.
    floor: (Height, Instant),
    pub(super) carrier: Option<(Height, PeerId)>,
    pub(super) mail: Vec<(Mailbox<Input>, Input)>,
}

impl State {
    pub(crate) fn new(now: Instant, config: BlockSyncConfig, view: HeaderView, committed: BlockRef) -> Self {
        let sequencer = Sequencer::new(committed, config.in_flight_bytes, config.retained_bytes);
        Self {
            floor: (sequencer.floor(), now),
            sequencer,
            census: Census::default(),
            opening: Opening::default(),
            reading: Reading::new(config.concurrent_reads),
            backlog: 0,
            epoch: 0,
            is_planning: false,
            is_committing: false,
            checks: 0,
            resync_due: false,
            plan_retry: Retry::default(),
            commit_retry: Retry::default(),
            skipped: Skipped::default(),
            puzzles: Puzzles::default(),
            carrier: None,
            mail: Vec::new(),
            config,
            view,
        }
    }

    /// A session said something.
    pub(crate) fn on_event(&mut self, now: Instant, Event { session, news }: Event) {
        match news {
            News::Joined { peer, mailbox } => self.census.join(now, session, peer, mailbox),
            News::Useful(range) => self.on_useful(now, session, range),
            News::CarriesFloor(height) => {
                self.carrier = self.census.peer(session).map(|peer| (height, peer));
            }
            News::Delivered(delivered) => self.on_body(session, *delivered),
            News::Read(order) => self.reading.push(session, order),
            News::Served { blocks, bytes } => self.census.served(session, blocks, bytes),
            News::Disappointed(pulse) => self.census.pulse(session, pulse),
            News::Left => {
                self.census.leave(session);
                self.reading.forget(session);
            }
        }
    }

    fn on_body(&mut self, session: Fence, Delivered { at, raw, lease, pulse }: Delivered) {
        let Some(peer) = self.census.peer(session) else { return };
        self.census.pulse(session, pulse);
        let bytes = raw.len() as u64;
        // Here it is safe, so nobody else need bring it.
        let in_time = lease.is_some_and(|mut lease| lease.finish(at.height.into()));
        match self.sequencer.receive(at, raw, Source { session, peer }, in_time) {
            Receipt::Kept => self.census.delivered(session, bytes),
            // It was asked for, so it is nobody's fault.
            Receipt::Surplus => {}
        }
    }

    /// The header chain has changed.
    pub(crate) fn on_view(&mut self, view: HeaderView) {
        self.resync_due |= view.fence != self.view.fence;
        self.view = view;
    }

    /// Whether the acknowledged body is to be read again, for [`resync`](Self::resync): the chain has changed under us.
    pub(crate) const fn wants_resync(&self) -> bool {
        self.resync_due && !self.is_committing
    }

    /// How full everything is that has a cap.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self) -> Vec<Fill> {
        let budget = self.sequencer.budget();
        let one_more = u64::from(crate::wire::MAX_BLOCK_BYTES);
        let bytes = [
            Fill {
                name: "block_sync.retained_bytes",
                holds: budget.retained,
                cap: self.config.retained_bytes.saturating_add(one_more),
            },
            Fill::new("block_sync.checks", self.checks, self.config.concurrent_checks.max(1)),
        ];
        let reads = self.reading.fills(self.census.sessions());
        bytes.into_iter().chain(self.census.fills()).chain(reads).collect()
    }

    /// The committed body.
    pub(crate) const fn committed(&self) -> BlockRef {
        self.sequencer.committed()
    }

    /// Begins anew above what the store holds now.
    pub(crate) fn resync(&mut self, committed: BlockRef) {
        self.resync_due = false;
        self.epoch = self.epoch.wrapping_add(1);
        self.puzzles.clear();
        self.sequencer.reset(committed);
    }

    /// Something ordered is done.
    pub(super) fn on_done(&mut self, now: Instant, done: Done) {
        match done {
            Done::Planned { epoch, limit, view, answer } => self.on_planned(now, epoch, limit, view, answer),
            Done::Checked(verdicts) => {
                self.checks = self.checks.saturating_sub(1);
                for (at, delivery, verdict) in verdicts {
                    self.on_checked(now, at, delivery, verdict);
                }
                self.post_doubts();
            }
            Done::Committed(answer) => self.on_committed(now, answer),
            Done::Read { session, start, answer } => {
                self.reading.finished(session);
                if let Err(error) = &answer {
                    tracing::warn!(%start, %error, "bodies for a peer could not be read");
                }
                if let Some(mailbox) = self.census.mailbox(session) {
                    let bodies = answer.unwrap_or_default();
                    self.mail.push((mailbox.clone(), Input::Bodies { start, bodies }));
                }
            }
        }
    }

    fn on_planned(
        &mut self,
        now: Instant,
        epoch: u64,
        limit: usize,
        view: HeaderView,
        answer: Result<Missing, String>,
    ) {
        self.is_planning = false;
        if epoch != self.epoch || self.resync_due {
            return;
        }
        match answer {
            Ok(Missing::Bodies(missing)) => {
                self.plan_retry.worked();
                let last = missing.last().map(|wanted| wanted.at.height);
                let up_to = last.filter(|_| missing.len() >= limit).unwrap_or(view.tip.height);
                self.sequencer.plan(missing, up_to);
                if self.sequencer.planned() >= self.view.tip.height {
                    self.sequencer.drop_strays_above(self.view.tip.height);
                }
            }
            Ok(Missing::Stale) => {
                if self.view.fence == view.fence {
                    self.plan_retry.failed(now, "the store and the header view disagree".to_owned());
                }
            }
            Ok(Missing::Unavailable { reason }) | Err(reason) => {
                tracing::warn!(%reason, "the store cannot say which bodies are missing");
                self.plan_retry.failed(now, reason);
            }
        }
    }

    fn on_checked(
        &mut self,
        now: Instant,
        at: BlockRef,
        delivery: Delivery,
        verdict: Result<BodyVerdict, String>,
    ) {
        if !self.sequencer.checked(at, &delivery) {
            return;
        }
        match verdict {
            Ok(BodyVerdict::Valid) => {
                self.sequencer.accept(at, delivery);
                self.puzzles.solved(at.height);
            }
            Ok(BodyVerdict::Invalid { reason }) => {
                let Source { session, peer } = delivery.from;
                let evidence = format!("block {at}, {} bytes: {reason}", delivery.raw.len());
                tracing::warn!(%peer, %evidence, "a peer delivered a wrong body");
                self.sequencer.reject(at);
                self.sequencer.distrust(session);
                self.census.convict(peer, evidence.clone());
                if let Some(mailbox) = self.census.mailbox(session) {
                    self.mail.push((mailbox.clone(), Input::Convict { evidence }));
                }
            }
            Ok(BodyVerdict::Unsupported { reason }) => self.on_unsupported(now, at, &delivery, reason),
            Err(reason) => self.on_broken(now, at, reason),
        }
    }

    fn on_committed(&mut self, now: Instant, answer: Result<Commit, String>) {
        self.is_committing = false;
        match answer {
            Ok(Commit::Committed(at)) => {
                self.commit_retry.worked();
                self.sequencer.advance(at);
                self.puzzles.forget_to(at.height);
            }
            Ok(Commit::Stale) => {
                self.commit_retry.failed(now, "the chain changed under a commit".to_owned());
                self.sequencer.uncommit();
                self.resync_due = true;
            }
            Ok(Commit::Unavailable { reason }) | Err(reason) => {
                tracing::warn!(%reason, "the store cannot commit bodies");
                self.commit_retry.failed(now, reason);
                self.sequencer.uncommit();
            }
        }
    }

    /// Time has passed.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.plan_retry.wake(now);
        self.commit_retry.wake(now);
    }

    /// What to tell the range queue, in order.
    pub(super) fn take_queue_changes(&mut self, now: Instant) -> Vec<QueueChange> {
        let picture = Picture {
            sessions: self.census.sessions(),
            tip: self.view.tip.height,
            claimed: self.census.highest(),
            missing: self.remaining(),
        };
        if self.opening.look(now, picture) && !self.resync_due {
            self.sequencer.admit(now);
        }
        self.sequencer.take_changes()
    }

    /// What to tell sessions.
    pub(crate) fn take_mail(&mut self) -> Vec<(Mailbox<Input>, Input)> {
        std::mem::take(&mut self.mail)
    }

    /// The next thing to be done off the reactor.
    pub(super) fn next_order(&mut self) -> Option<Order> {
        self.commit_order().or_else(|| self.plan_order()).or_else(|| self.check_order()).or_else(|| {
            let (session, order) = self.reading.pop()?;
            Some(Order::Read { session, order })
        })
    }

    fn commit_order(&mut self) -> Option<Order> {
        if self.is_committing || self.resync_due || !self.commit_retry.is_ready() {
            return None;
        }
        let run = self.sequencer.next_run(self.config.commit_blocks, self.config.commit_bytes);
        self.is_committing = !run.is_empty();
        self.is_committing.then_some(Order::Commit(run))
    }

    fn plan_order(&mut self) -> Option<Order> {
        let look_ahead = usize::try_from(self.config.look_ahead_blocks).unwrap_or(usize::MAX).max(1);
        // The store is asked for many at a time: when a quarter of the look-ahead is free.
        let is_low = self.sequencer.len() <= look_ahead.saturating_sub(look_ahead.div_ceil(4));
        let from = self.sequencer.planned().next().filter(|from| *from <= self.view.tip.height)?;
        if self.is_planning || self.resync_due || !self.plan_retry.is_ready() || !is_low {
            return None;
        }
        self.is_planning = true;
        let limit = look_ahead.saturating_sub(self.sequencer.len());
        Some(Order::Plan { epoch: self.epoch, from, limit, view: self.view })
    }

    fn check_order(&mut self) -> Option<Order> {
        let room = self.config.checking_bytes.saturating_sub(self.sequencer.checking());
        if self.checks >= self.config.concurrent_checks.max(1) || (room == 0 && self.checks > 0) {
            return None;
        }
        let batch = self.sequencer.next_check(CHECK_BLOCKS, room.min(CHECK_BYTES));
        if batch.is_empty() {
            return None;
        }
        self.checks = self.checks.saturating_add(1);
        Some(Order::Check(batch))
    }

    /// When time alone changes something.
    pub(crate) fn next_timer(&self, now: Instant) -> Option<Instant> {
        let leash = self.floor.1.checked_add(LEASH).filter(|at| *at > now && self.remaining() > 0);
        // Nothing is admitted while the store still writes for the chain of before.
        let deferred = self.sequencer.next_deferred().filter(|_| !self.resync_due);
        let opening = self.opening.until();
        [self.plan_retry.until(), self.commit_retry.until(), deferred, leash, opening]
            .into_iter()
            .flatten()
            .min()
    }

    /// Bodies that have not come, up to the best header.
    pub(super) fn remaining(&self) -> u64 {
        let unplanned = self.view.tip.height.above(self.sequencer.planned());
        u64::from(unplanned).saturating_add(self.sequencer.missing() as u64)
    }

    /// What every machine is to go by now.
    pub(crate) fn guidance(&mut self, now: Instant) -> Guidance {
        let floor = self.sequencer.floor();
        if floor != self.floor.0 {
            self.floor = (floor, now);
        }
        let remaining = self.remaining();
        self.backlog = if remaining == 0 { 0 } else { self.backlog.max(remaining) };
        let stands = now.saturating_duration_since(self.floor.1);
        let hopeful = self.census.hopeful(now);
        Guidance {
            acknowledged: self.sequencer.committed(),
            epoch: self.epoch,
            floor,
            remaining,
            backlog: self.backlog,
            usable: self.census.useful(floor).saturating_add(hopeful),
            rescue: remaining > 0 && stands >= LEASH,
            stalled: self.commit_retry.reason().is_some(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::{super::puzzle::UNSUPPORTED_WAIT, *};
    use crate::{machine::Pulse, ports::Wanted, status::SyncVerdict};
    use std::time::Duration;
    use zakura_header_sync::chain::{BlockHash, HeightRange, Work};
    use zakura_transport::{
        Conviction,
        routine::{Lease, inlet},
    };

    fn at(number: u32) -> BlockRef {
        BlockRef { height: Height::new(number).unwrap(), hash: BlockHash([1; 32]) }
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn view(tip: u32) -> HeaderView {
        HeaderView { fence: Fence::mint(), finalized: at(0), tip: at(tip), work: Work::ZERO }
    }

    fn peer() -> PeerId {
        PeerId::new([7; 32])
    }

    struct World {
        state: State,
        session: Fence,
        now: Instant,
    }

    impl World {
        /// One peer that has everything; nothing is committed and nothing planned.
        fn new(tip: u32) -> Self {
            let now = now();
            let state = State::new(now, BlockSyncConfig::recommended(), view(tip), at(0));
            let mut world = Self { state, session: Fence::mint(), now };
            world.session = world.join(peer());
            // The opening is over before the tests begin.
            world.state.take_queue_changes(now - Duration::from_secs(60));
            world.state.take_queue_changes(now);
            world
        }

        /// A further peer that has everything.
        fn join(&mut self, peer: PeerId) -> Fence {
            let (session, mailbox) = (Fence::mint(), inlet(4).0);
            self.state.on_event(self.now, Event { session, news: News::Joined { peer, mailbox } });
            let range = HeightRange::new(at(0).height, self.state.view.tip.height);
            self.state.on_event(self.now, Event { session, news: News::Useful(range) });
            session
        }

        /// Answers the plan that must be due.
        fn plan(&mut self, answer: impl FnOnce(Height, usize) -> Missing) {
            let Some(Order::Plan { epoch, from, limit, view }) = self.state.next_order() else {
                panic!("no plan is due")
            };
            let answer = Ok(answer(from, limit));
            self.state.on_done(self.now, Done::Planned { epoch, limit, view, answer });
            self.state.take_queue_changes(self.now);
        }

        fn plan_all(&mut self) {
            let tip = self.state.view.tip.height.get();
            self.plan(|from, _| {
                Missing::Bodies((from.get()..=tip).map(|n| Wanted { at: at(n), size_hint: 100 }).collect())
            });
        }

        fn deliver(&mut self, number: u32) {
            self.bring(self.session, number, 0);
        }

        /// A body with this filling comes from a session.
        fn bring(&mut self, session: Fence, number: u32, filling: u8) {
            let raw = Bytes::from(vec![filling; 100]);
            let lease = Some(Lease::detached([(number.into(), Wanted { at: at(number), size_hint: 100 })]));
            let delivered = Delivered { at: at(number), raw, lease, pulse: Pulse::default() };
            self.state.on_event(self.now, Event { session, news: News::Delivered(Box::new(delivered)) });
        }

        /// A body of unknown rules comes from a session and is checked; how many heights may be asked for then.
        fn puzzle(&mut self, session: Fence, number: u32, filling: u8) -> usize {
            self.bring(session, number, filling);
            self.check(BodyVerdict::Unsupported { reason: "version 99".to_owned() });
            self.state.take_queue_changes(self.now).len()
        }

        fn is_alarmed(&self) -> bool {
            let status = self.state.status();
            assert_eq!(status.convictions, [], "unknown rules are nobody's fault");
            status.alarm.is_some() && matches!(status.verdict, SyncVerdict::Unsupported { .. })
        }

        fn check(&mut self, verdict: BodyVerdict) {
            let Some(Order::Check(batch)) = self.state.next_order() else { panic!("no check is due") };
            let judged = batch.into_iter().map(|(at, body)| (at, body, Ok(verdict.clone())));
            self.state.on_done(self.now, Done::Checked(judged.collect()));
        }

        fn commit(&mut self, answer: Commit) {
            assert!(matches!(self.state.next_order(), Some(Order::Commit(_))), "no commit is due");
            self.state.on_done(self.now, Done::Committed(Ok(answer)));
        }
    }

    #[test]
    fn a_body_goes_from_wanted_to_committed() {
        let mut world = World::new(1);
        world.plan_all();
        let waits = SyncVerdict::WaitingForBody { height: at(1).height, peer: None };
        assert_eq!(world.state.status().verdict, waits);
        world.deliver(1);
        assert_eq!(world.state.status().verdict, SyncVerdict::Verifying);
        world.check(BodyVerdict::Valid);
        assert_eq!(world.state.status().verdict, SyncVerdict::WaitingForStore { reason: None });
        world.commit(Commit::Committed(at(1)));
        assert_eq!(world.state.status().verdict, SyncVerdict::AtTip);
        assert!(world.state.next_order().is_none());
    }

    #[test]
    fn a_wrong_body_convicts_its_deliverer_and_drops_what_else_it_brought() {
        let mut world = World::new(200);
        world.plan_all();
        (1..=200).for_each(|number| world.deliver(number));
        world.check(BodyVerdict::Invalid { reason: "merkle root".to_owned() });
        let [Conviction { peer: convicted, evidence, .. }, ..] = &world.state.status().convictions[..] else {
            panic!("nobody was convicted")
        };
        assert!(*convicted == peer() && evidence.contains("merkle root"), "{evidence}");
        assert!(matches!(world.state.take_mail()[..], [(_, Input::Convict { .. }), ..]));
        assert!(world.state.next_order().is_none(), "no further check is spent on it");
        assert_eq!((world.state.remaining(), world.state.status().retained_bytes), (200, 0));
    }

    #[test]
    fn a_store_that_fails_is_tried_again_and_holds_the_clock() {
        let mut world = World::new(2);
        world.plan(|_, _| Missing::Unavailable { reason: "locked".to_owned() });
        assert!(world.state.next_order().is_none(), "not at once");
        world.now += Duration::from_millis(100);
        world.state.wake(world.now);
        world.plan_all();
        world.deliver(1);
        world.check(BodyVerdict::Valid);
        world.commit(Commit::Unavailable { reason: "full".to_owned() });
        assert!(world.state.guidance(world.now).stalled);
        assert!(world.state.next_order().is_none());
        assert_eq!(world.state.next_timer(world.now), Some(world.now + Duration::from_millis(100)));
        world.now += Duration::from_millis(100);
        world.state.wake(world.now);
        world.commit(Commit::Committed(at(1)));
        assert!(!world.state.guidance(world.now).stalled);
    }

    #[test]
    fn a_commit_across_a_reorg_begins_anew_once_it_is_over() {
        let mut world = World::new(3);
        world.plan_all();
        (1..=3).for_each(|number| world.deliver(number));
        world.check(BodyVerdict::Valid);
        assert!(matches!(world.state.next_order(), Some(Order::Commit(_))));
        world.state.on_view(view(3));
        assert!(!world.state.wants_resync(), "the store is still writing");
        world.state.on_done(world.now, Done::Committed(Ok(Commit::Stale)));
        assert!(world.state.wants_resync());
        let epoch = world.state.guidance(world.now).epoch;
        world.state.resync(at(0));
        assert_ne!(world.state.guidance(world.now).epoch, epoch, "machines drop what they have read");
        world.plan_all();
        world.check(BodyVerdict::Valid);
        assert_eq!(world.state.status().retained_bytes, 300, "the bodies were kept");
    }

    #[test]
    fn a_plan_from_before_a_reorg_is_not_taken() {
        let mut world = World::new(3);
        let Some(Order::Plan { epoch, limit, view: old, .. }) = world.state.next_order() else { panic!() };
        world.state.on_view(view(5));
        world.state.resync(at(0));
        let answer = Ok(Missing::Bodies(vec![Wanted { at: at(1), size_hint: 100 }]));
        world.state.on_done(world.now, Done::Planned { epoch, limit, view: old, answer });
        assert_eq!(world.state.sequencer.len(), 0);
        world.plan_all();
        assert_eq!(world.state.remaining(), 5);
    }

    #[test]
    fn unknown_rules_are_our_condition_and_tried_again() {
        let mut world = World::new(1);
        world.plan_all();
        world.deliver(1);
        world.check(BodyVerdict::Unsupported { reason: "version 99".to_owned() });
        let status = world.state.status();
        assert!(matches!(status.verdict, SyncVerdict::Unsupported { .. }) && status.alarm.is_some());
        assert_eq!((status.convictions.len(), world.state.take_mail().len()), (0, 0));
        assert_eq!(world.state.take_queue_changes(world.now), []);
        world.now += UNSUPPORTED_WAIT;
        assert_eq!(world.state.take_queue_changes(world.now).len(), 1);
    }

    #[test]
    fn a_late_wake_up_does_all_that_came_due() {
        let mut world = World::new(2);
        world.plan_all();
        world.deliver(1);
        world.check(BodyVerdict::Unsupported { reason: "version 99".to_owned() });
        world.state.take_queue_changes(world.now);
        let longer = HeaderView { tip: at(3), ..world.state.view };
        world.state.on_view(longer);
        world.plan(|_, _| Missing::Unavailable { reason: "locked".to_owned() });
        assert!(world.state.next_order().is_none(), "two things wait, each for its own instant");
        // One wake-up for both, and an hour too late for either.
        world.now += Duration::from_secs(3_600);
        world.state.wake(world.now);
        assert_eq!(world.state.take_queue_changes(world.now).len(), 1, "the body is asked for again");
        assert!(matches!(world.state.next_order(), Some(Order::Plan { .. })), "and so is the plan");
    }

    #[test]
    fn junk_of_unknown_rules_holds_up_nobody_who_has_the_body() {
        let mut world = World::new(1);
        world.join(PeerId::new([8; 32]));
        world.plan_all();
        assert_eq!(world.puzzle(world.session, 1, 6), 1, "asked for again at once");
        assert!(!world.is_alarmed());
        let mail = world.state.take_mail();
        assert!(matches!(mail[..], [(_, Input::Doubt { .. })]), "who brought it is to keep away: {mail:?}");
        world.deliver(1);
        world.check(BodyVerdict::Valid);
        world.commit(Commit::Committed(at(1)));
        assert_eq!((world.state.status().verdict, world.state.status().alarm), (SyncVerdict::AtTip, None));
    }

    #[test]
    fn two_peers_with_the_same_unknown_rules_are_believed() {
        let mut world = World::new(1);
        let others = [8, 9].map(|id| world.join(PeerId::new([id; 32])));
        let again = world.join(peer());
        world.plan_all();
        assert_eq!(world.puzzle(world.session, 1, 6), 1);
        assert_eq!(world.puzzle(again, 1, 6), 1, "the same peer's second word proves nothing");
        assert_eq!(world.puzzle(others[0], 1, 7), 1, "another body is no confirmation");
        assert_eq!(world.puzzle(others[1], 1, 7), 0);
        assert!(world.is_alarmed());
        world.now += UNSUPPORTED_WAIT;
        assert_eq!(world.state.take_queue_changes(world.now).len(), 1);
    }

    #[test]
    fn an_only_peers_unknown_rules_are_fetched_now_and_then_until_another_comes() {
        let mut world = World::new(2);
        world.plan_all();
        assert_eq!(world.puzzle(world.session, 1, 6), 0);
        assert!(world.is_alarmed() && world.state.take_mail().is_empty());
        assert_eq!(world.puzzle(world.session, 2, 6), 0, "nothing above is of use before that is solved");
        world.now += UNSUPPORTED_WAIT;
        assert_eq!(world.state.take_queue_changes(world.now).len(), 1, "the lowest first");
        assert_eq!(world.puzzle(world.session, 1, 6), 0);
        let other = world.join(PeerId::new([8; 32]));
        assert_eq!(world.state.take_queue_changes(world.now).len(), 2, "there is somebody else to ask");
        (1..=2).for_each(|number| world.bring(other, number, 0));
        world.check(BodyVerdict::Valid);
        world.commit(Commit::Committed(at(2)));
        assert_eq!((world.state.status().verdict, world.state.status().alarm), (SyncVerdict::AtTip, None));
    }

    #[test]
    fn a_floor_that_stands_is_rescued() {
        let mut world = World::new(2);
        world.plan_all();
        assert!(!world.state.guidance(world.now).rescue);
        assert_eq!(world.state.next_timer(world.now), Some(world.now + LEASH));
        world.now += LEASH;
        assert!(world.state.guidance(world.now).rescue);
        world.deliver(1);
        let guidance = world.state.guidance(world.now);
        assert!(!guidance.rescue);
        assert_eq!((guidance.remaining, guidance.backlog), (1, 2));
    }
}
