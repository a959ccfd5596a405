//! What a peer's machine and the reactor tell each other.

use crate::{
    book::{Asked, Signed},
    wire::{Sealed, Summary},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use zakura_transport::{
    Fence, PeerId, PeerInfo,
    routine::{Command, Mailbox, Overflow},
};

/// The wall clock as it was read last, carried on by the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnixClock {
    /// When it was read.
    pub(crate) at: Instant,
    /// What it said: the time since the Unix epoch.
    pub(crate) said: Duration,
}

impl UnixClock {
    /// Seconds since the Unix epoch.
    pub(crate) fn unix(self, now: Instant) -> u64 {
        self.said.saturating_add(now.saturating_duration_since(self.at)).as_secs()
    }
}

/// What the reactor publishes to every machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guidance {
    /// Our own record; none until we know where we listen.
    pub(crate) own: Option<Sealed>,
    /// What our services have.
    pub(crate) summaries: Arc<[Summary]>,
    /// Whom we need not hear of: ourselves and everyone connected.
    pub(crate) known: Arc<[PeerId]>,
    /// The wall clock.
    pub(crate) clock: UnixClock,
}

/// What a session tells the reactor.
#[derive(Debug)]
pub(crate) struct Event {
    /// Which session.
    pub(crate) session: Fence,
    /// What happened.
    pub(crate) news: News,
}

/// What happened in a session.
#[derive(Debug)]
pub(crate) enum News {
    /// It has begun.
    Joined { peer: PeerInfo, mailbox: Mailbox<Input> },
    /// The peer's own record.
    Met(Signed),
    /// Records of other nodes, each with a valid signature.
    Heard(Vec<Signed>),
    /// What the peer's services have, and until when we believe it.
    Summaries { summaries: Vec<Summary>, until: Instant },
    /// The peer wants records. Exactly one [`Input::Disclose`] answers.
    Asked(Asked),
    /// A round is complete.
    Exchanged,
    /// A round is not complete in time. [`Input::Leave`] answers.
    Missed,
    /// The exchange is over on both sides, and nothing but discovery runs on this connection.
    Finished,
    /// It is over.
    Left,
}

/// What the reactor tells one session.
#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    /// The answer to [`News::Asked`].
    Disclose(Vec<Sealed>),
    /// End now.
    Leave {
        /// Whether discovery may be opened again on this connection.
        reopen: bool,
    },
}

impl Command for Input {
    /// A peer waits for an answer and the transport for an end: neither may be lost, so a session that does not read
    /// them is ended.
    fn overflow(&self) -> Overflow {
        Overflow::Park
    }
}
