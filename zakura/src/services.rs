//! What a node starts and stops beside the reactors: the work pool, and the transport with the dials to named peers.

use crate::node::BuildError;
use std::{convert::Infallible, time::Duration};
use tokio::sync::oneshot;
use zakura_transport::{
    AddPeerError, Identity, PeerAddr, Registry, Spawner, Transport, TransportConfig, TransportHandle,
    lifecycle::{Managed, ServiceCx},
    routine::WorkPool,
};

/// The work pool. Its threads run already; it ends them.
pub(crate) struct Workers {
    pub(crate) pool: WorkPool,
    /// How long running jobs may take to finish.
    pub(crate) grace: Duration,
}

impl Managed for Workers {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        "work-pool"
    }

    async fn run(self, cx: ServiceCx) -> Result<(), Infallible> {
        cx.ready();
        cx.cancel().cancelled().await;
        let report = self.pool.close(self.grace).await;
        if !report.stragglers.is_empty() {
            tracing::warn!(stragglers = ?report.stragglers, "jobs still run");
        }
        Ok(())
    }
}

/// Where the transport's start ends up: in whoever builds the node.
pub(crate) type Opened = oneshot::Receiver<Result<TransportHandle, BuildError>>;

/// The transport. It is ready once its socket is bound and the named peers are known to it.
pub(crate) struct Peering {
    pub(crate) settings: TransportConfig,
    pub(crate) identity: Identity,
    pub(crate) registry: Registry,
    pub(crate) peers: Vec<PeerAddr>,
    /// Those of them that are vouched for.
    pub(crate) trusted: Vec<PeerAddr>,
    pub(crate) spawner: Spawner,
    /// How long connections have to end.
    pub(crate) grace: Duration,
    pub(crate) opened: oneshot::Sender<Result<TransportHandle, BuildError>>,
}

/// The transport could not be opened, for this reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotOpened(String);

impl Managed for Peering {
    type Error = NotOpened;

    fn name(&self) -> &'static str {
        "transport"
    }

    async fn run(self, cx: ServiceCx) -> Result<(), NotOpened> {
        let Self { settings, identity, registry, peers, trusted, spawner, grace, opened } = self;
        let transport = match Transport::start(settings, identity, registry, spawner).await {
            Ok(transport) => transport,
            Err(error) => return Err(refuse(opened, error.into())),
        };
        if let Err(error) = name(&transport, peers, trusted).await {
            transport.shutdown(grace).await;
            return Err(refuse(opened, error.into()));
        }
        // Whoever builds the node may have given up meanwhile; then the end is asked for already.
        let _ = opened.send(Ok(transport.clone()));
        cx.ready();
        cx.cancel().cancelled().await;
        transport.shutdown(grace).await;
        Ok(())
    }
}

async fn name(
    transport: &TransportHandle,
    peers: Vec<PeerAddr>,
    trusted: Vec<PeerAddr>,
) -> Result<(), AddPeerError> {
    for peer in trusted {
        transport.add_trusted_peer(peer).await?;
    }
    for peer in peers {
        transport.add_peer(peer).await?;
    }
    Ok(())
}

/// Tells whoever builds the node the reason as it is, and the lifecycle its words.
fn refuse(opened: oneshot::Sender<Result<TransportHandle, BuildError>>, error: BuildError) -> NotOpened {
    let words = error.to_string();
    let _ = opened.send(Err(error));
    NotOpened(words)
}
