//! Segments between checkpoints: which are open, which wait for the one below.

#[cfg(feature = "simulation")]
mod probe;

use super::staging::{Deliverer, Staged};
use crate::{
    chain::{BlockRef, Height},
    config::HeaderSyncConfig,
    machine::{Received, Segment},
    ports::{HeaderBatch, HeaderChain, HeaderView, Proof},
};
use std::collections::BTreeMap;
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;
use zakura_transport::{
    Fence,
    routine::{Lease, RangeQueue},
};

/// Anchors read at a time.
const ANCHORS_AHEAD: usize = 64;

/// Headers one batch hands to the store, to spread its commit over several segments.
const BATCH_HEADERS: usize = 4_000;

/// Headers between two anchors at most. Anchors further apart are no segment: their headers are followed with full proof,
/// so that one peer never makes us stage more than this before anything is proved.
const MAX_SEGMENT_HEADERS: u32 = 4_000;

/// One planned segment.
#[derive(Debug)]
struct Slot {
    segment: Segment,
    staged: Option<Staged>,
    /// The check in flight, if segments are checked at all.
    checking: Option<Fence>,
}

/// The window of segments above our chain. Every segment in it is pending, leased or finished in the queue; finished ones
/// are staged here.
#[derive(Debug)]
pub(super) struct Segments {
    queue: RangeQueue<Segment>,
    slots: BTreeMap<u64, Slot>,
    /// The highest anchor that is known to be on our chain.
    base: BlockRef,
    /// Whether the store works on a batch of ours.
    storing: bool,
    header_bytes: usize,
    verify: bool,
    window: usize,
    window_bytes: u64,
    group: u32,
}

impl Segments {
    pub(super) fn new(
        queue: RangeQueue<Segment>,
        base: BlockRef,
        header_bytes: usize,
        config: &HeaderSyncConfig,
    ) -> Self {
        Self {
            queue,
            slots: BTreeMap::new(),
            base,
            storing: false,
            header_bytes,
            verify: config.verify_segments,
            window: config.segment_window,
            window_bytes: config.segment_bytes,
            group: config.segment_headers.min(MAX_SEGMENT_HEADERS),
        }
    }

    /// Forgets segments our chain has passed and opens new ones, up to the window and to the highest advertised tip.
    pub(super) fn plan(&mut self, view: &HeaderView, chain: &dyn HeaderChain, highest: Option<Height>) {
        // While the store works on a batch, the slots it came from stay: its end must find them.
        while let Some(entry) = self.slots.first_entry().filter(|_| !self.storing) {
            let end = entry.get().segment.end;
            if chain.hash_at(end.height) != Some(end.hash) {
                break;
            }
            entry.remove();
            self.queue.cover(end.height.into()..=end.height.into());
            self.base = end;
        }
        if self.slots.is_empty() {
            self.climb(view, chain);
        }
        let Some(highest) = highest else { return };
        while let Some(segment) = self.next(chain, highest) {
            let (key, cost) = (segment.key(), self.bytes(&segment));
            self.slots.insert(key, Slot { segment, staged: None, checking: None });
            self.queue.push([(key, cost, segment)]);
        }
    }

    /// Raises the base over anchors that our chain reached without us.
    fn climb(&mut self, view: &HeaderView, chain: &dyn HeaderChain) {
        if self.base.height < view.finalized.height {
            self.base = view.finalized;
        }
        loop {
            let anchors = chain.anchors_above(self.base.height, ANCHORS_AHEAD);
            let reached = |anchor: &&BlockRef| chain.hash_at(anchor.height) == Some(anchor.hash);
            let Some(last) = anchors.iter().take_while(reached).last() else { break };
            self.base = *last;
        }
    }

    /// The segment after the last one: several anchors together, as long as they fit one page.
    fn next(&self, chain: &dyn HeaderChain, highest: Height) -> Option<Segment> {
        let bytes: u64 = self.slots.values().map(|slot| self.bytes(&slot.segment)).sum();
        if self.slots.len() >= self.window || (bytes >= self.window_bytes && !self.slots.is_empty()) {
            return None;
        }
        let start = self.slots.values().next_back().map_or(self.base, |slot| slot.segment.end);
        let anchors = chain.anchors_above(start.height, ANCHORS_AHEAD);
        let mut usable = anchors.into_iter().take_while(|anchor| anchor.height <= highest);
        let first = usable.next().filter(|first| first.height.above(start.height) <= MAX_SEGMENT_HEADERS)?;
        let fits = |anchor: &BlockRef| anchor.height.above(start.height) <= self.group;
        Some(Segment { start, end: usable.take_while(fits).last().unwrap_or(first) })
    }

    fn bytes(&self, segment: &Segment) -> u64 {
        let bytes = u64::try_from(self.header_bytes).unwrap_or(u64::MAX);
        u64::from(segment.len()).saturating_mul(bytes)
    }

    /// The lowest anchor that is still to be reached; tips at or above it are not followed.
    pub(super) fn next_end(&self) -> Option<Height> {
        self.slots.values().next().map(|slot| slot.segment.end.height)
    }

    /// A peer brought a segment that closes. A lease that is no longer current changes nothing.
    pub(super) fn stage(&mut self, from: Deliverer, mut lease: Lease<Segment>, headers: Vec<Received>) {
        let Some((key, segment)) = lease.items().next().map(|(key, segment)| (key, *segment)) else { return };
        if !lease.finish(key) {
            return;
        }
        if let Some(slot) = self.slots.get_mut(&key).filter(|slot| slot.segment == segment) {
            let mut staged = Staged::new(segment.start);
            staged.push(from, headers);
            slot.staged = Some(staged);
        }
    }

    /// Headers to check, if segments are checked: of the lowest staged segment whose check is not under way.
    pub(super) fn poll_check(&mut self) -> Option<(Fence, Vec<bytes::Bytes>)> {
        if !self.verify {
            return None;
        }
        let unchecked = |slot: &&mut Slot| {
            let open = slot.staged.as_ref().is_some_and(|staged| staged.checked() < staged.len());
            open && slot.checking.is_none()
        };
        let slot = self.slots.values_mut().find(unchecked)?;
        let ticket = Fence::mint();
        slot.checking = Some(ticket);
        slot.staged.as_ref().map(|staged| (ticket, staged.unchecked()))
    }

    /// A check ended; says whether it was one of ours.
    pub(super) fn checked(&mut self, ticket: Fence, passed: bool) -> bool {
        let Some(slot) = self.slots.values_mut().find(|slot| slot.checking == Some(ticket)) else {
            return false;
        };
        slot.checking = None;
        if let Some(staged) = slot.staged.as_mut().filter(|_| passed) {
            staged.pass(staged.len());
        }
        true
    }

    /// The lowest segments that are staged without a gap, as one batch.
    pub(super) fn batch(&mut self, chain: &dyn HeaderChain) -> Option<HeaderBatch> {
        let verify = self.verify;
        let mut batch: Option<HeaderBatch> = None;
        for slot in self.slots.values_mut() {
            let ready = |staged: &&mut Staged| !verify || staged.checked() == staged.len();
            let Some(staged) = slot.staged.as_mut().filter(ready) else { break };
            if batch.is_none() {
                staged.trim_known(chain);
            }
            let proof = if verify { Proof::Verified } else { Proof::Anchored };
            let part = staged.batch(staged.len(), proof);
            match &mut batch {
                None => batch = Some(part),
                Some(whole) if whole.headers.len().saturating_add(part.headers.len()) <= BATCH_HEADERS => {
                    whole.headers.extend(part.headers);
                }
                Some(_) => break,
            }
        }
        let batch = batch.filter(|batch| !batch.headers.is_empty());
        self.storing = batch.is_some();
        batch
    }

    /// The store is done with the batch and took its first `count` headers; says who delivered them. `plan` clears the
    /// slots.
    pub(super) fn stored(&mut self, count: usize) -> Vec<(Deliverer, usize)> {
        self.storing = false;
        let (mut left, mut shares) = (count, Vec::new());
        for staged in self.slots.values_mut().map_while(|slot| slot.staged.as_mut()) {
            let part = left.min(staged.len());
            shares.extend(staged.drop_front(part));
            left = left.saturating_sub(part);
            if left == 0 {
                break;
            }
        }
        shares
    }

    /// Our chain left the window's footing: forget every segment and plan anew from the finalized floor.
    pub(super) fn restart(&mut self, view: &HeaderView) {
        self.slots.clear();
        self.base = view.finalized;
        self.queue.reset_above(view.finalized.height.into());
    }

    /// How full its window is.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self) -> [Fill; 1] {
        [Fill::new("header_sync.segments", self.slots.len(), self.window)]
    }

    /// Segments that nobody has delivered yet, and segments that wait for the store.
    pub(super) fn counts(&self) -> (usize, usize) {
        let staged = self.slots.values().filter(|slot| slot.staged.is_some()).count();
        (self.slots.len().saturating_sub(staged), staged)
    }
}
