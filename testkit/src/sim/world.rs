//! Real nodes on a simulated network: who is there, what can befall them, and what they say.

use super::{
    link::{Access, LinkModel, Nat, NodeIndex},
    pump::pump,
    seed::Seed,
    switch::Switch,
    trace::Trace,
    voices::{self, Heard},
    wall::Wall,
};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use zakura::{
    census::Count,
    config::Config,
    node::{BuildError, ChainId, Node, NodeHandle, Simulated},
    zcash::Network,
};
use zakura_block_sync::{BlockSyncConfig, ports::BlockStore};
use zakura_header_sync::{
    HeaderSyncConfig,
    chain::{BlockHash, BlockRef},
    ports::HeaderChain,
};
use zakura_transport::{Identity, PeerAddr, PeerId, Spawner, Tongue, routine::JobCost};

/// The port of every simulated node.
const PORT: u16 = 8234;

/// How long tasks have to end once they were killed; they need one turn.
const FUNERAL: Duration = Duration::from_secs(1);

/// How long a node may take that was asked to stop: twice what it promises.
const DEPARTURE: Duration = Duration::from_secs(10);

/// Events that wait for whoever listens to a world; beyond it the nodes' voices wait too, and then say what they missed.
const UNHEARD: usize = 4_096;

/// Why a scenario did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A node did not start.
    #[error("node {0} did not start: {1}")]
    Start(NodeIndex, BuildError),
    /// What was waited for did not happen, or what happened should not.
    #[error("{0}")]
    Failed(String),
}

/// What a node is given.
#[derive(Debug, Clone)]
pub struct Outfit<C> {
    /// Its chain and store; it keeps them when it crashes.
    pub store: Arc<C>,
    /// The chain it says it follows.
    pub chain_id: ChainId,
    /// Its settings. The address is replaced by the one it has in the world.
    pub config: Config,
    /// Its services' settings in place of those that follow from its own.
    pub services: Option<(HeaderSyncConfig, BlockSyncConfig)>,
    /// Its link.
    pub access: Access,
    /// What stands between it and those who call it.
    pub nat: Nat,
    /// What a job on its work pool takes.
    pub job_cost: JobCost,
    /// Its wall clock.
    pub wall: Wall,
    /// What it does to its own words.
    pub tongue: Option<Arc<dyn Tongue>>,
}

impl<C> Outfit<C> {
    /// Regtest, 100 Mbit/s, no NAT, no discovery, jobs of 200 microseconds. Inside a runtime with paused time only.
    #[must_use]
    pub fn usual(store: Arc<C>) -> Self {
        let job_cost = JobCost::Each(Duration::from_micros(200));
        let mut config = Config::local();
        // So that who is connected to whom is what the scenario says.
        config.discovery.enabled = false;
        let network = Network::Regtest;
        let chain_id = ChainId { network: network.wire_id(), genesis: BlockHash(network.genesis_hash()) };
        Self {
            store,
            chain_id,
            config,
            services: None,
            access: Access::mbit(100),
            nat: Nat::Open,
            job_cost,
            wall: Wall::new(),
            tongue: None,
        }
    }
}

/// A node's place in the world, whether it runs or not.
#[derive(Debug)]
struct Resident<C> {
    outfit: Outfit<C>,
    identity: Identity,
    addr: SocketAddr,
    lives: u64,
    running: Option<Running>,
}

/// One life of a node.
#[derive(Debug)]
struct Running {
    handle: NodeHandle,
    /// The node's own tasks.
    tasks: Spawner,
    /// The task that runs the node, and those that listen to it.
    beside: Spawner,
    /// How it ended.
    end: oneshot::Receiver<Result<(), String>>,
}

/// How a node left that was asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Its own last word.
    pub end: Result<(), String>,
    /// What it still held after that.
    pub left: Result<Count, String>,
}

impl Running {
    fn kill(&self) {
        self.tasks.kill();
        self.beside.kill();
    }

    /// Waits for the last of its tasks, and names those that do not end.
    async fn bury(self) -> Vec<&'static str> {
        let Self { handle, tasks, beside, .. } = self;
        drop(handle);
        let mut left = tasks.stop(FUNERAL).await.stragglers;
        left.extend(beside.stop(FUNERAL).await.stragglers);
        left
    }
}

/// A world: its network and its nodes. The only owner of all of them.
#[derive(Debug)]
pub struct World<C> {
    seed: Seed,
    switch: Switch,
    residents: Vec<Resident<C>>,
    ear: Option<mpsc::Sender<Heard>>,
    tasks: Spawner,
}

impl<C: HeaderChain + BlockStore> World<C> {
    /// An empty world, which begins now. Inside a runtime with paused time only.
    pub(super) fn new(seed: Seed, links: LinkModel, trace: Trace) -> Self {
        let (switch, tasks) = (Switch::new(links, trace), Spawner::new());
        tasks.spawn("pump", pump(switch.clone()));
        Self { seed, switch, residents: Vec::new(), ear: None, tasks }
    }

    /// What nodes say of their connections that start from now on. Whoever listens has to go on listening.
    pub fn listen(&mut self) -> mpsc::Receiver<Heard> {
        let (ear, heard) = mpsc::channel(UNHEARD);
        self.ear = Some(ear);
        heard
    }

    /// Adds a node, which does not run yet.
    ///
    /// # Errors
    ///
    /// The key library refused its key, for which no cause is known.
    pub fn add(&mut self, outfit: Outfit<C>) -> Result<NodeIndex, WorldError> {
        let number = u16::try_from(self.residents.len()).unwrap_or(u16::MAX);
        let [high, low] = number.to_be_bytes();
        let addr = SocketAddr::from(([10, 77, high, low], PORT));
        let seed = self.seed.nth("identity", u64::from(number)).bytes();
        let identity = Identity::from_seed(seed).map_err(|error| WorldError::Failed(error.to_string()))?;
        let node = self.switch.attach(addr, outfit.access, outfit.nat);
        self.residents.push(Resident { outfit, identity, addr, lives: 0, running: None });
        Ok(node)
    }

    /// Names `to` to `from`, which dials it for ever: from its next start on, or at once if it runs.
    ///
    /// # Errors
    ///
    /// A node that is not there, or that cannot name the other.
    pub async fn introduce(&mut self, from: NodeIndex, to: NodeIndex) -> Result<(), WorldError> {
        let peer = self.peer(to)?;
        let resident = self.resident(from)?;
        resident.outfit.config.transport.peers.push(peer.to_string());
        match &resident.running {
            Some(running) => {
                let handle = running.handle.clone();
                handle.add_peer(peer).await.map_err(|error| WorldError::Failed(error.to_string()))
            }
            None => Ok(()),
        }
    }

    /// Starts a node that does not run, for the first time or again.
    ///
    /// # Errors
    ///
    /// What its builder says.
    pub async fn start(&mut self, node: NodeIndex) -> Result<(), WorldError> {
        let (seed, switch) = (self.seed.nth("node", u64::from(node.0)), self.switch.clone());
        let ear = self.ear.clone();
        let resident = self.resident(node)?;
        if resident.running.is_some() {
            return Ok(());
        }
        let life = resident.lives;
        resident.lives = life.saturating_add(1);
        let tasks = Spawner::new();
        let simulated = Simulated {
            socket: switch.raise(node),
            seed: seed.nth("life", life).bytes(),
            token_time: Arc::new(resident.outfit.wall.clone()),
            job_cost: resident.outfit.job_cost.clone(),
            tongue: resident.outfit.tongue.clone(),
            services: resident.outfit.services.clone(),
            spawner: tasks.clone(),
        };
        let mut config = resident.outfit.config.clone();
        config.transport.listen = resident.addr;
        let (identity, store) = (resident.identity.clone(), Arc::clone(&resident.outfit.store));
        let builder = Node::builder(identity, resident.outfit.chain_id, store).config(config);
        let builder = builder.clock(Arc::new(resident.outfit.wall.clone())).simulated(simulated);
        let (value, handle) = builder.build().await.map_err(|error| WorldError::Start(node, error))?;
        let beside = Spawner::new();
        voices::listen(&beside, &switch, node, &handle, ear);
        let (said, (ended, end)) = (switch.clone(), oneshot::channel());
        beside.spawn("node", async move {
            let end = value.run().await.map_err(|error| error.to_string());
            said.say(Some(node), end.clone().err().unwrap_or_else(|| "stopped".to_owned()));
            // Nobody asks how a node ended that ends by itself.
            drop(ended.send(end));
        });
        resident.running = Some(Running { handle, tasks, beside, end });
        switch.say(Some(node), format!("started, life {life}"));
        Ok(())
    }

    /// Takes a node's power away: nobody hears a last word, and its tasks end where they are.
    ///
    /// # Errors
    ///
    /// A node that is not there, or whose tasks outlive it.
    pub async fn crash(&mut self, node: NodeIndex) -> Result<(), WorldError> {
        let switch = self.switch.clone();
        if let Some(running) = self.resident(node)?.running.take() {
            // First the cable: a connection that is dropped would say goodbye.
            switch.fell(node);
            switch.say(Some(node), "crashed".to_owned());
            running.kill();
            let left = running.bury().await;
            if !left.is_empty() {
                return Err(WorldError::Failed(format!("tasks outlive node {node}: {left:?}")));
            }
        }
        Ok(())
    }

    /// Asks a node to stop and waits until it has, with its last words. None if it does not run.
    ///
    /// # Errors
    ///
    /// A node that is not there.
    pub async fn stop(&mut self, node: NodeIndex) -> Result<Option<Departure>, WorldError> {
        let Some(mut running) = self.resident(node)?.running.take() else { return Ok(None) };
        let census = running.handle.census();
        running.handle.stop();
        let end = match timeout(DEPARTURE, &mut running.end).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) => Err("its task panicked".to_owned()),
            Err(_) => Err(format!("it has not stopped after {DEPARTURE:?}")),
        };
        self.switch.fell(node);
        running.beside.kill();
        running.bury().await;
        Ok(Some(Departure { end, left: census.count() }))
    }

    /// A node that runs.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn handle(&self, node: NodeIndex) -> Result<&NodeHandle, WorldError> {
        let resident = self.residents.get(usize::from(node.0));
        let running = resident.and_then(|resident| resident.running.as_ref());
        running
            .map(|running| &running.handle)
            .ok_or_else(|| WorldError::Failed(format!("node {node} does not run")))
    }

    /// Whether a node runs.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.handle(node).is_ok()
    }

    /// How other nodes name a node.
    ///
    /// # Errors
    ///
    /// A node that is not there.
    pub fn peer(&mut self, node: NodeIndex) -> Result<PeerAddr, WorldError> {
        let resident = self.resident(node)?;
        Ok(PeerAddr { id: resident.identity.peer_id(), addr: resident.addr })
    }

    /// The node that has this identity.
    #[must_use]
    pub fn node_of(&self, id: PeerId) -> Option<NodeIndex> {
        self.nodes()
            .into_iter()
            .zip(&self.residents)
            .find(|(_, it)| it.identity.peer_id() == id)
            .map(|it| it.0)
    }

    /// What a node was given.
    ///
    /// # Errors
    ///
    /// A node that is not there.
    pub fn outfit(&mut self, node: NodeIndex) -> Result<&Outfit<C>, WorldError> {
        self.resident(node).map(|resident| &resident.outfit)
    }

    /// The network.
    #[must_use]
    pub const fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Every node, running or not.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeIndex> {
        (0..u16::try_from(self.residents.len()).unwrap_or(u16::MAX)).map(NodeIndex).collect()
    }

    /// Lets this much time pass.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Lets time pass until the world is so old.
    pub async fn until(&self, age: Duration) {
        self.pass(age.saturating_sub(self.switch.elapsed())).await;
    }

    /// Waits until a node has this very block durable with every body below it, for this long at most.
    ///
    /// # Errors
    ///
    /// Where the node stood when the time was over.
    pub async fn commits(
        &self,
        node: NodeIndex,
        block: BlockRef,
        patience: Duration,
    ) -> Result<(), WorldError> {
        let handle = self.handle(node)?.clone();
        let mut committed = handle.blocks().committed();
        let arrival = async { while committed.get() != block && committed.changed().await.is_ok() {} };
        // An error says that the time is over; what stands is looked at below.
        drop(timeout(patience, arrival).await);
        if handle.blocks().committed().get() == block {
            return Ok(());
        }
        let (headers, blocks) = (handle.headers().status(), handle.blocks().status());
        Err(WorldError::Failed(format!(
            "node {node} has no block {block}: headers {headers:?}; bodies {blocks:?}"
        )))
    }

    /// Ends every task of the world.
    pub(super) async fn end(mut self) {
        // All cables first, so that nobody hears of it.
        self.nodes().into_iter().for_each(|node| self.switch.fell(node));
        for resident in &mut self.residents {
            if let Some(running) = resident.running.take() {
                running.kill();
                running.bury().await;
            }
        }
        self.tasks.kill();
        // What was killed cannot stay.
        drop(self.tasks.stop(FUNERAL).await);
    }

    /// Cuts off one direction of a pair.
    pub fn cut(&self, from: NodeIndex, to: NodeIndex) {
        self.wire(format!("cut from {from} to {to}"), |links| links.cut(from, to));
    }

    /// Mends what [`cut`](Self::cut) cut.
    pub fn heal(&self, from: NodeIndex, to: NodeIndex) {
        self.wire(format!("mended from {from} to {to}"), |links| links.heal(from, to));
    }

    /// Lets nothing pass between these and the rest.
    pub fn split(&self, part: &BTreeSet<NodeIndex>) {
        self.across(format!("split off {part:?}"), part, LinkModel::cut);
    }

    /// Mends what [`split`](Self::split) cut.
    pub fn rejoin(&self, part: &BTreeSet<NodeIndex>) {
        self.across(format!("rejoined {part:?}"), part, LinkModel::heal);
    }

    /// Changes links.
    pub fn wire(&self, what: String, change: impl FnOnce(&mut LinkModel)) {
        self.switch.say(None, what);
        self.switch.rewire(change);
    }

    /// Does something to both directions of every pair of which one is inside and one is not.
    fn across(
        &self,
        what: String,
        part: &BTreeSet<NodeIndex>,
        act: impl Fn(&mut LinkModel, NodeIndex, NodeIndex),
    ) {
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.nodes().into_iter().partition(|node| part.contains(node));
        self.wire(what, |links| {
            for (a, b) in inside.iter().flat_map(|a| outside.iter().map(move |b| (*a, *b))) {
                act(links, a, b);
                act(links, b, a);
            }
        });
    }

    fn resident(&mut self, node: NodeIndex) -> Result<&mut Resident<C>, WorldError> {
        let resident = self.residents.get_mut(usize::from(node.0));
        resident.ok_or_else(|| WorldError::Failed(format!("there is no node {node}")))
    }
}
