//! Asking one peer: one page at a time, for a segment it holds or for an order of the reactor.

#[cfg(feature = "simulation")]
mod probe;

use super::{
    page::{self, Asked, Page, Rules},
    words::{Event, Failure, Order, Received, Segment, Settings},
};
use crate::{
    chain::BlockRef,
    wire::{FIXED_BYTES, GetHeaders, Headers, Outcome, Refusal, RequestId, Status},
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use zakura_transport::{
    Exit, Fence, PeerId, Violation,
    routine::{Demand, Lease},
};

/// How the routine of a peer that answers nothing ends.
pub(crate) const OUT_OF_PATIENCE: &str = "three pages in a row timed out";

/// Pages in a row that may time out (wire 7.2).
const MAX_STRIKES: u32 = 3;

/// Given-up requests remembered (wire 5.2), for as long as the session lives: how late an answer is proves nothing about
/// who sent it. One request is out at a time, so honest peers never fill it.
const LATE_IDS: usize = 64;

/// The first pause after a refusal or a timeout; it doubles each time.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest pause (wire 7.2: header cooldown).
const LONGEST_REST: Duration = Duration::from_secs(60);

/// After `failures` in a row, how long a peer is left alone.
pub(crate) const fn rest_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => FIRST_REST,
        2..=6 => FIRST_REST.saturating_mul(1 << (failures - 1)),
        _ => LONGEST_REST,
    }
}

/// What a request that is out is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Segment,
    Order(Fence),
}

#[derive(Debug)]
struct Pending {
    asked: Asked,
    purpose: Purpose,
    deadline: Instant,
}

/// A segment in hand.
#[derive(Debug)]
struct Run {
    lease: Lease<Segment>,
    segment: Segment,
    last: BlockRef,
    headers: Vec<Received>,
    deadline: Instant,
}

/// The asking half of a session.
#[derive(Debug)]
pub(super) struct Ask {
    peer: PeerId,
    owner: Fence,
    rules: Rules,
    settings: Settings,
    theirs: Option<Status>,
    next_id: RequestId,
    pending: Option<Pending>,
    run: Option<Run>,
    order: Option<Order>,
    late: VecDeque<RequestId>,
    strikes: u32,
    refusals: u32,
    rest_until: Option<Instant>,
    events: VecDeque<Event>,
}

impl Ask {
    pub(super) const fn new(peer: PeerId, owner: Fence, rules: Rules, settings: Settings) -> Self {
        Self {
            peer,
            owner,
            rules,
            settings,
            theirs: None,
            next_id: RequestId::FIRST,
            pending: None,
            run: None,
            order: None,
            late: VecDeque::new(),
            strikes: 0,
            refusals: 0,
            rest_until: None,
            events: VecDeque::new(),
        }
    }

    /// What the peer has, or `None` if it is not to be asked.
    pub(super) fn set_theirs(&mut self, theirs: Option<Status>) {
        self.theirs = theirs;
    }

    pub(super) fn order(&mut self, order: Order) {
        if let Some(older) = self.order.replace(order) {
            self.fail(older.fence, Failure::Unable);
        }
    }

    pub(super) fn rest(&mut self, until: Instant) {
        self.rest_until = self.rest_until.max(Some(until));
    }

    /// A segment to fetch. One is in hand at a time; what does not fit the peer goes back.
    pub(super) fn segment(&mut self, now: Instant, lease: Lease<Segment>) {
        let Some(segment) = lease.items().next().map(|(_, segment)| *segment) else { return };
        if self.run.is_none() {
            let deadline = now + self.settings.segment_timeout;
            self.run = Some(Run { lease, segment, last: segment.start, headers: Vec::new(), deadline });
        }
    }

    pub(super) fn demand(&self, now: Instant) -> Option<Demand> {
        let theirs = self.theirs?;
        let busy = self.pending.is_some() || self.run.is_some() || self.order.is_some();
        let resting = self.rest_until.is_some_and(|until| now < until);
        (!busy && !resting).then(|| Demand {
            owner: self.owner,
            servable: 0..=theirs.tip.height.into(),
            max_count: 1,
            max_cost: u64::MAX,
            hedge: true,
        })
    }

    /// The next request, if one may go out. Orders go before segments: the tip is what others wait for.
    pub(super) fn poll_request(&mut self, now: Instant) -> Option<GetHeaders> {
        if self.pending.is_some() {
            return None;
        }
        if let Some(order) = self.order.take() {
            if let Some(theirs) = self.theirs {
                let max_count = order.max_count.min(self.page_cap(&theirs));
                let purpose = Purpose::Order(order.fence);
                return Some(self.request(now, purpose, order.target, order.locator, max_count));
            }
            self.fail(order.fence, Failure::Unable);
        }
        let run = self.run.as_ref()?;
        let (last, rest) = (run.last, run.segment.end.height.above(run.last.height));
        // A tip that fell back below the segment's end can no longer lead there; nobody's fault.
        let theirs = self.theirs.filter(|theirs| run.segment.end.height <= theirs.tip.height);
        let Some(theirs) = theirs else {
            self.run = None;
            return None;
        };
        let max_count = rest.min(self.page_cap(&theirs));
        Some(self.request(now, Purpose::Segment, theirs.tip, vec![last], max_count))
    }

    fn page_cap(&self, theirs: &Status) -> u32 {
        let bytes = usize::try_from(theirs.max_bytes).unwrap_or(usize::MAX).saturating_sub(FIXED_BYTES);
        let fit = bytes.checked_div(self.rules.header_bytes.saturating_add(4)).unwrap_or(usize::MAX);
        let fit = u32::try_from(fit).unwrap_or(u32::MAX);
        self.settings.page_headers.min(theirs.max_headers).min(fit).max(1)
    }

    fn request(
        &mut self,
        now: Instant,
        purpose: Purpose,
        target: BlockRef,
        locator: Vec<BlockRef>,
        max_count: u32,
    ) -> GetHeaders {
        let id = self.next_id;
        self.next_id = id.next();
        let hashes = locator.iter().map(|block| block.hash).collect();
        let asked = Asked { id, target, locator, max_count };
        self.pending = Some(Pending { asked, purpose, deadline: now + self.settings.page_timeout });
        GetHeaders { id, target: target.hash, locator: hashes, max_count, schema: 0 }
    }

    /// The request that `id` answers, or `None` for the late answer to one given up.
    fn answered(&mut self, id: RequestId) -> Result<Option<Pending>, Violation> {
        if let Some(pending) = self.pending.take_if(|pending| pending.asked.id == id) {
            return Ok(Some(pending));
        }
        if self.late.contains(&id) {
            self.late.retain(|late| *late != id);
            return Ok(None);
        }
        Err(Violation::protocol("answer.unasked", format!("{id:?} is not a request of ours")))
    }

    pub(super) fn headers(&mut self, answer: Headers) -> Result<(), Violation> {
        let Some(Pending { asked, purpose, .. }) = self.answered(answer.id)? else { return Ok(()) };
        let page = page::check(&asked, answer, &self.rules)?;
        match purpose {
            Purpose::Segment => self.extend_run(page),
            Purpose::Order(fence) => {
                let Page { ancestor, headers, complete } = page;
                self.praise();
                self.events.push_back(Event::Page { fence, ancestor, headers, complete });
                Ok(())
            }
        }
    }

    pub(super) fn outcome(&mut self, now: Instant, outcome: Outcome) -> Result<(), Violation> {
        let Some(Pending { asked, purpose, .. }) = self.answered(outcome.id)? else { return Ok(()) };
        if outcome.target != asked.target.hash {
            let evidence = format!("asked for {}, refused {}", asked.target, outcome.target);
            return Err(Violation::protocol("outcome.target", evidence));
        }
        let failure = match outcome.refusal {
            Refusal::TargetNotRetained => Failure::TargetNotRetained,
            Refusal::NoIntersection => Failure::NoIntersection,
            Refusal::HistoryPruned | Refusal::Busy => Failure::Unable,
        };
        match purpose {
            Purpose::Order(fence) => self.fail(fence, failure),
            Purpose::Segment => {
                self.refusals = self.refusals.saturating_add(1);
                self.give_back(now, self.refusals);
            }
        }
        Ok(())
    }

    /// A page of the segment in hand. With its last page the segment closes on its anchor, or its deliverer made it up.
    fn extend_run(&mut self, page: Page) -> Result<(), Violation> {
        let (Some(run), Some(last)) = (self.run.as_mut(), page.last()) else { return Ok(()) };
        run.headers.extend(page.headers);
        run.last = last;
        let end = run.segment.end;
        if last.height < end.height {
            return Ok(());
        }
        if last != end {
            let start = run.segment.start;
            let evidence = format!("segment {start} to {end} from peer {} ends on {last} instead", self.peer);
            return Err(Violation::proven_invalid("segment.closes", evidence));
        }
        if let Some(Run { lease, headers, .. }) = self.run.take() {
            self.praise();
            self.events.push_back(Event::Segment { lease, headers });
        }
        Ok(())
    }

    const fn praise(&mut self) {
        self.strikes = 0;
        self.refusals = 0;
    }

    fn fail(&mut self, fence: Fence, why: Failure) {
        self.events.push_back(Event::Failed { fence, why });
    }

    /// Returns the segment in hand to the queue and leaves it to others for a while.
    fn give_back(&mut self, now: Instant, failures: u32) {
        self.run = None;
        self.rest(now + rest_after(failures));
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        let run_expired = self.run.as_ref().is_some_and(|run| run.deadline <= now);
        let expired = self.pending.take_if(|pending| {
            pending.deadline <= now || (run_expired && matches!(pending.purpose, Purpose::Segment))
        });
        if let Some(Pending { asked, .. }) = &expired {
            if self.late.len() == LATE_IDS {
                self.late.pop_front();
            }
            self.late.push_back(asked.id);
        }
        if run_expired || expired.is_some() {
            self.strikes = self.strikes.saturating_add(1);
        }
        match expired.map(|pending| pending.purpose) {
            Some(Purpose::Order(fence)) => self.fail(fence, Failure::TimedOut),
            Some(Purpose::Segment) => self.give_back(now, self.strikes),
            None if run_expired => self.give_back(now, self.strikes),
            None => {}
        }
    }

    pub(super) fn deadline(&self, now: Instant) -> Option<(Instant, &'static str)> {
        let page = self.pending.as_ref().map(|pending| (pending.deadline, "page"));
        let run = self.run.as_ref().map(|run| (run.deadline, "segment"));
        let rest = self.rest_until.filter(|until| now < *until).map(|until| (until, "rest"));
        [page, run, rest].into_iter().flatten().min()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn poll_exit(&self) -> Option<Exit> {
        (self.strikes >= MAX_STRIKES).then_some(Exit::Local(OUT_OF_PATIENCE))
    }
}
