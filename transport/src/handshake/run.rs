//! The exchange itself, on the first stream that the initiator opens (wire 2.1).

use super::verdict::{Negotiated, Refusal, Terms};
use crate::{
    PeerId,
    quic::{Broken, Link, LinkEnd, NoEntropy, RecvHalf, SendHalf},
    wire::{Ack, Hello, Malformed, PROTOCOL},
};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

/// The longest Hello or Ack we read. A Hello with the longest node id has 340 bytes; wire 2.1 would allow 16,384.
/// Stops a stranger from making us read and keep more before it has said who it is.
const MAX_MESSAGE_BYTES: u32 = 1024;

/// Why a handshake came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// Our verdict on the peer's message.
    Refused(Refusal),
    /// The whole exchange was not done at its one deadline.
    Deadline,
    /// The stream ended or broke, with the connection or without it.
    Ended(Option<LinkEnd>),
    /// We have no nonce to send.
    NoEntropy,
}

impl From<Broken> for HandshakeError {
    fn from(_: Broken) -> Self {
        Self::Ended(None)
    }
}

impl From<NoEntropy> for HandshakeError {
    fn from(_: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

impl From<Malformed> for HandshakeError {
    fn from(error: Malformed) -> Self {
        Self::Refused(Refusal::Malformed(error))
    }
}

/// The dialling side: sends a Hello, judges the Ack.
pub(crate) async fn initiate(
    link: &Link,
    us: PeerId,
    terms: &Terms,
    deadline: Instant,
) -> Result<Negotiated, HandshakeError> {
    within(link, deadline, async {
        let (mut send, mut recv) = link.open().await.map_err(|end| HandshakeError::Ended(Some(end)))?;
        let nonce = link.nonce()?;
        let hello = Hello::native(terms.network_id, terms.chain_id, us, nonce, terms.offer, terms.limits);
        write_message(&mut send, hello.encode()).await?;
        let ack = Ack::decode(&read_message(&mut recv, "ack").await?)?;
        let agreed = terms.judge_ack(&ack, &nonce).map_err(HandshakeError::Refused)?;
        link.welcome();
        Ok(agreed)
    })
    .await
}

/// The dialled side: judges the Hello, answers with an Ack.
pub(crate) async fn respond(
    link: &Link,
    terms: &Terms,
    deadline: Instant,
) -> Result<Negotiated, HandshakeError> {
    within(link, deadline, async {
        let (mut send, mut recv) = link.accept().await.map_err(|end| HandshakeError::Ended(Some(end)))?;
        let hello = Hello::decode(&read_message(&mut recv, "hello").await?)?;
        let agreed = terms.judge_hello(&hello, link.peer()).map_err(HandshakeError::Refused)?;
        let ack = Ack {
            protocol: PROTOCOL,
            nonce: link.nonce()?,
            hello_nonce: hello.nonce,
            capabilities: agreed.capabilities,
            channels: 0,
            limits: agreed.limits,
        };
        // Before the Ack, so that the peer need not wait for room once it has that.
        link.welcome();
        write_message(&mut send, ack.encode()).await?;
        Ok(agreed)
    })
    .await
}

/// Puts the exchange under its one deadline, and finds the connection's own end behind a broken stream.
async fn within(
    link: &Link,
    deadline: Instant,
    exchange: impl Future<Output = Result<Negotiated, HandshakeError>>,
) -> Result<Negotiated, HandshakeError> {
    match timeout_at(deadline, exchange).await {
        Err(_) => Err(HandshakeError::Deadline),
        Ok(Err(HandshakeError::Ended(None))) => {
            // A broken stream is usually the connection's close, which follows at once.
            let end = timeout_at(deadline, link.ended()).await.ok();
            Err(HandshakeError::Ended(end))
        }
        Ok(done) => done,
    }
}

async fn write_message(send: &mut SendHalf, message: Bytes) -> Result<(), HandshakeError> {
    let mut out = BytesMut::with_capacity(message.len().saturating_add(4));
    out.put_u32_le(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(&message);
    send.write_all(out.freeze()).await?;
    send.finish();
    Ok(())
}

async fn read_message(recv: &mut RecvHalf, what: &'static str) -> Result<Vec<u8>, HandshakeError> {
    let early = || Malformed::new(what, "the stream ended before the message did");
    let length = u32::from_le_bytes(recv.read_array().await?.ok_or_else(early)?);
    if length == 0 || length > MAX_MESSAGE_BYTES {
        let why = format!("length {length}, from 1 to {MAX_MESSAGE_BYTES} is accepted");
        return Err(Malformed::new(what, why).into());
    }
    let mut message = vec![0; usize::try_from(length).unwrap_or_default()];
    if recv.read_exact(&mut message).await? { Ok(message) } else { Err(early().into()) }
}
