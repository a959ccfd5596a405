//! The machine: one peer, asked and served on one stream.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(feature = "simulation")]
mod probe;

use super::{
    advert::Advert,
    ask::{Asking, Ending, MAX_REQUESTS},
    exchange::{Delivered, Event, Guidance, Input, News, Pulse},
    serve::Serving,
    tolerance::Tolerance,
    window::FULLY_RELIABLE,
};
use crate::{
    plan::{
        patience,
        sizing::{Share, probe_bytes, request_bytes},
    },
    ports::Wanted,
    wire::{Limits, Message, Span, Status},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use zakura_header_sync::chain::{BlockHash, Height, HeightRange};
use zakura_transport::{
    Exit, Fence, Violation,
    routine::{Demand, Lease, Machine},
};

/// A Status that does not widen the peer's range is applied at most so often (wire 5.3).
const STATUS_PACE: Duration = Duration::from_secs(1);

/// Below this reliability a peer carries no floor while others can.
const FLOOR_RELIABILITY: u32 = FULLY_RELIABLE / 2;

/// Heights from the floor up that are kept from an unreliable peer.
const FLOOR_LANE: u32 = 16;

/// Reads the header hash off a serialized block.
pub(crate) type Identify = Arc<dyn Fn(&[u8]) -> Result<BlockHash, String> + Send + Sync>;

/// What a machine is made with.
#[derive(Clone)]
pub(crate) struct Terms {
    /// The session's generation.
    pub(crate) session: Fence,
    /// Whether the peer is one of our own nodes, which take a Status more often.
    pub(crate) is_own: bool,
    /// What we serve at most.
    pub(crate) limits: Limits,
    /// Reads the header hash off a block.
    pub(crate) identify: Identify,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A refusal, or silence of a peer that has brought nothing: heights below are not asked of it for a while, longer each
/// time in a row.
#[derive(Debug)]
struct Detour {
    above: Height,
    until: Option<Instant>,
    strikes: u32,
}

/// One peer's block-sync state.
#[derive(Debug)]
pub(crate) struct PeerMachine {
    terms: Terms,
    advert: Advert,
    serving: Serving,
    asking: Asking,
    tolerance: Tolerance,
    guidance: Option<Guidance>,
    status: Option<Status>,
    applied_at: Option<Instant>,
    /// Whether it has brought a body since it was last doubted: until then it is asked one thing at a time.
    is_proven: bool,
    detour: Option<Detour>,
    /// Heights below are not asked of it until then: what it brought there could not be judged.
    doubt: Option<(Height, Instant)>,
    parked_until: Option<Instant>,
    parks: u32,
    overdrafts: u32,
    stalled_since: Option<Instant>,
    timeouts: u64,
    refusals: u64,
    said_useful: Option<HeightRange>,
    news: VecDeque<News>,
    exit: Option<Exit>,
}

impl PeerMachine {
    /// A machine at the start of its session.
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            advert: Advert::new(terms.limits, terms.is_own),
            serving: Serving::new(terms.limits),
            asking: Asking::default(),
            tolerance: Tolerance::default(),
            guidance: None,
            status: None,
            applied_at: None,
            is_proven: false,
            detour: None,
            doubt: None,
            parked_until: None,
            parks: 0,
            overdrafts: 0,
            stalled_since: None,
            timeouts: 0,
            refusals: 0,
            said_useful: None,
            news: VecDeque::new(),
            exit: None,
            terms,
        }
    }

    fn status(&mut self, now: Instant, status: Status) {
        self.advert.peer_spoke();
        let widens =
            self.status.is_none_or(|known| status.low < known.low || status.high.height > known.high.height);
        let is_soon = self.applied_at.is_some_and(|at| now.saturating_duration_since(at) < STATUS_PACE);
        // The first is answered with the same again (wire 5.3).
        if self.status == Some(status) {
            return;
        }
        if status.low > status.high.height || (is_soon && !widens) {
            self.useless(now, 0);
            return;
        }
        self.applied_at = Some(now);
        self.status = Some(status);
        self.announce();
    }

    fn block(&mut self, now: Instant, raw: Bytes) -> Result<(), Violation> {
        let hash = (self.terms.identify)(&raw).map_err(|why| Violation::malformed("block header", why))?;
        let bytes = raw.len() as u64;
        let Some(arrival) = self.asking.deliver(now, &hash, bytes) else {
            self.useless(now, bytes);
            return Ok(());
        };
        self.is_proven = true;
        self.detour.take_if(|detour| arrival.at.height < detour.above);
        if self.parked_until.take().is_some() {
            self.announce();
        }
        let delivered = Delivered { at: arrival.at, raw, lease: arrival.lease, pulse: self.pulse() };
        self.news.push_back(News::Delivered(Box::new(delivered)));
        Ok(())
    }

    fn ended(&mut self, now: Instant, span: Span) {
        match self.asking.end(span.start()) {
            Ending::Answered | Ending::Over => {}
            Ending::Unknown => self.useless(now, 0),
            Ending::Barren(asked) => {
                self.refusals = self.refusals.saturating_add(1);
                self.asking.window.failed();
                // Who has brought something may have what lies above; who has not is left alone altogether.
                let beyond = asked.start().checked_add(asked.count()).filter(|_| self.is_proven);
                self.avoid(now, beyond.unwrap_or(Height::MAX));
                self.is_proven = false;
                self.news.push_back(News::Disappointed(self.pulse()));
            }
        }
    }

    /// Asks the peer for nothing below `above` for a while, longer each time in a row.
    fn avoid(&mut self, now: Instant, above: Height) {
        let strikes = self.detour.as_ref().map_or(1, |detour| detour.strikes.saturating_add(1));
        self.detour = Some(Detour { above, until: now.checked_add(patience::detour(strikes)), strikes });
    }

    /// Something well-formed and of no use: recorded, and paid for from a budget. An empty budget parks the peer, a
    /// second one ends the stream; neither is blame.
    fn useless(&mut self, now: Instant, bytes: u64) {
        if self.tolerance.debit(now, bytes) {
            return;
        }
        self.overdrafts = self.overdrafts.saturating_add(1);
        if self.overdrafts > 1 {
            self.exit = Some(Exit::Closed { reopen: false });
        } else {
            self.park(now);
        }
    }

    fn park(&mut self, now: Instant) {
        self.parks = self.parks.saturating_add(1);
        self.asking.give_up();
        self.is_proven = false;
        self.parked_until = now.checked_add(patience::park(self.parks));
        self.news.push_back(News::Disappointed(self.pulse()));
        self.announce();
    }

    fn announce(&mut self) {
        let range = self.status.filter(|_| self.parked_until.is_none());
        let useful = range.and_then(|status| HeightRange::new(status.low, status.high.height));
        if useful != self.said_useful {
            self.said_useful = useful;
            self.news.push_back(News::Useful(useful));
        }
    }

    fn pulse(&self) -> Pulse {
        let window = &self.asking.window;
        Pulse {
            rate: window.rate().unwrap_or(0),
            round_trip: window.round_trip().unwrap_or(Duration::ZERO),
            in_flight: self.asking.in_flight(),
            window: window.bytes(),
            reliability: window.reliability(),
            timeouts: self.timeouts,
            refusals: self.refusals,
            useless: self.tolerance.spent(),
        }
    }

    /// The lowest height to ask for: above what was refused lately, and not the floor if others should carry it.
    fn lowest(&self, status: &Status, guidance: &Guidance) -> Height {
        let detour = self.detour.as_ref().filter(|detour| detour.until.is_some());
        let above = detour.map_or(Height::GENESIS, |detour| detour.above);
        let is_doubtful = self.asking.window.reliability() < FLOOR_RELIABILITY;
        let lane = if is_doubtful && guidance.usable > 1 && !guidance.rescue {
            guidance.floor.checked_add(FLOOR_LANE).unwrap_or(Height::MAX)
        } else {
            Height::GENESIS
        };
        let doubted = self.doubt.map_or(Height::GENESIS, |(above, _)| above);
        status.low.max(above).max(lane).max(doubted)
    }
}

impl Machine for PeerMachine {
    type Message = Message;
    type State = Guidance;
    type Input = Input;
    type Event = Event;
    type Work = Wanted;

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<(), Violation> {
        match message {
            Message::Status(status) => self.status(now, status),
            // What is asked before Status is ignored, as existing nodes do (wire 5.3).
            Message::GetBlocks(span) => {
                if self.status.is_some() && !self.serving.request(span) {
                    self.useless(now, 0);
                }
            }
            Message::Block(raw) => self.block(now, raw)?,
            Message::BlocksDone(span) | Message::RangeUnavailable(span) => self.ended(now, span),
        }
        Ok(())
    }

    fn handle_state(&mut self, now: Instant, guidance: &Guidance) {
        if self.guidance.is_some_and(|before| before.epoch != guidance.epoch) {
            self.serving.reorganised();
        }
        self.guidance = Some(*guidance);
        self.advert.set_tip(guidance.acknowledged);
        self.serving.set_tip(guidance.acknowledged.height);
        if guidance.stalled {
            self.stalled_since.get_or_insert(now);
        } else if let Some(since) = self.stalled_since.take() {
            self.asking.forgive(now.saturating_duration_since(since));
        }
        if self.asking.set_floor(now, guidance.floor) {
            self.news.push_back(News::CarriesFloor(guidance.floor));
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Bodies { start, bodies } => self.serving.bodies(start, bodies),
            Input::Convict { evidence } => {
                let violation = Violation::proven_invalid("body does not match its header", evidence);
                self.exit = Some(Exit::Violation(violation));
            }
            Input::Doubt { highest, bytes, strikes } => {
                let above = highest.next().unwrap_or(Height::MAX);
                let until = now.checked_add(patience::detour(strikes)).unwrap_or(now);
                let known = self.doubt.unwrap_or((above, until));
                self.doubt = Some((known.0.max(above), known.1.max(until)));
                self.is_proven = false;
                self.asking.window.failed();
                self.useless(now, bytes);
                self.news.push_back(News::Disappointed(self.pulse()));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advert.wake(now);
        if let Some(detour) = &mut self.detour {
            detour.until.take_if(|until| *until <= now);
        }
        self.doubt.take_if(|(_, until)| *until <= now);
        if self.parked_until.take_if(|until| *until <= now).is_some() {
            self.announce();
        }
        if self.stalled_since.is_some() {
            return;
        }
        let expired = self.asking.expire(now);
        if expired > 0 {
            (0..expired).for_each(|_| self.asking.window.failed());
            self.timeouts = self.timeouts.saturating_add(expired as u64);
            if !self.is_proven {
                // It would only take again what it has just let lie, and hold up the floor once more (threats, BS01).
                self.avoid(now, Height::MAX);
            }
            self.news.push_back(News::Disappointed(self.pulse()));
        }
        if self.asking.starves_at().is_some_and(|at| at <= now) {
            self.park(now);
        }
    }

    fn handle_work(&mut self, now: Instant, lease: Lease<Wanted>) {
        let Some(guidance) = self.guidance else { return };
        let carries_floor = lease.get(guidance.floor.into()).is_some();
        self.asking.ask(now, lease, guidance.floor);
        if carries_floor {
            self.news.push_back(News::CarriesFloor(guidance.floor));
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Message> {
        if let Some(status) = self.advert.poll(now) {
            return Some(Message::Status(status));
        }
        self.asking.poll_request().map(Message::GetBlocks).or_else(|| self.serving.poll_transmit())
    }

    fn poll_event(&mut self) -> Option<Event> {
        let news =
            self.news.pop_front().or_else(|| self.serving.poll_read().map(News::Read)).or_else(|| {
                self.serving
                    .poll_tally()
                    .map(|tally| News::Served { blocks: tally.blocks, bytes: tally.bytes })
            })?;
        Some(Event { session: self.terms.session, news })
    }

    fn poll_demand(&mut self, _now: Instant) -> Option<Demand> {
        let status = self.status.as_ref()?;
        let guidance = self.guidance.as_ref().filter(|guidance| guidance.remaining > 0)?;
        let cap = usize::try_from(status.limits.in_flight_requests()).unwrap_or(usize::MAX);
        let requests = self.asking.requests();
        let may_ask = requests < cap.min(MAX_REQUESTS) && (self.is_proven || requests == 0);
        if self.parked_until.is_some() || self.asking.is_backed_up() || !may_ask {
            return None;
        }
        // A newcomer's first share is of the whole, though others have begun already.
        let remaining = if self.is_proven { guidance.remaining } else { guidance.backlog };
        let share = Share { remaining, usable: guidance.usable };
        let peer_cap = status.limits.blocks_per_response();
        let is_first = !self.is_proven && self.asking.blocks() == 0;
        let blocks = if is_first {
            share.first_blocks(peer_cap)
        } else {
            share.blocks(peer_cap, self.asking.blocks())?
        };
        let (window, in_flight) = (self.asking.window.bytes(), self.asking.in_flight());
        let bytes = if self.is_proven {
            request_bytes(window, in_flight)?
        } else {
            probe_bytes(window, share.is_short())
        };
        let low = self.lowest(status, guidance);
        if low > status.high.height {
            return None;
        }
        Some(Demand {
            owner: self.terms.session,
            servable: low.into()..=status.high.height.into(),
            max_count: blocks,
            max_cost: bytes.min(status.limits.response_bytes().into()),
            hedge: guidance.rescue && self.asking.window.reliability() >= FLOOR_RELIABILITY,
        })
    }

    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let is_charged = self.stalled_since.is_none();
        let timers = [
            (self.advert.due(), "say what we have"),
            (self.parked_until, "ask a parked peer again"),
            (self.detour.as_ref().and_then(|detour| detour.until), "ask again for what was refused"),
            (self.doubt.map(|(_, until)| until), "ask again for what could not be judged"),
            (self.asking.next_deadline().filter(|_| is_charged), "a body is late"),
            (self.asking.starves_at().filter(|_| is_charged), "the peer makes no progress"),
        ];
        timers.into_iter().filter_map(|(at, why)| at.map(|at| (at, why))).min()
    }

    fn poll_exit(&mut self) -> Option<Exit> {
        self.exit.take()
    }

    #[cfg(feature = "simulation")]
    fn duty(&self) -> zakura_transport::routine::Duty {
        self.what_it_owes()
    }

    #[cfg(feature = "simulation")]
    fn recounts(&self) -> Vec<zakura_transport::routine::Recount> {
        self.asking.recounts()
    }

    #[cfg(feature = "simulation")]
    fn leases(&self) -> Vec<&Lease<Wanted>> {
        self.asking.leases()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;
    use zakura_header_sync::chain::BlockRef;

    const SECOND: Duration = Duration::from_secs(1);

    fn height(height: u32) -> Height {
        Height::new(height).unwrap()
    }

    fn at(number: u32) -> BlockRef {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        BlockRef { height: height(number), hash: BlockHash(hash) }
    }

    /// A body names its height in its first four bytes.
    fn body(number: u32, size: usize) -> Message {
        let mut raw = number.to_le_bytes().to_vec();
        raw.resize(size, 0);
        Message::Block(raw.into())
    }

    fn guidance() -> Guidance {
        let (acknowledged, floor) = (at(0), height(1));
        Guidance {
            acknowledged,
            epoch: 0,
            floor,
            remaining: 1_000,
            backlog: 1_000,
            usable: 1,
            rescue: false,
            stalled: false,
        }
    }

    struct World {
        machine: PeerMachine,
        now: Instant,
        asked: Vec<Span>,
        news: Vec<News>,
    }

    impl World {
        /// A machine that has heard a peer's Status: blocks a response, requests in flight.
        fn with_peer(blocks: u32, requests: u32) -> Self {
            let mut world = Self::silent();
            world.say(Message::Status(Status {
                low: height(0),
                high: at(1_000),
                limits: Limits::clamped(blocks, requests, 1 << 25),
            }));
            world
        }

        fn silent() -> Self {
            let identify: Identify = Arc::new(|raw: &[u8]| {
                let number = raw.first_chunk().ok_or("too short")?;
                Ok(at(u32::from_le_bytes(*number)).hash)
            });
            let limits = Limits::clamped(128, 64, 1 << 25);
            let terms = Terms { session: Fence::mint(), is_own: true, limits, identify };
            let machine = PeerMachine::new(terms);
            let now = tokio::time::Instant::now().into_std();
            let mut world = Self { machine, now, asked: Vec::new(), news: Vec::new() };
            world.guide(guidance());
            world
        }

        fn guide(&mut self, guidance: Guidance) {
            self.machine.handle_state(self.now, &guidance);
            self.settle();
        }

        fn say(&mut self, message: Message) {
            self.machine.handle_message(self.now, message).unwrap();
            self.settle();
        }

        fn settle(&mut self) {
            while let Some(event) = self.machine.poll_event() {
                self.news.push(event.news);
            }
            while let Some(message) = self.machine.poll_transmit(self.now) {
                if let Message::GetBlocks(span) = message {
                    self.asked.push(span);
                }
            }
        }

        /// Grants what the machine demands, from `next` up, until it demands no more; how many requests.
        fn grant(&mut self, next: &mut u32, size_hint: u32) -> usize {
            let before = self.asked.len();
            while let Some(demand) = self.machine.poll_demand(self.now) {
                let fit = u32::try_from(demand.max_cost / u64::from(size_hint)).unwrap().max(1);
                let count = fit.min(demand.max_count);
                let first = u32::try_from(*demand.servable.start()).unwrap().max(*next);
                let items = (first..first + count)
                    .map(|number| (u64::from(number), Wanted { at: at(number), size_hint }));
                self.machine.handle_work(self.now, Lease::detached(items));
                *next = first + count;
                self.settle();
            }
            self.asked.len() - before
        }

        fn pass(&mut self, time: Duration) {
            let end = self.now + time;
            while let Some((due, _)) = self.machine.poll_timeout().filter(|(due, _)| *due <= end) {
                self.now = self.now.max(due);
                self.machine.handle_timeout(self.now);
                self.settle();
            }
            self.now = end;
        }

        fn delivered(&self) -> usize {
            self.news.iter().filter(|news| matches!(news, News::Delivered(_))).count()
        }
    }

    #[test]
    fn nothing_is_asked_before_status_and_one_thing_before_the_first_body() {
        let mut world = World::silent();
        assert_eq!(world.machine.poll_demand(world.now), None);
        let (mut world, mut next) = (World::with_peer(128, 64), 1);
        assert_eq!(world.grant(&mut next, 1_000), 1, "a probe");
        world.pass(SECOND / 20);
        world.say(body(1, 1_000));
        assert!(world.grant(&mut next, 1_000) >= 1, "a second beside the first");
        assert!(world.asked.iter().all(|span| span.count() <= 128));
    }

    #[test]
    fn one_body_peers_get_many_requests_within_their_cap_and_the_window() {
        let (mut world, mut next) = (World::with_peer(1, 40), 1);
        world.grant(&mut next, 1_000);
        world.say(body(1, 1_000));
        world.grant(&mut next, 1_000);
        assert_eq!(world.machine.asking.requests(), 40);
        assert!(world.asked.iter().all(|span| span.count() == 1));
        let (mut world, mut next) = (World::with_peer(1, 10_000), 1);
        world.grant(&mut next, 100_000);
        world.pass(SECOND);
        world.say(body(1, 100_000));
        world.grant(&mut next, 100_000);
        let window = world.machine.asking.window.bytes();
        assert!(world.machine.asking.in_flight() <= window + 100_000, "{window}");
    }

    #[test]
    fn a_silent_peer_gives_back_and_is_parked_then_probed_again() {
        let (mut world, mut next) = (World::with_peer(128, 64), 1);
        world.grant(&mut next, 1_000);
        world.pass(SECOND * 3);
        assert_eq!((world.machine.timeouts, world.machine.asking.requests()), (1, 0), "the floor's deadline");
        world.grant(&mut next, 1_000);
        world.pass(SECOND * 30);
        assert!(matches!(world.news.last(), Some(News::Useful(None))), "{:?}", world.news.last());
        assert_eq!(world.machine.poll_demand(world.now), None);
        world.pass(SECOND * 30);
        assert!(matches!(world.news.last(), Some(News::Useful(Some(_)))));
        assert_eq!(world.grant(&mut next, 1_000), 1);
        assert_eq!(world.machine.exit, None);
    }

    #[test]
    fn a_slow_peer_is_kept_and_its_late_bodies_count() {
        let (mut world, mut next) = (World::with_peer(128, 64), 1);
        world.guide(Guidance { floor: height(900), ..guidance() });
        world.grant(&mut next, 60_000);
        let asked = world.asked[0].count();
        for number in 1..=asked {
            world.pass(SECOND * 3);
            world.say(body(number, 60_000));
        }
        assert!(world.machine.timeouts > 0, "it was late");
        assert_eq!((world.delivered(), world.machine.parks), (asked as usize, 0));
        assert_eq!(world.machine.tolerance.spent(), 0, "a late body is no useless one");
    }

    #[test]
    fn time_in_which_our_store_stalls_is_not_charged() {
        let (mut world, mut next) = (World::with_peer(128, 64), 1);
        world.grant(&mut next, 1_000);
        world.guide(Guidance { stalled: true, ..guidance() });
        world.pass(SECOND * 300);
        // Whatever else wakes it meanwhile.
        world.machine.handle_timeout(world.now);
        assert_eq!((world.machine.timeouts, world.machine.parks), (0, 0));
        world.guide(guidance());
        world.pass(SECOND);
        assert_eq!(world.machine.timeouts, 0);
        world.pass(SECOND * 8);
        assert_eq!(world.machine.timeouts, 1);
    }

    #[test]
    fn refusals_keep_away_longer_each_time() {
        let (mut world, mut next) = (World::with_peer(128, 64), 1);
        let mut waits = Vec::new();
        for _ in 0..4 {
            assert_eq!(world.grant(&mut next, 1_000), 1);
            let refused = *world.asked.last().unwrap();
            world.say(Message::RangeUnavailable(refused));
            let since = world.now;
            while world.machine.poll_demand(world.now).is_none() {
                world.pass(SECOND / 2);
            }
            waits.push((world.now - since).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8]);
    }

    #[test]
    fn a_silent_newcomer_is_not_asked_for_the_same_at_once_and_its_first_body_mends_that() {
        let (mut world, mut next) = (World::with_peer(128, 64), 1);
        assert_eq!(world.grant(&mut next, 1_000), 1);
        let asked = world.asked[0];
        world.pass(SECOND * 5 / 2);
        assert_eq!((world.machine.timeouts, world.machine.asking.requests()), (1, 0));
        assert_eq!(world.machine.poll_demand(world.now), None, "others fetch what it let lie");
        world.say(body(asked.start().get(), 1_000));
        assert!(world.machine.poll_demand(world.now).is_some(), "it only was late");
    }

    #[test]
    fn an_unreliable_peer_leaves_the_floor_to_others_unless_nobody_comes() {
        let mut world = World::with_peer(128, 64);
        (0..20).for_each(|_| world.machine.asking.window.failed());
        world.guide(Guidance { usable: 3, ..guidance() });
        let lowest = |world: &mut World| *world.machine.poll_demand(world.now).unwrap().servable.start();
        assert_eq!(lowest(&mut world), 1 + u64::from(FLOOR_LANE));
        world.guide(Guidance { usable: 3, rescue: true, ..guidance() });
        assert_eq!(lowest(&mut world), 0);
    }

    #[test]
    fn a_conviction_ends_the_session_with_the_evidence() {
        let mut world = World::with_peer(128, 64);
        world.machine.handle_input(world.now, Input::Convict { evidence: "block 7".into() });
        let Some(Exit::Violation(violation)) = world.machine.poll_exit() else { panic!("no exit") };
        assert_eq!(violation.evidence(), "block 7");
    }

    #[test]
    fn a_peer_keeps_away_from_what_it_brought_in_vain() {
        let mut world = World::with_peer(128, 64);
        let lowest = |world: &mut World| *world.machine.poll_demand(world.now).unwrap().servable.start();
        assert_eq!(lowest(&mut world), 0);
        let doubt = |highest: u32, strikes| Input::Doubt { highest: height(highest), bytes: 500, strikes };
        world.machine.handle_input(world.now, doubt(9, 2));
        world.machine.handle_input(world.now, doubt(7, 1));
        world.settle();
        assert_eq!(lowest(&mut world), 10, "what lies above it may be asked for");
        world.pass(SECOND * 3 / 2);
        assert_eq!(lowest(&mut world), 10);
        world.pass(SECOND);
        assert_eq!(lowest(&mut world), 0);
        assert_eq!((world.machine.tolerance.spent(), world.machine.exit.is_none()), (2, true));
    }

    #[test]
    fn a_status_that_means_nothing_is_put_up_with() {
        let mut world = World::silent();
        let limits = Limits::clamped(1, 1, 1);
        world.say(Message::Status(Status { low: height(9), high: at(3), limits }));
        assert_eq!(world.machine.poll_demand(world.now), None);
        assert_eq!((world.machine.tolerance.spent(), world.machine.exit.is_none()), (1, true));
    }
}
