//! What a transport is started with.

use crate::{Bandwidth, DatagramSocket, Entropy, GroupCaps};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// The transport's settings. [`TransportConfig::new`] gives the recommended ones: begin from there, with
/// `..TransportConfig::new(..)`, for the crate's features add fields.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    /// The UDP address to bind; port 0 takes any free one. Existing nodes remember a peer's address for seconds: keep
    /// one port over restarts (wire 1.6).
    pub listen: SocketAddr,
    /// A socket to use in UDP's place, for tests and simulation; `listen` is then only a name.
    pub socket: Option<Arc<dyn DatagramSocket>>,
    /// Where randomness comes from.
    pub entropy: Entropy,
    /// The clock of address tokens in the system's place.
    #[cfg(feature = "simulation")]
    pub token_time: Option<Arc<dyn TokenTime>>,
    /// What this node does to its own words, if it is a peer with a habit.
    #[cfg(feature = "simulation")]
    pub tongue: Option<Arc<dyn crate::Tongue>>,
    /// Where QUIC's own traces go, if they are wanted: one file for each connection, of 16 MiB at most, for at most 8
    /// connections at once and 256 in the transport's life. The directory must exist. Traces are for looking into one
    /// case: they are written by the tasks that carry the connections.
    #[cfg(feature = "qlog")]
    pub qlog_dir: Option<std::path::PathBuf>,
    /// The network: 1 Mainnet, 2 Testnet, 3 Regtest, 4 configured (wire 2.2). Other networks are refused.
    pub network_id: u32,
    /// The genesis hash in internal byte order, or a cohort's chain id (wire 2.5). Other chains are refused.
    pub chain_id: [u8; 32],
    /// Peers that dialled us, at most. Each may cost 6 MiB of QUIC windows, and more in its streams
    /// ([`memory_envelope`](Self::memory_envelope)). Stops strangers from filling our memory; they never take a place of [`max_outbound`](Self::max_outbound).
    pub max_inbound: usize,
    /// Peers that we dialled, at most, each up to 8 MB of windows. Stops inbound peers from deciding whom we know.
    pub max_outbound: usize,
    /// Inbound connections in TLS or handshake at once. Above half of it a newcomer must first prove its address; above all of
    /// it one that has takes the place of a handshake whose neighbourhood has the worse record of late, or that has had a
    /// second, and is dropped unanswered if there is none. Stops connections that never say who they are.
    pub pending_handshakes: usize,
    /// What one neighbourhood gets of the inbound places. Stops one operator from taking them all.
    pub groups: GroupCaps,
    /// Whether only named peers are dialled and let in: for a node behind others of the same operator.
    pub connect_only: bool,
    /// What TLS and handshake may take together, from the first datagram: a day at most. Stops a peer that dribbles its Hello.
    pub handshake_timeout: Duration,
    /// How many bytes may pass in a second; without bound if nothing is said.
    pub bandwidth: Bandwidth,
    /// Redial jitter grows from this: same seed, same pauses. Random in a product, else nodes that have one seed dial again in
    /// step.
    pub seed: u64,
}

/// A clock to stamp address tokens with, so that a simulated node reads no wall clock.
#[cfg(feature = "simulation")]
pub trait TokenTime: std::fmt::Debug + Send + Sync + 'static {
    /// The time. It may jump, as a wall clock does.
    fn now(&self) -> std::time::SystemTime;
}

impl TransportConfig {
    /// The recommended settings for a chain.
    #[must_use]
    pub const fn new(listen: SocketAddr, network_id: u32, chain_id: [u8; 32], seed: u64) -> Self {
        Self {
            listen,
            socket: None,
            entropy: Entropy::Os,
            #[cfg(feature = "simulation")]
            token_time: None,
            #[cfg(feature = "simulation")]
            tongue: None,
            #[cfg(feature = "qlog")]
            qlog_dir: None,
            network_id,
            chain_id,
            max_inbound: 112,
            max_outbound: 16,
            pending_handshakes: 64,
            groups: GroupCaps::OPEN,
            connect_only: false,
            handshake_timeout: Duration::from_secs(5),
            bandwidth: Bandwidth { up: None, down: None, peer_up: None, peer_down: None },
            seed,
        }
    }

    /// The settings for nodes that all have one address: several on a machine, or tests. Neighbourhoods are not counted,
    /// for every peer is of the same one; else as [`new`](Self::new). Nothing about an address, loopback or not, chooses
    /// this by itself.
    #[must_use]
    pub fn local(listen: SocketAddr, network_id: u32, chain_id: [u8; 32], seed: u64) -> Self {
        Self { groups: GroupCaps::ONE_HOST, ..Self::new(listen, network_id, chain_id, seed) }
    }
}
