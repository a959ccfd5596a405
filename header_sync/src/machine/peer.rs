//! One peer's header sync: both roles on one stream.

use super::{
    ask::Ask,
    beacon::Beacon,
    page::Rules,
    serve::Serve,
    words::{Event, Input, Report, Segment, Settings},
};
use crate::{
    chain::BlockRef,
    wire::{Message, Status},
};
use std::time::{Duration, Instant};
use zakura_transport::{
    Exit, Fence, PeerId, Violation,
    routine::{Demand, Lease, Machine},
};

/// The shortest time between two reports of a peer's tip to the reactor: a peer that flaps its tip each millisecond
/// costs its own routine only. Below the 1 s that honest peers keep (wire 5.2).
const TIP_REPORT_GAP: Duration = Duration::from_millis(500);

/// The peer's tip, told to the reactor calmly.
#[derive(Debug, Default)]
struct TipReport {
    tip: Option<BlockRef>,
    told: Option<(Option<BlockRef>, Instant)>,
}

impl TipReport {
    fn due(&self) -> Option<Instant> {
        let (told, at) = self.told?;
        (told != self.tip).then(|| at + TIP_REPORT_GAP)
    }

    fn poll(&mut self, now: Instant) -> Option<Event> {
        let due = match self.told {
            None => self.tip.is_some(),
            Some(_) => self.due().is_some_and(|due| due <= now),
        };
        due.then(|| {
            self.told = Some((self.tip, now));
            Event::Tip(self.tip)
        })
    }
}

/// The machine of stream kind 5 version 8.
#[derive(Debug)]
pub(crate) struct PeerMachine {
    generation: Fence,
    /// When the shell last spoke, for the polls that are given no time.
    now: Option<Instant>,
    beacon: Beacon,
    tip: TipReport,
    ask: Ask,
    serve: Serve,
    queries: Option<Event>,
    verdict: Option<Violation>,
}

impl PeerMachine {
    pub(crate) fn new(peer: PeerId, generation: Fence, rules: Rules, settings: Settings) -> Self {
        Self {
            generation,
            now: None,
            beacon: Beacon::default(),
            tip: TipReport::default(),
            ask: Ask::new(peer, generation, rules, settings),
            serve: Serve::new(settings.page_headers),
            queries: None,
            verdict: None,
        }
    }

    fn status(&mut self, theirs: Status) {
        if !theirs.is_consistent() {
            return;
        }
        let theirs = theirs.is_askable().then_some(theirs);
        self.tip.tip = theirs.map(|theirs| theirs.tip);
        self.ask.set_theirs(theirs);
    }
}

impl Machine for PeerMachine {
    type Message = Message;
    type State = Status;
    type Input = Input;
    type Event = Report;
    type Work = Segment;

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<(), Violation> {
        self.now = Some(now);
        match message {
            Message::Status(theirs) => {
                self.status(theirs);
                Ok(())
            }
            Message::GetHeaders(request) => {
                // At most one query is out, so at most one waits to be told.
                self.queries = self.serve.request(request)?.map(Event::Serve).or(self.queries.take());
                Ok(())
            }
            Message::Headers(page) => self.ask.headers(now, page),
            Message::Outcome(outcome) => self.ask.outcome(now, outcome),
        }
    }

    fn handle_state(&mut self, now: Instant, state: &Status) {
        self.now = Some(now);
        self.beacon.set(*state);
    }

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = Some(now);
        match input {
            Input::Ask(order) => self.ask.order(order),
            Input::Served(found) => self.serve.found(found),
            Input::Convict(violation) => self.verdict = Some(violation),
            Input::Rest(until) => self.ask.rest(until),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        self.ask.timeout(now);
    }

    fn handle_work(&mut self, now: Instant, lease: Lease<Segment>) {
        self.now = Some(now);
        self.ask.segment(now, lease);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Message> {
        self.now = Some(now);
        let status = self.beacon.poll(now).map(Message::Status);
        status.or_else(|| self.serve.poll()).or_else(|| self.ask.poll_request(now).map(Message::GetHeaders))
    }

    fn poll_event(&mut self) -> Option<Report> {
        let event = self
            .now
            .and_then(|now| self.tip.poll(now))
            .or_else(|| self.queries.take())
            .or_else(|| self.ask.poll_event())?;
        Some(Report { from: self.generation, event })
    }

    fn poll_demand(&mut self, now: Instant) -> Option<Demand> {
        self.now = Some(now);
        self.ask.demand(now)
    }

    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let now = self.now?;
        // What is due already leaves with the next poll; a timer for it would spin while the outbox is full.
        let later = |due: &Instant| now < *due;
        let beacon = self.beacon.due(now).filter(later).map(|due| (due, "status"));
        let tip = self.tip.due().filter(later).map(|due| (due, "tip report"));
        [beacon, tip, self.ask.deadline(now)].into_iter().flatten().min()
    }

    fn poll_exit(&mut self) -> Option<Exit> {
        if let Some(violation) = self.verdict.take() {
            return Some(Exit::Violation(violation));
        }
        if self.serve.is_flooded() {
            return Some(Exit::Local("the peer asks without reading the answers"));
        }
        self.ask.poll_exit()
    }
}
