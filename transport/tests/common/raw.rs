//! The other end, with hand-written bytes: quinn and rustls directly, nothing of our own code.

use super::{GENESIS, REGTEST, within};
use bytes::Bytes;
use futures::{FutureExt, future::join_all};
use quinn::{
    ClientConfig, RecvStream, SendStream, ServerConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
pub use quinn::{Connection, Endpoint};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    quic::{Keys, Version},
    server::{
        AlwaysResolvesServerRawPublicKeys,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use zakura_transport::{PeerAddr, PeerId, StreamKind};

/// Everything that [`Hello::native`](zakura_transport::wire::Hello) says, as this end likes it.
pub struct RawHello {
    pub magic: [u8; 8],
    pub network: u32,
    pub chain: [u8; 32],
    pub node: [u8; 32],
    pub capabilities: u64,
    pub max_frame: u32,
    pub max_open_streams: u16,
    pub max_inbound_depth: u16,
    pub idle_ms: u32,
}

impl RawHello {
    pub fn honest(seed: impl Into<Seed>, capabilities: u64) -> Self {
        Self {
            magic: *b"ZAKCTRL\0",
            network: REGTEST,
            chain: GENESIS,
            node: public_key(seed),
            capabilities,
            max_frame: 4_194_304,
            max_open_streams: 1024,
            max_inbound_depth: 4096,
            idle_ms: 149_999,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(244_u32.to_le_bytes());
        out.extend(self.magic);
        out.extend([1, 0, 1, 0, 1, 1]);
        out.extend(self.network.to_le_bytes());
        out.extend(self.chain);
        out.extend([32, 0]);
        out.extend(self.node);
        out.extend([0x33; 32]);
        out.extend([0; 96]);
        out.extend(self.capabilities.to_le_bytes());
        out.extend([0; 8]);
        out.extend(self.max_frame.to_le_bytes());
        out.extend(4_194_304_u32.to_le_bytes());
        out.extend(self.max_open_streams.to_le_bytes());
        out.extend(self.max_inbound_depth.to_le_bytes());
        out.extend(self.idle_ms.to_le_bytes());
        out
    }
}

/// A prelude of an ordered stream, or of a request.
pub fn prelude(kind: u16, version: u16, request: Option<u64>, max_frame: u32) -> Vec<u8> {
    let mut out = b"ZKST".to_vec();
    out.extend(kind.to_le_bytes());
    out.extend(version.to_le_bytes());
    out.push(u8::from(request.is_some()));
    out.extend(request.iter().flat_map(|id| id.to_le_bytes()));
    out.extend(max_frame.to_le_bytes());
    out
}

pub fn frame(kind: u16, flags: u16, declared: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend(flags.to_le_bytes());
    out.extend(declared.to_le_bytes());
    out.extend(payload);
    out
}

pub fn public_key(seed: impl Into<Seed>) -> [u8; 32] {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed.into().0).unwrap();
    pair.public_key().as_ref().try_into().unwrap()
}

/// What a key grows from.
pub struct Seed(pub [u8; 32]);

impl From<u8> for Seed {
    fn from(byte: u8) -> Self {
        Self([byte; 32])
    }
}

impl From<[u8; 32]> for Seed {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

pub fn raw_id(seed: u8) -> PeerId {
    PeerId::new(public_key(seed))
}

const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn key(seed: impl Into<Seed>) -> Arc<CertifiedKey> {
    let Seed(seed) = seed.into();
    let mut pkcs8 =
        vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    pkcs8.extend(seed);
    let key = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    Arc::new(CertifiedKey::new(vec![spki(seed).into()], key))
}

/// A listening and dialling endpoint with this seed's key, on a loopback address.
pub fn endpoint(seed: u8) -> Endpoint {
    endpoint_at([seed; 32], Ipv4Addr::LOCALHOST)
}

/// The same on another address of this machine.
pub fn endpoint_at(seed: [u8; 32], ip: Ipv4Addr) -> Endpoint {
    let mut endpoint = Endpoint::server(server(seed), (ip, 0).into()).unwrap();
    endpoint.set_default_client_config(client(seed, b"p2p-v2/1"));
    endpoint
}

/// What a listening endpoint with this seed's key is made with.
pub fn server(seed: impl Into<Seed>) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anyone))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key(seed))));
    tls.alpn_protocols = vec![b"p2p-v2/1".to_vec()];
    ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()))
}

pub fn client(seed: impl Into<Seed>, alpn: &[u8]) -> ClientConfig {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key(seed))));
    tls.alpn_protocols = vec![alpn.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// A peer that gives this little credit to what it does not read.
pub fn narrow(seed: impl Into<Seed>, credit: u32) -> ClientConfig {
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(credit));
    let mut client = client(seed, b"p2p-v2/1");
    client.transport_config(Arc::new(transport));
    client
}

/// A dialler that shows these entries in TLS, and signs with this seed's key whatever they say; nothing at all, if there are
/// none.
pub fn client_that_shows(seed: u8, entries: Vec<Vec<u8>>) -> ClientConfig {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let mut tls = if entries.is_empty() {
        tls.with_no_client_auth()
    } else {
        let entries = entries.into_iter().map(CertificateDer::from).collect();
        let shown = CertifiedKey::new(entries, Arc::clone(&key(seed).key));
        tls.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(shown))))
    };
    tls.alpn_protocols = vec![b"p2p-v2/1".to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// A listener that shows somebody else's key and signs with its own.
pub fn impostor(seed: u8, shown: u8) -> Endpoint {
    let entry = CertifiedKey::new(vec![spki(shown).into()], Arc::clone(&key(seed).key));
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anyone))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(entry))));
    tls.alpn_protocols = vec![b"p2p-v2/1".to_vec()];
    let server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    Endpoint::server(server, (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

/// The entry by which a key is shown in TLS (wire 1.2).
pub fn spki(seed: impl Into<Seed>) -> Vec<u8> {
    [&SPKI[..], &public_key(seed)].concat()
}

/// A dialler that keeps every ticket it is given and sends early data whenever it may.
pub fn eager_client(seed: u8) -> ClientConfig {
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key(seed))));
    tls.alpn_protocols = vec![b"p2p-v2/1".to_vec()];
    tls.enable_early_data = true;
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// The connection of a dial that had no early data to send, or `None` if it might have sent some.
pub async fn dial_late(endpoint: &Endpoint, config: ClientConfig, to: SocketAddr) -> Option<Connection> {
    let connecting = endpoint.connect_with(config, to, "raw.invalid").unwrap();
    let connecting = connecting.into_0rtt().err()?;
    Some(within(connecting).await.unwrap())
}

/// Whether TLS itself ends a dial with this configuration, before anything is said.
pub async fn refused_by_tls(endpoint: &Endpoint, config: ClientConfig, to: SocketAddr) -> bool {
    // A dialler is done with TLS before the other side has looked at its key.
    let end = match within(endpoint.connect_with(config, to, "raw.invalid").unwrap()).await {
        Ok(connection) => within(connection.closed()).await,
        Err(error) => error,
    };
    matches!(end, quinn::ConnectionError::ConnectionClosed(_))
}

/// The first datagram of a connection, sealed as it should be, with these frames in it.
pub fn initial(number: u64, frames: &[u8]) -> Vec<u8> {
    let rustls::SupportedCipherSuite::Tls13(suite) =
        rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let id = number.to_be_bytes();
    let keys = Keys::initial(Version::V1, suite, suite.quic.unwrap(), &id, rustls::Side::Client).local;
    let mut payload = frames.to_vec();
    payload.resize(payload.len().max(1162), 0);
    let length = u16::try_from(payload.len() + 4 + keys.packet.tag_len()).unwrap();
    let front = [&[0xc3, 0, 0, 0, 1, 8], &id[..], &[8], &id[..], &[0], &(0x4000 | length).to_be_bytes()[..]];
    let mut datagram = [&front.concat()[..], &[0; 4]].concat();
    let tag = keys.packet.encrypt_in_place(0, &datagram, &mut payload).unwrap();
    let numbered = datagram.len() - 4;
    datagram.extend(payload);
    datagram.extend(tag.as_ref());
    let (head, rest) = datagram.split_at_mut(numbered);
    let (number, sample) = rest.split_at_mut(4);
    let sample = &sample[..keys.header.sample_len()];
    keys.header.encrypt_in_place(sample, &mut head[0], number).unwrap();
    datagram
}

/// QUIC and TLS done, nothing said yet.
pub async fn dial(endpoint: &Endpoint, to: SocketAddr) -> Connection {
    within(endpoint.connect(to, "raw.invalid").unwrap()).await.unwrap()
}

/// The same with another identity than the endpoint's own.
pub async fn dial_as(endpoint: &Endpoint, seed: u8, to: SocketAddr) -> Connection {
    within(endpoint.connect_with(client(seed, b"p2p-v2/1"), to, "raw.invalid").unwrap()).await.unwrap()
}

/// Sends a Hello and returns what comes back: an Ack with its length.
pub async fn hello(connection: &Connection, hello: &RawHello) -> Vec<u8> {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&hello.bytes()).await.unwrap();
    send.finish().unwrap();
    within(recv.read_to_end(1000)).await.unwrap_or_default()
}

/// An honest connection with the node, offering these capabilities.
pub async fn meet(endpoint: &Endpoint, seed: u8, to: SocketAddr, capabilities: u64) -> Connection {
    let connection = dial(endpoint, to).await;
    let ack = hello(&connection, &RawHello::honest(seed, capabilities)).await;
    assert_eq!(ack.len(), 112, "an Ack of 108 bytes behind its length");
    connection
}

/// The listening side of an honest handshake.
pub async fn accept(endpoint: &Endpoint, capabilities: u64) -> Connection {
    let connection = within(async { endpoint.accept().await.unwrap().await.unwrap() }).await;
    let (mut send, mut recv) = within(connection.accept_bi()).await.unwrap();
    let hello = within(recv.read_to_end(1000)).await.unwrap();
    assert_eq!(hello.len(), 248, "a Hello of 244 bytes behind its length");
    let mut ack = 108_u32.to_le_bytes().to_vec();
    ack.extend(b"ZAKACK\0\0\x01\0\x01\0");
    ack.extend([0x44; 32]);
    ack.extend(&hello[4 + 84..4 + 116]);
    ack.extend(capabilities.to_le_bytes());
    ack.extend([0; 8]);
    ack.extend(&hello[4 + 228..]);
    send.write_all(&ack).await.unwrap();
    send.finish().unwrap();
    connection
}

/// A raw endpoint as a peer to name.
pub fn peer(endpoint: &Endpoint, seed: u8) -> PeerAddr {
    PeerAddr { id: raw_id(seed), addr: endpoint.local_addr().unwrap() }
}

/// Opens a stream and writes these bytes.
pub async fn open(connection: &Connection, bytes: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, recv) = within(connection.open_bi()).await.unwrap();
    send.write_all(bytes).await.unwrap();
    (send, recv)
}

/// What an [`Echo`](super::Echo) sends back of a word on a stream of this kind.
pub async fn heard_back(connection: &Connection, kind: StreamKind) -> String {
    let bytes = [prelude(kind.0, 1, None, 1000), frame(1, 0, 2, b"hi")].concat();
    let (_send, mut recv) = open(connection, &bytes).await;
    let mut echo = [0; 10];
    within(recv.read_exact(&mut echo)).await.unwrap();
    String::from_utf8(echo[8..].to_vec()).unwrap()
}

/// Writes all that the other side gives room for on as many streams as it gives, until it has had enough: how many bytes.
pub async fn fill(connection: &Connection) -> usize {
    let one = || async {
        let (mut placed, zeros) = (0, vec![0; 64 << 10]);
        let Ok((mut send, _recv)) = connection.open_bi().await else { return placed };
        while let Ok(bytes) = send.write(&zeros).await {
            placed += bytes;
        }
        placed
    };
    within(join_all((0..8).map(|_| one()))).await.into_iter().sum()
}

/// How many of so many bytes a new stream takes without waiting for anything.
pub fn written_at_once(connection: &Connection, bytes: usize) -> usize {
    let Some(Ok((mut send, _recv))) = connection.open_bi().now_or_never() else { return 0 };
    let written = send.write(&vec![0; bytes]).now_or_never();
    reset_ours(&mut send, 0);
    written.map_or(0, Result::unwrap)
}

/// Sends a frame of a megabyte on an open stream and hears it back.
pub async fn exchange_much((send, recv): &mut (SendStream, RecvStream)) {
    let much = frame(2, 0, 1_000_000, &[7; 1_000_000]);
    let mut back = vec![0; much.len()];
    let both = async { tokio::join!(send.write_all(&much), recv.read_exact(&mut back)) };
    let (said, heard) = within(both).await;
    said.unwrap();
    heard.unwrap();
    assert_eq!(back, much);
}

/// The code of the reset that this stream meets.
pub async fn reset(recv: &mut RecvStream) -> u64 {
    match within(recv.read_to_end(100)).await {
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => code.into_inner(),
        other => panic!("no reset: {other:?}"),
    }
}

/// The code with which the other side stops this stream.
pub async fn stopped(send: &SendStream) -> u64 {
    within(send.stopped()).await.unwrap().expect("stopped, not taken to its end").into_inner()
}

/// Resets a stream of ours.
pub fn reset_ours(send: &mut SendStream, code: u32) {
    send.reset(VarInt::from_u32(code)).unwrap();
}

/// Asks the other side to stop.
pub fn stop_theirs(recv: &mut RecvStream, code: u32) {
    recv.stop(VarInt::from_u32(code)).unwrap();
}

/// Closes the connection.
pub fn hang_up(connection: &Connection, code: u32, reason: &[u8]) {
    connection.close(VarInt::from_u32(code), reason);
}

/// Waits until every connection of the endpoint has ended and told its peer.
pub async fn all_gone(endpoint: &Endpoint) {
    endpoint.wait_idle().await;
}

/// Whether a dial with this application protocol comes to a connection.
pub async fn dial_with(endpoint: &Endpoint, seed: u8, alpn: &[u8], to: SocketAddr) -> bool {
    within(endpoint.connect_with(client(seed, alpn), to, "raw.invalid").unwrap()).await.is_ok()
}

/// Code and reason with which the other side closes the connection.
pub async fn closed(connection: &Connection) -> (u64, Bytes) {
    match within(connection.closed()).await {
        quinn::ConnectionError::ApplicationClosed(close) => (close.error_code.into_inner(), close.reason),
        other => panic!("not an application close: {other}"),
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
