//! What an operator may change: a TOML file, overridden by the environment.
//!
//! A field is `section.key` in the file and `ZAKURA_SECTION__KEY` in the environment. Unknown sections and keys are
//! refused. Everything not here is a documented constant.

use crate::bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU64, NonZeroUsize},
    thread::available_parallelism,
    time::Duration,
};
use zakura_block_sync::{BlockSyncConfig, wire::MAX_BLOCK_BYTES};
use zakura_discovery::{self as discovery, wire::MAX_ADDRESSES};
use zakura_header_sync::{self as header_sync, HeaderSyncConfig};
use zakura_transport::{Bandwidth, GroupCaps, PeerAddr, PeerAddrError, TransportConfig};

/// Discovery's book: 10,000 records of at most 2.5 kB, as bytes and read.
const BOOK: ByteSize = ByteSize::mib(64);

/// Connections a node may have at most. Each session keeps room in its reactor's queue of 2,048 events for its last
/// word; at half of that there is always room for all the others.
const MAX_CONNECTIONS: usize = 1_024;

/// The least bandwidth that may be asked for, a second. Peers give up on a frame that comes slower than 4 KiB a second
/// (threats F02); sixteen of them at once get through this.
const SLOWEST_BANDWIDTH: ByteSize = ByteSize(64 << 10);

/// The prefix of environment variables that are settings.
const PREFIX: &str = "ZAKURA_";

/// A node's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct Config {
    /// The node as a whole.
    pub node: NodeSection,
    /// Peers and sockets.
    pub transport: TransportSection,
    /// Header sync.
    pub header_sync: HeaderSyncSection,
    /// Block sync.
    pub block_sync: BlockSyncSection,
    /// Discovery.
    pub discovery: DiscoverySection,
}

/// `[node]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// Threads for checks (proof-of-work, bodies, store). 0 takes one for each processor. More only help while checks
    /// are what sync waits for.
    pub work_threads: usize,
    /// Bytes that peers and sync may fill together in the worst case; settings that add up to more are refused at
    /// start. Stops a node from being killed for memory by a crowd of peers, each within its own bounds.
    pub memory_limit: ByteSize,
}

/// `[transport]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransportSection {
    /// UDP address to listen on. Port 8234 is where existing nodes listen (wire 1.1). Keep one port: peers remember it.
    pub listen: SocketAddr,
    /// Named peers, `ID@IP:PORT`: dialled, and dialled again for ever. They make room for nobody.
    pub peers: Vec<String>,
    /// Named peers that are vouched for as well: never banned.
    pub trusted: Vec<String>,
    /// Whether only named peers are dialled and let in: for a node behind others of the same operator.
    pub connect_only: bool,
    /// Connections from peers that dialled us, at most. Stops strangers from filling our memory.
    pub max_inbound: usize,
    /// Connections that we dialled, at most. Apart from the inbound ones, so that strangers cannot take their places.
    pub max_outbound: usize,
    /// Of these, connections from strangers of one neighbourhood (IPv4 /24, IPv6 /56) that dialled us, at most. Stops one
    /// operator from taking every place with a key for each.
    pub max_inbound_per_group: usize,
    /// Handshakes of strangers of one neighbourhood under way at once, at most. Stops one operator from taking every place
    /// before anybody has said who he is.
    pub max_pending_per_group: usize,
    /// Seconds for which nobody new of a neighbourhood is met after one of it delivered provably wrong content; 0 turns it
    /// off, and with it the pace of a neighbourhood's handshakes and of peers that come back.
    pub group_cooldown: u64,
    /// Bytes of frames sent in a second, to all peers together; 0 for no bound, otherwise 64 KiB or more. What QUIC and UDP
    /// add is not counted. What is over a bound waits; nothing is dropped.
    pub upload: ByteSize,
    /// Bytes of frames taken in a second, from all peers together; as `upload`.
    pub download: ByteSize,
    /// Bytes of frames sent in a second to each peer; as `upload`.
    pub peer_upload: ByteSize,
    /// Bytes of frames taken in a second from each peer; as `upload`.
    pub peer_download: ByteSize,
}

/// `[header_sync]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderSyncSection {
    /// Check the proof-of-work of headers below checkpoints too, although the checkpoint proves them.
    pub verify_segments: bool,
    /// Checkpoint segments fetched at once. More lets more peers work at once and holds more headers in memory.
    pub segment_window: usize,
}

/// `[block_sync]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlockSyncSection {
    /// Body bytes asked for and not yet received, over all peers. One bandwidth-delay product of the link is enough.
    pub in_flight: ByteSize,
    /// Body bytes received and not yet durable. Stops peers that send the end of a range first from filling our memory.
    pub retained: ByteSize,
}

/// `[discovery]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscoverySection {
    /// Whether to learn of peers from peers. Without it a node knows the peers it is told of, and is told to nobody.
    pub enabled: bool,
    /// Peers to begin with, `ID@IP:PORT`: dialled, and dialled again for ever, if discovery is enabled. Several that do not
    /// know each other make it hard for one of them to decide whom we meet.
    pub bootstrap: Vec<String>,
    /// Where others reach us, `IP:PORT`, at most eight. Empty: where we listen, if that is an address of the public internet
    /// (any but an unspecified one on Regtest). Needed behind an address translation: a node that names no address is not
    /// dialled.
    pub advertise: Vec<SocketAddr>,
    /// Peers to dial up to, named ones counted, as far as `transport.max_outbound` leaves places. More make a node harder to cut off from the network, and cost memory each.
    pub target_outbound: usize,
}

impl Default for DiscoverySection {
    fn default() -> Self {
        Self { enabled: true, bootstrap: Vec::new(), advertise: Vec::new(), target_outbound: 8 }
    }
}

impl Default for NodeSection {
    fn default() -> Self {
        Self { work_threads: 0, memory_limit: ByteSize::mib(3_072) }
    }
}

impl Default for TransportSection {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8234));
        Self {
            listen,
            peers: Vec::new(),
            trusted: Vec::new(),
            connect_only: false,
            max_inbound: 112,
            max_outbound: 16,
            max_inbound_per_group: GroupCaps::OPEN.inbound,
            max_pending_per_group: GroupCaps::OPEN.pending,
            group_cooldown: GroupCaps::OPEN.cooldown.as_secs(),
            upload: ByteSize(0),
            download: ByteSize(0),
            peer_upload: ByteSize(0),
            peer_download: ByteSize(0),
        }
    }
}

impl TransportSection {
    /// The transport's settings with these fields in place.
    #[must_use]
    pub fn build(&self, network: u32, genesis: [u8; 32], seed: u64) -> TransportConfig {
        TransportConfig {
            max_inbound: self.max_inbound,
            max_outbound: self.max_outbound,
            groups: self.groups(),
            connect_only: self.connect_only,
            bandwidth: self.bandwidth(),
            ..TransportConfig::new(self.listen, network, genesis, seed)
        }
    }

    /// What one neighbourhood gets.
    #[must_use]
    pub const fn groups(&self) -> GroupCaps {
        GroupCaps {
            pending: self.max_pending_per_group,
            inbound: self.max_inbound_per_group,
            cooldown: Duration::from_secs(self.group_cooldown),
        }
    }

    /// What may pass in a second.
    #[must_use]
    pub const fn bandwidth(&self) -> Bandwidth {
        Bandwidth {
            up: NonZeroU64::new(self.upload.0),
            down: NonZeroU64::new(self.download.0),
            peer_up: NonZeroU64::new(self.peer_upload.0),
            peer_down: NonZeroU64::new(self.peer_download.0),
        }
    }

    /// Bounds under which frames would come to a stop, by name.
    fn too_narrow(&self) -> Option<(&'static str, ByteSize)> {
        let bounds = [
            ("upload", self.upload),
            ("download", self.download),
            ("peer_upload", self.peer_upload),
            ("peer_download", self.peer_download),
        ];
        bounds.into_iter().find(|(_, bound)| (1..SLOWEST_BANDWIDTH.0).contains(&bound.0))
    }
}

impl Default for HeaderSyncSection {
    fn default() -> Self {
        let crate_default = HeaderSyncConfig::recommended();
        Self { verify_segments: crate_default.verify_segments, segment_window: crate_default.segment_window }
    }
}

impl Default for BlockSyncSection {
    fn default() -> Self {
        let crate_default = BlockSyncConfig::recommended();
        Self {
            in_flight: ByteSize(crate_default.in_flight_bytes),
            retained: ByteSize(crate_default.retained_bytes),
        }
    }
}

impl NodeSection {
    /// Work threads to start.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.work_threads {
            0 => available_parallelism().map_or(1, NonZeroUsize::get),
            threads => threads,
        }
    }
}

impl HeaderSyncSection {
    /// Header sync's settings with these fields in place.
    #[must_use]
    pub fn build(&self) -> HeaderSyncConfig {
        HeaderSyncConfig {
            verify_segments: self.verify_segments,
            segment_window: self.segment_window,
            ..HeaderSyncConfig::recommended()
        }
    }
}

impl BlockSyncSection {
    /// Block sync's settings with these fields in place.
    #[must_use]
    pub fn build(&self) -> BlockSyncConfig {
        BlockSyncConfig {
            in_flight_bytes: self.in_flight.0,
            retained_bytes: self.retained.0,
            ..BlockSyncConfig::recommended()
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or an environment variable does not read as settings.
    #[error("{origin}: {reason}; see the fields of zakura::config for what there is")]
    Unreadable {
        /// The file, or the variable.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A named peer is malformed.
    #[error("transport.peers: {0}")]
    Peer(#[from] PeerAddrError),
    /// A trusted peer is malformed.
    #[error("transport.trusted: {0}")]
    Trusted(PeerAddrError),
    /// A bootstrap peer is malformed.
    #[error("discovery.bootstrap: {0}")]
    Bootstrap(PeerAddrError),
    /// An address that nobody could be reached at, or too many of them.
    #[error("discovery.advertise: {0}")]
    Advertise(String),
    /// A bandwidth under which frames take so long that peers give up on them.
    #[error(
        "transport.{key} is {bound} a second, under which peers give up on frames: write {SLOWEST_BANDWIDTH} or more, or 0 \
         for no bound"
    )]
    Narrow {
        /// The setting's name.
        key: &'static str,
        /// What it says.
        bound: ByteSize,
    },
    /// Some of the named peers would never be dialled.
    #[error(
        "transport.peers, transport.trusted and discovery.bootstrap name {named} peers, transport.max_outbound allows {limit}: raise it, or \
         name fewer"
    )]
    Crowded {
        /// Named peers.
        named: usize,
        /// Places for them.
        limit: usize,
    },
    /// More connections than a node can hold.
    #[error(
        "transport.max_inbound and transport.max_outbound add up to {0} connections, more than {MAX_CONNECTIONS}: lower one"
    )]
    TooManyConnections(usize),
    /// The worst case exceeds the limit.
    #[error(
        "peers and sync could fill {worst}, more than node.memory_limit of {limit}: lower transport.max_inbound \
         ({inbound}), transport.max_outbound ({outbound}) or block_sync.retained ({retained}), or raise the limit"
    )]
    OverMemory {
        /// The worst case.
        worst: ByteSize,
        /// The limit.
        limit: ByteSize,
        /// Inbound peers.
        inbound: usize,
        /// Outbound peers.
        outbound: usize,
        /// Retained bodies.
        retained: ByteSize,
    },
}

impl Config {
    /// The settings for a node on the open network.
    #[must_use]
    pub fn recommended() -> Self {
        Self::default()
    }

    /// The settings for nodes on one machine: loopback, any free port, few peers, who are all of one neighbourhood.
    #[must_use]
    pub fn local() -> Self {
        let mut config = Self::default();
        config.transport.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.transport.max_inbound = 32;
        config.transport.max_inbound_per_group = MAX_CONNECTIONS;
        config.transport.max_pending_per_group = MAX_CONNECTIONS;
        config.transport.group_cooldown = 0;
        config
    }

    /// Reads settings from a TOML text, overridden by environment variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`] names the file or the variable and what is wrong with it.
    pub fn read(
        origin: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let unreadable = |origin: &str, reason: String| ConfigError::Unreadable {
            origin: origin.to_owned(),
            reason: reason.lines().collect::<Vec<_>>().join(" "),
        };
        let mut table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| unreadable(origin, error.to_string()))?;
        Self::deserialize(toml::Value::Table(table.clone()))
            .map_err(|error| unreadable(origin, error.to_string()))?;
        for (name, value) in environment {
            let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(section) = entry {
                let value = from_environment(&key, &value);
                section.insert(key, value);
            }
            Self::deserialize(toml::Value::Table(table.clone()))
                .map_err(|error| unreadable(&name, error.to_string()))?;
        }
        Self::deserialize(toml::Value::Table(table)).map_err(|error| unreadable(origin, error.to_string()))
    }

    /// The named peers.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Peer`] shows the malformed one.
    pub fn peers(&self) -> Result<Vec<PeerAddr>, ConfigError> {
        self.transport.peers.iter().map(|peer| peer.parse().map_err(ConfigError::Peer)).collect()
    }

    /// The trusted peers.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Trusted`] shows the malformed one.
    pub fn trusted(&self) -> Result<Vec<PeerAddr>, ConfigError> {
        self.transport.trusted.iter().map(|peer| peer.parse().map_err(ConfigError::Trusted)).collect()
    }

    /// The peers to begin with; none without discovery.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Bootstrap`] shows the malformed one.
    pub fn bootstrap(&self) -> Result<Vec<PeerAddr>, ConfigError> {
        let peers = self.discovery.bootstrap.iter().map(|peer| peer.parse().map_err(ConfigError::Bootstrap));
        let peers: Vec<_> = peers.collect::<Result<_, _>>()?;
        Ok(if self.discovery.enabled { peers } else { Vec::new() })
    }

    /// Every peer that is dialled for ever: the named ones, the trusted ones and those to begin with.
    ///
    /// # Errors
    ///
    /// As [`peers`](Self::peers), [`trusted`](Self::trusted) and [`bootstrap`](Self::bootstrap).
    pub fn kept_peers(&self) -> Result<Vec<PeerAddr>, ConfigError> {
        let mut peers = self.peers()?;
        peers.extend(self.trusted()?);
        peers.extend(self.bootstrap()?);
        Ok(peers)
    }

    /// Bytes that peers and sync fill at most: what [`peers_envelope`](Self::peers_envelope) counts, bodies asked for and
    /// retained, headers of open segments, discovery's book.
    #[must_use]
    pub fn memory_envelope(&self) -> ByteSize {
        let parts = [
            self.peers_envelope().0,
            self.block_sync.in_flight.0,
            self.block_sync.build().memory_bytes(),
            self.header_sync.build().segment_bytes,
            if self.discovery.enabled { BOOK.0 } else { 0 },
        ];
        ByteSize(parts.into_iter().fold(0, u64::saturating_add))
    }

    /// Of these, what connections cost that do nothing for us: windows, messages half received and half sent, bodies read for
    /// whoever does not take them.
    #[must_use]
    pub fn peers_envelope(&self) -> ByteSize {
        let block = usize::try_from(MAX_BLOCK_BYTES).unwrap_or(usize::MAX).saturating_add(1);
        let mut messages = vec![header_sync::wire::MAX_MESSAGE_BYTES, block];
        if self.discovery.enabled {
            messages.push(discovery::wire::MAX_MESSAGE_BYTES);
        }
        let transport = self.transport.build(0, [0; 32], 0).memory_envelope(&messages);
        let peers = self.transport.max_inbound.saturating_add(self.transport.max_outbound);
        let served =
            u64::try_from(peers).unwrap_or(u64::MAX).saturating_mul(BlockSyncConfig::serving_bytes());
        ByteSize(transport.saturating_add(served))
    }

    /// Checks what the types alone do not.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let named = self.kept_peers()?.iter().map(|peer| peer.id).collect::<BTreeSet<_>>().len();
        if named > self.transport.max_outbound {
            return Err(ConfigError::Crowded { named, limit: self.transport.max_outbound });
        }
        self.check_discovery()?;
        if let Some((key, bound)) = self.transport.too_narrow() {
            return Err(ConfigError::Narrow { key, bound });
        }
        let connections = self.transport.max_inbound.saturating_add(self.transport.max_outbound);
        if connections > MAX_CONNECTIONS {
            return Err(ConfigError::TooManyConnections(connections));
        }
        let (worst, limit) = (self.memory_envelope(), self.node.memory_limit);
        if worst > limit {
            return Err(ConfigError::OverMemory {
                worst,
                limit,
                inbound: self.transport.max_inbound,
                outbound: self.transport.max_outbound,
                retained: self.block_sync.retained,
            });
        }
        Ok(())
    }
}

impl Config {
    fn check_discovery(&self) -> Result<(), ConfigError> {
        let advertise = &self.discovery.advertise;
        if advertise.len() > MAX_ADDRESSES {
            let why = format!("{} addresses, {MAX_ADDRESSES} at most: name fewer", advertise.len());
            return Err(ConfigError::Advertise(why));
        }
        if let Some(bad) = advertise.iter().find(|addr| addr.port() == 0 || addr.ip().is_unspecified()) {
            let why = format!("nobody can reach {bad}: write the IP:PORT that others dial");
            return Err(ConfigError::Advertise(why));
        }
        Ok(())
    }
}

/// A variable's text as a TOML value: a list separated by commas where there are many, a number, a truth, or a text.
fn from_environment(key: &str, text: &str) -> toml::Value {
    if ["peers", "trusted", "bootstrap", "advertise"].contains(&key) {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return toml::Value::Array(items.map(toml::Value::from).collect());
    }
    if let Ok(number) = text.parse::<i64>() {
        return toml::Value::Integer(number);
    }
    match text {
        "true" => toml::Value::Boolean(true),
        "false" => toml::Value::Boolean(false),
        _ => toml::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read("zakura.toml", text, environment)
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text =
            "[transport]\nlisten = \"127.0.0.1:1\"\nmax_inbound = 3\n[block_sync]\nretained = \"8 MiB\"";
        let peer = format!("{}@127.0.0.1:9", "ab".repeat(32));
        let config = read(
            text,
            &[("ZAKURA_TRANSPORT__MAX_INBOUND", "5"), ("ZAKURA_TRANSPORT__PEERS", &peer), ("HOME", "x")],
        )
        .unwrap();
        assert_eq!(config.transport.listen.port(), 1);
        assert_eq!(config.transport.max_inbound, 5);
        assert_eq!(config.block_sync.retained, ByteSize::mib(8));
        assert_eq!(config.peers().unwrap().len(), 1);
    }

    #[test]
    fn admission_is_for_the_open_network_unless_the_operator_says_otherwise() {
        let (open, local) = (Config::recommended().transport, Config::local().transport);
        assert_eq!((open.groups(), open.connect_only), (GroupCaps::OPEN, false));
        assert!(local.groups().inbound >= local.max_inbound && local.groups().cooldown.is_zero());
        let id = "5c".repeat(32);
        let text = "[transport]\nconnect_only = true\nmax_inbound_per_group = 9\ngroup_cooldown = 7";
        let trusted = format!("{id}@10.0.0.1:1");
        let config = read(text, &[("ZAKURA_TRANSPORT__TRUSTED", &trusted)]).unwrap();
        assert!(config.transport.connect_only);
        let groups = GroupCaps { inbound: 9, cooldown: Duration::from_secs(7), ..GroupCaps::OPEN };
        assert_eq!(config.transport.groups(), groups);
        assert_eq!(config.kept_peers().unwrap(), config.trusted().unwrap());
        assert_eq!(config.trusted().unwrap().len(), 1);
        let error =
            read("[transport]\ntrusted = [\"x\"]", &[]).and_then(|config| config.check()).unwrap_err();
        assert!(error.to_string().contains("transport.trusted"), "{error}");
    }

    #[test]
    fn bandwidth_is_unbounded_unless_the_operator_says_otherwise() {
        assert_eq!(Config::recommended().transport.bandwidth(), Bandwidth::default());
        let text = "[transport]\nupload = \"2 MiB\"\npeer_download = 65536";
        let config = read(text, &[("ZAKURA_TRANSPORT__DOWNLOAD", "8 MiB")]).unwrap();
        assert!(config.check().is_ok());
        let bandwidth = config.transport.bandwidth();
        assert_eq!(
            [bandwidth.up, bandwidth.down, bandwidth.peer_up, bandwidth.peer_down]
                .map(|one| one.map(NonZeroU64::get)),
            [Some(2 << 20), Some(8 << 20), None, Some(65_536)]
        );
        for key in ["upload", "download", "peer_upload", "peer_download"] {
            let error = read(&format!("[transport]\n{key} = \"1 KiB\""), &[]).unwrap().check().unwrap_err();
            assert!(error.to_string().starts_with(&format!("transport.{key} is 1 KiB")), "{error}");
        }
    }

    #[test]
    fn unknown_keys_and_bad_values_name_their_origin() {
        for (text, environment, named) in [
            ("[transport]\nlissen = \"x\"", &[][..], "lissen"),
            ("[transport]\nlisten = \"x\"", &[], "zakura.toml"),
            ("nonsense", &[], "zakura.toml"),
            ("", &[("ZAKURA_NODE__MEMORY_LIMIT", "much")], "ZAKURA_NODE__MEMORY_LIMIT"),
            ("", &[("ZAKURA_NODE__NOPE", "1")], "ZAKURA_NODE__NOPE"),
        ] {
            let error = read(text, environment).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_worst_case_over_the_limit_is_refused() {
        let mut config = Config::recommended();
        assert!(config.check().is_ok());
        config.transport.max_inbound = 100_000;
        assert!(matches!(config.check(), Err(ConfigError::TooManyConnections(100_016))));
        config.transport.max_inbound = 1_000;
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("transport.max_inbound") && error.contains("node.memory_limit"), "{error}");
    }

    #[test]
    fn bootstrap_peers_are_kept_peers_as_long_as_there_is_discovery() {
        let peer = format!("{}@127.0.0.1:9", "ab".repeat(32));
        let variables = [("ZAKURA_DISCOVERY__BOOTSTRAP", peer.as_str())];
        let mut config = read("[discovery]\ntarget_outbound = 3", &variables).unwrap();
        assert_eq!((config.discovery.target_outbound, config.kept_peers().unwrap().len()), (3, 1));
        config.discovery.enabled = false;
        assert_eq!(config.kept_peers().unwrap(), []);
        config.discovery.bootstrap = vec!["x".into()];
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with("discovery.bootstrap") && error.contains("lacks an '@'"), "{error}");
    }

    #[test]
    fn an_address_where_nobody_could_reach_us_is_refused() {
        for bad in ["0.0.0.0:8234", "8.8.8.8:0", "[::]:1"] {
            let error =
                read(&format!("[discovery]\nadvertise = [\"{bad}\"]"), &[]).unwrap().check().unwrap_err();
            assert!(error.to_string().contains("discovery.advertise") && error.to_string().contains(bad));
        }
        let mut config = Config::recommended();
        config.discovery.advertise = (1..=9).map(|n| SocketAddr::from(([8, 8, 8, n], 1))).collect();
        assert!(matches!(config.check(), Err(ConfigError::Advertise(_))));
    }

    #[test]
    fn what_is_written_reads_back() {
        let config = Config::local();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(read(&text, &[]).unwrap(), config);
    }
}
