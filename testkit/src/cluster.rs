//! Real nodes on loopback, each over a store of one's own making.

use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;
use zakura::{
    config::Config,
    node::{BuildError, ChainId, Node, NodeBuilder, NodeError, NodeHandle},
    zcash::Network,
};
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::{
    chain::{BlockHash, BlockRef},
    ports::HeaderChain,
};
use zakura_transport::{Identity, PeerAddr, PeerId, Spawner};

/// How long a test waits for what should take a moment, before it fails and says what it waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running node of a test.
#[derive(Debug)]
pub struct Member {
    /// Talks to it.
    pub handle: NodeHandle,
    ended: oneshot::Receiver<Result<(), NodeError>>,
    spawner: Spawner,
}

/// The identity of a test's `index`-th node.
///
/// # Panics
///
/// If the key cannot be made, which has no cause in a test.
#[must_use]
#[expect(clippy::expect_used, reason = "a test's key made from fixed bytes")]
pub fn identity(index: u8) -> Identity {
    Identity::from_seed([index; 32]).expect("32 bytes are a key")
}

impl Member {
    /// Starts a Regtest node on loopback, over `chain`, dialling `peers`. It learns of no others, so that who is connected
    /// to whom is what the test says.
    ///
    /// # Errors
    ///
    /// What the node's builder says.
    pub async fn start<C: HeaderChain + BlockStore>(
        index: u8,
        chain: &Arc<C>,
        peers: &[PeerAddr],
    ) -> Result<Self, BuildError> {
        Self::start_as(index, chain, peers, Ok).await
    }

    /// Starts such a node with what `prepare` adds to its builder.
    ///
    /// # Errors
    ///
    /// What the node's builder says.
    pub async fn start_as<C: HeaderChain + BlockStore>(
        index: u8,
        chain: &Arc<C>,
        peers: &[PeerAddr],
        prepare: impl FnOnce(NodeBuilder<C>) -> Result<NodeBuilder<C>, BuildError>,
    ) -> Result<Self, BuildError> {
        let mut config = Config::local();
        config.transport.peers = peers.iter().map(ToString::to_string).collect();
        config.discovery.enabled = false;
        Self::begin(index, chain, config, prepare).await
    }

    /// Starts a Regtest node on loopback that finds its peers, beginning with `bootstrap`.
    ///
    /// # Errors
    ///
    /// What the node's builder says.
    pub async fn join<C: HeaderChain + BlockStore>(
        index: u8,
        chain: &Arc<C>,
        bootstrap: &[PeerAddr],
    ) -> Result<Self, BuildError> {
        let mut config = Config::local();
        config.discovery.bootstrap = bootstrap.iter().map(ToString::to_string).collect();
        Self::start_with(index, chain, config).await
    }

    /// Starts a Regtest node with these settings, over `chain`.
    ///
    /// # Errors
    ///
    /// What the node's builder says.
    pub async fn start_with<C: HeaderChain + BlockStore>(
        index: u8,
        chain: &Arc<C>,
        config: Config,
    ) -> Result<Self, BuildError> {
        Self::begin(index, chain, config, Ok).await
    }

    async fn begin<C: HeaderChain + BlockStore>(
        index: u8,
        chain: &Arc<C>,
        config: Config,
        prepare: impl FnOnce(NodeBuilder<C>) -> Result<NodeBuilder<C>, BuildError>,
    ) -> Result<Self, BuildError> {
        let network = Network::Regtest;
        let chain_id = ChainId { network: network.wire_id(), genesis: BlockHash(network.genesis_hash()) };
        let builder = Node::builder(identity(index), chain_id, Arc::clone(chain)).config(config);
        let (node, handle) = prepare(builder)?.build().await?;
        let (end, ended) = oneshot::channel();
        let spawner = Spawner::new();
        spawner.spawn("node", async move {
            // A test that does not ask how the node ended has dropped its end.
            let _ = end.send(node.run().await);
        });
        Ok(Self { handle, ended, spawner })
    }

    /// Its name for other nodes.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        self.handle.local_peer()
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.peer().id
    }

    /// Waits until this very block is durable with every body below it.
    ///
    /// # Errors
    ///
    /// Where it stood when [`PATIENCE`] ran out.
    pub async fn commits(&self, block: BlockRef) -> Result<(), String> {
        let mut committed = self.handle.blocks().committed();
        let arrival = async {
            while committed.get() != block {
                if committed.changed().await.is_err() {
                    return;
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, arrival).await.is_ok();
        if in_time && self.handle.blocks().committed().get() == block {
            return Ok(());
        }
        Err(format!(
            "waited for block {block}; headers: {:?}; bodies: {:?}",
            self.handle.headers().status(),
            self.handle.blocks().status()
        ))
    }

    /// Waits until the node has ended by itself.
    ///
    /// # Errors
    ///
    /// How it ended, if not in order.
    pub async fn ends(self) -> Result<(), String> {
        drop(self.handle);
        let ended = self.ended.await.map_err(|_| "the node's task panicked".to_owned())?;
        let left = self.spawner.stop(PATIENCE).await.stragglers;
        ended.map_err(|error| error.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("the node has ended, and {left:?} have not")) }
    }

    /// Stops the node and waits until all of it has ended.
    ///
    /// # Errors
    ///
    /// How the node ended, if not in order.
    pub async fn stop(self) -> Result<(), String> {
        self.handle.stop();
        self.ends().await
    }
}
