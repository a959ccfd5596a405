//! The machine.

use super::{
    bucket::Bucket,
    round::{Phase, REFRESH, after},
    words::{Event, Guidance, Input, News},
};
use crate::{
    book::{Asked, SKEW, Signed},
    wire::{BadRecord, MAX_EXCLUDED, MAX_RECORDS, Message, Record, Sealed, ServiceId, Services, Summary},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use zakura_transport::{
    Exit, Fence, PeerId, Violation,
    routine::{Demand, Lease, Machine},
};

/// Records we ask for: what a message holds at most (wire 5.1).
pub(crate) const RECORDS: u16 = 32;

#[expect(clippy::as_conversions, reason = "a const has no try_from; both sides are small")]
const _: () = assert!(RECORDS as usize == MAX_RECORDS);

/// How long a summary holds (wire 5.1).
const SUMMARY_LIFE: Duration = Duration::from_secs(30);

/// Requests of each sort answered at once, and one more after each interval. A peer asks once a round, so it is never
/// refused; one that floods us costs us no more than this.
const ANSWERS: u32 = 4;
const ANSWER_EVERY: Duration = Duration::from_secs(5);

/// Signatures verified at once, and one more after each interval: two full messages, and a full one a round. Stops a peer
/// from keeping a processor busy with records nobody needs.
const CHECKS: u32 = 72;
const CHECK_EVERY: Duration = Duration::from_millis(400);

/// What a session is told at its start.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The session.
    pub(crate) session: Fence,
    /// The peer whose key TLS proved.
    pub(crate) peer: PeerId,
    /// Ourselves.
    pub(crate) us: PeerId,
    /// The network both sides are on.
    pub(crate) network_id: u32,
    /// The chain both sides follow.
    pub(crate) chain_id: [u8; 32],
    /// Whether this connection carries nothing but discovery.
    pub(crate) is_sole: bool,
}

/// One peer's exchange.
///
/// Signatures are verified here, in the peer's own routine: a flood of records then delays nobody but the peer that sent
/// it, what it may cost is bounded beside the peer's other bounds, and 32 of them take two milliseconds.
#[derive(Debug)]
pub(crate) struct PeerMachine {
    terms: Terms,
    guidance: Option<Guidance>,
    phase: Phase,
    /// The record we introduced ourselves with last.
    introduced: Option<Sealed>,
    /// Whether the peer has introduced itself.
    is_met: bool,
    /// Which of the peer's two requests we have answered.
    answered: (bool, bool),
    outbox: VecDeque<Message>,
    events: VecDeque<News>,
    peers_asked: Bucket,
    services_asked: Bucket,
    checks: Bucket,
    exit: Option<Exit>,
}

impl PeerMachine {
    pub(crate) fn new(now: Instant, terms: Terms) -> Self {
        Self {
            terms,
            guidance: None,
            phase: Phase::Early,
            introduced: None,
            is_met: false,
            answered: (false, false),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            peers_asked: Bucket::new(now, ANSWERS, ANSWER_EVERY),
            services_asked: Bucket::new(now, ANSWERS, ANSWER_EVERY),
            checks: Bucket::new(now, CHECKS, CHECK_EVERY),
            exit: None,
        }
    }

    /// Our three sends. The Hello need not be repeated while our record stays (wire 5.1).
    fn begin_round(&mut self, now: Instant) {
        let Some(Guidance { own: Some(own), known, .. }) = &self.guidance else { return };
        if self.introduced.as_ref() != Some(own) {
            self.introduced = Some(own.clone());
            self.outbox.push_back(Message::Hello(own.clone()));
        }
        let exclude = known.iter().copied().take(MAX_EXCLUDED).collect();
        self.outbox.push_back(Message::GetPeers { limit: RECORDS, services: Vec::new(), exclude });
        self.outbox.push_back(Message::GetServices(Vec::new()));
        self.phase = Phase::begun(now);
    }

    /// Ends the round if the peer has given all three answers.
    fn settle(&mut self, now: Instant) {
        let Phase::Open { since, peers: true, services: true } = self.phase else { return };
        if !self.is_met {
            return;
        }
        self.events.push_back(News::Exchanged);
        self.phase = if self.terms.is_sole {
            Phase::parting(now, since, self.has_answered())
        } else {
            Phase::Resting { until: after(since, REFRESH) }
        };
    }

    const fn has_answered(&self) -> bool {
        self.answered.0 && self.answered.1
    }

    fn on_hello(&mut self, now: Instant, sealed: Sealed) -> Result<(), Violation> {
        // The first one is judged whatever was spent before: without it no exchange is complete.
        if !self.checks.take(now) && self.is_met {
            return Ok(());
        }
        let record = sealed.open().map_err(bad_hello)?;
        if record.node_id != self.terms.peer {
            let seen = format!("{} sent the record of {}", self.terms.peer, record.node_id);
            return Err(Violation::protocol("discovery.hello.author", seen));
        }
        if !self.is_of_our_chain(&record) {
            let seen = format!("a record of network {}, another chain", record.network_id);
            return Err(Violation::protocol("discovery.hello.chain", seen));
        }
        self.is_met = true;
        self.events.push_back(News::Met(Signed { record, sealed }));
        self.settle(now);
        Ok(())
    }

    fn is_of_our_chain(&self, record: &Record) -> bool {
        record.network_id == self.terms.network_id && record.chain_id == self.terms.chain_id
    }

    /// Records that do not hold are skipped, and so is what exceeds the peer's credit: neither is a fault (wire 5.1).
    fn on_peers(&mut self, now: Instant, records: Vec<Sealed>) {
        let mut heard = Vec::new();
        for sealed in records {
            if !self.checks.take(now) {
                break;
            }
            let Ok(record) = sealed.open() else { continue };
            if record.node_id != self.terms.us && self.is_of_our_chain(&record) {
                heard.push(Signed { record, sealed });
            }
        }
        if !heard.is_empty() {
            self.events.push_back(News::Heard(heard));
        }
        if let Phase::Open { peers, .. } = &mut self.phase {
            *peers = true;
        }
        self.settle(now);
    }

    fn on_services(&mut self, now: Instant, services: Services) -> Result<(), Violation> {
        if services.node_id != self.terms.peer {
            let seen = format!("{} sent the services of {}", self.terms.peer, services.node_id);
            return Err(Violation::protocol("discovery.services.author", seen));
        }
        if let Some(guidance) = &self.guidance {
            let unix = guidance.clock.unix(now);
            let life = Duration::from_secs(services.expiry.saturating_sub(unix)).min(SUMMARY_LIFE);
            if services.expiry > unix {
                let until = after(now, life);
                self.events.push_back(News::Summaries { summaries: services.summaries, until });
            } else if services.expiry.saturating_add(SKEW.as_secs()) < unix {
                self.events.push_back(News::Summaries { summaries: Vec::new(), until: now });
            }
        }
        if let Phase::Open { services, .. } = &mut self.phase {
            *services = true;
        }
        self.settle(now);
        Ok(())
    }

    fn on_get_services(&mut self, now: Instant, wanted: &[ServiceId]) {
        if !self.services_asked.take(now) {
            return;
        }
        let Some(guidance) = &self.guidance else { return };
        let asked = |summary: &&Summary| wanted.is_empty() || wanted.contains(&summary.service());
        let summaries =
            guidance.summaries.iter().filter(asked).map(|summary| self.honest(*summary)).collect();
        let expiry = guidance.clock.unix(now).saturating_add(SUMMARY_LIFE.as_secs());
        self.outbox.push_back(Message::Services(Services { node_id: self.terms.us, expiry, summaries }));
        self.answered.1 = true;
        self.hasten(now);
    }

    /// Only a peer with whom nothing else runs is left after the exchange.
    const fn honest(&self, summary: Summary) -> Summary {
        match summary {
            Summary::Discovery(mut own) => {
                own.will_disconnect = self.terms.is_sole;
                Summary::Discovery(own)
            }
            other => other,
        }
    }

    /// The peer has an answer more, which may be the last one it waits for.
    fn hasten(&mut self, now: Instant) {
        if let Phase::Parting { since, .. } = self.phase {
            self.phase = Phase::parting(now, since, self.has_answered());
        }
    }
}

fn bad_hello(bad: BadRecord) -> Violation {
    let evidence = bad.to_string();
    match bad {
        BadRecord::Signature => Violation::proven_invalid("discovery.hello.signature", evidence),
        BadRecord::Protocol { .. } => Violation::protocol("discovery.hello.protocol", evidence),
        BadRecord::Malformed(_) | BadRecord::NotCanonical | BadRecord::NoAuthor => {
            Violation::malformed("discovery.hello.record", evidence)
        }
    }
}

impl Machine for PeerMachine {
    type Message = Message;
    type State = Guidance;
    type Input = Input;
    type Event = Event;
    type Work = ();

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<(), Violation> {
        match message {
            Message::Hello(sealed) => self.on_hello(now, sealed)?,
            Message::GetPeers { limit, services, exclude } => {
                if self.peers_asked.take(now) {
                    self.events.push_back(News::Asked(Asked { limit, services, exclude }));
                }
            }
            Message::Peers(records) => self.on_peers(now, records),
            Message::GetServices(wanted) => self.on_get_services(now, &wanted),
            Message::Services(services) => self.on_services(now, services)?,
        }
        Ok(())
    }

    fn handle_state(&mut self, now: Instant, state: &Guidance) {
        self.guidance = Some(state.clone());
        if self.phase == Phase::Early {
            self.begin_round(now);
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Disclose(records) => {
                self.outbox.push_back(Message::Peers(records));
                self.answered.0 = true;
                self.hasten(now);
            }
            Input::Leave { reopen } => self.exit = Some(Exit::Closed { reopen }),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.phase.timeout().is_none_or(|(at, _)| at > now) {
            return;
        }
        match self.phase {
            Phase::Open { .. } => {
                self.phase = Phase::Over;
                self.events.push_back(News::Missed);
            }
            Phase::Resting { .. } => self.begin_round(now),
            Phase::Parting { .. } => {
                self.phase = Phase::Over;
                self.events.push_back(News::Finished);
            }
            Phase::Early | Phase::Over => {}
        }
    }

    fn handle_work(&mut self, _now: Instant, _lease: Lease<()>) {}

    fn poll_transmit(&mut self, _now: Instant) -> Option<Message> {
        self.outbox.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        let news = self.events.pop_front()?;
        Some(Event { session: self.terms.session, news })
    }

    fn poll_demand(&mut self, _now: Instant) -> Option<Demand> {
        None
    }

    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.phase.timeout()
    }

    fn poll_exit(&mut self) -> Option<Exit> {
        self.exit.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::UnixClock,
        wire::{DiscoverySummary, RecordAddr},
    };
    use proptest::prelude::*;
    use zakura_transport::{FaultClass, Identity};

    /// The wall clock when a test begins.
    const UNIX: u64 = 1_800_000_000;
    const OURS: u8 = 1;
    const THEIRS: u8 = 2;

    fn identity(seed: u8) -> Identity {
        Identity::from_seed([seed; 32]).unwrap()
    }

    fn record(seed: u8) -> Record {
        Record {
            node_id: identity(seed).peer_id(),
            addresses: vec![RecordAddr(([8, 8, 8, seed], 8234).into())],
            services: vec![ServiceId::DISCOVERY],
            protocol_min: 1,
            protocol_max: 1,
            network_id: 3,
            chain_id: [9; 32],
            sequence: 1,
            expiry: UNIX + 3600,
        }
    }

    fn signed(record: &Record, seed: u8) -> Sealed {
        Sealed::sign(record, &identity(seed))
    }

    fn services(seed: u8, expiry: u64) -> Message {
        let own = DiscoverySummary { free_exchanges: 1, max_records: 32, will_disconnect: true };
        let summaries = vec![Summary::Discovery(own)];
        Message::Services(Services { node_id: identity(seed).peer_id(), expiry, summaries })
    }

    fn guidance(at: Instant, sequence: u64) -> Guidance {
        let own = DiscoverySummary { free_exchanges: 7, max_records: 32, will_disconnect: false };
        Guidance {
            own: Some(signed(&Record { sequence, ..record(OURS) }, OURS)),
            summaries: [Summary::Discovery(own)].into(),
            known: [identity(OURS).peer_id(), identity(THEIRS).peer_id()].into(),
            clock: UnixClock { at, said: Duration::from_secs(UNIX) },
        }
    }

    /// A machine of ours, and what it has said.
    struct Talk {
        machine: PeerMachine,
        now: Instant,
    }

    impl Talk {
        fn new(is_sole: bool) -> Self {
            let now = tokio::time::Instant::now().into_std();
            let terms = Terms {
                session: Fence::mint(),
                peer: identity(THEIRS).peer_id(),
                us: identity(OURS).peer_id(),
                network_id: 3,
                chain_id: [9; 32],
                is_sole,
            };
            let mut machine = PeerMachine::new(now, terms);
            machine.handle_state(now, &guidance(now, 1));
            Self { machine, now }
        }

        fn hears(&mut self, message: Message) -> Result<(), Violation> {
            self.machine.handle_message(self.now, message)
        }

        fn says(&mut self) -> Vec<Message> {
            std::iter::from_fn(|| self.machine.poll_transmit(self.now)).collect()
        }

        fn news(&mut self) -> Vec<News> {
            std::iter::from_fn(|| self.machine.poll_event()).map(|event| event.news).collect()
        }

        /// Time passes, and what is due is done.
        fn wait(&mut self, pause: Duration) {
            let until = self.now + pause;
            while let Some((at, _)) = self.machine.poll_timeout().filter(|(at, _)| *at <= until) {
                self.now = self.now.max(at);
                self.machine.handle_timeout(self.now);
            }
            self.now = until;
        }

        /// All three answers.
        fn hears_all(&mut self) {
            self.hears(Message::Hello(signed(&record(THEIRS), THEIRS))).unwrap();
            self.hears(Message::Peers(vec![])).unwrap();
            self.hears(services(THEIRS, UNIX + 3600)).unwrap();
        }

        fn asks(&mut self) {
            let ask = Message::GetPeers { limit: 32, services: vec![], exclude: vec![] };
            self.hears(ask).unwrap();
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn kinds(messages: &[Message]) -> Vec<&'static str> {
        let kind = |message: &Message| match message {
            Message::Hello(_) => "hello",
            Message::GetPeers { .. } => "get peers",
            Message::Peers(_) => "peers",
            Message::GetServices(_) => "get services",
            Message::Services(_) => "services",
        };
        messages.iter().map(kind).collect()
    }

    fn count(news: &[News], is: impl Fn(&News) -> bool) -> usize {
        news.iter().filter(|news| is(news)).count()
    }

    #[test]
    fn the_triple_is_sent_at_once_and_repeated_every_fifteen_seconds_without_the_hello() {
        let mut talk = Talk::new(false);
        let first = talk.says();
        assert_eq!(kinds(&first), ["hello", "get peers", "get services"]);
        let known = vec![identity(OURS).peer_id(), identity(THEIRS).peer_id()];
        assert!(first.contains(&Message::GetPeers { limit: 32, services: vec![], exclude: known }));
        talk.hears_all();
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Exchanged)), 1);
        talk.wait(Duration::from_millis(14_999));
        assert!(talk.says().is_empty());
        talk.wait(Duration::from_millis(1));
        assert_eq!(kinds(&talk.says()), ["get peers", "get services"]);
        // The peer's Hello need not be repeated either.
        talk.hears(Message::Peers(vec![])).unwrap();
        talk.hears(services(THEIRS, UNIX + 3600)).unwrap();
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Exchanged)), 1);
        // A record signed afresh is told with the next round.
        let renewed = guidance(talk.now, 2);
        talk.machine.handle_state(talk.now, &renewed);
        talk.wait(secs(15));
        assert_eq!(kinds(&talk.says()), ["hello", "get peers", "get services"]);
    }

    #[test]
    fn nothing_is_said_before_there_is_a_record_of_ours() {
        let mut talk = Talk::new(false);
        let early = Guidance { own: None, ..guidance(talk.now, 1) };
        let terms = talk.machine.terms.clone();
        talk.machine = PeerMachine::new(talk.now, terms);
        talk.machine.handle_state(talk.now, &early);
        assert!(talk.says().is_empty() && talk.machine.poll_timeout().is_none());
        let ready = guidance(talk.now, 1);
        talk.machine.handle_state(talk.now, &ready);
        assert_eq!(talk.says().len(), 3);
    }

    #[test]
    fn an_exchange_without_any_one_of_its_answers_is_missed_after_two_seconds() {
        let answers = || {
            [
                Message::Hello(signed(&record(THEIRS), THEIRS)),
                Message::Peers(vec![]),
                services(THEIRS, UNIX + 3600),
            ]
        };
        for left_out in 0..3 {
            let mut talk = Talk::new(false);
            for (index, answer) in answers().into_iter().enumerate() {
                if index != left_out {
                    talk.hears(answer).unwrap();
                }
            }
            talk.wait(Duration::from_millis(1_999));
            assert_eq!(count(&talk.news(), |news| matches!(news, News::Missed | News::Exchanged)), 0);
            talk.wait(Duration::from_millis(1));
            assert!(matches!(talk.news()[..], [News::Missed]), "without answer {left_out}");
            for reopen in [true, false] {
                talk.machine.handle_input(talk.now, Input::Leave { reopen });
                assert_eq!(talk.machine.poll_exit(), Some(Exit::Closed { reopen }));
            }
        }
    }

    #[test]
    fn a_hello_that_is_not_the_peers_own_word_is_fatal() {
        let own = record(THEIRS);
        let changed = |change: fn(&mut Record)| {
            let mut record = record(THEIRS);
            change(&mut record);
            signed(&record, THEIRS)
        };
        let forged = Sealed { signature: [0; 64], ..signed(&own, THEIRS) };
        let body = signed(&own, THEIRS).body;
        let cut = Sealed { body: body.slice(..body.len() - 1), ..signed(&own, THEIRS) };
        for (hello, rule, class) in [
            (signed(&record(3), 3), "discovery.hello.author", FaultClass::Protocol),
            (signed(&own, 3), "discovery.hello.signature", FaultClass::ProvenInvalid),
            (forged, "discovery.hello.signature", FaultClass::ProvenInvalid),
            (changed(|record| record.network_id = 1), "discovery.hello.chain", FaultClass::Protocol),
            (changed(|record| record.chain_id = [8; 32]), "discovery.hello.chain", FaultClass::Protocol),
            (changed(|record| record.protocol_min = 2), "discovery.hello.protocol", FaultClass::Protocol),
            (cut, "discovery.hello.record", FaultClass::Malformed),
        ] {
            let violation = Talk::new(false).hears(Message::Hello(hello)).unwrap_err();
            assert_eq!((violation.rule(), violation.class()), (rule, class));
            assert!(!violation.evidence().is_empty());
        }
        let violation = Talk::new(false).hears(services(3, UNIX + 30)).unwrap_err();
        assert_eq!(violation.rule(), "discovery.services.author");
    }

    #[test]
    fn a_hello_that_only_says_nothing_of_use_is_no_fault() {
        for change in [
            |record: &mut Record| record.expiry = UNIX - 3600,
            |record: &mut Record| record.expiry = UNIX + 10 * 86_400,
            |record: &mut Record| record.addresses.clear(),
            |record: &mut Record| record.addresses = vec![RecordAddr(([10, 0, 0, 1], 1).into())],
        ] {
            let (mut talk, mut record) = (Talk::new(false), record(THEIRS));
            change(&mut record);
            talk.hears(Message::Hello(signed(&record, THEIRS))).unwrap();
            talk.hears(Message::Peers(vec![])).unwrap();
            talk.hears(services(THEIRS, UNIX + 30)).unwrap();
            assert_eq!(count(&talk.news(), |news| matches!(news, News::Exchanged)), 1);
        }
    }

    #[test]
    fn a_batch_goes_on_past_what_does_not_hold() {
        let mut talk = Talk::new(false);
        let foreign = |seed: u8| signed(&Record { chain_id: [8; 32], ..record(seed) }, seed);
        let forged = Sealed { signature: [0; 64], ..signed(&record(4), 4) };
        let junk = Sealed { body: vec![1, 2, 3].into(), signature: [0; 64] };
        let batch = vec![junk, forged, foreign(5), signed(&record(OURS), OURS), signed(&record(6), 6)];
        talk.hears(Message::Peers(batch)).unwrap();
        let news = talk.news();
        let [News::Heard(heard)] = &news[..] else { panic!("{news:?}") };
        assert_eq!(
            heard.iter().map(|signed| signed.record.node_id).collect::<Vec<_>>(),
            [identity(6).peer_id()]
        );
    }

    #[test]
    fn summaries_are_believed_for_half_a_minute_at_most_and_cleared_by_old_ones() {
        let told = |expiry: u64| {
            let mut talk = Talk::new(false);
            talk.hears(services(THEIRS, expiry)).unwrap();
            talk.news().into_iter().find_map(|news| match news {
                News::Summaries { summaries, until } => Some((summaries.len(), until - talk.now)),
                _ => None,
            })
        };
        assert_eq!(told(UNIX + 5), Some((1, secs(5))));
        assert_eq!(told(UNIX + 86_400), Some((1, secs(30))));
        assert_eq!(told(UNIX - 300), None, "clocks may differ: what was known stays");
        assert_eq!(told(UNIX - 301), Some((0, secs(0))));
    }

    #[test]
    fn a_flood_of_requests_is_answered_four_times_and_then_every_five_seconds() {
        let mut talk = Talk::new(false);
        talk.says();
        for _ in 0..1_000 {
            talk.asks();
            talk.hears(Message::GetServices(vec![])).unwrap();
        }
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Asked(_))), 4);
        assert_eq!(kinds(&talk.says()), ["services"; 4]);
        talk.hears_all();
        talk.wait(secs(5));
        (0..9).for_each(|_| talk.asks());
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Asked(_))), 1);
    }

    #[test]
    fn a_flood_of_records_costs_a_bounded_number_of_signatures() {
        let mut talk = Talk::new(false);
        let batch: Vec<_> = (10..42).map(|seed| signed(&record(seed), seed)).collect();
        for _ in 0..100 {
            talk.hears(Message::Peers(batch.clone())).unwrap();
        }
        let heard = |news: Vec<News>| -> usize {
            news.iter().map(|news| if let News::Heard(records) = news { records.len() } else { 0 }).sum()
        };
        assert_eq!(heard(talk.news()), 72);
        talk.hears_all();
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Met(_) | News::Exchanged)), 2);
        (0..9).for_each(|_| talk.hears(Message::Hello(signed(&record(THEIRS), THEIRS))).unwrap());
        assert!(talk.news().is_empty(), "further Hellos cost credit");
        // A full message a round is always taken whole.
        for _ in 0..10 {
            talk.wait(secs(15));
            talk.hears(Message::Peers(batch.clone())).unwrap();
            assert_eq!(heard(talk.news()), 32);
            talk.hears(services(THEIRS, UNIX + 3600)).unwrap();
        }
    }

    #[test]
    fn summaries_are_filtered_and_say_who_is_left_after_the_exchange() {
        for is_sole in [false, true] {
            let mut talk = Talk::new(is_sole);
            talk.says();
            talk.hears(Message::GetServices(vec![ServiceId::DISCOVERY])).unwrap();
            talk.hears(Message::GetServices(vec![ServiceId::BLOCK_SYNC])).unwrap();
            let said = talk.says();
            let [Message::Services(own), Message::Services(none)] = &said[..] else { panic!("{said:?}") };
            let expected = DiscoverySummary { free_exchanges: 7, max_records: 32, will_disconnect: is_sole };
            assert_eq!(own.summaries, [Summary::Discovery(expected)]);
            assert_eq!((none.summaries.len(), none.expiry), (0, UNIX + 30));
        }
    }

    #[test]
    fn a_connection_with_nothing_else_is_over_once_both_sides_have_their_answers() {
        let mut talk = Talk::new(true);
        talk.hears_all();
        talk.wait(secs(1));
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Finished)), 0, "it may still ask");
        talk.asks();
        talk.hears(Message::GetServices(vec![])).unwrap();
        talk.machine.handle_input(talk.now, Input::Disclose(vec![]));
        talk.wait(Duration::from_millis(250));
        assert_eq!(count(&talk.news(), |news| matches!(news, News::Finished)), 1);

        let mut silent = Talk::new(true);
        silent.hears_all();
        silent.wait(secs(2));
        assert_eq!(count(&silent.news(), |news| matches!(news, News::Finished)), 1, "it never asked");
    }

    fn anything() -> impl Strategy<Value = Message> {
        let seed = 1..5u8;
        prop_oneof![
            (seed.clone(), seed.clone(), 0..3u64).prop_map(|(author, signer, sequence)| {
                Message::Hello(signed(&Record { sequence, ..record(author) }, signer))
            }),
            Just(Message::GetPeers { limit: 32, services: vec![], exclude: vec![] }),
            prop::collection::vec((seed.clone(), seed.clone()), 0..4).prop_map(|records| {
                let sealed = |(author, signer)| signed(&record(author), signer);
                Message::Peers(records.into_iter().map(sealed).collect())
            }),
            Just(Message::GetServices(vec![])),
            (seed, prop::sample::select(vec![0, UNIX, UNIX + 10, u64::MAX]))
                .prop_map(|(author, expiry)| services(author, expiry)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever a peer says and whenever: what is queued is bounded, every answer was owed, and only signed records of
        /// our chain are passed on.
        #[test]
        fn whatever_a_peer_says_is_bounded(
            is_sole: bool,
            script in prop::collection::vec((anything(), 0..4_000u64), 0..60),
        ) {
            let mut talk = Talk::new(is_sole);
            let start = talk.now;
            let (mut asked, mut over) = (0, false);
            for (message, pause) in script {
                if talk.hears(message).is_err() {
                    break;
                }
                talk.wait(Duration::from_millis(pause));
                for news in talk.news() {
                    prop_assert!(!(over && matches!(news, News::Missed | News::Finished)), "it ends once");
                    match news {
                        News::Asked(_) => asked += 1,
                        News::Missed | News::Finished => over = true,
                        News::Met(signed) => prop_assert_eq!(signed.record.node_id, identity(THEIRS).peer_id()),
                        News::Heard(heard) => for signed in heard {
                            prop_assert_eq!(signed.sealed.open().unwrap(), signed.record);
                        },
                        News::Joined { .. } | News::Summaries { .. } | News::Exchanged | News::Left => {}
                    }
                }
                let passed = (talk.now - start).as_secs();
                prop_assert!(asked <= 4 + passed / 5, "{} answers in {} s", asked, passed);
                let rounds = 1 + passed / 15;
                let queued = u64::try_from(talk.machine.outbox.len()).unwrap();
                prop_assert!(queued <= 3 * rounds + 4 + passed / 5, "{} messages wait", queued);
                let waits = talk.machine.poll_timeout().is_some();
                prop_assert!(over != waits, "a session that is not over always has something to wait for");
            }
        }
    }
}
