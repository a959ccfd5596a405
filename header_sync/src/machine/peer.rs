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
            Message::Headers(page) => self.ask.headers(page),
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

    #[cfg(feature = "simulation")]
    fn duty(&self) -> zakura_transport::routine::Duty {
        self.ask.duty(self.now)
    }

    #[cfg(feature = "simulation")]
    fn leases(&self) -> Vec<&Lease<Segment>> {
        self.ask.lease().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::{BlockHash, Height, Work},
        machine::{Failure, Order},
        ports::{HeaderFacts, InvalidHeader, SizedHeader},
        wire::{GetHeaders, Headers, Outcome, Refusal},
    };

    const SETTINGS: Settings = Settings {
        page_headers: 100,
        page_timeout: Duration::from_secs(30),
        segment_timeout: Duration::from_secs(60),
    };

    /// Headers of two bytes: the last byte of the parent's hash, and of the own one. Heights and hashes agree.
    fn describe(raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        let [parent, own] = raw.try_into().map_err(|_| InvalidHeader { reason: "two bytes".into() })?;
        Ok(HeaderFacts {
            hash: BlockHash([own; 32]),
            parent: BlockHash([parent; 32]),
            work: Work::ZERO,
            time: 0,
        })
    }

    fn block(height: u8) -> BlockRef {
        BlockRef { height: Height::new(height.into()).unwrap(), hash: BlockHash([height; 32]) }
    }

    fn status(tip: u8, max_headers: u32) -> Status {
        let caps = (1, 2_097_152, 0);
        let (max_requests, max_bytes, aux_mask) = caps;
        let (anchor, work, oldest) = (block(0), Work::ZERO, Height::GENESIS);
        Status { anchor, tip: block(tip), work, oldest, max_headers, max_requests, max_bytes, aux_mask }
    }

    /// The page of `count` headers after the request's locator.
    fn page(request: &GetHeaders, target: u8, count: u8) -> Message {
        let first = request.locator[0].0[0];
        let header = |height| SizedHeader { raw: vec![height - 1, height].into(), size_hint: 0 };
        Message::Headers(Headers {
            id: request.id,
            target: request.target,
            ancestor: block(first),
            complete: first + count == target,
            headers: (first + 1..=first + count).map(header).collect(),
            aux: None,
        })
    }

    struct Bench {
        machine: PeerMachine,
        start: Instant,
    }

    impl Bench {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        fn new() -> Self {
            let rules = Rules::new(2, describe);
            let machine = PeerMachine::new(PeerId::new([7; 32]), Fence::mint(), rules, SETTINGS);
            Self { machine, start: Instant::now() }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn hear(&mut self, seconds: u64, message: Message) {
            let now = self.at(seconds);
            self.machine.handle_message(now, message).unwrap();
        }

        fn lease(&mut self, seconds: u64, start: u8, end: u8) {
            let segment = Segment { start: block(start), end: block(end) };
            let now = self.at(seconds);
            self.machine.handle_work(now, Lease::detached([(segment.key(), segment)]));
        }

        fn order(&mut self, seconds: u64, target: u8) -> Fence {
            let fence = Fence::mint();
            let order =
                Order { fence, target: block(target), locator: vec![block(1), block(0)], max_count: 50 };
            let now = self.at(seconds);
            self.machine.handle_input(now, Input::Ask(order));
            fence
        }

        fn asked(&mut self, seconds: u64) -> Option<GetHeaders> {
            let now = self.at(seconds);
            match self.machine.poll_transmit(now)? {
                Message::GetHeaders(request) => Some(request),
                other => panic!("said {other:?}"),
            }
        }

        /// The next event that is no report of the tip.
        fn event(&mut self) -> Option<Event> {
            loop {
                match self.machine.poll_event()?.event {
                    Event::Tip(_) => {}
                    event => return Some(event),
                }
            }
        }
    }

    #[test]
    fn nothing_is_asked_before_the_peers_status_nor_above_its_cap() {
        let mut bench = Bench::new();
        let now = bench.at(0);
        assert_eq!(bench.machine.poll_demand(now), None);
        let fence = bench.order(0, 9);
        assert_eq!(bench.asked(0), None);
        assert!(
            matches!(bench.event(), Some(Event::Failed { fence: it, why: Failure::Unable }) if it == fence)
        );
        bench.hear(0, Message::Status(status(90, 7)));
        assert_eq!(bench.machine.poll_demand(now).unwrap().servable, 0..=90);
        bench.lease(0, 10, 20);
        let request = bench.asked(0).unwrap();
        assert_eq!(
            (request.max_count, request.target, request.locator),
            (7, block(90).hash, vec![block(10).hash])
        );
        assert_eq!(bench.machine.poll_demand(now), None, "one segment at a time");
        assert_eq!(bench.asked(0), None, "one request at a time");
    }

    #[test]
    fn a_segment_goes_page_by_page_to_its_end_and_no_further() {
        let mut bench = Bench::new();
        bench.hear(0, Message::Status(status(90, 7)));
        bench.lease(0, 10, 20);
        let first = bench.asked(0).unwrap();
        bench.hear(0, page(&first, 90, 7));
        let second = bench.asked(0).unwrap();
        assert_eq!((second.max_count, second.locator.clone()), (3, vec![block(17).hash]));
        bench.hear(0, page(&second, 90, 3));
        let Some(Event::Segment { headers, lease }) = bench.event() else { panic!("a segment") };
        assert_eq!((headers.len(), lease.first()), (10, Some(20)));
        assert_eq!(headers[9].hash, block(20).hash);
        assert_eq!(bench.asked(0), None);
    }

    #[test]
    fn an_order_goes_before_the_rest_of_a_segment() {
        let mut bench = Bench::new();
        bench.hear(0, Message::Status(status(90, 7)));
        bench.lease(0, 10, 20);
        let segment = bench.asked(0).unwrap();
        let fence = bench.order(0, 90);
        bench.hear(0, page(&segment, 90, 7));
        let order = bench.asked(0).unwrap();
        assert_eq!(order.locator, [block(1).hash, block(0).hash]);
        bench.hear(0, page(&order, 90, 2));
        assert!(matches!(bench.event(), Some(Event::Page { fence: it, complete: false, .. }) if it == fence));
        assert_eq!(bench.asked(0).unwrap().locator, [block(17).hash], "then the segment goes on");
    }

    /// However late: a world found an honest peer behind a bad line convicted (seed 168).
    #[test]
    fn a_late_answer_is_nothing_once_and_a_breach_when_it_comes_again() {
        for seconds in [31, 61, 3_600] {
            let mut bench = Bench::new();
            bench.hear(0, Message::Status(status(90, 7)));
            bench.lease(0, 10, 20);
            let request = bench.asked(0).unwrap();
            let (now, then) = (bench.at(30), bench.at(seconds));
            assert_eq!(bench.machine.poll_timeout(), Some((now, "page")));
            bench.machine.handle_timeout(now);
            let mut hear = || bench.machine.handle_message(then, page(&request, 90, 7)).err();
            assert_eq!(hear().map(|violation| violation.rule()), None);
            assert_eq!(hear().map(|violation| violation.rule()), Some("answer.unasked"));
            assert!(bench.event().is_none(), "and it has no effect");
        }
    }

    #[test]
    fn a_peer_that_drips_headers_loses_the_segment() {
        let mut bench = Bench::new();
        bench.hear(0, Message::Status(status(90, 7)));
        bench.lease(0, 10, 80);
        for seconds in [20, 40] {
            let request = bench.asked(seconds - 20).unwrap();
            bench.hear(seconds, page(&request, 90, 1));
        }
        let request = bench.asked(40).unwrap();
        let (end, soon) = (bench.at(60), bench.at(61));
        assert_eq!(bench.machine.poll_timeout(), Some((end, "segment")));
        bench.machine.handle_timeout(end);
        assert_eq!(bench.asked(60), None, "the segment is given back");
        assert_eq!(bench.machine.poll_demand(end), None, "and another peer may take it first");
        assert!(bench.machine.poll_demand(soon).is_some());
        bench.hear(61, page(&request, 90, 1));
    }

    #[test]
    fn refusals_rest_longer_each_time_and_are_no_strikes() {
        let mut bench = Bench::new();
        bench.hear(0, Message::Status(status(90, 7)));
        let mut now = 0;
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            bench.lease(now, 10, 20);
            let request = bench.asked(now).unwrap();
            let refusal = Refusal::Busy;
            bench.hear(now, Message::Outcome(Outcome { id: request.id, target: request.target, refusal }));
            let (before, after) = (bench.at(now + rest - 1), bench.at(now + rest));
            assert!(rest == 1 || bench.machine.poll_demand(before).is_none());
            assert!(bench.machine.poll_demand(after).is_some());
            assert_eq!(bench.machine.poll_exit(), None);
            now += rest;
        }
    }

    #[test]
    fn three_timeouts_in_a_row_end_it_and_a_page_in_between_forgives() {
        let mut bench = Bench::new();
        bench.hear(0, Message::Status(status(90, 7)));
        for (round, answers) in [false, false, true, false, false, false].into_iter().enumerate() {
            assert_eq!(bench.machine.poll_exit(), None, "round {round}");
            let now = round as u64 * 100;
            bench.order(now, 90);
            let request = bench.asked(now).unwrap();
            if answers {
                bench.hear(now, page(&request, 90, 2));
            }
            let then = bench.at(now + 30);
            bench.machine.handle_timeout(then);
        }
        assert_eq!(bench.machine.poll_exit(), Some(Exit::Local(super::super::OUT_OF_PATIENCE)));
    }

    #[test]
    fn a_tip_that_changes_each_moment_is_reported_calmly() {
        let mut bench = Bench::new();
        bench.hear(0, Message::Status(status(90, 7)));
        assert!(
            matches!(bench.machine.poll_event().unwrap().event, Event::Tip(Some(tip)) if tip == block(90))
        );
        for tip in 0..90 {
            bench.hear(0, Message::Status(status(tip, 7)));
            assert!(bench.machine.poll_event().is_none());
        }
        let (due, why) = bench.machine.poll_timeout().unwrap();
        assert_eq!((due, why), (bench.start + TIP_REPORT_GAP, "tip report"));
        bench.machine.handle_timeout(due);
        assert!(
            matches!(bench.machine.poll_event().unwrap().event, Event::Tip(Some(tip)) if tip == block(89))
        );
        bench.hear(5, Message::Status(Status { max_headers: 0, ..status(89, 7) }));
        assert!(
            matches!(bench.machine.poll_event().unwrap().event, Event::Tip(None)),
            "zero caps: do not ask"
        );
        bench.hear(6, Message::Status(Status { anchor: block(91), ..status(90, 7) }));
        assert!(bench.machine.poll_event().is_none(), "an anchor above the tip is ignored");
    }
}
