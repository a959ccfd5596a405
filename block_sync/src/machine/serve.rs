//! The serving side: requests in order, bodies read in slices, terminators never lost.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::exchange::ReadOrder;
use crate::wire::{Limits, MAX_BLOCKS_PER_RESPONSE, Message, Span};
use bytes::Bytes;
use std::collections::VecDeque;
use zakura_header_sync::chain::Height;

/// Bytes of one read. A peer that does not read makes us hold a slice and a half at most, or one large body more.
pub(crate) const SLICE_BYTES: u32 = 1024 * 1024;

/// The next slice is read when less than this is left, so that the stream does not wait for the store.
const LOW_WATER_BYTES: usize = SLICE_BYTES as usize / 2;

/// Refusals of requests above the in-flight cap that wait to be sent. A peer within its cap never causes one.
const MAX_REFUSALS: usize = 128;

/// A request being answered.
#[derive(Debug)]
struct Order {
    span: Span,
    sent: u32,
    bytes: u64,
}

impl Order {
    /// The next height to send; `None` if all were sent, or no such height exists.
    fn next(&self) -> Option<Height> {
        if self.sent >= self.span.count() { None } else { self.span.start().checked_add(self.sent) }
    }

    const fn left(&self) -> u32 {
        self.span.count().saturating_sub(self.sent)
    }

    /// What ends the answer, given that no further body is sent.
    fn end(&self) -> Message {
        Span::new(self.span.start(), self.sent)
            .map_or(Message::RangeUnavailable(self.span), Message::BlocksDone)
    }
}

/// What was put on the stream, for the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) blocks: u32,
    pub(super) bytes: u64,
}

/// What one peer asked of us.
#[derive(Debug)]
pub(super) struct Serving {
    limits: Limits,
    tip: Option<Height>,
    orders: VecDeque<Order>,
    refusals: VecDeque<Span>,
    /// Bodies read and not yet sent, from `buffer_start` up.
    buffer: VecDeque<Bytes>,
    buffer_start: Height,
    buffer_bytes: usize,
    reading: Option<ReadOrder>,
    /// Whether the chain has changed since that read was ordered.
    is_outdated: bool,
    /// The store has no body at this height, or could not say.
    barren: Option<Height>,
    tally: Tally,
}

impl Serving {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            tip: None,
            orders: VecDeque::new(),
            refusals: VecDeque::new(),
            buffer: VecDeque::new(),
            buffer_start: Height::GENESIS,
            buffer_bytes: 0,
            reading: None,
            is_outdated: false,
            barren: None,
            tally: Tally { blocks: 0, bytes: 0 },
        }
    }

    /// The highest body we serve.
    pub(super) const fn set_tip(&mut self, tip: Height) {
        self.tip = Some(tip);
    }

    /// The chain has changed: what was read, or is being read, may be of the branch before.
    pub(super) fn reorganised(&mut self) {
        self.drop_buffer(self.buffer_start);
        self.barren = None;
        self.is_outdated = self.reading.is_some();
    }

    /// A request came; false if the peer has more of them open than we said it may.
    pub(super) fn request(&mut self, span: Span) -> bool {
        let cap = usize::try_from(self.limits.in_flight_requests()).unwrap_or(usize::MAX);
        if self.orders.len() < cap {
            self.orders.push_back(Order { span, sent: 0, bytes: 0 });
            return true;
        }
        if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push_back(span);
        }
        false
    }

    /// The read that is to be made now; at most one is outstanding.
    pub(super) fn poll_read(&mut self) -> Option<ReadOrder> {
        let next = self.orders.front()?.next().filter(|next| self.is_served(*next))?;
        if self.buffer_start != next {
            self.drop_buffer(next);
        }
        if self.reading.is_some() || self.buffer_bytes >= LOW_WATER_BYTES {
            return None;
        }
        let held = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        let count =
            self.wanted_from(next).min(MAX_BLOCKS_PER_RESPONSE).checked_sub(held).filter(|n| *n > 0)?;
        let start = next.checked_add(held).filter(|start| self.is_served(*start))?;
        if self.barren == Some(start) {
            return None;
        }
        let order = ReadOrder { start, count, bytes: SLICE_BYTES };
        self.reading = Some(order);
        Some(order)
    }

    /// A read was answered.
    pub(super) fn bodies(&mut self, start: Height, bodies: Vec<Bytes>) {
        let Some(order) = self.reading.take_if(|order| order.start == start) else {
            return;
        };
        let held = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        let is_outdated = std::mem::take(&mut self.is_outdated);
        if is_outdated || self.buffer_start.checked_add(held) != Some(start) {
            return;
        }
        if bodies.is_empty() {
            self.barren = Some(start);
        }
        for body in bodies.into_iter().take(usize::try_from(order.count).unwrap_or(usize::MAX)) {
            self.buffer_bytes = self.buffer_bytes.saturating_add(body.len());
            self.buffer.push_back(body);
        }
    }

    /// The next message of an answer.
    pub(super) fn poll_transmit(&mut self) -> Option<Message> {
        if let Some(span) = self.refusals.pop_front() {
            return Some(Message::RangeUnavailable(span));
        }
        let order = self.orders.front_mut()?;
        let Some(next) = order.next().filter(|next| self.tip.is_some_and(|tip| *next <= tip)) else {
            return self.finish();
        };
        if self.barren == Some(next) {
            return self.finish();
        }
        if self.buffer_start != next {
            return None;
        }
        let length = self.buffer.front()?.len();
        let bytes = order.bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if order.sent > 0 && bytes > u64::from(self.limits.response_bytes()) {
            return self.finish();
        }
        order.bytes = bytes;
        order.sent = order.sent.saturating_add(1);
        self.buffer_start = next.next().unwrap_or(Height::MAX);
        self.buffer_bytes = self.buffer_bytes.saturating_sub(length);
        self.tally.blocks = self.tally.blocks.saturating_add(1);
        self.tally.bytes = self.tally.bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.buffer.pop_front().map(Message::Block)
    }

    /// What was sent since this was asked last, once an answer has ended.
    pub(super) fn poll_tally(&mut self) -> Option<Tally> {
        let is_between = self.orders.front().is_none_or(|order| order.sent == 0);
        (is_between && self.tally.blocks > 0).then(|| std::mem::take(&mut self.tally))
    }

    fn finish(&mut self) -> Option<Message> {
        self.barren = None;
        self.orders.pop_front().map(|order| order.end())
    }

    fn is_served(&self, height: Height) -> bool {
        self.tip.is_some_and(|tip| height <= tip)
    }

    /// How many bodies from `next` up the orders in hand want, as long as each continues the one before: a peer that
    /// asks for one body at a time costs one read for many.
    fn wanted_from(&self, next: Height) -> u32 {
        let (mut at, mut wanted) = (Some(next), 0_u32);
        for order in &self.orders {
            if wanted >= MAX_BLOCKS_PER_RESPONSE || at.is_none() || order.next() != at {
                break;
            }
            wanted = wanted.saturating_add(order.left());
            at = next.checked_add(wanted);
        }
        wanted
    }

    fn drop_buffer(&mut self, start: Height) {
        self.buffer.clear();
        self.buffer_bytes = 0;
        self.buffer_start = start;
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "an overflow in a test fails the test"
)]
mod tests {
    use super::*;

    fn height(height: u32) -> Height {
        Height::new(height).unwrap()
    }

    fn span(start: u32, count: u32) -> Span {
        Span::new(height(start), count).unwrap()
    }

    fn serving(tip: u32, cap: u32, response_bytes: u32) -> Serving {
        let mut serving = Serving::new(Limits::clamped(128, cap, response_bytes));
        serving.set_tip(height(tip));
        serving
    }

    /// Serves from a store whose body at height h is `size` bytes, counting reads.
    fn drain(serving: &mut Serving, size: usize) -> (Vec<String>, usize) {
        let (mut said, mut reads) = (Vec::new(), 0);
        loop {
            while let Some(message) = serving.poll_transmit() {
                said.push(match message {
                    Message::Block(raw) => format!("block {}", raw[0]),
                    Message::BlocksDone(span) => format!("done {} {}", span.start(), span.count()),
                    Message::RangeUnavailable(span) => format!("none {} {}", span.start(), span.count()),
                    other => panic!("{other:?}"),
                });
                assert!(serving.buffer_bytes <= LOW_WATER_BYTES + SLICE_BYTES as usize + size);
            }
            let Some(order) = serving.poll_read() else { return (said, reads) };
            reads += 1;
            let fit = (order.bytes as usize / size).max(1).min(order.count as usize);
            let body =
                |n: usize| Bytes::from(vec![u8::try_from(order.start.get() as usize + n).unwrap(); size]);
            serving.bodies(order.start, (0..fit).map(body).collect());
        }
    }

    #[test]
    fn bodies_then_their_number() {
        let mut serving = serving(100, 8, 1 << 25);
        assert!(serving.request(span(5, 3)));
        assert_eq!(drain(&mut serving, 100).0, ["block 5", "block 6", "block 7", "done 5 3"]);
        assert_eq!(serving.poll_tally(), Some(Tally { blocks: 3, bytes: 300 }));
    }

    #[test]
    fn an_answer_stops_at_the_tip_and_at_its_byte_cap() {
        let mut serving = serving(6, 8, 250);
        assert!(serving.request(span(5, 3)));
        assert!(serving.request(span(7, 2)));
        assert!(serving.request(span(1, 9)));
        let expected = ["block 5", "block 6", "done 5 2", "none 7 2", "block 1", "block 2", "done 1 2"];
        assert_eq!(drain(&mut serving, 100).0, expected);
    }

    #[test]
    fn one_body_requests_share_a_read() {
        let mut serving = serving(100, 64, 1 << 25);
        assert!((0..40).all(|n| serving.request(span(10 + n, 1))));
        let (said, reads) = drain(&mut serving, 100);
        assert_eq!((said.len(), reads), (80, 1));
        assert_eq!(said[78..], ["block 49", "done 49 1"]);
    }

    #[test]
    fn large_bodies_come_in_slices() {
        let mut serving = serving(100, 8, 1 << 25);
        assert!(serving.request(span(1, 10)));
        let (said, reads) = drain(&mut serving, 400_000);
        assert_eq!((said.len(), reads), (11, 5));
    }

    #[test]
    fn a_store_without_the_body_ends_the_answer() {
        let mut serving = serving(100, 8, 1 << 25);
        assert!(serving.request(span(5, 3)));
        let order = serving.poll_read().unwrap();
        serving.bodies(order.start, vec![Bytes::from_static(&[5])]);
        assert_eq!(serving.poll_transmit(), Some(Message::Block(Bytes::from_static(&[5]))));
        let order = serving.poll_read().unwrap();
        serving.bodies(order.start, Vec::new());
        assert_eq!(serving.poll_transmit(), Some(Message::BlocksDone(span(5, 1))));
        assert_eq!((serving.poll_transmit(), serving.poll_read()), (None, None));
    }

    #[test]
    fn bodies_from_before_a_reorg_are_not_sent_after_it() {
        let mut serving = serving(100, 8, 1 << 25);
        assert!(serving.request(span(5, 3)));
        let order = serving.poll_read().unwrap();
        serving.reorganised();
        assert_eq!(serving.poll_read(), None, "one read at a time");
        serving.bodies(order.start, vec![Bytes::from_static(&[66])]);
        assert_eq!(serving.poll_transmit(), None, "what was being read");
        let order = serving.poll_read().unwrap();
        serving.bodies(order.start, vec![Bytes::from_static(&[66]); 3]);
        serving.reorganised();
        assert_eq!(drain(&mut serving, 100).0, ["block 5", "block 6", "block 7", "done 5 3"]);
    }

    #[test]
    fn requests_above_the_cap_are_refused_and_bounded() {
        let mut serving = serving(100, 2, 1 << 25);
        let accepted = (0..1_000).filter(|_| serving.request(span(1, 1))).count();
        assert_eq!(accepted, 2);
        assert_eq!(serving.refusals.len(), MAX_REFUSALS);
        assert_eq!(serving.poll_transmit(), Some(Message::RangeUnavailable(span(1, 1))));
    }
}
