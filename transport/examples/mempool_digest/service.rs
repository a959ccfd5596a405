//! The service: a stream, a message, a machine, and the reactor that owns the mempool.

use std::{collections::BTreeSet, convert::Infallible, time::Duration, time::Instant};
use zakura_transport::routine::{Ends, EventReceiver, EventSender, Machine, Message, Published, Publisher};
use zakura_transport::routine::{drive, events, publish};
use zakura_transport::wire::{Malformed, Writer};
use zakura_transport::{Capabilities, Exit, Frame, Mode, Opener, PayloadCap, PeerId, Service};
use zakura_transport::{Session, StreamKind, StreamSpec, Violation};

/// Changes are told at most this often, so that a burst of transactions is one message.
const PACE: Duration = Duration::from_millis(20);

pub(crate) const STREAM: StreamSpec = StreamSpec {
    name: "mempool-digest",
    kind: StreamKind(0x0100), // own kinds start here
    version: 1,
    capability: Capabilities::from_bits(1 << 40), // own bits are 33 to 63
    mode: Mode::Ordered,
    max_frame: 64,
    payload_caps: &[PayloadCap { message_type: 1, bytes: 12 }],
    opener: Opener::SmallerId,
    frames_per_second: 100,
};

/// The one message, and the published state: how many transactions, and the exclusive or of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest(pub(crate) u32, pub(crate) u64);

impl Message for Digest {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let mut from = frame.into_reader();
        let digest = Self(from.u32("Digest.count")?, from.u64("Digest.xor")?);
        from.end("Digest").map(|()| digest)
    }

    fn encode(self) -> Frame {
        let mut out = Writer::with_capacity(12);
        out.u32(self.0);
        out.u64(self.1);
        Frame::new(1, out.finish())
    }
}

/// What one peer and we know of each other. It decides; it performs nothing.
struct Teller {
    peer: PeerId,
    ours: Digest,
    told: Option<(Digest, Instant)>,
    theirs: Option<Digest>,
    news: bool,
}

impl Machine for Teller {
    type Message = Digest;
    type State = Digest; // what the reactor publishes
    type Input = Infallible; // it instructs nobody
    type Event = (PeerId, Digest); // what it hears
    type Work = (); // there is nothing to fetch

    fn handle_state(&mut self, _now: Instant, ours: &Digest) {
        self.ours = *ours;
    }

    fn handle_message(&mut self, _now: Instant, digest: Digest) -> Result<(), Violation> {
        if self.theirs.replace(digest) == Some(digest) {
            return Err(Violation::protocol("digest.repeated", format!("{digest:?} came twice in a row")));
        }
        self.news = true;
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Digest> {
        let not_now = self.told.is_some_and(|(told, at)| told == self.ours || now < at + PACE);
        (!not_now).then(|| self.told.insert((self.ours, now)).0)
    }

    fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (_, at) = self.told.filter(|(told, _)| *told != self.ours)?;
        Some((at + PACE, "tell the change"))
    }

    fn poll_event(&mut self) -> Option<(PeerId, Digest)> {
        std::mem::take(&mut self.news).then_some((self.peer, self.theirs?))
    }
}

/// One routine for each peer that speaks the stream; the transport supervises it.
pub(crate) struct MempoolDigest(Published<Digest>, EventSender<(PeerId, Digest)>);

impl Service for MempoolDigest {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![STREAM]
    }

    async fn run(&self, session: Session) -> Exit {
        let (peer, ours) = (session.peer.id, self.0.get());
        let teller = Teller { peer, ours, told: None, theirs: None, news: false };
        drive(teller, session, Ends::plain(self.0.clone(), self.1.clone())).await
    }
}

/// The one owner of the mempool: it publishes the digest, and hears what peers hold.
pub(crate) struct Reactor {
    pool: BTreeSet<u64>,
    digest: Publisher<Digest>,
    pub(crate) heard: EventReceiver<(PeerId, Digest)>,
}

impl Reactor {
    pub(crate) fn new() -> (Self, MempoolDigest) {
        let ((digest, state), (events, heard)) = (publish(Digest::default()), events(16));
        (Self { pool: BTreeSet::new(), digest, heard }, MempoolDigest(state, events))
    }

    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.pool.extend(ids);
        self.digest.set(self.pool.iter().fold(Digest::default(), |sum, id| Digest(sum.0 + 1, sum.1 ^ id)));
    }
}
