//! An endpoint with an identity, and a connection behind its handshake.

use super::{
    Ending, Name, Seen, Stream, Trouble, Victim,
    deaf::DeafSocket,
    sha256d, soon, tls,
    wire::{Ack, BLOCK_SYNC, Hello, prelude},
};
use futures::FutureExt;
use quinn::{Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use std::{
    future::IntoFuture,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// Frame bytes that we take on a stream: as much as there may be.
const MAX_FRAME: u32 = 4_194_304;

/// What an honest leaver says.
const LEAVING: &[u8] = b"leaving";

/// The identity's seed of one role in one act, the same in every run with the same number.
#[must_use]
pub fn identity(number: u64, act: &str, role: &str) -> [u8; 32] {
    sha256d(&[&number.to_le_bytes(), act.as_bytes(), b"/", role.as_bytes()])
}

/// A UDP endpoint with an Ed25519 identity, which dials and listens.
#[derive(Debug, Clone)]
pub struct Raw {
    endpoint: Endpoint,
    id: [u8; 32],
}

impl Raw {
    /// Binds a free port of this machine's loopback interface, or of all of its interfaces if `to` is elsewhere.
    ///
    /// # Errors
    ///
    /// The system gives no socket, or TLS does not take the key.
    pub fn bind(seed: &[u8; 32], to: SocketAddr) -> Result<Self, Trouble> {
        let any =
            if to.is_ipv6() { SocketAddr::from(([0_u16; 8], 0)) } else { (Ipv4Addr::UNSPECIFIED, 0).into() };
        Self::bind_to(seed, if to.ip().is_loopback() { SocketAddr::new(to.ip(), 0) } else { any })
    }

    /// Binds this address.
    ///
    /// # Errors
    ///
    /// The system gives no socket, or TLS does not take the key.
    pub fn bind_to(seed: &[u8; 32], own: SocketAddr) -> Result<Self, Trouble> {
        let mut endpoint = Endpoint::server(tls::server(seed)?, own).map_err(Trouble::of)?;
        endpoint.set_default_client_config(tls::client(seed)?);
        Ok(Self { endpoint, id: tls::public_key(seed)? })
    }

    /// Over a socket that may become deaf. It gives as much credit as existing nodes do (wire 1.4).
    pub(super) fn over(seed: &[u8; 32], socket: Arc<DeafSocket>) -> Result<Self, Trouble> {
        let runtime = Arc::new(TokioRuntime);
        let config = EndpointConfig::default();
        let mut endpoint =
            Endpoint::new_with_abstract_socket(config, None, socket, runtime).map_err(Trouble::of)?;
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(32 << 20));
        let mut client = tls::client(seed)?;
        client.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(client);
        Ok(Self { endpoint, id: tls::public_key(seed)? })
    }

    /// Who we are, and where we listen.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub fn name(&self) -> Result<Name, Trouble> {
        Ok(Name { id: self.id, addr: self.endpoint.local_addr().map_err(Trouble::of)? })
    }

    /// Dials, up to the end of TLS.
    ///
    /// # Errors
    ///
    /// Nobody answers.
    pub async fn tls(&self, to: SocketAddr) -> Result<Connection, Trouble> {
        let dial = self.endpoint.connect(to, "raw.invalid").map_err(Trouble::of)?;
        soon("QUIC and TLS", dial).await?.map_err(Trouble::of)
    }

    /// Dials, says this Hello and reads the Ack.
    ///
    /// # Errors
    ///
    /// The Hello was refused, or its answer is no Ack.
    pub async fn dial(&self, victim: Victim, hello: &Hello) -> Result<Peer, Trouble> {
        let connection = self.tls(victim.name.addr).await?;
        let mut control = open(&connection).await?;
        control.raw(&measured(&hello.bytes())).await?;
        control.finish();
        let answer = control.rest(1_000).await?;
        let ack = answer.get(4..).and_then(Ack::read).filter(|ack| ack.echo == hello.nonce);
        let ack = ack.ok_or_else(|| Trouble::of("the answer to an honest Hello is no Ack"))?;
        Ok(self.peer(connection, victim, true, ack.capabilities))
    }

    /// Waits to be dialled, up to the Hello: its stream is still to be answered.
    ///
    /// # Errors
    ///
    /// Nobody dials, or what comes is no Hello.
    pub async fn dialled(&self) -> Result<(Connection, Stream, Ack), Trouble> {
        let incoming = soon("the victim to dial", self.endpoint.accept()).await?;
        let incoming = incoming.ok_or_else(|| Trouble::of("our endpoint is closed"))?;
        let connection = soon("QUIC and TLS", incoming.into_future()).await?.map_err(Trouble::of)?;
        let halves = soon("the control stream", connection.accept_bi()).await?.map_err(Trouble::of)?;
        let mut control = Stream::new(connection.clone(), halves);
        let hello = control.rest(1_000).await?;
        let asked = hello.get(4..).and_then(Hello::asked);
        let (nonce, limits) = asked.ok_or_else(|| Trouble::of("the victim's Hello is none"))?;
        Ok((connection, control, Ack { echo: nonce, capabilities: super::wire::FULL_NODE, limits }))
    }

    /// Waits to be dialled, and answers the Hello in order.
    ///
    /// # Errors
    ///
    /// As [`dialled`](Self::dialled).
    pub async fn accept(&self, victim: Victim) -> Result<Peer, Trouble> {
        let (connection, mut control, ack) = self.dialled().await?;
        control.raw(&measured(&ack.bytes())).await?;
        control.finish();
        Ok(self.peer(connection, victim, false, ack.capabilities))
    }

    /// Closes everything, in order.
    pub async fn leave(&self) {
        self.endpoint.close(VarInt::from_u32(0), LEAVING);
        // Whoever does not hear it finds out.
        drop(soon("the victim to hear that we left", self.endpoint.wait_idle()).await);
    }

    fn peer(&self, connection: Connection, victim: Victim, dialled: bool, capabilities: u64) -> Peer {
        Peer { connection, victim, us: self.id, dialled, capabilities, others: Vec::new() }
    }
}

/// A message with its length in front of it (wire 2.1).
pub(super) fn measured(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], message].concat()
}

/// Opens a stream and says nothing on it: the victim does not know of it yet.
pub(super) async fn open(connection: &Connection) -> Result<Stream, Trouble> {
    let halves = soon("room for a stream", connection.open_bi()).await?.map_err(Trouble::of)?;
    Ok(Stream::new(connection.clone(), halves))
}

/// How the victim ends a connection.
pub(super) async fn closed(connection: &Connection) -> Result<Seen, Trouble> {
    match soon("the victim to close the connection", connection.closed()).await? {
        ConnectionError::ApplicationClosed(close) => Ok(Seen::Closed {
            code: close.error_code.into_inner(),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        }),
        other => Err(Trouble::of(format!("not closed by the application: {other}"))),
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Peer {
    pub(super) connection: Connection,
    pub(super) victim: Victim,
    us: [u8; 32],
    dialled: bool,
    /// What was agreed on.
    pub capabilities: u64,
    /// Streams that the victim opened and nobody has asked for yet, by kind.
    others: Vec<(u16, Stream)>,
}

impl Peer {
    /// Opens a stream with these bytes as its beginning.
    ///
    /// # Errors
    ///
    /// The victim has no room for a stream.
    pub async fn open(&self, beginning: &[u8]) -> Result<Stream, Trouble> {
        let mut stream = open(&self.connection).await?;
        stream.raw(beginning).await?;
        Ok(stream)
    }

    /// The stream of a kind, opened by whoever is to open it (wire 4.4).
    ///
    /// # Errors
    ///
    /// The victim does not open it.
    pub async fn stream(&mut self, kind: (u16, u16)) -> Result<Stream, Trouble> {
        let ours = if kind == BLOCK_SYNC { self.us < self.victim.name.id } else { self.dialled };
        if ours { self.open(&prelude(kind, MAX_FRAME)).await } else { self.theirs(kind.0).await }
    }

    /// The stream of a kind that the victim opens.
    async fn theirs(&mut self, kind: u16) -> Result<Stream, Trouble> {
        if let Some(at) = self.others.iter().position(|(other, _)| *other == kind) {
            return Ok(self.others.swap_remove(at).1);
        }
        loop {
            let what = format!("the victim to open kind {kind}");
            let halves = soon(&what, self.connection.accept_bi()).await?.map_err(Trouble::of)?;
            let mut stream = Stream::new(self.connection.clone(), halves);
            let head = stream.exactly(13).await?;
            let found = head.get(4..6).and_then(|kind| kind.try_into().ok()).map_or(0, u16::from_le_bytes);
            if found == kind {
                return Ok(stream);
            }
            self.others.push((found, stream));
        }
    }

    /// Whether there is any room for a one-way stream, or for a datagram (wire 1.4 gives none).
    #[must_use]
    pub fn may_overreach(&self) -> bool {
        self.connection.open_uni().now_or_never().is_some() || self.connection.max_datagram_size().is_some()
    }

    /// Waits until the victim closes the connection.
    ///
    /// # Errors
    ///
    /// It does not.
    pub async fn closed(self) -> Result<Ending, Trouble> {
        Ok(Ending::of(closed(&self.connection).await?))
    }

    /// Ends the act with what was seen; the connection and these streams stay open until the act is over.
    #[must_use]
    pub fn stays(self, seen: Seen, streams: impl IntoIterator<Item = Stream>) -> Ending {
        let mut ending = Ending::of(if self.connection.close_reason().is_none() {
            seen
        } else {
            Seen::Lost(format!("{:?}", self.connection.close_reason()))
        });
        ending.streams.extend(streams);
        ending.streams.extend(self.others.into_iter().map(|(_, stream)| stream));
        ending.connection = Some(self.connection);
        ending
    }
}
