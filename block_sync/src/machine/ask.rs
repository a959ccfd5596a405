//! The asking side: requests in flight, matched by hash, bounded in bytes and time.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(feature = "simulation")]
mod probe;

use super::window::{Sent, Window};
use crate::{plan::patience, ports::Wanted, wire::Span};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};
use zakura_transport::routine::Lease;

/// Requests to one peer at most, whatever it allows. An answer is two frames at least, and existing nodes drop what does
/// not fit their send queue (wire 4.8), which holds some 340.
pub(super) const MAX_REQUESTS: usize = 128;

/// Heights remembered after their deadline, so that a slow peer's bodies still count and are not asked for twice.
const MAX_LATE: usize = 1_024;

/// Terminators that may still come for requests that are over.
const MAX_ENDINGS: usize = 1_024;

const _: () = assert!(MAX_REQUESTS <= MAX_ENDINGS);

/// One GetBlocks in flight.
#[derive(Debug)]
struct Request {
    span: Span,
    lease: Lease<Wanted>,
    sent: Sent,
    sent_at: Instant,
    /// When its last body is due.
    deadline: Instant,
    /// What its largest body is taken to cost.
    largest: u64,
    /// Estimated bytes still to come.
    cost: u64,
    /// Estimated bytes asked for before it, and its own.
    bytes_ahead: u64,
    delivered: u32,
    is_floor: bool,
    /// Whether it waits for late bodies instead of having been sent.
    is_second_wait: bool,
}

/// A body whose deadline has passed.
#[derive(Debug, Clone, Copy)]
struct Late {
    at: BlockRef,
    sent: Sent,
    /// Whether it was waited for a second time already: then the next lease asks anew.
    is_lost: bool,
}

/// A body that was asked for has come.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) at: BlockRef,
    /// Its height's lease, unless the deadline has passed.
    pub(super) lease: Option<Lease<Wanted>>,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was answered, in part at least.
    Answered,
    /// Nothing that was asked for came: the heights.
    Barren(Span),
    /// It was over already.
    Over,
    /// There was no such request.
    Unknown,
}

/// What is in flight to one peer.
#[derive(Debug, Default)]
pub(super) struct Asking {
    requests: BTreeMap<u64, Request>,
    next_id: u64,
    by_hash: BTreeMap<BlockHash, (u64, Height)>,
    late: BTreeMap<BlockHash, Late>,
    endings: VecDeque<Height>,
    unsent: VecDeque<Span>,
    in_flight: u64,
    blocks: u64,
    /// When the last body came.
    heard_at: Option<Instant>,
    /// Since when something is asked for and nothing came.
    starving_since: Option<Instant>,
    pub(super) window: Window,
}

impl Asking {
    pub(super) fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Estimated bytes in flight.
    pub(super) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bodies in flight.
    pub(super) const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Whether requests wait for room on the stream.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn poll_request(&mut self) -> Option<Span> {
        self.unsent.pop_front()
    }

    /// Asks for what a lease holds. Nothing is sent for bodies that are on their way already, late: those are only
    /// waited for once more.
    pub(super) fn ask(&mut self, now: Instant, lease: Lease<Wanted>, floor: Height) {
        let Some(span) = span_of(&lease) else { return };
        let on_its_way = |wanted: &Wanted| self.late.get(&wanted.at.hash).is_some_and(|late| !late.is_lost);
        let is_second_wait = lease.items().all(|(_, wanted)| on_its_way(wanted));
        let cost: u64 = lease.items().map(|(_, wanted)| u64::from(wanted.size_hint)).sum();
        let largest = lease.items().map(|(_, wanted)| u64::from(wanted.size_hint)).max().unwrap_or(0);
        let sent = self.window.sent(now, self.requests.is_empty());
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        for (_, wanted) in lease.items() {
            self.late.remove(&wanted.at.hash);
            self.by_hash.insert(wanted.at.hash, (id, wanted.at.height));
        }
        self.in_flight = self.in_flight.saturating_add(cost);
        self.blocks = self.blocks.saturating_add(u64::from(span.count()));
        let is_floor = span.contains(floor);
        let wait = patience::deadline(self.in_flight, self.window.rate(), is_floor);
        let request = Request {
            span,
            lease,
            sent,
            sent_at: now,
            deadline: later(now, wait),
            largest,
            cost,
            bytes_ahead: self.in_flight,
            delivered: 0,
            is_floor,
            is_second_wait,
        };
        self.requests.insert(id, request);
        self.starving_since.get_or_insert(now);
        if !is_second_wait {
            self.unsent.push_back(span);
        }
    }

    /// A body with this hash came; `None` if it was not asked of this peer.
    pub(super) fn deliver(&mut self, now: Instant, hash: &BlockHash, bytes: u64) -> Option<Arrival> {
        if let Some(mut late) = self.late.remove(hash) {
            self.heard_at = Some(now);
            self.starving_since = None;
            self.window.delivered(now, bytes, &mut late.sent);
            return Some(Arrival { at: late.at, lease: None });
        }
        let (id, height) = self.by_hash.remove(hash)?;
        let request = self.requests.get_mut(&id)?;
        let wanted = request.lease.get(height.into())?;
        let (at, cost) = (wanted.at, u64::from(wanted.size_hint));
        let lease = request.lease.split(height.into());
        self.heard_at = Some(now);
        request.cost = request.cost.saturating_sub(cost);
        request.delivered = request.delivered.saturating_add(1);
        self.window.delivered(now, bytes, &mut request.sent);
        self.in_flight = self.in_flight.saturating_sub(cost);
        self.blocks = self.blocks.saturating_sub(1);
        if request.lease.is_empty() {
            let start = request.span.start();
            self.requests.remove(&id);
            self.expect_ending(start);
        }
        self.starving_since = self.requests.values().next().map(|_| now);
        Some(Arrival { at, lease })
    }

    /// A terminator came: what its request still holds goes back to the queue.
    pub(super) fn end(&mut self, start: Height) -> Ending {
        let ending = self.settle(start);
        if self.requests.is_empty() && ending != Ending::Unknown {
            // It spoke, if only to refuse: that is no silence.
            self.starving_since = None;
        }
        ending
    }

    fn settle(&mut self, start: Height) -> Ending {
        // Answers come in order, so a terminator belongs to the oldest request of that start.
        if let Some(at) = self.endings.iter().position(|ending| *ending == start) {
            self.endings.remove(at);
            return Ending::Over;
        }
        let found = self.requests.iter().find(|(_, request)| request.span.start() == start);
        let Some(request) = found.map(|(id, _)| *id).and_then(|id| self.drop_request(id)) else {
            return Ending::Unknown;
        };
        if request.delivered > 0 { Ending::Answered } else { Ending::Barren(request.span) }
    }

    /// Gives back what has run out of time; how many requests.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let overdue = self.requests.iter().filter(|(_, request)| self.due(request) <= now);
        let overdue: Vec<u64> = overdue.map(|(id, _)| *id).collect();
        for id in &overdue {
            self.expire_one(*id);
        }
        overdue.len()
    }

    /// The floor has moved: whoever carries it now is on the short leash. True if this peer began to carry it.
    pub(super) fn set_floor(&mut self, now: Instant, floor: Height) -> bool {
        let rate = self.window.rate();
        let carrier = self.requests.values_mut().find(|request| request.span.contains(floor));
        let Some(request) = carrier.filter(|request| !request.is_floor) else {
            return false;
        };
        request.is_floor = true;
        let wait = patience::deadline(request.bytes_ahead, rate, true);
        request.deadline = request.deadline.min(later(now.max(request.sent_at), wait));
        true
    }

    /// Our own store held things up for so long: nobody is charged for it.
    pub(super) fn forgive(&mut self, stall: Duration) {
        for request in self.requests.values_mut() {
            request.deadline = later(request.deadline, stall);
            request.sent_at = later(request.sent_at, stall);
        }
        self.heard_at = self.heard_at.map(|heard| later(heard, stall));
        self.starving_since = self.starving_since.map(|since| later(since, stall));
    }

    /// When the next request runs out of time.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.requests.values().map(|request| self.due(request)).min()
    }

    /// When a request is overdue: as a whole, or because the peer sends nothing while its next body could have come.
    fn due(&self, request: &Request) -> Instant {
        let heard = self.heard_at.map_or(request.sent_at, |heard| heard.max(request.sent_at));
        let wait = patience::deadline(request.largest, self.window.rate(), request.is_floor);
        request.deadline.min(later(heard, wait))
    }

    /// When the peer will have brought nothing for too long.
    pub(super) fn starves_at(&self) -> Option<Instant> {
        self.starving_since.map(|since| later(since, patience::NO_PROGRESS))
    }

    /// Gives everything back; bodies that still come count as late.
    pub(super) fn give_up(&mut self) {
        let all: Vec<u64> = self.requests.keys().copied().collect();
        all.into_iter().for_each(|id| self.expire_one(id));
        self.unsent.clear();
        self.starving_since = None;
    }

    fn expire_one(&mut self, id: u64) {
        let Some(request) = self.drop_request(id) else { return };
        for (_, wanted) in request.lease.items() {
            if self.late.len() >= MAX_LATE {
                self.late.pop_first();
            }
            self.late.insert(
                wanted.at.hash,
                Late { at: wanted.at, sent: request.sent, is_lost: request.is_second_wait },
            );
        }
        self.expect_ending(request.span.start());
    }

    fn drop_request(&mut self, id: u64) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        let mut blocks = 0_u64;
        for (_, wanted) in request.lease.items() {
            blocks = blocks.saturating_add(1);
            if self.by_hash.get(&wanted.at.hash).is_some_and(|(owner, _)| *owner == id) {
                self.by_hash.remove(&wanted.at.hash);
            }
        }
        self.in_flight = self.in_flight.saturating_sub(request.cost);
        self.blocks = self.blocks.saturating_sub(blocks);
        Some(request)
    }

    fn expect_ending(&mut self, start: Height) {
        if self.endings.len() >= MAX_ENDINGS {
            self.endings.pop_front();
        }
        self.endings.push_back(start);
    }
}

/// The heights a lease holds, if a request can name them.
fn span_of(lease: &Lease<Wanted>) -> Option<Span> {
    let (first, last) = (lease.first()?, lease.last()?);
    let count = last.checked_sub(first)?.checked_add(1)?;
    let start = Height::new(u32::try_from(first).ok()?)?;
    Span::new(start, u32::try_from(count).ok()?)
}

fn later(at: Instant, wait: Duration) -> Instant {
    at.checked_add(wait).unwrap_or(at)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test fails the test")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn hash(height: u32) -> BlockHash {
        BlockHash([u8::try_from(height).unwrap(); 32])
    }

    fn height(height: u32) -> Height {
        Height::new(height).unwrap()
    }

    fn lease(heights: std::ops::RangeInclusive<u32>) -> Lease<Wanted> {
        Lease::detached(heights.map(|n| {
            let at = BlockRef { height: height(n), hash: hash(n) };
            (u64::from(n), Wanted { at, size_hint: 1_000 })
        }))
    }

    fn asking(heights: std::ops::RangeInclusive<u32>, now: Instant) -> Asking {
        let mut asking = Asking::default();
        let start = *heights.start();
        asking.ask(now, lease(heights), height(9_999));
        assert_eq!(asking.poll_request().map(Span::start), Some(height(start)));
        asking
    }

    #[test]
    fn bodies_are_matched_by_hash_in_any_order_and_once() {
        let now = now();
        let mut asking = asking(5..=6, now);
        assert_eq!((asking.in_flight(), asking.blocks()), (2_000, 2));
        let arrival = asking.deliver(now, &hash(6), 900).unwrap();
        assert_eq!(arrival.at, BlockRef { height: height(6), hash: hash(6) });
        assert!(arrival.lease.is_some_and(|mut lease| lease.finish(6)));
        assert!(asking.deliver(now, &hash(6), 900).is_none(), "a second copy");
        assert!(asking.deliver(now, &hash(7), 900).is_none(), "not asked for");
        assert!(asking.deliver(now, &hash(5), 900).is_some());
        assert_eq!((asking.in_flight(), asking.blocks(), asking.requests()), (0, 0, 0));
        assert_eq!(asking.end(height(5)), Ending::Over);
        assert_eq!(asking.end(height(5)), Ending::Unknown);
        assert_eq!(asking.starves_at(), None);
    }

    #[test]
    fn a_terminator_gives_back_what_did_not_come() {
        let now = now();
        let mut first = asking(5..=7, now);
        assert!(first.deliver(now, &hash(5), 900).is_some());
        assert_eq!(first.end(height(5)), Ending::Answered);
        assert_eq!((first.in_flight(), first.blocks()), (0, 0));
        let mut second = asking(5..=7, now);
        assert_eq!(second.end(height(5)), Ending::Barren(Span::new(height(5), 3).unwrap()));
    }

    #[test]
    fn a_late_body_still_counts_and_is_not_asked_for_twice_in_a_row() {
        let start = now();
        let mut asking = asking(5..=6, start);
        assert_eq!(asking.expire(start + SECOND * 7), 0);
        assert_eq!(asking.expire(start + SECOND * 9), 1);
        asking.ask(start + SECOND * 9, lease(5..=6), height(5));
        assert_eq!(asking.poll_request(), None, "it is on its way");
        assert!(
            asking.deliver(start + SECOND * 10, &hash(5), 900).is_some_and(|arrival| arrival.lease.is_some())
        );
        assert_eq!(asking.expire(start + SECOND * 20), 1, "the second wait is over");
        let late = asking.deliver(start + SECOND * 20, &hash(6), 900).unwrap();
        assert!(late.lease.is_none());
    }

    #[test]
    fn the_floor_is_on_a_short_leash() {
        let start = now();
        let mut asking = asking(5..=6, start);
        assert!(asking.next_deadline().unwrap() > start + SECOND * 8);
        assert!(asking.set_floor(start, height(6)));
        assert!(!asking.set_floor(start, height(6)), "said once");
        let deadline = asking.next_deadline().unwrap();
        assert!(deadline < start + SECOND * 3, "{:?}", deadline - start);
    }

    #[test]
    fn silence_starves_and_a_stall_of_ours_is_forgiven() {
        let start = now();
        let mut asking = asking(5..=6, start);
        assert_eq!(asking.starves_at(), Some(start + patience::NO_PROGRESS));
        asking.forgive(SECOND * 100);
        assert_eq!(asking.starves_at(), Some(start + patience::NO_PROGRESS + SECOND * 100));
        assert_eq!(asking.expire(start + SECOND * 99), 0);
        asking.give_up();
        assert_eq!((asking.starves_at(), asking.in_flight()), (None, 0));
    }
}
