//! What an embedder sets.

use crate::wire::{AddressPolicy, MAX_ADDRESSES, ServiceId};
use std::net::SocketAddr;
use zakura_transport::PeerId;

/// Discovery's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// The network, as in the handshake (wire 2.2). Records of others are not taken in.
    pub network_id: u32,
    /// The chain, as in the handshake (wire 2.2). Records of others are not taken in.
    pub chain_id: [u8; 32],
    /// Which addresses are believed and dialled. Stops peers from sending us into our operator's own network.
    pub policy: AddressPolicy,
    /// Where we are reached, for our own record, at most eight. Empty: where we listen, if the policy admits that address.
    pub advertise: Vec<SocketAddr>,
    /// What we serve, for our own record; discovery adds itself.
    pub services: Vec<ServiceId>,
    /// Peers that the transport dials for ever: they are believed, never forgotten, and not dialled here.
    pub named: Vec<PeerId>,
    /// Outbound peers to dial up to, named ones counted. More make a node harder to cut off and cost their windows.
    pub target_outbound: usize,
    /// The transport's places for outbound peers: half of them at most four, and one for each named peer, stay free.
    pub max_outbound: usize,
    /// Connections of all sorts, of which our summary says how many are free.
    pub max_connections: usize,
    /// Decides whom each requester hears of and how pauses are spread. Nobody else may know it.
    pub secret: [u8; 32],
}

impl DiscoveryConfig {
    /// A node that learns of peers and dials up to eight, on a public network.
    #[must_use]
    pub const fn new(network_id: u32, chain_id: [u8; 32], secret: [u8; 32]) -> Self {
        Self {
            network_id,
            chain_id,
            policy: AddressPolicy::Public,
            advertise: Vec::new(),
            services: Vec::new(),
            named: Vec::new(),
            target_outbound: 8,
            max_outbound: 16,
            max_connections: 128,
            secret,
        }
    }

    /// Where our own record says that we are.
    pub(crate) fn addresses(&self, listening: SocketAddr) -> Vec<SocketAddr> {
        let declared = if self.advertise.is_empty() { vec![listening] } else { self.advertise.clone() };
        let admitted = declared.into_iter().filter(|address| self.policy.admits(*address));
        admitted.take(MAX_ADDRESSES).collect()
    }

    /// What our own record says that we serve: sorted, each once, as existing nodes have it (wire 5.1).
    pub(crate) fn record_services(&self) -> Vec<ServiceId> {
        let mut services = self.services.clone();
        services.push(ServiceId::DISCOVERY);
        services.sort();
        services.dedup();
        services
    }
}
