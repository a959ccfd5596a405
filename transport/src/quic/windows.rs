//! What a connection may make QUIC keep, before its handshake and after it.

/// Streams a peer may have open at once: stops unbounded stream state. Wire 1.4's nodes allow 1,024, which is their bound on
/// us and not ours on them; QUIC keeps places for all that may come, 70 KiB a connection for so many, and a peer that wants
/// more waits until it has closed one.
pub(super) const MAX_BIDI_STREAMS: u32 = 128;

/// Bytes that a connection takes until its handshake is done, over all streams: stops a stranger from filling the windows of a
/// peer. The longest Hello has 344 bytes with its length, an Ack 112, and 1,028 is the most that we read (wire 2.1). All
/// else that may come before we have read it is what a responder sends right behind its Ack: QUIC lets it have 14,720
/// bytes on the way before it has heard from us, by when it has heard of the larger window too, so that nobody waits.
pub(crate) const STRANGER: u32 = 16 << 10;

/// Bytes a connection may make us keep. Inbound peers, of whom there may be many, start smaller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    /// Of one stream. QUIC fixes it for the connection's life.
    pub(super) stream: u32,
    /// Received and not read, once the handshake is done; [`STRANGER`] until then.
    pub(super) connection: u32,
    /// Sent and not acknowledged.
    pub(super) send: u64,
    /// Streams that the other side may open until the handshake is done. Beside its window QUIC may keep 32 KiB of torn
    /// datagrams for each stream.
    pub(super) strangers_streams: u32,
}

impl Windows {
    /// All of it, full.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.connection).saturating_add(self.send)
    }
}

/// Above 2.9 MB QUIC's own gap limit can close a connection that overshoots, so this is the most a stream gets.
const MAX_STREAM_WINDOW: u32 = 2_900_000;

/// An initiator opens its control stream and no other before it has our Ack (wire 2.1).
pub(crate) const INBOUND: Windows =
    Windows { stream: 1 << 20, connection: 2 << 20, send: 4 << 20, strangers_streams: 1 };

/// A responder may open a stream of each of the four ordered kinds right behind its Ack (wire 4.1).
pub(crate) const OUTBOUND: Windows =
    Windows { stream: MAX_STREAM_WINDOW, connection: 6_000_000, send: 2 << 20, strangers_streams: 4 };

const _: () = assert!(INBOUND.stream <= MAX_STREAM_WINDOW && OUTBOUND.stream <= MAX_STREAM_WINDOW);
const _: () = assert!(INBOUND.connection >= 2 * INBOUND.stream, "one unread stream must not starve the rest");
const _: () =
    assert!(OUTBOUND.connection >= 2 * OUTBOUND.stream, "one unread stream must not starve the rest");
const _: () = assert!(STRANGER < INBOUND.stream && STRANGER < OUTBOUND.stream);
