//! Two nodes meet: from the first datagram to a finished handshake, under one deadline.

use crate::{
    CloseReason, PeerAddr, PeerId,
    handshake::{HandshakeError, Negotiated, Terms, initiate, respond},
    quic::{DialError, Endpoint, Farewell, Incoming, Link, LinkEnd, NoEntropy},
};
use tokio::time::{Instant, timeout_at};

/// A connection whose handshake is done, not registered yet.
pub(super) struct Met {
    pub(super) link: Link,
    pub(super) agreed: Negotiated,
}

/// Why two nodes did not meet, and the identity that was proved, if TLS got that far.
pub(super) struct Missed {
    pub(super) peer: Option<PeerId>,
    pub(super) reason: CloseReason,
}

/// Dials a peer.
pub(super) async fn dial(
    endpoint: &Endpoint,
    us: PeerId,
    terms: &Terms,
    peer: PeerAddr,
    deadline: Instant,
) -> Result<Met, Missed> {
    let link = timeout_at(deadline, endpoint.dial(peer)).await.map_err(|_| late())?.map_err(missed)?;
    match initiate(&link, us, terms, deadline).await {
        Ok(agreed) => Ok(Met { link, agreed }),
        Err(error) => Err(give_up(&link, error, Farewell::NEUTRAL)),
    }
}

/// Receives a peer.
pub(super) async fn admit(incoming: Incoming, terms: &Terms, deadline: Instant) -> Result<Met, Missed> {
    let link = timeout_at(deadline, incoming.establish()).await.map_err(|_| late())?.map_err(missed)?;
    match respond(&link, terms, deadline).await {
        Ok(agreed) => Ok(Met { link, agreed }),
        Err(error) => Err(give_up(&link, error, Farewell::HANDSHAKE)),
    }
}

fn give_up(link: &Link, error: HandshakeError, farewell: Farewell) -> Missed {
    link.close(farewell);
    let reason = match error {
        HandshakeError::Refused(refusal) => CloseReason::HandshakeRefused(refusal),
        HandshakeError::Deadline => CloseReason::Timeout,
        HandshakeError::Ended(Some(end)) => end.into(),
        HandshakeError::Ended(None) => CloseReason::Transport("the handshake's stream broke off".into()),
        HandshakeError::NoEntropy => CloseReason::NotDialled(NoEntropy.to_string()),
    };
    Missed { peer: Some(link.peer()), reason }
}

fn late() -> Missed {
    Missed { peer: None, reason: CloseReason::Timeout }
}

fn missed(error: DialError) -> Missed {
    let reason = match error {
        DialError::WrongIdentity => CloseReason::WrongIdentity,
        DialError::Ended(LinkEnd::TimedOut) => CloseReason::Timeout,
        DialError::Ended(end) => end.into(),
        DialError::NoIdentity => CloseReason::Transport("the peer proved no Ed25519 identity".into()),
        DialError::Local(text) => CloseReason::NotDialled(text),
    };
    Missed { peer: None, reason }
}
