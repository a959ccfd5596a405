//! The node: one value to run, one to talk to, and the order in which everything starts and stops.

#[cfg(feature = "simulation")]
pub use crate::base::Simulated;
#[cfg(feature = "simulation")]
use crate::census::Census;
use crate::{
    base::Base,
    config::{Config, ConfigError},
    neighbours::{self, Around},
    store::{SystemClock, WallClock},
};
use std::{io, sync::Arc, time::Duration};
use zakura_block_sync::{BlockSync, BlockSyncHandle, ports::BlockStore};
use zakura_discovery::{Discovery, DiscoveryHandle};
use zakura_header_sync::{HeaderSync, HeaderSyncHandle, chain::BlockHash, ports::HeaderChain};
use zakura_transport::{
    AddPeerError, BindError, Cancel, Identity, PeerAddr, PeerEvents, PeerId, PeerInfo, Registry,
    RegistryError, Service, Spawner, StopReport, Transport, TransportConfig, TransportHandle,
    routine::WorkPool,
};

/// How long [`Node::run`] waits for everything to end once the stop was asked for.
pub const STOP_GRACE: Duration = Duration::from_secs(4);

/// The part of [`STOP_GRACE`] that connections have to end; the rest is for what runs below them.
const CLOSE_GRACE: Duration = Duration::from_secs(3);

const _: () = assert!(CLOSE_GRACE.as_secs() < STOP_GRACE.as_secs());

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
    /// Tasks did not end within the grace.
    #[error("tasks did not end within the stop's grace: {stragglers:?}")]
    Stragglers {
        /// Their names.
        stragglers: Vec<&'static str>,
    },
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
        self.base = Base::Simulated(simulated);
        self
    }

    /// Replaces the operating system's clock, by which records of discovery expire.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn WallClock>) -> Self {
        self.clock = clock;
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

    /// Starts the node, in this order:
    ///
    /// 1. the work pool's threads,
    /// 2. header sync's reactor,
    /// 3. block sync's reactor, which follows header sync's view,
    /// 4. discovery's reactor, if it is enabled,
    /// 5. the transport: from here on peers are met, and discovery knows where we listen,
    /// 6. the dials to the named peers and to those to begin with.
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
        let Self { identity, chain_id, chain, config, registry, base, clock } = self;
        let finding = match config.discovery.enabled {
            true => Some(neighbours::settings(&config, &identity, chain_id)?),
            false => None,
        };
        let (spawner, stop) = (base.spawner(), Cancel::new());

        let pool = base.pool(&spawner, config.node.threads(), WORK_SESSIONS)?;
        let (header_sync, headers) =
            HeaderSync::new(Arc::clone(&chain) as _, config.header_sync.build(), pool.clone(), &spawner);
        let (block_sync, blocks) =
            BlockSync::new(chain as _, headers.views(), config.block_sync.build(), pool.clone(), &spawner);
        let around = Around::new(headers.clone(), blocks.clone(), clock, &config.transport);
        let found =
            finding.map(|settings| Discovery::new(identity.clone(), settings, Arc::new(around), &spawner));
        let (discovery, found) = found.unzip();
        let engine = Engine { spawner, pool };
        let settings = base.lay(settings(&config, chain_id, identity.peer_id()));
        let services = (header_sync, block_sync, discovery);
        let opened = engine.open(services, (identity, settings), &config, registry).await;
        match opened {
            Ok(transport) => {
                if let Some(discovery) = &found {
                    discovery.attach(&transport);
                }
                #[cfg(feature = "simulation")]
                let census = Census::new(&engine.spawner, &engine.pool, &headers, &blocks);
                let handle = NodeHandle {
                    transport: transport.clone(),
                    headers,
                    blocks,
                    discovery: found,
                    spawner: engine.spawner.clone(),
                    stop: stop.clone(),
                    #[cfg(feature = "simulation")]
                    census,
                };
                Ok((Node { engine, transport, stop }, handle))
            }
            Err(error) => {
                engine.end(STOP_GRACE).await;
                Err(error)
            }
        }
    }
}

/// What runs below the transport.
#[derive(Debug)]
struct Engine {
    spawner: Spawner,
    pool: WorkPool,
}

impl Engine {
    /// Registers the services and opens the transport over them.
    async fn open(
        &self,
        (header_sync, block_sync, discovery): (HeaderSync, BlockSync, Option<Discovery>),
        (identity, settings): (Identity, TransportConfig),
        config: &Config,
        mut registry: Registry,
    ) -> Result<TransportHandle, BuildError> {
        registry.register(header_sync)?;
        registry.register(block_sync)?;
        if let Some(discovery) = discovery {
            registry.register(discovery)?;
        }
        let transport = Transport::start(settings, identity, registry, self.spawner.clone()).await?;
        for peer in config.kept_peers()? {
            transport.add_peer(peer).await?;
        }
        Ok(transport)
    }

    /// Ends the work pool and waits for every task.
    async fn end(&self, grace: Duration) -> StopReport {
        self.pool.close(grace).await;
        self.spawner.stop(grace).await
    }
}

fn settings(config: &Config, chain_id: ChainId, us: PeerId) -> TransportConfig {
    let seed = jitter_seed(us);
    TransportConfig {
        max_inbound: config.transport.max_inbound,
        max_outbound: config.transport.max_outbound,
        ..TransportConfig::new(config.transport.listen, chain_id.network, chain_id.genesis.0, seed)
    }
}

/// Nodes pause differently before they redial, and each the same way every time.
fn jitter_seed(id: PeerId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The value to run.
#[derive(Debug)]
pub struct Node {
    engine: Engine,
    transport: TransportHandle,
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
        NodeBuilder { identity, chain_id, chain, config, registry, base: Base::Os, clock }
    }

    /// Runs until [`NodeHandle::stop`] is called or a shared actor panics, then stops everything, in this order:
    ///
    /// 1. the transport: connections close, which ends every routine,
    /// 2. the reactors: they end with their last routine,
    /// 3. the work pool: running jobs finish, waiting ones are dropped,
    /// 4. whatever is left is waited for and named.
    ///
    /// # Errors
    ///
    /// [`NodeError`] names the actor that panicked, or the tasks that did not end within [`STOP_GRACE`].
    pub async fn run(self) -> Result<(), NodeError> {
        let Self { engine, transport, stop } = self;
        let failed = engine.spawner.failed();
        let broken = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            name = failed => Some(name),
        };
        // Whoever holds a handle hears that the node ends.
        stop.cancel();
        let deadline = tokio::time::Instant::now() + STOP_GRACE;
        transport.shutdown(CLOSE_GRACE).await;
        drop(transport);
        let report = engine.end(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
        match broken {
            Some(name) => Err(NodeError::ActorPanicked { name }),
            None if report.stragglers.is_empty() => Ok(()),
            None => Err(NodeError::Stragglers { stragglers: report.stragglers }),
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

    /// Does not dial this peer any more, and closes the connection with it.
    pub async fn remove_peer(&self, id: PeerId) {
        self.transport.remove_peer(id).await;
        self.transport.close(id).await;
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
