//! The machine: one peer, asked and served on one stream.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

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
        sizing::{Share, request_bytes},
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

/// A refusal: heights below are not asked of the peer for a while, longer each time in a row.
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
        let delivered = Delivered { at: arrival.at, raw, in_time: arrival.in_time, pulse: self.pulse() };
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
                let strikes = self.detour.as_ref().map_or(1, |detour| detour.strikes.saturating_add(1));
                let above = asked.start().checked_add(asked.count()).unwrap_or(Height::MAX);
                let until = now.checked_add(patience::detour(strikes));
                self.detour = Some(Detour { above, until, strikes });
                self.news.push_back(News::Disappointed(self.pulse()));
            }
        }
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
        status.low.max(above).max(lane)
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

    fn handle_input(&mut self, _now: Instant, input: Input) {
        match input {
            Input::Bodies { start, bodies } => self.serving.bodies(start, bodies),
            Input::Convict { evidence } => {
                let violation = Violation::proven_invalid("body does not match its header", evidence);
                self.exit = Some(Exit::Violation(violation));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advert.wake(now);
        if let Some(detour) = &mut self.detour {
            detour.until.take_if(|until| *until <= now);
        }
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
        let (status, guidance) = (self.status.as_ref()?, self.guidance.as_ref()?);
        let cap = usize::try_from(status.limits.in_flight_requests()).unwrap_or(usize::MAX);
        let requests = self.asking.requests();
        let may_ask = requests < cap.min(MAX_REQUESTS) && (self.is_proven || requests == 0);
        if self.parked_until.is_some() || self.asking.is_backed_up() || !may_ask {
            return None;
        }
        let share = Share { remaining: guidance.remaining, usable: guidance.usable };
        let room = share.outstanding_blocks().checked_sub(self.asking.blocks()).filter(|room| *room > 0)?;
        let bytes = request_bytes(self.asking.window.bytes(), self.asking.in_flight())?;
        let low = self.lowest(status, guidance);
        if low > status.high.height {
            return None;
        }
        let blocks = share.request_blocks(status.limits.blocks_per_response());
        Some(Demand {
            owner: self.terms.session,
            servable: low.into()..=status.high.height.into(),
            max_count: blocks.min(u32::try_from(room).unwrap_or(u32::MAX)),
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
            (self.asking.next_deadline().filter(|_| is_charged), "a body is late"),
            (self.asking.starves_at().filter(|_| is_charged), "the peer makes no progress"),
        ];
        timers.into_iter().filter_map(|(at, why)| at.map(|at| (at, why))).min()
    }

    fn poll_exit(&mut self) -> Option<Exit> {
        self.exit.take()
    }
}
