//! The one extension trait, and the registry that refuses conflicts before anything runs.

use crate::{
    Capabilities, Exit, PeerInfo, Request, Session, StreamKind, StreamSpec,
    plant::planted,
    routine::bury,
    wire::{Limits, MIN_OPENER_CAP},
};
use futures::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    sync::Arc,
};

/// A capability service: what it speaks, whom it wants, and what it does with a session.
///
/// Our own services and an embedder's use this same door.
///
/// There is one session for each connection, not for each peer: after [`PeerEvent::Disconnected`](crate::PeerEvent) its
/// sessions may run on for up to 5 s, beside those of the next connection with the same peer. What is kept for a session is
/// kept under [`Session::generation`], never under the peer's id alone.
pub trait Service: Send + Sync + 'static {
    /// The streams it declares. Asked once, when it is registered.
    fn streams(&self) -> Vec<StreamSpec>;

    /// Whether its capabilities are offered to peers. A service that is not offered keeps its names and kinds reserved.
    fn is_offered(&self) -> bool {
        true
    }

    /// Whether a session with this peer is wanted now. Asked before we open a stream, for the first time or again, and if
    /// the answer is no, every second until it is yes; and when the peer opens one, which is parked (FIN and STOP_SENDING 0)
    /// if it is not wanted: the peer may try again.
    ///
    /// It runs on the connection's own task: it must not block, and a panic closes the connection.
    fn wants(&self, _peer: &PeerInfo, _stream: &StreamSpec) -> bool {
        true
    }

    /// Runs one session of an ordered stream to its end. It is supervised: a panic is [`Exit::Panicked`]. A service
    /// without ordered streams leaves it as it is.
    ///
    /// Return soon after [`Session::cancel`]: what runs on 5 s after its connection has ended, or when the grace of
    /// [`shutdown`](crate::TransportHandle::shutdown) is over, is dropped at its await. Frames that were pushed and not
    /// [flushed](crate::FrameSender::flush) by the end are lost.
    fn run(&self, session: Session) -> impl Future<Output = Exit> + Send {
        drop(session);
        std::future::ready(Exit::Local("the service runs no sessions"))
    }

    /// Answers one request of a request/response stream. [`Exit::Local`] resets the stream with code 1. A service without
    /// request streams leaves it as it is.
    ///
    /// The whole exchange may take 30 s (wire 7.2), the arrival of the request included: then the routine is dropped at its
    /// await and the stream reset. On one connection 64 requests are answered at once; more are reset with code 1 unasked.
    fn answer(&self, request: Request) -> impl Future<Output = Exit> + Send {
        drop(request);
        std::future::ready(Exit::Local("the service answers no requests"))
    }
}

/// [`Service`] with its futures boxed, so that a registry can hold any of them.
pub(crate) trait DynService: Send + Sync + 'static {
    fn wants(&self, peer: &PeerInfo, stream: &StreamSpec) -> bool;
    fn run(self: Arc<Self>, session: Session) -> BoxFuture<'static, Exit>;
    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Exit>;
}

/// A service in the registry: there until it is dropped, and its drop is its own, for its last session may hold it last,
/// and that session may be panicking.
struct Registered<S>(Option<S>);

impl<S> Drop for Registered<S> {
    fn drop(&mut self) {
        bury("service drop", self.0.take());
    }
}

const DROPPED: Exit = Exit::Local("the service is being dropped");

impl<S: Service> DynService for Registered<S> {
    fn wants(&self, peer: &PeerInfo, stream: &StreamSpec) -> bool {
        planted("wants");
        self.0.as_ref().is_some_and(|service| service.wants(peer, stream))
    }

    fn run(self: Arc<Self>, session: Session) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            planted("run");
            let Some(service) = &self.0 else { return DROPPED };
            service.run(session).await
        })
    }

    fn answer(self: Arc<Self>, request: Request) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            planted("answer");
            let Some(service) = &self.0 else { return DROPPED };
            service.answer(request).await
        })
    }
}

/// A conflict between services, or a declaration that cannot be kept.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two streams share a kind.
    #[error(
        "streams {first:?} and {second:?} both declare kind {kind}: give one another kind (own kinds start at 0x0100)"
    )]
    DuplicateKind {
        /// The contested kind.
        kind: StreamKind,
        /// Who had it.
        first: &'static str,
        /// Who wanted it too.
        second: &'static str,
    },
    /// Two streams share a name.
    #[error("two streams are named {0:?}: rename one")]
    DuplicateName(&'static str),
    /// A service without streams: nobody could ever speak with it.
    #[error("service {service} declares no stream: let `streams` return what it speaks")]
    NoStreams {
        /// The service's type.
        service: &'static str,
    },
    /// A stream's capability is not exactly one bit.
    #[error("stream {0:?} must declare exactly one capability bit (own bits are 33 to 63)")]
    NotOneCapability(&'static str),
    /// A stream's capability is [`Capabilities::UNPACED`], which every node of ours offers whatever its services: a peer
    /// without the service would be taken for one that has it.
    #[error(
        "stream {0:?} declares bit 32, which says how frames are paced: take another (own bits are 33 to 63)"
    )]
    CapabilityTaken(&'static str),
    /// One capability bit stands for a stream that is offered and for one that is not: peers would take both for offered.
    #[error(
        "stream {offered:?} is offered under {capability:?}, and stream {kept_back:?} is not: give one another bit"
    )]
    CapabilityHalfOffered {
        /// The contested bit.
        capability: Capabilities,
        /// The stream that is offered.
        offered: &'static str,
        /// The stream that is not.
        kept_back: &'static str,
    },
    /// A stream's frames are larger than any connection carries, or too small for a stream to be opened (wire 4.2).
    #[error("stream {stream:?} declares frames of {bytes} bytes at most: declare {least} to {most}")]
    FrameCap {
        /// The stream.
        stream: &'static str,
        /// What it declares.
        bytes: u32,
        /// [`MIN_OPENER_CAP`].
        least: u32,
        /// [`Limits::MAX`] has this.
        most: u32,
    },
    /// A stream's caps contradict each other.
    #[error("stream {0:?} declares payload caps that are empty or do not fit its frame cap")]
    PayloadCaps(&'static str),
    /// A stream has two payload caps for one message type.
    #[error("stream {stream:?} declares two payload caps for message type {message_type}: keep one")]
    DuplicateMessageType {
        /// The stream.
        stream: &'static str,
        /// The message type.
        message_type: u16,
    },
    /// A stream accepts no frame at all.
    #[error("stream {0:?} accepts 0 frames a second: declare one at least (wire 4.6 has 2,048)")]
    NoFrames(&'static str),
}

/// One declared stream and the service behind it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) spec: StreamSpec,
    pub(crate) service: Arc<dyn DynService>,
    pub(crate) offered: bool,
}

/// Every registered service, by stream kind.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<StreamKind, Entry>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.values().map(|entry| entry.spec.name)).finish()
    }
}

impl Registry {
    /// No service yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service with all its streams, or none of them.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] names the two sides of a conflict, or the declaration that cannot be kept.
    pub fn register<S: Service>(&mut self, service: S) -> Result<(), RegistryError> {
        let (streams, offered) = (service.streams(), service.is_offered());
        if streams.is_empty() {
            return Err(RegistryError::NoStreams { service: std::any::type_name::<S>() });
        }
        let service: Arc<dyn DynService> = Arc::new(Registered(Some(service)));
        let mut entries = self.entries.clone();
        for spec in streams {
            check(&spec)?;
            if entries.values().any(|entry| entry.spec.name == spec.name) {
                return Err(RegistryError::DuplicateName(spec.name));
            }
            let half = |other: &&Entry| other.offered != offered && other.spec.capability == spec.capability;
            if let Some(other) = entries.values().find(half) {
                let (capability, other) = (spec.capability, other.spec.name);
                let (offered, kept_back) = if offered { (spec.name, other) } else { (other, spec.name) };
                return Err(RegistryError::CapabilityHalfOffered { capability, offered, kept_back });
            }
            let (kind, second) = (spec.kind, spec.name);
            let entry = Entry { spec, service: Arc::clone(&service), offered };
            if let Some(before) = entries.insert(kind, entry) {
                return Err(RegistryError::DuplicateKind { kind, first: before.spec.name, second });
            }
        }
        self.entries = entries;
        Ok(())
    }

    /// The capability bits offered to peers: a union, so its order is nobody's.
    #[must_use]
    pub fn offer(&self) -> Capabilities {
        self.offered().fold(Capabilities::NONE, |all, entry| all | entry.spec.capability)
    }

    /// The offered streams, by kind.
    pub(crate) fn offered(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.offered)
    }
}

fn check(spec: &StreamSpec) -> Result<(), RegistryError> {
    if !spec.capability.is_single() {
        return Err(RegistryError::NotOneCapability(spec.name));
    }
    if spec.capability == Capabilities::UNPACED {
        return Err(RegistryError::CapabilityTaken(spec.name));
    }
    let (least, most) = (MIN_OPENER_CAP, Limits::MAX.max_frame);
    if !(least..=most).contains(&spec.max_frame) {
        let (stream, bytes) = (spec.name, spec.max_frame);
        return Err(RegistryError::FrameCap { stream, bytes, least, most });
    }
    let header = u32::try_from(crate::wire::FRAME_HEADER_BYTES).unwrap_or(u32::MAX);
    let fits = |bytes: u32| bytes.checked_add(header).is_some_and(|frame| frame <= spec.max_frame);
    if spec.payload_caps.is_empty() || !spec.payload_caps.iter().all(|cap| fits(cap.bytes)) {
        return Err(RegistryError::PayloadCaps(spec.name));
    }
    let mut types = BTreeSet::new();
    if let Some(twice) = spec.payload_caps.iter().find(|cap| !types.insert(cap.message_type)) {
        let (stream, message_type) = (spec.name, twice.message_type);
        return Err(RegistryError::DuplicateMessageType { stream, message_type });
    }
    if spec.frames_per_second == 0 {
        return Err(RegistryError::NoFrames(spec.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Opener, PayloadCap};

    struct Echo(StreamSpec);

    impl Service for Echo {
        fn streams(&self) -> Vec<StreamSpec> {
            vec![self.0.clone()]
        }

        async fn run(&self, _session: Session) -> Exit {
            Exit::Closed { reopen: false }
        }
    }

    fn spec(name: &'static str, kind: u16) -> StreamSpec {
        StreamSpec {
            name,
            kind: StreamKind(kind),
            version: 1,
            capability: Capabilities::from_bits(1 << 40),
            mode: Mode::Ordered,
            max_frame: 1024,
            payload_caps: &[PayloadCap { message_type: 1, bytes: 1016 }],
            opener: Opener::Initiator,
            frames_per_second: 2048,
        }
    }

    #[test]
    fn conflicts_are_refused_and_leave_the_registry_as_it_was() {
        let mut registry = Registry::new();
        assert_eq!(registry.register(Echo(spec("a", 256))), Ok(()));
        assert!(matches!(registry.register(Echo(spec("b", 256))), Err(RegistryError::DuplicateKind { .. })));
        assert_eq!(registry.register(Echo(spec("a", 257))), Err(RegistryError::DuplicateName("a")));
        let two_bits = StreamSpec { capability: Capabilities::from_bits(3), ..spec("c", 258) };
        assert_eq!(registry.register(Echo(two_bits)), Err(RegistryError::NotOneCapability("c")));
        let small = StreamSpec { max_frame: 1023, ..spec("d", 259) };
        assert_eq!(registry.register(Echo(small)), Err(RegistryError::PayloadCaps("d")));
        assert_eq!(registry.offered().count(), 1);
        assert_eq!(registry.offer(), Capabilities::from_bits(1 << 40));
    }

    #[test]
    fn what_can_not_work_is_refused_by_name() {
        let refused = |spec: StreamSpec| Registry::new().register(Echo(spec)).unwrap_err();
        let unpaced = StreamSpec { capability: Capabilities::UNPACED, ..spec("a", 256) };
        assert_eq!(refused(unpaced), RegistryError::CapabilityTaken("a"));
        let (least, most) = (9, 4_194_304);
        for bytes in [0, least - 1, most + 1] {
            let error = RegistryError::FrameCap { stream: "a", bytes, least, most };
            assert_eq!(refused(StreamSpec { max_frame: bytes, ..spec("a", 256) }), error);
        }
        const TWICE: &[PayloadCap] = &[PayloadCap { message_type: 1, bytes: 8 }; 2];
        let error = RegistryError::DuplicateMessageType { stream: "a", message_type: 1 };
        assert_eq!(refused(StreamSpec { payload_caps: TWICE, ..spec("a", 256) }), error);
        let silent = StreamSpec { frames_per_second: 0, ..spec("a", 256) };
        assert_eq!(refused(silent), RegistryError::NoFrames("a"));
        const EMPTY: &[PayloadCap] = &[PayloadCap { message_type: 1, bytes: 0 }];
        for max_frame in [least, most] {
            let bound = StreamSpec { max_frame, payload_caps: EMPTY, frames_per_second: 1, ..spec("a", 256) };
            assert_eq!(Registry::new().register(Echo(bound)), Ok(()), "the bounds themselves can be had");
        }
    }

    /// A service of no stream, or of one that it does not offer.
    struct KeptBack(Option<StreamSpec>);

    impl Service for KeptBack {
        fn streams(&self) -> Vec<StreamSpec> {
            self.0.clone().into_iter().collect()
        }

        fn is_offered(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_service_without_streams_is_refused() {
        let error = Registry::new().register(KeptBack(None)).unwrap_err();
        assert!(error.to_string().contains("KeptBack declares no stream"), "{error}");
    }

    #[test]
    fn a_capability_is_offered_wholly_or_not_at_all() {
        let capability = Capabilities::from_bits(1 << 40);
        let error = RegistryError::CapabilityHalfOffered { capability, offered: "a", kept_back: "b" };
        let mut registry = Registry::new();
        assert_eq!(registry.register(Echo(spec("a", 256))), Ok(()));
        assert_eq!(registry.register(KeptBack(Some(spec("b", 257)))), Err(error.clone()));
        let mut registry = Registry::new();
        assert_eq!(registry.register(KeptBack(Some(spec("b", 257)))), Ok(()));
        assert_eq!(registry.register(Echo(spec("a", 256))), Err(error));
        let other = StreamSpec { capability: Capabilities::from_bits(1 << 41), ..spec("a", 256) };
        assert_eq!(registry.register(Echo(other)), Ok(()));
    }

    #[test]
    fn the_offer_does_not_depend_on_who_came_first() {
        let names = ["a", "b", "c"];
        let spec = |at: usize| {
            let capability = Capabilities::from_bits(1 << (40 + at));
            StreamSpec { capability, ..spec(names[at], 256 + u16::try_from(at).unwrap()) }
        };
        let orders = [[0, 1, 2], [2, 1, 0], [1, 0, 2]].map(|order| {
            let mut registry = Registry::new();
            order.into_iter().for_each(|at| registry.register(Echo(spec(at))).unwrap());
            let offered: Vec<_> = registry.offered().map(|entry| entry.spec.name).collect();
            (registry.offer(), offered)
        });
        assert_eq!(orders, [0; 3].map(|_| (Capabilities::from_bits(7 << 40), names.to_vec())));
    }
}
