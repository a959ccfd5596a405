//! The one task that owns the set of connections.

mod entrance;

pub(crate) use entrance::DoorCommand;

use super::{
    events::PeerEvent,
    meeting::{Met, Missed, admit, dial},
    roster::{Arrival, Due, Entry, Gone, Roster},
    snapshot::Snapshot,
};
use crate::{
    Cancel, CloseReason, Direction, Fence, Identity, PeerAddr, PeerId, PeerInfo, Registry, Role, Spawner,
    TransportConfig,
    admission::{Outcome, Worth},
    connection::{Connection, Meters, Stop},
    deadline::after,
    handshake::Terms,
    observe::{Text, metrics, rationed, target},
    plant::planted,
    quic::{Endpoint, Farewell, Ground, Incoming},
    routine::{TaskEnd, contain},
    tongue::Voice,
};
use std::{collections::BTreeMap, future::pending, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tracing::Instrument;

/// Reports in flight from dials, handshakes and connections.
const REPORTS: usize = 64;
/// Pause before the endpoint is bound again after its task has died: soon enough to be noticed by nobody, late enough
/// that a socket which always fails does not keep us busy.
const REBIND_PAUSE: Duration = Duration::from_millis(500);

/// What sessions have to end when nobody is left to say it.
const UNASKED: Duration = Duration::from_secs(2);
/// How long it may take until what is dropped is gone. Only a session that blocks its thread takes as long.
const DROPPED: Duration = Duration::from_secs(1);
/// How long peers get to hear our closes at shutdown.
const LINGER: Duration = Duration::from_millis(500);

/// What the handle asks of the pool.
#[derive(Debug)]
pub(crate) enum Command {
    /// Dial this peer, and again for ever.
    Add { peer: PeerAddr, is_trusted: bool },
    /// Do not dial this peer any more.
    Remove(PeerId),
    /// Dial this peer now, once.
    DialOnce(PeerAddr),
    /// Close the connection with this peer.
    Close(PeerId),
    /// Close this connection, and not its successor.
    CloseConnection(Fence),
    /// Whom to let in.
    Door(DoorCommand),
    /// End everything within the grace, then say so.
    Shutdown { grace: Duration, done: oneshot::Sender<()> },
}

enum Report {
    Admitted { place: Fence, from: SocketAddr, outcome: TaskEnd<Result<Met, Missed>> },
    Dialled { peer: PeerAddr, once: bool, outcome: TaskEnd<Result<Met, Missed>> },
    Ended { id: PeerId, connection: Fence, reason: CloseReason },
}

/// What the pool is made of.
pub(crate) struct PoolParts {
    pub(crate) identity: Identity,
    pub(crate) config: TransportConfig,
    pub(crate) terms: Terms,
    pub(crate) registry: Registry,
    pub(crate) spawner: Spawner,
    pub(crate) endpoint: Endpoint,
    pub(crate) ground: Ground,
    pub(crate) snapshot: Snapshot,
    pub(crate) events: broadcast::Sender<PeerEvent>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

/// The pool actor.
pub(crate) struct Pool {
    us: PeerId,
    identity: Identity,
    config: TransportConfig,
    terms: Arc<Terms>,
    registry: Registry,
    spawner: Spawner,
    /// Sessions get no more time, at the end of a shutdown's grace.
    given_up: Cancel,
    /// None while its port is free to be bound again.
    endpoint: Option<Endpoint>,
    ground: Ground,
    rebind_at: Option<Instant>,
    roster: Roster,
    /// How to end the connections that count.
    stops: BTreeMap<Fence, oneshot::Sender<Stop>>,
    meters: Meters,
    /// Handshakes under way, by place, to be ended when another takes it.
    admitting: BTreeMap<Fence, Cancel>,
    snapshot: Snapshot,
    events: broadcast::Sender<PeerEvent>,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
    inbox: mpsc::Receiver<Report>,
}

impl Pool {
    pub(crate) fn new(parts: PoolParts) -> Self {
        let (reports, inbox) = mpsc::channel(REPORTS);
        Self {
            us: parts.identity.peer_id(),
            roster: Roster::new(&parts.identity, &parts.config),
            stops: BTreeMap::new(),
            admitting: BTreeMap::new(),
            identity: parts.identity,
            meters: Meters::new(parts.config.bandwidth, Instant::now().into_std()),
            config: parts.config,
            terms: Arc::new(parts.terms),
            registry: parts.registry,
            spawner: parts.spawner,
            given_up: Cancel::new(),
            endpoint: Some(parts.endpoint),
            ground: parts.ground,
            rebind_at: None,
            snapshot: parts.snapshot,
            events: parts.events,
            commands: parts.commands,
            reports,
            inbox,
        }
    }

    /// Runs until shutdown, or until every handle is gone.
    pub(crate) async fn run(mut self) {
        let (grace, done) = loop {
            self.dial_due();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown { grace, done }) => break (grace, Some(done)),
                    Some(command) => self.on_command(command),
                    None => break (UNASKED, None),
                },
                () = sleep_until(wake) => self.rebind_if_due(),
                Some(report) = self.inbox.recv() => self.on_report(report),
                incoming = accept(self.endpoint.as_ref()) => match incoming {
                    Some(incoming) => self.on_incoming(incoming),
                    None => {
                        rationed!(error, target::ENDPOINT, "the QUIC endpoint's task has died: binding again");
                        // It holds the port: the port is not free before the last connection of it has noticed, too.
                        self.endpoint = None;
                        self.rebind_at = Some(Instant::now() + REBIND_PAUSE);
                    }
                },
            }
        };
        self.shut_down(grace).await;
        if let Some(done) = done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    fn next_wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let redial = self.roster.next_dial().filter(|_| self.endpoint.is_some()).map(Instant::from_std);
        redial.into_iter().chain(self.rebind_at).fold(far, Instant::min)
    }

    fn on_command(&mut self, command: Command) {
        let now = now();
        match command {
            Command::Add { peer, is_trusted } => {
                let role = self.roster.name(peer, is_trusted, now);
                self.show_role(peer.id, role);
            }
            Command::Remove(id) => {
                let role = self.roster.forget(id);
                self.show_role(id, role);
            }
            Command::DialOnce(peer) => {
                if let Err(reason) = self.dial_once(peer) {
                    self.tell(PeerEvent::DialFailed { peer, reason });
                }
            }
            Command::Close(id) => {
                let gone = self.roster.drop_peer(id, CloseReason::Local, Farewell::NEUTRAL, now);
                self.let_go(gone);
            }
            Command::CloseConnection(connection) => {
                let gone =
                    self.roster.drop_connection(connection, CloseReason::Local, Farewell::NEUTRAL, now);
                self.let_go(gone);
            }
            Command::Door(command) => self.on_door_command(command),
            // Only the loop that takes commands ends the pool.
            Command::Shutdown { done, .. } => drop(done),
        }
    }

    fn on_report(&mut self, report: Report) {
        planted("report");
        match report {
            Report::Admitted { place, from, outcome } => self.on_admitted(place, from, outcome),
            Report::Dialled { peer, once, outcome } => {
                self.roster.dial_over(peer.id, once);
                let failed = match outcome {
                    TaskEnd::Finished(Ok(met)) => self.register(met, Direction::Outbound),
                    TaskEnd::Finished(Err(missed)) => Err(missed.reason),
                    TaskEnd::Panicked(message) => Err(CloseReason::NotDialled(message)),
                };
                if let Err(reason) = failed
                    && self.roster.dial_failed(peer.id, once, now())
                {
                    tracing::debug!(target: target::PEER, %peer, %reason, "dial failed");
                    metrics::dial_failed(&reason);
                    self.tell(PeerEvent::DialFailed { peer, reason });
                }
            }
            Report::Ended { id, connection, reason } => {
                let gone = self.roster.ended(id, connection, reason, now());
                if let Some(Gone { peer, reason: CloseReason::Panicked { .. }, .. }) = &gone {
                    self.panicked(peer.addr);
                }
                self.let_go(gone);
            }
        }
    }

    fn on_admitted(&mut self, place: Fence, from: SocketAddr, outcome: TaskEnd<Result<Met, Missed>>) {
        self.admitting.remove(&place);
        let how = match &outcome {
            TaskEnd::Finished(Ok(_)) => Outcome::Met,
            TaskEnd::Finished(Err(missed)) => Outcome::Failed { is_proven: missed.peer.is_some() },
            TaskEnd::Panicked(_) => Outcome::Failed { is_proven: false },
        };
        self.roster.door.leave(place, how, now());
        match outcome {
            TaskEnd::Finished(Ok(met)) => {
                let peer = met.link.peer();
                if let Err(reason) = self.register(met, Direction::Inbound) {
                    not_let_in(from, &reason);
                    self.tell(PeerEvent::Refused { peer, addr: from, reason });
                }
            }
            TaskEnd::Finished(Err(Missed { peer, reason })) => {
                not_let_in(from, &reason);
                // Whoever fell silent or hung up was not refused.
                if let (Some(peer), CloseReason::HandshakeRefused(_)) = (peer, &reason) {
                    self.tell(PeerEvent::Refused { peer, addr: from, reason });
                }
            }
            TaskEnd::Panicked(message) => {
                let panic = Text::of(&message);
                rationed!(error, target::PEER, %panic, "an admission panicked");
                self.panicked(from);
            }
        }
    }

    fn panicked(&mut self, over: SocketAddr) {
        if self.roster.door.panicked(over.ip(), now()) {
            rationed!(
                error,
                target::PEER,
                "panics come one upon another: for now nobody is let in from neighbourhoods that brought one"
            );
        }
    }

    fn dial_due(&mut self) {
        let Some(endpoint) = self.endpoint.clone() else { return };
        while let Some(due) = self.roster.take_due(now()) {
            match due {
                Due::Dial(peer) => self.begin_dial(&endpoint, peer, false),
                Due::NotMet(peer, reason) => self.tell(PeerEvent::DialFailed { peer, reason }),
            }
        }
    }

    /// Dials a peer that is not named. The error says why it is not dialled at all.
    fn dial_once(&mut self, peer: PeerAddr) -> Result<(), CloseReason> {
        let Some(endpoint) = self.endpoint.clone() else {
            return Err(CloseReason::NotDialled("the socket is being bound again".into()));
        };
        self.roster.dial_once(peer, now())?;
        self.begin_dial(&endpoint, peer, true);
        Ok(())
    }

    fn begin_dial(&self, endpoint: &Endpoint, peer: PeerAddr, once: bool) {
        let (terms, reports) = (Arc::clone(&self.terms), self.reports.clone());
        let (endpoint, us) = (endpoint.clone(), self.us);
        let deadline = after(self.config.handshake_timeout);
        self.spawner.spawn("dial", async move {
            let outcome = contain(dial(&endpoint, us, &terms, peer, deadline)).await;
            drop(reports.send(Report::Dialled { peer, once, outcome }).await);
        });
    }

    /// Gives a connection its place, or closes it and says why.
    fn register(&mut self, met: Met, direction: Direction) -> Result<(), CloseReason> {
        let (id, addr) = (met.link.peer(), met.link.remote_addr());
        let arrival = Arrival { id, addr, direction, capabilities: met.agreed.capabilities };
        let worth = |peer: &PeerInfo| self.snapshot.requester(peer.id).map_or(Worth::NONE, |one| one.worth());
        let Entry { gone, outcome } = self.roster.register(arrival, worth, now());
        self.let_go(gone);
        match outcome {
            Ok(info) => {
                self.launch(met, info);
                Ok(())
            }
            Err(refused) => {
                met.link.close(refused.farewell);
                Err(refused.reason)
            }
        }
    }

    fn launch(&mut self, met: Met, info: PeerInfo) {
        let (id, connection) = (info.id, info.connection);
        let tasks = (self.spawner.clone(), self.given_up.child());
        let services = (&self.registry, Voice::of(&self.config), &self.meters);
        let mut task = Connection::new(self.us, info.clone(), met.link, met.agreed, services, tasks);
        let (stop, stopped) = oneshot::channel();
        self.snapshot.insert(info.clone(), task.requester());
        self.stops.insert(connection, stop);
        let span = tracing::debug_span!(
            target: target::PEER, "peer", id = %id.short(), ?connection, direction = ?info.direction
        );
        metrics::connected(info.direction);
        metrics::connections(info.direction, self.roster.count(info.direction));
        self.tell(PeerEvent::Connected(info));
        let reports = self.reports.clone();
        let life = async move {
            let reason = task.live(stopped).await;
            drop(reports.send(Report::Ended { id, connection, reason }).await);
            // The sender outlives the sessions: shutdown waits for it.
            task.wait_for_sessions().await;
            drop(reports);
        };
        self.spawner.spawn("connection", life.instrument(span));
    }

    /// Closes what counts no more, and tells of it.
    fn let_go(&mut self, all: impl IntoIterator<Item = Gone>) {
        for Gone { peer, lived, reason, farewell } in all {
            let stop = self.stops.remove(&peer.connection);
            if let (Some(stop), Some(farewell)) = (stop, farewell) {
                // A connection that no longer listens has ended by itself; its own report will be too late to matter.
                drop(stop.send(Stop { reason: reason.clone(), farewell }));
            }
            metrics::disconnected(&reason, lived);
            metrics::connections(peer.direction, self.roster.count(peer.direction));
            self.snapshot.remove(peer.id);
            self.tell(PeerEvent::Disconnected { peer, reason });
        }
    }

    fn show_role(&self, id: PeerId, role: Option<Role>) {
        if let Some(role) = role {
            self.snapshot.set_role(id, role);
        }
    }

    fn tell(&self, event: PeerEvent) {
        // Nobody may be listening.
        drop(self.events.send(event));
    }

    fn rebind_if_due(&mut self) {
        if self.rebind_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        match Endpoint::bind(&self.identity, &self.ground, &self.spawner) {
            Ok(endpoint) => {
                self.endpoint = Some(endpoint);
                self.rebind_at = None;
            }
            Err(error) => {
                tracing::debug!(target: target::ENDPOINT, %error, "binding again failed");
                self.rebind_at = Some(Instant::now() + REBIND_PAUSE);
            }
        }
    }

    /// Closes every connection and waits for its sessions, which are dropped when the grace is over, then for peers to have
    /// heard it.
    async fn shut_down(mut self, grace: Duration) {
        let until = after(grace);
        let all = self.roster.drop_all(now());
        self.let_go(all);
        let Self { endpoint, given_up, reports, mut inbox, .. } = self;
        if let Some(endpoint) = &endpoint {
            endpoint.close();
        }
        drop(reports);
        // Every dial, handshake and connection holds a sender of reports: when none is left, all have ended.
        let mut all = pin!(async { while inbox.recv().await.is_some() {} });
        if timeout_at(until, &mut all).await.is_err() {
            tracing::warn!(
                target: target::PEER,
                "shutdown: the grace is over before every session has ended: those left are dropped"
            );
            given_up.cancel();
            if timeout(DROPPED, all).await.is_err() {
                tracing::error!(target: target::PEER, "shutdown: a session blocks its thread and cannot be ended");
            }
        }
        if let Some(endpoint) = endpoint {
            endpoint.halt(LINGER).await;
        }
    }
}

fn not_let_in(addr: SocketAddr, reason: &CloseReason) {
    tracing::debug!(target: target::PEER, %addr, %reason, "admission failed");
    metrics::admission_failed(reason);
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn accept(endpoint: Option<&Endpoint>) -> Option<Incoming> {
    match endpoint {
        Some(endpoint) => endpoint.accept().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, wire::Limits};
    use tokio::sync::broadcast::Receiver;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A pool on a loopback port, with its endpoint as it was at the start.
    fn pool(seed: u8, spawner: &Spawner) -> (PeerAddr, Endpoint, Receiver<PeerEvent>, mpsc::Sender<Command>) {
        let config = TransportConfig::local(SocketAddr::from(([127, 0, 0, 1], 0)), 3, [0; 32], 0);
        let identity = Identity::from_seed([seed; 32]).unwrap();
        let mut ground = Ground::new(&config);
        let endpoint = Endpoint::bind(&identity, &ground, spawner).unwrap();
        ground.listen = endpoint.local_addr().unwrap();
        let (network_id, chain_id, offer) = (config.network_id, config.chain_id, Capabilities::NONE);
        let (events, heard) = broadcast::channel(16);
        let (commands, inbox) = mpsc::channel(4);
        let here = PeerAddr { id: identity.peer_id(), addr: ground.listen };
        let pool = Pool::new(PoolParts {
            identity,
            config,
            terms: Terms { network_id, chain_id, offer, limits: Limits::OURS },
            registry: Registry::new(),
            spawner: spawner.clone(),
            endpoint: endpoint.clone(),
            ground,
            snapshot: Snapshot::default(),
            events,
            commands: inbox,
        });
        spawner.spawn("pool", pool.run());
        (here, endpoint, heard, commands)
    }

    #[tokio::test]
    async fn an_endpoint_that_died_is_bound_again_at_its_own_port_and_peers_come_back() {
        let spawner = Spawner::new();
        let (_, first, mut here, commands) = pool(1, &spawner);
        let (there, _endpoint, _heard, _there) = pool(2, &spawner);
        commands.send(Command::Add { peer: there, is_trusted: false }).await.unwrap();
        let mut met = async || {
            tokio::time::timeout(PATIENCE, async {
                while !matches!(here.recv().await.unwrap(), PeerEvent::Connected(_)) {}
            })
            .await
            .expect("they meet");
        };
        met().await;
        first.halt(Duration::ZERO).await;
        met().await;
    }
}
