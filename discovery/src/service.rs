//! Discovery as a service of the transport, and the handle to it.

use crate::{
    config::DiscoveryConfig,
    machine::{Event, Guidance, News, PeerMachine, Terms},
    ports::Surroundings,
    reactor::{Actor, State},
    status::DiscoveryStatus,
    wire::STREAM,
};
use std::sync::Arc;
use zakura_transport::{
    Capabilities, Exit, Identity, PeerId, Service, Session, Spawner, StreamSpec, TransportHandle,
    WeakTransportHandle,
    lifecycle::Reactor,
    routine::{Ends, EventSender, Published, Publisher, drive, events, inlet, publish},
};

/// Events on their way from all sessions to the reactor; one place of each session's is kept for its last.
const EVENTS: usize = 2_048;

/// Instructions on their way to one session: it asks for four answers at once at most, and is ended once.
const INSTRUCTIONS: usize = 8;

/// What may be on a connection without anybody but discovery wanting it.
const NOBODY_ELSE: Capabilities =
    Capabilities::from_bits(Capabilities::DISCOVERY.bits() | Capabilities::UNPACED.bits());

/// Finds peers and is found, one session a peer (stream kind 4, version 1).
#[derive(Debug)]
pub struct Discovery {
    us: PeerId,
    network_id: u32,
    chain_id: [u8; 32],
    events: EventSender<Event>,
    guidance: Published<Guidance>,
}

/// Talks to a running discovery. Clones share it.
#[derive(Debug, Clone)]
pub struct DiscoveryHandle {
    status: Published<Arc<DiscoveryStatus>>,
    transport: Arc<Publisher<Option<WeakTransportHandle>>>,
}

impl DiscoveryHandle {
    /// Where discovery stands: who is known, what the exchanges came to, what we say of ourselves. Drawn up when something
    /// changes, and once a second.
    #[must_use]
    pub fn status(&self) -> Arc<DiscoveryStatus> {
        self.status.get()
    }

    /// The same, to be waited for.
    #[must_use]
    pub fn statuses(&self) -> Published<Arc<DiscoveryStatus>> {
        self.status.clone()
    }

    /// Joins discovery to the transport it is registered with. Until then it is silent: it does not know where we listen.
    pub fn attach(&self, transport: &TransportHandle) {
        self.transport.set(Some(transport.downgrade()));
    }
}

impl Discovery {
    /// Starts the reactor on `spawner` as the critical task `discovery`; it ends when this service and all its sessions are
    /// gone. Register the service, start the transport, then [`attach`](DiscoveryHandle::attach) it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(
        identity: Identity,
        config: DiscoveryConfig,
        surroundings: Arc<dyn Surroundings>,
        spawner: &Spawner,
    ) -> (Self, DiscoveryHandle) {
        let (service, handle, reactor) = Self::prepare(identity, config, surroundings);
        reactor.spawn(spawner);
        (service, handle)
    }

    /// What [`new`](Self::new) makes, with the reactor as a value, for a node that starts and stops it in its own order.
    #[must_use]
    pub fn prepare(
        identity: Identity,
        config: DiscoveryConfig,
        surroundings: Arc<dyn Surroundings>,
    ) -> (Self, DiscoveryHandle, Reactor) {
        let (us, network_id, chain_id) = (identity.peer_id(), config.network_id, config.chain_id);
        let start = tokio::time::Instant::now().into_std();
        let state = State::new(start, identity, config, surroundings.since_epoch());
        let (sender, events) = events(EVENTS);
        let (to_machines, guidance) = publish(state.guidance());
        let (to_status, status) = publish(Arc::new(state.status()));
        let (to_transport, transport) = publish(None);
        let actor =
            Actor { state, surroundings, transport, events, guidance: to_machines, status: to_status };
        let reactor = Reactor::new(STREAM.name, actor.run());
        let service = Self { us, network_id, chain_id, events: sender, guidance };
        (service, DiscoveryHandle { status, transport: Arc::new(to_transport) }, reactor)
    }
}

impl Service for Discovery {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![STREAM]
    }

    async fn run(&self, session: Session) -> Exit {
        const GONE: Exit = Exit::Local("discovery's reactor has ended");
        let (generation, peer) = (session.generation, session.peer.clone());
        let (mailbox, inlet) = inlet(INSTRUCTIONS);
        // The last word is kept ready before the first is said, so that a session that was heard of always ends.
        let Some(_farewell) = self.events.farewell(Event { session: generation, news: News::Left }).await
        else {
            return GONE;
        };
        let terms = Terms {
            session: generation,
            peer: peer.id,
            us: self.us,
            network_id: self.network_id,
            chain_id: self.chain_id,
            is_sole: NOBODY_ELSE.contains(peer.capabilities),
        };
        let joined = Event { session: generation, news: News::Joined { peer, mailbox } };
        if self.events.send(joined).await.is_err() {
            return GONE;
        }
        let machine = PeerMachine::new(tokio::time::Instant::now().into_std(), terms);
        let (state, events) = (self.guidance.clone(), self.events.clone());
        drive(machine, session, Ends { state, inlet, events, work: None }).await
    }
}
