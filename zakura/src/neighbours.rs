//! What discovery is told of the node: its settings, its clock, and what its services have.

use crate::{
    config::{Config, ConfigError, TransportSection},
    node::ChainId,
    store::WallClock,
};
use std::{sync::Arc, time::Duration};
use zakura_block_sync::{
    BlockSyncHandle,
    wire::{MAX_BLOCKS_PER_RESPONSE, MAX_RESPONSE_BYTES},
};
use zakura_discovery::{
    DiscoveryConfig,
    ports::Surroundings,
    wire::{AddressPolicy, BlockName, BlockSyncSummary, HeaderSyncSummary, ServiceId, Summary},
};
use zakura_header_sync::{HeaderSyncHandle, chain::BlockRef};
use zakura_transport::Identity;

/// Separates discovery's secret from every other use of the node's key.
const SECRET: &[u8; 16] = b"zakura-discovery";

/// Networks of one's own, whose nodes may be anywhere: Regtest and private ones (wire 2.2).
const OWN_NETWORKS: [u32; 2] = [3, 4];

/// Discovery's settings.
///
/// # Errors
///
/// A peer in the configuration that is malformed.
pub(crate) fn settings(
    config: &Config,
    identity: &Identity,
    chain_id: ChainId,
) -> Result<DiscoveryConfig, ConfigError> {
    let secret = blake2b_simd::Params::new().hash_length(32).personal(SECRET).key(identity.seed()).hash(&[]);
    let secret = <[u8; 32]>::try_from(secret.as_bytes()).unwrap_or_default();
    let transport = &config.transport;
    let is_own = OWN_NETWORKS.contains(&chain_id.network);
    Ok(DiscoveryConfig {
        policy: if is_own { AddressPolicy::Any } else { AddressPolicy::Public },
        advertise: config.discovery.advertise.clone(),
        services: vec![ServiceId::HEADER_SYNC, ServiceId::BLOCK_SYNC],
        named: config.kept_peers()?.iter().map(|peer| peer.id).collect(),
        // Whom discovery finds, a node that meets only named peers does not dial.
        target_outbound: if transport.connect_only { 0 } else { config.discovery.target_outbound },
        max_outbound: transport.max_outbound,
        max_connections: transport.max_inbound.saturating_add(transport.max_outbound),
        ..DiscoveryConfig::new(chain_id.network, chain_id.genesis.0, secret)
    })
}

/// The node around discovery.
#[derive(Debug)]
pub(crate) struct Around {
    headers: HeaderSyncHandle,
    blocks: BlockSyncHandle,
    clock: Arc<dyn WallClock>,
    inbound: u16,
    outbound: u16,
}

impl Around {
    pub(crate) fn new(
        headers: HeaderSyncHandle,
        blocks: BlockSyncHandle,
        clock: Arc<dyn WallClock>,
        transport: &TransportSection,
    ) -> Self {
        let places = |places: usize| u16::try_from(places).unwrap_or(u16::MAX);
        let (inbound, outbound) = (places(transport.max_inbound), places(transport.max_outbound));
        Self { headers, blocks, clock, inbound, outbound }
    }
}

impl Surroundings for Around {
    fn since_epoch(&self) -> Duration {
        self.clock.since_epoch()
    }

    /// Header sync and block sync have no places of their own: what is free are connections.
    fn summaries(&self) -> Vec<Summary> {
        let (view, committed) = (self.headers.views().get(), self.blocks.committed().get());
        let peers = self.headers.status().peers.iter().filter(|peer| peer.connected).count();
        let peers = u16::try_from(peers).unwrap_or(u16::MAX);
        let headers = HeaderSyncSummary {
            best: name(view.tip),
            finalized: Some(view.finalized.height.get()),
            serving: true,
            inbound_free: self.inbound.saturating_sub(peers),
            inbound_max: self.inbound,
            outbound_free: self.outbound.saturating_sub(peers),
            outbound_max: self.outbound,
        };
        let blocks = BlockSyncSummary {
            low: 0,
            high: name(committed),
            free: self.inbound.saturating_sub(peers),
            max_blocks: MAX_BLOCKS_PER_RESPONSE,
            max_bytes: MAX_RESPONSE_BYTES,
        };
        vec![Summary::HeaderSync(headers), Summary::BlockSync(blocks)]
    }
}

const fn name(block: BlockRef) -> BlockName {
    BlockName { height: block.height.get(), hash: block.hash.0 }
}
