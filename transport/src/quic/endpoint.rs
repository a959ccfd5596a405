//! One UDP port, from which we dial and on which we are dialled.

#[cfg(feature = "qlog")]
use super::qlog::Traces;
use super::{
    disco::Keys,
    entropy::Source,
    link::{DialError, Incoming, Link},
    runtime::NodeRuntime,
    socket::{DatagramSocket, DiscoSocket, SocketAdapter},
    tls::{Tls, server_name},
    windows::{INBOUND, OUTBOUND, STRANGER, Windows},
};
use crate::{BindError, Cancel, Identity, PeerAddr, Spawner, observe::target};
use quinn::{
    AsyncUdpSocket, ClientConfig, ConnectError, ConnectionId, ConnectionIdGenerator, EndpointConfig,
    IdleTimeout, Runtime, ServerConfig, TransportConfig, VarInt,
    congestion::CubicConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use ring::{hkdf, hmac};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// QUIC's idle timeout (wire 1.4): a peer that vanished is forgotten after it.
const QUIC_IDLE: Duration = Duration::from_secs(150);
/// How often an idle connection is kept alive (wire 1.4).
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The largest datagram we take: an Ethernet frame without IP and UDP headers.
const MAX_DATAGRAM: u16 = 1472;
/// Datagrams kept for connections that nobody has accepted yet, each and in all: bounds what Initials cost.
const INCOMING_BUFFER: u64 = 64 * 1024;
const INCOMING_BUFFER_TOTAL: u64 = 4 * 1024 * 1024;
/// Connection attempts that may wait for the pool to look at them: bounds what a flood of Initials makes us keep.
const MAX_INCOMING: usize = 1024;
/// What waits at the door, full: those attempts, each with its keys and the first datagram, what came behind them, and the
/// buffer into which QUIC reads 32 times 64 datagrams.
pub(crate) const AT_THE_DOOR: u64 =
    MAX_INCOMING as u64 * 4 * 1024 + INCOMING_BUFFER_TOTAL + 32 * 64 * MAX_DATAGRAM as u64;
/// What the system is asked to keep of what has come and is not read yet; it may give less (`net.core.rmem_max`). Its default of
/// some 90 datagrams overflows in a flood of Initials, and an honest newcomer's is lost among them: it tries again after a
/// second, and then after two.
const SOCKET_BUFFER: usize = 2 << 20;
/// Length of our connection ids.
const CONNECTION_ID_BYTES: usize = 8;
/// Length of the id that a dial addresses before the peer has chosen one: as long as may be, so that nobody off the path
/// guesses it.
const FIRST_ID_BYTES: usize = 20;

const _: () = assert!(KEEP_ALIVE.as_secs() * 2 < QUIC_IDLE.as_secs());

/// What an endpoint stands on, each time it is bound.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Where to bind.
    pub(crate) listen: SocketAddr,
    socket: Option<Arc<dyn DatagramSocket>>,
    lives: Source,
    #[cfg(feature = "simulation")]
    token_time: Option<Arc<dyn crate::TokenTime>>,
    #[cfg(feature = "qlog")]
    traces: Option<Traces>,
}

impl Ground {
    pub(crate) fn new(config: &crate::TransportConfig) -> Self {
        Self {
            listen: config.listen,
            socket: config.socket.clone(),
            lives: Source::new(config.entropy).child("endpoint"),
            #[cfg(feature = "simulation")]
            token_time: config.token_time.clone(),
            #[cfg(feature = "qlog")]
            traces: config.qlog_dir.clone().map(Traces::into_dir),
        }
    }
}

/// The node's QUIC endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    quic: quinn::Endpoint,
    tls: Tls,
    /// For handshakes.
    nonces: Source,
    /// For the first connection id of each dial.
    first_ids: Source,
    socket: Arc<DiscoSocket>,
    outbound: Arc<TransportConfig>,
    /// What inbound connections are configured with, and where traces go.
    #[cfg(feature = "qlog")]
    traced: Option<(ServerConfig, Traces)>,
    halt: Cancel,
}

impl Endpoint {
    /// Binds the address, or takes the socket given in its place.
    pub(crate) fn bind(identity: &Identity, ground: &Ground, spawner: &Spawner) -> Result<Self, BindError> {
        let listen = ground.listen;
        let source = ground.lives.next_life().map_err(local)?;
        let tls = Tls::new(identity, &source).map_err(local)?;
        let halt = Cancel::new();
        let runtime = Arc::new(NodeRuntime { spawner: spawner.clone(), halt: halt.clone() });
        let socket: Arc<dyn AsyncUdpSocket> = match &ground.socket {
            Some(socket) => Arc::new(SocketAdapter(Arc::clone(socket))),
            None => {
                let failed = |source| BindError::socket(listen, source);
                let socket = std::net::UdpSocket::bind(listen).map_err(failed)?;
                if let Err(error) = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER) {
                    tracing::debug!(target: target::ENDPOINT, %error, "the system keeps its own buffer size");
                }
                runtime.wrap_udp_socket(socket).map_err(failed)?
            }
        };
        let seed = source.child("disco").draw().map_err(local)?;
        let socket = DiscoSocket::new(socket, Keys::new(identity), ChaCha20Rng::from_seed(seed));
        let endpoint = endpoint_config(identity, &source)?;
        let server = server_config(identity, &tls, ground)?;
        #[cfg(feature = "qlog")]
        let traced = ground.traces.clone().map(|traces| (server.clone(), traces));
        let (tasks, port) = (Arc::clone(&runtime), Arc::<DiscoSocket>::clone(&socket));
        let quic = quinn::Endpoint::new_with_abstract_socket(endpoint, Some(server), port, runtime)
            .map_err(|source| BindError::socket(listen, source))?;
        tasks.spawn(Box::pin(socket.beating()));
        let (nonces, first_ids) = (source.child("handshake"), source.child("first ids"));
        Ok(Self {
            quic,
            tls,
            socket,
            nonces,
            first_ids,
            outbound: Arc::new(transport(OUTBOUND)),
            #[cfg(feature = "qlog")]
            traced,
            halt,
        })
    }

    /// The bound address.
    pub(crate) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.quic.local_addr()
    }

    /// Connections that QUIC holds: those in a handshake, those that stand, and those that have ended a moment ago.
    pub(crate) fn held(&self) -> usize {
        self.quic.open_connections()
    }

    /// The next connection attempt, or `None` once the endpoint is closed or its task has died.
    pub(crate) async fn accept(&self) -> Option<Incoming> {
        let incoming = self.quic.accept().await?;
        let incoming = Incoming::new(incoming, Arc::clone(&self.socket), self.nonces.clone());
        #[cfg(feature = "qlog")]
        let incoming = incoming.traced(self.traced.clone());
        Some(incoming)
    }

    /// Connects to a peer and proves both identities.
    pub(crate) async fn dial(&self, peer: PeerAddr) -> Result<Link, DialError> {
        let tls = self.tls.client(peer.id).map_err(|error| DialError::Local(error.to_string()))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| DialError::Local(error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.outbound_config(peer.addr));
        let first_id = self.first_ids.draw().map_err(|error| DialError::Local(error.to_string()))?;
        // Asked for once: the configuration serves this one dial.
        config.initial_dst_cid_provider(Arc::new(move || ConnectionId::new(&first_id[..FIRST_ID_BYTES])));
        // Before the first Initial, and until the last one.
        let _pinging = self.socket.dialling(peer.id, peer.addr);
        let connecting = self.quic.connect_with(config, peer.addr, &server_name(peer.id)).map_err(
            |error| match error {
                ConnectError::InvalidRemoteAddress(_) => {
                    DialError::Local("the address is not of the kind that we listen on (IPv4 or IPv6)".into())
                }
                other => DialError::Local(other.to_string()),
            },
        )?;
        Link::establish(connecting, &self.socket, self.nonces.clone(), &OUTBOUND).await
    }

    #[cfg(not(feature = "qlog"))]
    fn outbound_config(&self, _to: SocketAddr) -> Arc<TransportConfig> {
        Arc::clone(&self.outbound)
    }

    #[cfg(feature = "qlog")]
    fn outbound_config(&self, to: SocketAddr) -> Arc<TransportConfig> {
        let trace = self.traced.as_ref().and_then(|(_, traces)| traces.open("out", to));
        match trace {
            Some(trace) => Arc::new(traced(OUTBOUND, trace)),
            None => Arc::clone(&self.outbound),
        }
    }

    /// Closes what is open with code 0 and takes no more. Dials and handshakes under way end at once.
    pub(crate) fn close(&self) {
        self.quic.close(VarInt::from_u32(0), b"");
    }

    /// Lingers, so that a peer that missed our close hears it again, for `linger` at most; then ends every QUIC task.
    pub(crate) async fn halt(self, linger: Duration) {
        // Closes are on the wire at once; whoever misses all of them finds out by its own timer.
        drop(timeout(linger, self.quic.wait_idle()).await);
        self.halt.cancel();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn local(error: impl ToString) -> BindError {
    BindError::Identity(error.to_string())
}

fn endpoint_config(identity: &Identity, source: &Source) -> Result<EndpointConfig, BindError> {
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &derive(identity, b"stateless reset"));
    let (ids, rest) = (source.child("connection ids").draw(), source.child("quic").draw());
    let (ids, rest) = (ids.map_err(local)?, rest.map_err(local)?);
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    endpoint.grease_quic_bit(false);
    endpoint.max_udp_payload_size(MAX_DATAGRAM).map_err(local)?;
    endpoint.cid_generator(move || Box::new(ConnectionIds(ChaCha20Rng::from_seed(ids))));
    // Packet number gaps, the order of transport parameters, path challenges.
    endpoint.rng_seed(Some(rest));
    Ok(endpoint)
}

#[cfg_attr(
    not(feature = "simulation"),
    expect(unused_variables, reason = "only a simulation has its own clock")
)]
fn server_config(identity: &Identity, tls: &Tls, ground: &Ground) -> Result<ServerConfig, BindError> {
    let crypto = QuicServerConfig::try_from(tls.server().map_err(local)?).map_err(local)?;
    let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, b"zakura-transport")
        .extract(&derive(identity, b"address validation token"));
    let mut server = ServerConfig::new(Arc::new(crypto), Arc::new(token_key));
    server.migration(false).max_incoming(MAX_INCOMING);
    server.incoming_buffer_size(INCOMING_BUFFER).incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    server.transport_config(Arc::new(transport(INBOUND)));
    #[cfg(feature = "simulation")]
    if let Some(time) = &ground.token_time {
        server.time_source(Arc::new(super::seeded::Tokens(Arc::clone(time))));
    }
    Ok(server)
}

/// A key for one purpose, the same whenever this identity starts: a restarted node can reset its peers' stale
/// connections at once, and honour the tokens it gave out.
fn derive(identity: &Identity, purpose: &[u8]) -> [u8; 32] {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, identity.seed());
    let tag = hmac::sign(&secret, &[b"zakura-transport/1 ", purpose].concat());
    let mut key = [0; 32];
    key.copy_from_slice(tag.as_ref());
    key
}

fn transport(windows: Windows) -> TransportConfig {
    let idle = VarInt::from_u32(u32::try_from(QUIC_IDLE.as_millis()).unwrap_or(u32::MAX));
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(windows.strangers_streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(windows.stream))
        .receive_window(VarInt::from_u32(STRANGER))
        .send_window(windows.send)
        .max_idle_timeout(Some(IdleTimeout::from(idle)))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    config
}

/// As [`transport`], traced.
#[cfg(feature = "qlog")]
fn traced(windows: Windows, trace: quinn::QlogStream) -> TransportConfig {
    let mut config = transport(windows);
    config.qlog_stream(Some(trace));
    config
}

/// What an inbound connection is configured with if it is traced.
#[cfg(feature = "qlog")]
pub(super) fn traced_server(server: &ServerConfig, trace: quinn::QlogStream) -> Arc<ServerConfig> {
    let mut server = server.clone();
    server.transport_config(Arc::new(traced(INBOUND, trace)));
    Arc::new(server)
}

/// Random ids that any instance of this node may see again: none is invalid, so a packet of a connection that a
/// previous instance held is answered with a stateless reset.
struct ConnectionIds(ChaCha20Rng);

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        self.0.fill_bytes(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
