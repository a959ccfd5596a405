//! What a peer's machine and the reactor tell each other.

use crate::{
    chain::{BlockHash, BlockRef, Work},
    ports::{Found, HeaderQuery, SizedHeader},
};
use std::time::{Duration, Instant};
use zakura_transport::{
    Exit, Fence, PeerId, Violation,
    routine::{Command, Lease, Mailbox, Overflow},
};

/// Headers between two known blocks. The end's hash proves every header before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The block it continues; not part of it.
    pub(crate) start: BlockRef,
    /// Its last block. Its height is the segment's key in the range queue.
    pub(crate) end: BlockRef,
}

impl Segment {
    /// Its key in the range queue.
    pub(crate) fn key(&self) -> u64 {
        self.end.height.into()
    }

    /// How many headers it has.
    pub(crate) const fn len(&self) -> u32 {
        self.end.height.above(self.start.height)
    }
}

/// The reactor's wish for one page of a target's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Names the order; the answer carries it.
    pub(crate) fence: Fence,
    /// The tip to follow; this peer advertised it.
    pub(crate) target: BlockRef,
    /// Where to continue from, newest first.
    pub(crate) locator: Vec<BlockRef>,
    /// Headers at most; the peer's own cap applies too.
    pub(crate) max_count: u32,
}

/// A header that fits its place: its bytes and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// As delivered.
    pub(crate) header: SizedHeader,
    /// Its hash.
    pub(crate) hash: BlockHash,
    /// The work it claims.
    pub(crate) work: Work,
}

/// Why an order brought no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer in time.
    TimedOut,
    /// The target is no longer the peer's.
    TargetNotRetained,
    /// The peer knows nothing of our locator.
    NoIntersection,
    /// The peer cannot now: busy, pruned, or it serves nothing any more.
    Unable,
}

/// An instruction of the reactor to one peer's routine.
#[derive(Debug)]
pub(crate) enum Input {
    /// Ask for this page next. One order at a time is outstanding.
    Ask(Order),
    /// What the chain found for the peer's request.
    Served(Found),
    /// The peer is guilty of this, as only the chain could see.
    Convict(Violation),
    /// Take no segment before this instant.
    Rest(Instant),
}

impl Command for Input {
    fn overflow(&self) -> Overflow {
        match self {
            // Each is owed: without it a range or the peer's request would wait for ever.
            Self::Ask(_) | Self::Served(_) | Self::Convict(_) => Overflow::Park,
            Self::Rest(_) => Overflow::Drop,
        }
    }
}

/// An event and the session it comes from.
#[derive(Debug)]
pub(crate) struct Report {
    /// The session's generation.
    pub(crate) from: Fence,
    /// What happened.
    pub(crate) event: Event,
}

/// What the reactor hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// A session began.
    Joined {
        /// Whose.
        peer: PeerId,
        /// How to instruct its routine.
        mailbox: Mailbox<Input>,
    },
    /// The peer's tip changed; `None` if it is not to be asked.
    Tip(Option<BlockRef>),
    /// A segment that closes on its anchor. The lease is finished by whoever keeps the headers.
    Segment {
        /// The range; dropped anywhere, it returns to the queue.
        lease: Lease<Segment>,
        /// All its headers.
        headers: Vec<Received>,
    },
    /// A page that fits its order.
    Page {
        /// The order.
        fence: Fence,
        /// The parent of the first header: one of the order's locator entries.
        ancestor: BlockRef,
        /// The headers.
        headers: Vec<Received>,
        /// Whether the last one is the target.
        complete: bool,
    },
    /// An order that brought nothing.
    Failed {
        /// The order.
        fence: Fence,
        /// Why.
        why: Failure,
    },
    /// The peer asks for headers.
    Serve(HeaderQuery),
    /// The session is gone; how, if its routine came to an end of its own.
    Left(Option<Exit>),
}

/// How a machine asks and serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Headers a page at most, both ways.
    pub(crate) page_headers: u32,
    /// How long a page may take.
    pub(crate) page_timeout: Duration,
    /// How long one peer may hold a segment, however busily it answers (stops a peer that gives one header a page).
    pub(crate) segment_timeout: Duration,
}
