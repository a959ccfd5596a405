//! The node: one value to run, one to talk to, and the order in which everything starts and stops.

#[cfg(feature = "simulation")]
pub use crate::base::Simulated;
#[cfg(feature = "simulation")]
use crate::census::Census;
use crate::{
    base::Base,
    config::{Config, ConfigError},
    neighbours::{self, Around},
    services::{Opened, Peering, Workers},
    store::{SystemClock, WallClock},
};
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::Instant};
use zakura_block_sync::{BlockSync, BlockSyncHandle, ports::BlockStore};
use zakura_discovery::{Discovery, DiscoveryHandle};
use zakura_header_sync::{HeaderSync, HeaderSyncHandle, chain::BlockHash, ports::HeaderChain};
use zakura_transport::{
    AddPeerError, Ban, BanError, BanTarget, BindError, Cancel, Identity, PeerAddr, PeerEvents, PeerId,
    PeerInfo, Registry, RegistryError, Service, Spawner, Stopped, TransportHandle,
    lifecycle::{DuplicateName, LAST_WAIT, Lifecycle, Running, ServiceFailure, StartError, StopLimits, Why},
    observe::{ConnectionSnapshot, Flight},
};

/// How long [`Node::run`] waits for its services to end once the stop was asked for. The whole stop takes 5 s at most: what
/// systems that stop services give before they kill is 10 s and more, and an operator at a terminal has less patience.
pub const STOP_GRACE: Duration = Duration::from_secs(4);

/// The part of [`STOP_GRACE`] that connections have to end; the rest is for what runs below them.
const CLOSE_GRACE: Duration = Duration::from_secs(3);

/// A forced stop, by the measure of [`StopLimits::RECOMMENDED`]: everything a node must not lose is durable when it is
/// acknowledged, so that nobody needs the 10 s and 30 s that a service with state in memory may. The transport has its
/// [`CLOSE_GRACE`] and a little; whoever takes longer is named.
const STOP_LIMITS: StopLimits = StopLimits { each: Duration::from_millis(3_500), all: STOP_GRACE };

/// What tasks below the services have to end after them.
const TASK_GRACE: Duration = Duration::from_millis(250);

const _: () = {
    assert!(CLOSE_GRACE.as_millis() < STOP_LIMITS.each.as_millis());
    assert!(STOP_LIMITS.each.as_millis() < STOP_LIMITS.all.as_millis());
    assert!(STOP_GRACE.as_millis() + LAST_WAIT.as_millis() + TASK_GRACE.as_millis() < 5_000);
};

/// Sessions the work pool holds at once; beyond it, work is refused as busy and tried again.
const WORK_SESSIONS: usize = 64;

/// Which chain a node follows, as the handshake names it (wire 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainId {
    /// 1 Mainnet, 2 Testnet, 3 Regtest, 4 private.
    pub network: u32,
    /// The genesis block's hash.
    pub genesis: BlockHash,
}

/// A node that could not be built. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration contradicts itself or exceeds its own memory limit.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two services contradict each other.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The UDP socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A named peer cannot be dialled.
    #[error("transport.peers or discovery.bootstrap: {0}")]
    Peer(#[from] AddPeerError),
    /// The work pool's threads could not be started.
    #[error("cannot start the work pool's threads: {0}; raise the process's thread limit")]
    Threads(#[from] io::Error),
    /// Two parts of the node bear one name.
    #[error(transparent)]
    Name(#[from] DuplicateName),
    /// A part of the node did not start.
    #[error("the node did not start: {0}")]
    Start(Box<StartError>),
}

/// Why a node stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A shared actor panicked: its state is suspect, so the node stopped in order.
    #[error("the {name} actor panicked: the node stopped, restart it and report this with its log")]
    ActorPanicked {
        /// The actor's name.
        name: &'static str,
    },
    /// A part of the node failed, so the node stopped in order.
    #[error("the node stopped: {0}")]
    ServiceFailed(ServiceFailure),
    /// Tasks did not end within the grace.
    #[error("tasks did not end within the stop's grace: {stragglers:?}")]
    Stragglers {
        /// Their names.
        stragglers: Vec<&'static str>,
    },
}

impl From<ServiceFailure> for NodeError {
    fn from(failure: ServiceFailure) -> Self {
        match failure.why {
            Why::Panicked(_) => Self::ActorPanicked { name: failure.name },
            Why::Failed(_) | Why::EndedEarly | Why::Silent | Why::CutOff => Self::ServiceFailed(failure),
        }
    }
}

/// Collects a node's parts. Made by [`Node::builder`].
#[derive(Debug)]
pub struct NodeBuilder<C> {
    identity: Identity,
    chain_id: ChainId,
    chain: Arc<C>,
    config: Config,
    registry: Registry,
    base: Base,
    clock: Arc<dyn WallClock>,
    #[cfg(feature = "qlog")]
    qlog_dir: Option<std::path::PathBuf>,
}

impl<C: HeaderChain + BlockStore> NodeBuilder<C> {
    /// Replaces the recommended configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Puts the node on a simulation in place of the operating system.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn simulated(mut self, simulated: Simulated) -> Self {
        self.base = Base::Simulated(Box::new(simulated));
        self
    }

    /// Replaces the operating system's clock, by which records of discovery expire.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn WallClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Has QUIC write its own traces of connections into this directory, which must exist
    /// ([`TransportConfig::qlog_dir`](zakura_transport::TransportConfig::qlog_dir)).
    #[cfg(feature = "qlog")]
    #[must_use]
    pub fn qlog_dir(mut self, dir: std::path::PathBuf) -> Self {
        self.qlog_dir = Some(dir);
        self
    }

    /// Adds a capability service, through the same door as our own.
    ///
    /// # Errors
    ///
    /// [`BuildError::Registry`] names the stream that is declared twice.
    pub fn service(mut self, service: impl Service) -> Result<Self, BuildError> {
        self.registry.register(service)?;
        Ok(self)
    }

    /// Runs the node's tasks and threads on this spawner, which may carry a saboteur.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn spawner(mut self, spawner: Spawner) -> Self {
        self.base = Base::On(spawner);
        self
    }

    /// Starts the node, in this order, each once the one before is ready:
    ///
    /// 1. the work pool,
    /// 2. header sync's reactor,
    /// 3. block sync's reactor, which follows header sync's view,
    /// 4. discovery's reactor, if it is enabled,
    /// 5. the transport, with the dials to the named peers and to those to begin with: from here on peers are met, and
    ///    discovery knows where we listen.
    ///
    /// [`Node::run`] stops them in the reverse order.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; whatever had been started is stopped again.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn build(self) -> Result<(Node, NodeHandle), BuildError> {
        self.config.check()?;
        #[cfg(feature = "qlog")]
        let qlog_dir = self.qlog_dir.clone();
        let Self { identity, chain_id, chain, config, mut registry, base, clock, .. } = self;
        let finding = match config.discovery.enabled {
            true => Some(neighbours::settings(&config, &identity, chain_id)?),
            false => None,
        };
        let (spawner, stop) = (base.spawner(), Cancel::new());
        let mut lifecycle = Lifecycle::new(STOP_LIMITS);
        let (header_settings, body_settings) = base.services(&config);

        // 1.
        let pool = base.pool(&spawner, config.node.threads(), WORK_SESSIONS)?;
        lifecycle.add(Workers { pool: pool.clone(), grace: STOP_GRACE })?;
        // 2.
        let (header_sync, headers, reactor) =
            HeaderSync::prepare(Arc::clone(&chain) as _, header_settings, pool.clone());
        registry.register(header_sync)?;
        lifecycle.add(reactor)?;
        // 3.
        let (block_sync, blocks, reactor) =
            BlockSync::prepare(chain as _, headers.views(), body_settings, pool.clone());
        registry.register(block_sync)?;
        lifecycle.add(reactor)?;
        // 4.
        let around = Around::new(headers.clone(), blocks.clone(), clock, &config.transport);
        let discovery = match finding {
            Some(settings) => {
                let (service, found, reactor) =
                    Discovery::prepare(identity.clone(), settings, Arc::new(around));
                registry.register(service)?;
                lifecycle.add(reactor)?;
                Some(found)
            }
            None => None,
        };
        // 5.
        let seed = jitter_seed(identity.peer_id());
        let settings = config.transport.build(chain_id.network, chain_id.genesis.0, seed);
        #[cfg(feature = "qlog")]
        let settings = zakura_transport::TransportConfig { qlog_dir, ..settings };
        let settings = base.lay(settings);
        let (peers, trusted) = (config.kept_peers()?, config.trusted()?);
        let (grace, (opened, opening)) = (CLOSE_GRACE, oneshot::channel());
        lifecycle.add(Peering {
            settings,
            identity,
            registry,
            peers,
            trusted,
            spawner: spawner.clone(),
            grace,
            opened,
        })?;

        let (running, transport) = start(lifecycle, opening, &spawner).await?;
        if let Some(discovery) = &discovery {
            discovery.attach(&transport);
        }
        #[cfg(feature = "simulation")]
        let census = Census::new(&spawner, &pool, &headers, &blocks);
        let handle = NodeHandle {
            transport,
            headers,
            blocks,
            discovery,
            spawner: spawner.clone(),
            stop: stop.clone(),
            #[cfg(feature = "simulation")]
            census,
        };
        Ok((Node { running, spawner, stop }, handle))
    }
}

/// Starts the services. If one does not start, the others are stopped again, and what they left running is waited for.
async fn start(
    lifecycle: Lifecycle,
    mut opening: Opened,
    spawner: &Spawner,
) -> Result<(Running, TransportHandle), BuildError> {
    let started = lifecycle.start(spawner).await;
    // The transport hands itself over before it says that it is ready, and its error before it ends.
    let error = match (started, opening.try_recv().ok()) {
        (Ok((running, report)), Some(Ok(transport))) => {
            tracing::debug!(ready = ?report.ready, "started");
            return Ok((running, transport));
        }
        (_, Some(Err(reason))) => reason,
        (Err(failed), _) => BuildError::Start(Box::new(failed)),
        (Ok(_), None) => AddPeerError::Stopped.into(),
    };
    let left = spawner.stop(STOP_GRACE).await.stragglers;
    if !left.is_empty() {
        tracing::warn!(stragglers = ?left, "tasks of a node that did not start still run");
    }
    Err(error)
}

/// Nodes pause differently before they redial, and each the same way every time.
fn jitter_seed(id: PeerId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The value to run. If it is dropped, everything is asked to end.
#[derive(Debug)]
pub struct Node {
    running: Running,
    spawner: Spawner,
    stop: Cancel,
}

impl Node {
    /// Begins a node over an embedder's chain, with the recommended settings.
    #[must_use]
    pub fn builder<C: HeaderChain + BlockStore>(
        identity: Identity,
        chain_id: ChainId,
        chain: Arc<C>,
    ) -> NodeBuilder<C> {
        let (config, registry) = (Config::recommended(), Registry::new());
        let clock = Arc::new(SystemClock);
        NodeBuilder {
            identity,
            chain_id,
            chain,
            config,
            registry,
            base: Base::Os,
            clock,
            #[cfg(feature = "qlog")]
            qlog_dir: None,
        }
    }

    /// Runs until [`NodeHandle::stop`] is called, a service fails or a shared actor panics; then stops everything, in this
    /// order, each once the one before has ended or has used up its time:
    ///
    /// 1. the transport: connections close, which ends every routine,
    /// 2. discovery's reactor,
    /// 3. block sync's reactor,
    /// 4. header sync's reactor,
    /// 5. the work pool: running jobs finish, waiting ones are dropped,
    /// 6. whatever is left is waited for and named.
    ///
    /// # Errors
    ///
    /// [`NodeError`] names the actor that panicked, the service that failed, or the tasks that did not end in time.
    pub async fn run(self) -> Result<(), NodeError> {
        let Self { running, spawner, stop } = self;
        let broken = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            failure = running.failed() => Some(failure.into()),
            name = spawner.failed() => Some(NodeError::ActorPanicked { name }),
        };
        // Whoever holds a handle hears that the node ends.
        stop.cancel();
        let deadline = Instant::now() + STOP_GRACE;
        let mut report = running.stop().await;
        let left = deadline.saturating_duration_since(Instant::now()).max(TASK_GRACE);
        report.stragglers.extend(spawner.stop(left).await.stragglers);
        let stragglers: BTreeSet<_> = report.stragglers.into_iter().collect();
        let failed = report.failed.into_iter().next().map(NodeError::from);
        match broken.or(failed) {
            Some(error) => Err(error),
            None if stragglers.is_empty() => Ok(()),
            None => Err(NodeError::Stragglers { stragglers: stragglers.into_iter().collect() }),
        }
    }
}

/// The value to talk to. Clones share the node.
#[derive(Debug, Clone)]
pub struct NodeHandle {
    transport: TransportHandle,
    headers: HeaderSyncHandle,
    blocks: BlockSyncHandle,
    discovery: Option<DiscoveryHandle>,
    spawner: Spawner,
    stop: Cancel,
    #[cfg(feature = "simulation")]
    census: Census,
}

impl NodeHandle {
    /// Counts what the node holds, as long as anybody asks, even after it has ended.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn census(&self) -> Census {
        self.census.clone()
    }

    /// The node's identity and bound address, as another node would name it.
    #[must_use]
    pub fn local_peer(&self) -> PeerAddr {
        self.transport.local_peer()
    }

    /// The registered connections, by peer id.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.transport.peers()
    }

    /// The registered connections as they stand, by peer id: path, traffic, and what each stream does.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        self.transport.connections()
    }

    /// The connection with this peer as it stands.
    #[must_use]
    pub fn connection(&self, id: PeerId) -> Option<ConnectionSnapshot> {
        self.transport.connection(id)
    }

    /// The last events of the connection with this peer, or of the last one that was.
    #[must_use]
    pub fn flight(&self, id: PeerId) -> Option<Flight> {
        self.transport.flight(id)
    }

    /// The last events of every connection with this peer that is remembered, the oldest first.
    #[must_use]
    pub fn flights(&self, id: PeerId) -> Vec<Flight> {
        self.transport.flights(id)
    }

    /// What happens to connections from now on.
    #[must_use]
    pub fn peer_events(&self) -> PeerEvents {
        self.transport.events()
    }

    /// Names a peer: it is dialled, and dialled again for ever.
    ///
    /// # Errors
    ///
    /// [`AddPeerError`] if it is this node itself, or the node has stopped.
    pub async fn add_peer(&self, peer: PeerAddr) -> Result<(), AddPeerError> {
        self.transport.add_peer(peer).await
    }

    /// As [`add_peer`](Self::add_peer), and vouches for the peer: it is never banned.
    ///
    /// # Errors
    ///
    /// As [`add_peer`](Self::add_peer).
    pub async fn add_trusted_peer(&self, peer: PeerAddr) -> Result<(), AddPeerError> {
        self.transport.add_trusted_peer(peer).await
    }

    /// Keeps a peer, an address or a neighbourhood out for a while ([`TransportHandle::ban`]).
    ///
    /// # Errors
    ///
    /// [`BanError`].
    pub async fn ban(&self, target: BanTarget, lasting: Duration, evidence: &str) -> Result<(), BanError> {
        self.transport.ban(target, lasting, evidence).await
    }

    /// Lifts a ban or a cooldown. `false` if there was none.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn unban(&self, target: BanTarget) -> Result<bool, Stopped> {
        self.transport.unban(target).await
    }

    /// Every ban and cooldown in force.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn bans(&self) -> Result<Vec<Ban>, Stopped> {
        self.transport.bans().await
    }

    /// Does not dial this peer any more, and closes the connection with it.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn remove_peer(&self, id: PeerId) -> Result<(), Stopped> {
        self.transport.remove_peer(id).await?;
        self.transport.close(id).await
    }

    /// Header sync: the selected chain, targets, what each peer delivered.
    #[must_use]
    pub const fn headers(&self) -> &HeaderSyncHandle {
        &self.headers
    }

    /// Block sync: what is durable, what each peer delivered, and why it is not progressing if it is not.
    #[must_use]
    pub const fn blocks(&self) -> &BlockSyncHandle {
        &self.blocks
    }

    /// Discovery: who is known, what the exchanges came to, what we say of ourselves. None if it is not enabled.
    #[must_use]
    pub const fn discovery(&self) -> Option<&DiscoveryHandle> {
        self.discovery.as_ref()
    }

    /// The node's live tasks and threads, by name: where a leak would show.
    #[must_use]
    pub fn tasks(&self) -> Vec<(&'static str, usize)> {
        self.spawner.live()
    }

    /// Waits until the live tasks and threads are exactly these.
    pub async fn tasks_are(&self, wanted: &[(&'static str, usize)]) {
        self.spawner.live_is(wanted).await;
    }

    /// Asks the node to stop; [`Node::run`] returns when it has.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the node was asked to stop, or stops by itself.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}
