//! What a peer's machine and the reactor say to each other.

use crate::ports::Wanted;
use bytes::Bytes;
use std::time::Duration;
use zakura_header_sync::chain::{BlockRef, Height, HeightRange};
use zakura_transport::{
    Fence, PeerId,
    routine::{Command, Lease, Mailbox, Overflow},
};

/// What every machine goes by; only the newest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guidance {
    /// The highest body with everything below it durable: what we advertise and serve.
    pub(crate) acknowledged: BlockRef,
    /// How often the chain has changed: what was read for a peer before is not served after.
    pub(crate) epoch: u64,
    /// The lowest height whose body has not arrived.
    pub(crate) floor: Height,
    /// Bodies that have not arrived, up to the best header.
    pub(crate) remaining: u64,
    /// The most that `remaining` has been since it was nothing: what a newcomer's share is of.
    pub(crate) backlog: u64,
    /// Peers that can serve the floor, or may yet say so.
    pub(crate) usable: u32,
    /// The floor has stood still for too long: a second peer may be asked for it.
    pub(crate) rescue: bool,
    /// Our own store holds things up: nobody is charged for time that passes.
    pub(crate) stalled: bool,
}

/// A slice of the store that a peer has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadOrder {
    /// The lowest height.
    pub(crate) start: Height,
    /// Bodies at most.
    pub(crate) count: u32,
    /// Bytes at most, but one body at least.
    pub(crate) bytes: u32,
}

/// An instruction to one machine.
#[derive(Debug)]
pub(crate) enum Input {
    /// The answer to its one outstanding read.
    Bodies {
        /// Where they begin.
        start: Height,
        /// The bodies; none if the store has none there or could not say.
        bodies: Vec<Bytes>,
    },
    /// A body it delivered is provably wrong.
    Convict {
        /// Which, and what is wrong with it.
        evidence: String,
    },
    /// Bodies it delivered cannot be judged here, and others may have better ones: it is not asked for them for a while,
    /// longer each time. No blame, but they were of no use.
    Doubt {
        /// The highest of them.
        highest: Height,
        /// Their bytes.
        bytes: u64,
        /// How often it has brought one of them by now.
        strikes: u32,
    },
}

impl Command for Input {
    fn overflow(&self) -> Overflow {
        match self {
            Self::Bodies { .. } | Self::Convict { .. } => Overflow::Park,
            Self::Doubt { .. } => Overflow::Coalesce,
        }
    }
}

/// What the reactor hears from a session.
#[derive(Debug)]
pub(crate) struct Event {
    /// The session's generation.
    pub(crate) session: Fence,
    /// What happened there.
    pub(crate) news: News,
}

/// One thing that happened in a session.
#[derive(Debug)]
pub(crate) enum News {
    /// It begins.
    Joined {
        /// With whom.
        peer: PeerId,
        /// Where instructions go.
        mailbox: Mailbox<Input>,
    },
    /// What may be asked of the peer from now on: nothing if it has said nothing sensible yet, or is parked.
    Useful(Option<HeightRange>),
    /// A request for the floor is out.
    CarriesFloor(Height),
    /// A body that was asked for; boxed, so that events are small.
    Delivered(Box<Delivered>),
    /// The peer wants bodies.
    Read(ReadOrder),
    /// Bodies were put on the peer's stream.
    Served {
        /// How many.
        blocks: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// Something went wrong that proves nothing; the numbers that count it.
    Disappointed(Pulse),
    /// The session is over.
    Left,
}

/// One arrived body.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// The block whose header hash it has.
    pub(crate) at: BlockRef,
    /// The serialized block.
    pub(crate) raw: Bytes,
    /// Its height's lease, unless it comes late. It travels with the body and is finished where the body is kept: a body
    /// that is lost on the way is asked for again.
    pub(crate) lease: Option<Lease<Wanted>>,
    /// The peer's numbers with it.
    pub(crate) pulse: Pulse,
}

/// One peer's numbers, as its machine measures them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// Bytes a second.
    pub(crate) rate: u64,
    /// From a request to its first body.
    pub(crate) round_trip: Duration,
    /// Bytes in flight.
    pub(crate) in_flight: u64,
    /// Bytes that may be in flight.
    pub(crate) window: u64,
    /// Of 1,000.
    pub(crate) reliability: u32,
    /// Requests that ran out of time.
    pub(crate) timeouts: u64,
    /// Requests refused, or answered with nothing asked for.
    pub(crate) refusals: u64,
    /// Messages of no use to us.
    pub(crate) useless: u64,
}
