//! The one extension trait, and the registry that refuses conflicts before anything runs.

use crate::{
    Capabilities, Exit, Mode, PeerInfo, Request, Session, StreamKind, StreamSpec, plant::planted,
    routine::bury,
};
use futures::future::BoxFuture;
use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

/// A capability service: what it speaks, whom it wants, and what it does with a session.
///
/// Our own services and an embedder's use this same door.
pub trait Service: Send + Sync + 'static {
    /// The streams it declares. Asked once, when it is registered.
    fn streams(&self) -> Vec<StreamSpec>;

    /// Whether its capabilities are offered to peers. A service that is not offered keeps its names and kinds reserved.
    fn is_offered(&self) -> bool {
        true
    }

    /// Whether a session with this peer is wanted now. Asked when a connection is registered and before a stream is
    /// opened again; without demand the stream waits.
    fn wants(&self, _peer: &PeerInfo, _stream: &StreamSpec) -> bool {
        true
    }

    /// Runs one session of an ordered stream to its end. It is supervised: a panic is [`Exit::Panicked`]. A service
    /// without ordered streams leaves it as it is.
    fn run(&self, session: Session) -> impl Future<Output = Exit> + Send {
        drop(session);
        std::future::ready(Exit::Local("the service runs no sessions"))
    }

    /// Answers one request of a request/response stream. [`Exit::Local`] resets the stream with code 1. A service without
    /// request streams leaves it as it is.
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two streams share a kind.
    #[error(
        "streams {first:?} and {second:?} both declare kind {kind:?}: give one another kind (own kinds start at 0x0100)"
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
    /// A stream's capability is not exactly one bit.
    #[error("stream {0:?} must declare exactly one capability bit")]
    NotOneCapability(&'static str),
    /// A stream's caps contradict each other.
    #[error("stream {0:?} declares payload caps that are empty or do not fit its frame cap")]
    PayloadCaps(&'static str),
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
    pub fn register(&mut self, service: impl Service) -> Result<(), RegistryError> {
        let (streams, offered) = (service.streams(), service.is_offered());
        let service: Arc<dyn DynService> = Arc::new(Registered(Some(service)));
        let mut entries = self.entries.clone();
        for spec in streams {
            check(&spec)?;
            if entries.values().any(|entry| entry.spec.name == spec.name) {
                return Err(RegistryError::DuplicateName(spec.name));
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
    let header = u32::try_from(crate::wire::FRAME_HEADER_BYTES).unwrap_or(u32::MAX);
    let fits = |bytes: u32| bytes.checked_add(header).is_some_and(|frame| frame <= spec.max_frame);
    if spec.payload_caps.is_empty() || !spec.payload_caps.iter().all(|cap| fits(cap.bytes)) {
        return Err(RegistryError::PayloadCaps(spec.name));
    }
    match spec.mode {
        Mode::Ordered | Mode::Request => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Opener, PayloadCap};

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
