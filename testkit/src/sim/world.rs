//! Real nodes on a simulated network: who is there, what befalls them, and what they say.

use super::{
    link::{Access, LinkModel, Nat, NodeIndex},
    pump::pump,
    seed::Seed,
    switch::Switch,
    timeline::{Fault, Timeline},
    trace::Trace,
    voices,
};
use std::{
    future::{Future, pending},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::sleep;
use zakura::{
    config::Config,
    node::{BuildError, ChainId, Node, NodeHandle, Simulated},
    zcash::Network,
};
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::{
    chain::{BlockHash, BlockRef},
    ports::HeaderChain,
};
use zakura_transport::{Entropy, Identity, PeerAddr, Spawner, TokenTime, routine::JobCost};

/// The wall clock of every node when its world begins: some second after all real blocks.
const EPOCH: Duration = Duration::from_secs(1_900_000_000);

/// The port of every simulated node.
const PORT: u16 = 8234;

/// How long tasks have to end once they were killed; they need one turn.
const FUNERAL: Duration = Duration::from_secs(1);

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
    /// Its settings. The address is replaced by the one it has in the world.
    pub config: Config,
    /// Its link.
    pub access: Access,
    /// What stands between it and those who call it.
    pub nat: Nat,
    /// What a job on its work pool takes.
    pub job_cost: JobCost,
}

impl<C> Outfit<C> {
    /// 100 Mbit/s, no NAT, no discovery, jobs of 200 microseconds.
    #[must_use]
    pub fn usual(store: Arc<C>) -> Self {
        let job_cost = JobCost::Each(Duration::from_micros(200));
        let mut config = Config::local();
        // Its records carry the wall clock's time, which a world does not give yet.
        config.discovery.enabled = false;
        Self { store, config, access: Access::mbit(100), nat: Nat::Open, job_cost }
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
}

impl Running {
    fn kill(&self) {
        self.tasks.kill();
        self.beside.kill();
    }

    async fn bury(self) {
        let Self { handle, tasks, beside } = self;
        drop(handle);
        tasks.stop(FUNERAL).await;
        beside.stop(FUNERAL).await;
    }
}

/// A world: its network, its nodes, its faults. The only owner of all of them.
#[derive(Debug)]
pub struct World<C> {
    seed: Seed,
    switch: Switch,
    faults: Timeline,
    residents: Vec<Resident<C>>,
    tasks: Spawner,
}

impl<C: HeaderChain + BlockStore> World<C> {
    /// An empty world, which begins now. Inside a runtime with paused time only.
    pub(super) fn new(seed: Seed, links: LinkModel, trace: Trace, faults: Timeline) -> Self {
        let (switch, tasks) = (Switch::new(links, trace), Spawner::new());
        tasks.spawn("pump", pump(switch.clone()));
        Self { seed, switch, faults, residents: Vec::new(), tasks }
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

    /// Starts a node, for the first time or again.
    ///
    /// # Errors
    ///
    /// What its builder says.
    pub async fn start(&mut self, node: NodeIndex) -> Result<(), WorldError> {
        let (seed, switch) = (self.seed.nth("node", u64::from(node.0)), self.switch.clone());
        let resident = self.resident(node)?;
        let life = resident.lives;
        resident.lives = life.saturating_add(1);
        let tasks = Spawner::new();
        let simulated = Simulated {
            socket: switch.raise(node),
            entropy: Entropy::Seeded(seed.nth("life", life).bytes()),
            token_time: Arc::new(WorldTime(switch.clone())),
            job_cost: resident.outfit.job_cost,
            spawner: tasks.clone(),
        };
        let mut config = resident.outfit.config.clone();
        config.transport.listen = resident.addr;
        let network = Network::Regtest;
        let chain_id = ChainId { network: network.wire_id(), genesis: BlockHash(network.genesis_hash()) };
        let (identity, store) = (resident.identity.clone(), Arc::clone(&resident.outfit.store));
        let builder = Node::builder(identity, chain_id, store).config(config).simulated(simulated);
        let (value, handle) = builder.build().await.map_err(|error| WorldError::Start(node, error))?;
        let beside = Spawner::new();
        voices::listen(&beside, &switch, node, &handle);
        let said = switch.clone();
        beside.spawn("node", async move {
            let end = value.run().await.err().map_or_else(|| "stopped".to_owned(), |error| error.to_string());
            said.say(Some(node), end);
        });
        resident.running = Some(Running { handle, tasks, beside });
        switch.say(Some(node), format!("started, life {life}"));
        Ok(())
    }

    /// Takes a node's power away: nobody hears a last word, and its tasks end where they are.
    ///
    /// # Errors
    ///
    /// A node that is not there.
    pub async fn crash(&mut self, node: NodeIndex) -> Result<(), WorldError> {
        let switch = self.switch.clone();
        if let Some(running) = self.resident(node)?.running.take() {
            // First the cable: a connection that is dropped would say goodbye.
            switch.fell(node);
            switch.say(Some(node), "crashed".to_owned());
            running.kill();
            running.bury().await;
        }
        Ok(())
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

    /// How other nodes name a node.
    ///
    /// # Errors
    ///
    /// A node that is not there.
    pub fn peer(&mut self, node: NodeIndex) -> Result<PeerAddr, WorldError> {
        let resident = self.resident(node)?;
        Ok(PeerAddr { id: resident.identity.peer_id(), addr: resident.addr })
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

    /// Waits for something, while the faults whose time comes happen.
    ///
    /// # Errors
    ///
    /// A node did not restart.
    pub async fn meanwhile<T>(&mut self, what: impl Future<Output = T>) -> Result<T, WorldError> {
        let mut what = pin!(what);
        loop {
            let until = self.faults.next_at().map(|at| at.saturating_sub(self.switch.elapsed()));
            let fault = async {
                match until {
                    Some(until) => sleep(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = fault => self.befall().await?,
                done = &mut what => return Ok(done),
            }
        }
    }

    /// Lets this much time pass.
    ///
    /// # Errors
    ///
    /// A node did not restart.
    pub async fn pass(&mut self, time: Duration) -> Result<(), WorldError> {
        self.meanwhile(sleep(time)).await
    }

    /// Waits until a node has this very block durable with every body below it, for this long at most.
    ///
    /// # Errors
    ///
    /// Where the node stood when the time was over.
    pub async fn commits(
        &mut self,
        node: NodeIndex,
        block: BlockRef,
        patience: Duration,
    ) -> Result<(), WorldError> {
        let handle = self.handle(node)?.clone();
        let mut committed = handle.blocks().committed();
        let arrival = async { while committed.get() != block && committed.changed().await.is_ok() {} };
        // An error says that the time is over; what stands is looked at below.
        drop(self.meanwhile(tokio::time::timeout(patience, arrival)).await?);
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
        self.tasks.stop(FUNERAL).await;
    }

    async fn befall(&mut self) -> Result<(), WorldError> {
        while let Some(fault) = self.faults.take_due(self.switch.elapsed()) {
            self.switch.say(None, format!("{fault:?}"));
            match fault {
                Fault::Crash(node) => self.crash(node).await?,
                Fault::Restart(node) => self.start(node).await?,
                Fault::Cut { from, to } => self.switch.rewire(|links| links.cut(from, to)),
                Fault::Heal { from, to } => self.switch.rewire(|links| links.heal(from, to)),
                Fault::Access(node, access) => self.switch.rewire(|links| links.set_access(node, access)),
                Fault::Path { from, to, shape } => {
                    self.switch.rewire(|links| links.set_path(from, to, shape));
                }
                Fault::Split(part) => self.across(|node| part.contains(&node), LinkModel::cut),
                Fault::Rejoin(part) => self.across(|node| part.contains(&node), LinkModel::heal),
            }
        }
        Ok(())
    }

    /// Does something to both directions of every pair of which one is inside and one is not.
    fn across(
        &self,
        is_inside: impl Fn(NodeIndex) -> bool,
        act: impl Fn(&mut LinkModel, NodeIndex, NodeIndex),
    ) {
        let (inside, outside): (Vec<_>, Vec<_>) = self.nodes().into_iter().partition(|node| is_inside(*node));
        self.switch.rewire(|links| {
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

/// The wall clock of a world.
#[derive(Debug)]
struct WorldTime(Switch);

impl TokenTime for WorldTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + EPOCH + self.0.elapsed()
    }
}
