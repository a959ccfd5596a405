//! Starting the transport, and talking to it.

use crate::{
    Ban, BanError, BanTarget, BindError, Capabilities, Fence, Frame, Identity, PeerAddr, PeerEvents, PeerId,
    PeerInfo, Registry, RequestError, Response, Spawner, StreamKind, TransportConfig,
    connection::Requester,
    handshake::Terms,
    observe::{ConnectionSnapshot, Flight, metrics},
    pool::{Command, DoorCommand, Pool, PoolParts, Snapshot},
    quic::{Endpoint, Ground},
    wire::Limits,
};
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Events kept for a slow listener; it is told how many it missed beyond them.
const EVENTS: usize = 1024;
/// Commands in flight.
const COMMANDS: usize = 64;

/// The transport of one node.
#[derive(Debug, Clone, Copy)]
pub struct Transport;

impl Transport {
    /// Binds the address and starts the node's transport. Every task is spawned through `spawner`; the pool is a critical
    /// one: if it panics, [`Spawner::failed`] names it, connections are closed, and the handle answers as one of a transport
    /// that has stopped, but for [`peers`](TransportHandle::peers) and what else is read without asking the pool: that stays
    /// as it was last.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the address and the remedy. Nothing is left running.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its io and its time enabled.
    pub async fn start(
        config: TransportConfig,
        identity: Identity,
        registry: Registry,
        spawner: Spawner,
    ) -> Result<TransportHandle, BindError> {
        metrics::describe();
        let mut ground = Ground::new(&config);
        let endpoint = Endpoint::bind(&identity, &ground, &spawner)?;
        let bound = endpoint.local_addr();
        let local_addr = bound.map_err(|source| BindError::socket(config.listen, source))?;
        // Peers remember the port: bound again, it is the same one.
        ground.listen = local_addr;
        let terms = Terms {
            network_id: config.network_id,
            chain_id: config.chain_id,
            offer: registry.offer() | Capabilities::UNPACED,
            limits: Limits::OURS,
        };
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (events, _) = broadcast::channel(EVENTS);
        let snapshot = Snapshot::default();
        let handle = Inner {
            local_id: identity.peer_id(),
            local_addr,
            commands,
            events: events.downgrade(),
            snapshot: snapshot.clone(),
        };
        let pool = Pool::new(PoolParts {
            identity,
            config,
            terms,
            registry,
            spawner: spawner.clone(),
            endpoint,
            ground,
            snapshot,
            events,
            commands: inbox,
        });
        spawner.spawn_critical("pool", pool.run());
        Ok(TransportHandle(Arc::new(handle)))
    }
}

struct Inner {
    local_id: PeerId,
    local_addr: SocketAddr,
    commands: mpsc::Sender<Command>,
    events: broadcast::WeakSender<crate::PeerEvent>,
    snapshot: Snapshot,
}

/// Talks to a running transport. Clones are the same; when the last one is dropped, the transport stops, as if by
/// [`shutdown`](Self::shutdown) with a grace of two seconds for sessions that nobody waits for.
///
/// What the pool is told by [`add_peer`](Self::add_peer), [`add_trusted_peer`](Self::add_trusted_peer),
/// [`remove_peer`](Self::remove_peer), [`dial`](Self::dial), [`close`](Self::close) and
/// [`close_connection`](Self::close_connection) is carried out in the order in which it was told. These return once the
/// order is queued, not carried out: what becomes of it is a [`PeerEvent`](crate::PeerEvent), and a transport that stops
/// before its turn leaves it. Dropped before they return, nothing has happened and nothing will.
#[derive(Clone)]
#[must_use = "the transport stops when the last handle is dropped"]
pub struct TransportHandle(Arc<Inner>);

impl fmt::Debug for TransportHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportHandle")
            .field("local_id", &self.0.local_id)
            .field("local_addr", &self.0.local_addr)
            .finish_non_exhaustive()
    }
}

/// A [`TransportHandle`] that does not keep the transport running: for services, which the transport itself holds.
#[derive(Clone)]
pub struct WeakTransportHandle(Weak<Inner>);

impl fmt::Debug for WeakTransportHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakTransportHandle").finish_non_exhaustive()
    }
}

impl WeakTransportHandle {
    /// The handle, unless the transport has no other and is stopping.
    #[must_use]
    pub fn upgrade(&self) -> Option<TransportHandle> {
        self.0.upgrade().map(TransportHandle)
    }
}

/// There is nobody left to carry an order out, or to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the transport has stopped")]
pub struct Stopped;

/// A peer that cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddPeerError {
    /// The id is our own.
    #[error("peer {0} is this node itself: name another node's id")]
    Ourselves(PeerId),
    /// The transport has stopped.
    #[error("the transport has stopped")]
    Stopped,
}

impl TransportHandle {
    /// Our own identity.
    #[must_use]
    pub fn local_id(&self) -> PeerId {
        self.0.local_id
    }

    /// The bound UDP address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr
    }

    /// Our own identity and bound address: as another node would name us, if it is an address that others reach. Bound to a
    /// wildcard it is `ID@0.0.0.0:PORT`, which names nobody: put an address of this machine in its place.
    #[must_use]
    pub fn local_peer(&self) -> PeerAddr {
        PeerAddr { id: self.0.local_id, addr: self.0.local_addr }
    }

    /// The registered connections, by peer id.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.0.snapshot.peers()
    }

    /// The registered connections as they stand, by peer id. Copies counters and QUIC's state; asking more often than once
    /// a second is of no use to people.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        self.0.snapshot.requesters().iter().map(Requester::snapshot).collect()
    }

    /// The connection with this peer as it stands.
    #[must_use]
    pub fn connection(&self, id: PeerId) -> Option<ConnectionSnapshot> {
        self.0.snapshot.requester(id).map(|requester| requester.snapshot())
    }

    /// The last events of the connection with this peer, or of the last one that was: those of the last 64 connections are
    /// kept, four of them with the same peer at most.
    #[must_use]
    pub fn flight(&self, id: PeerId) -> Option<Flight> {
        self.0.snapshot.records(id).last().map(|record| record.flight())
    }

    /// As [`flight`](Self::flight), of every connection with this peer that is kept, the oldest first.
    #[must_use]
    pub fn flights(&self, id: PeerId) -> Vec<Flight> {
        self.0.snapshot.records(id).iter().map(|record| record.flight()).collect()
    }

    /// What happens to connections from now on. Subscribe first and read [`peers`](Self::peers) then, so that nobody comes
    /// or goes unseen in between; who comes just then is seen twice.
    #[must_use]
    pub fn events(&self) -> PeerEvents {
        PeerEvents(self.0.events.upgrade().map(|events| events.subscribe()))
    }

    /// Names a peer: it is dialled, and dialled again for ever, with pauses of 1 s to 30 s. A peer that is connected
    /// already is waited for. Returns once that is queued ([`TransportHandle`]).
    ///
    /// # Errors
    ///
    /// [`AddPeerError`].
    pub async fn add_peer(&self, peer: PeerAddr) -> Result<(), AddPeerError> {
        self.name(peer, false).await
    }

    /// As [`add_peer`](Self::add_peer), and vouches for the peer: it is never banned. A ban of its identity is lifted.
    ///
    /// # Errors
    ///
    /// [`AddPeerError`].
    pub async fn add_trusted_peer(&self, peer: PeerAddr) -> Result<(), AddPeerError> {
        self.name(peer, true).await
    }

    async fn name(&self, peer: PeerAddr, is_trusted: bool) -> Result<(), AddPeerError> {
        if peer.id == self.0.local_id {
            return Err(AddPeerError::Ourselves(peer.id));
        }
        self.order(Command::Add { peer, is_trusted }).await.map_err(|Stopped| AddPeerError::Stopped)
    }

    /// The peer is a stranger again: it is not dialled any more, and no longer trusted. A connection that stands is left
    /// alone. Returns once that is queued ([`TransportHandle`]).
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn remove_peer(&self, id: PeerId) -> Result<(), Stopped> {
        self.order(Command::Remove(id)).await
    }

    /// Dials a peer once, and never again by itself. The outcome is a [`PeerEvent`](crate::PeerEvent): `Connected`, or
    /// `DialFailed`, at once with [`CloseReason::Full`](crate::CloseReason::Full) when every place for outbound peers is
    /// taken and with [`CloseReason::Duplicate`](crate::CloseReason::Duplicate) when the peer is connected or being dialled.
    /// Returns once that is queued ([`TransportHandle`]).
    ///
    /// # Errors
    ///
    /// [`AddPeerError`].
    pub async fn dial(&self, peer: PeerAddr) -> Result<(), AddPeerError> {
        if peer.id == self.0.local_id {
            return Err(AddPeerError::Ourselves(peer.id));
        }
        self.order(Command::DialOnce(peer)).await.map_err(|Stopped| AddPeerError::Stopped)
    }

    /// A handle that does not keep the transport running.
    #[must_use]
    pub fn downgrade(&self) -> WeakTransportHandle {
        WeakTransportHandle(Arc::downgrade(&self.0))
    }

    /// Closes the connection with this peer, if there is one. A named peer is dialled again after its pause. Returns once
    /// that is queued ([`TransportHandle`]).
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn close(&self, id: PeerId) -> Result<(), Stopped> {
        self.order(Command::Close(id)).await
    }

    /// Closes this connection and no other ([`PeerInfo::connection`]): whoever decides about what a peer did on one
    /// connection does not end the next one, which may count already. Nothing happens if it has ended.
    /// Returns once that is queued ([`TransportHandle`]).
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn close_connection(&self, connection: Fence) -> Result<(), Stopped> {
        self.order(Command::CloseConnection(connection)).await
    }

    async fn order(&self, command: Command) -> Result<(), Stopped> {
        self.0.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Keeps a peer, an address or a neighbourhood out for `lasting`, a year at most: what stands is closed, dials are
    /// given up, and attempts to connect are dropped without an answer, or closed with code 0 where only the identity is
    /// banned. Trusted peers are let through. `evidence` is for whoever reads [`bans`](Self::bans). Bans do not outlive the
    /// transport. When it returns, the ban holds, and the connections that it closed are gone from [`peers`](Self::peers);
    /// dropped before, it may hold or not.
    ///
    /// # Errors
    ///
    /// [`BanError`].
    pub async fn ban(&self, target: BanTarget, lasting: Duration, evidence: &str) -> Result<(), BanError> {
        let evidence = evidence.to_owned();
        let ask = |done| DoorCommand::Ban { target, lasting, evidence, done };
        self.ask_door(ask).await.unwrap_or(Err(BanError::Stopped))
    }

    /// Lifts a ban or a cooldown. `false` if there was none. Dropped before it returns, it may be lifted or not.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn unban(&self, target: BanTarget) -> Result<bool, Stopped> {
        self.ask_door(|done| DoorCommand::Unban { target, done }).await
    }

    /// Every ban and cooldown in force, by target. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn bans(&self) -> Result<Vec<Ban>, Stopped> {
        self.ask_door(DoorCommand::Bans).await
    }

    /// Says that a connected peer was of use just now: when places are short, others make room first
    /// ([`Merit`](crate::Merit)).
    pub fn credit(&self, peer: PeerId) {
        if let Some(requester) = self.0.snapshot.requester(peer) {
            requester.merit().credit();
        }
    }

    /// Who has a place, counted anew; `None` once the transport has stopped.
    #[cfg(feature = "simulation")]
    pub async fn admission(&self) -> Option<crate::AdmissionProbe> {
        self.ask_door(DoorCommand::Probe).await.ok()
    }

    async fn ask_door<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> DoorCommand) -> Result<T, Stopped> {
        let (done, answer) = oneshot::channel();
        self.order(Command::Door(ask(done))).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Sends one request on a stream of its own (wire 4.5). `deadline` covers the whole exchange; a day at most.
    /// Dropped, and so is the [`Response`], the exchange is given up.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn request(
        &self,
        peer: PeerId,
        kind: StreamKind,
        frame: Frame,
        deadline: Duration,
    ) -> Result<Response, RequestError> {
        let requester = self.0.snapshot.requester(peer).ok_or(RequestError::NotConnected)?;
        requester.ask(kind, frame, deadline).await
    }

    /// Closes every connection, waits `grace` at most for sessions to end, drops those that ignore their cancel where they
    /// wait, and lets peers hear it. It takes at most a second and a half longer than the grace, which is a day at most.
    ///
    /// Once begun it goes on, waited for or not. A second call waits for the same end, and its grace is ignored; after the
    /// end it returns at once.
    pub async fn shutdown(&self, grace: Duration) {
        let (done, finished) = oneshot::channel();
        if self.order(Command::Shutdown { grace, done }).await.is_ok() {
            // An error says that the pool has ended already.
            drop(finished.await);
        }
    }
}
