//! Every bound a peer meets on the stream (wire 5.1 and 7.1).

use zakura_transport::{
    Capabilities, Mode, Opener, PayloadCap, StreamKind, StreamSpec, wire::FRAME_HEADER_BYTES,
};

/// Payload bytes of any message at most (wire 5.1).
pub const MAX_MESSAGE_BYTES: usize = 16_384;

/// Bytes of a record's body at most, and of what its author signs (wire 5.1).
pub const MAX_RECORD_BYTES: usize = 16_384;

/// Addresses of a record at most (wire 5.1). Stops one record from making us dial without end.
pub const MAX_ADDRESSES: usize = 8;

/// Services in any list at most (wire 5.1).
pub const MAX_SERVICES: usize = 32;

/// Bytes of a service's name at most (wire 5.1).
pub const MAX_SERVICE_ID_BYTES: usize = 64;

/// Records that one message brings or one request asks for at most (wire 5.1). Bounds the signatures one message makes
/// us verify.
pub const MAX_RECORDS: usize = 32;

/// [`MAX_RECORDS`] as a request states it.
pub(super) const MAX_LIMIT: u16 = 32;

/// Identities that a request excludes at most (wire 5.1). Bounds the points one message makes us decompress.
pub const MAX_EXCLUDED: usize = 256;

/// Summaries of one peer at most (wire 5.1).
pub const MAX_SUMMARIES: usize = 32;

/// Payload bytes of one summary at most (wire 5.1).
pub const MAX_SUMMARY_BYTES: usize = 1_024;

/// The one frame type of this stream; the message's own tag is the payload's first byte (wire 5.1).
pub(super) const FRAME_TYPE: u16 = 1;

/// Frame bytes at most, header included (wire 4.1).
const MAX_FRAME_BYTES: u32 = 1_048_576;

/// Frames a second accepted from a peer. Wire 4.6 has 2,048, but a peer sends five in fifteen seconds, and each may cost 32
/// records or 256 points to look at: this stops a flood before it is decoded.
const FRAMES_PER_SECOND: u32 = 64;

/// First bytes of a payload (wire 5.1).
pub(super) mod tag {
    pub(in crate::wire) const HELLO: u8 = 1;
    pub(in crate::wire) const GET_PEERS: u8 = 2;
    pub(in crate::wire) const PEERS: u8 = 3;
    pub(in crate::wire) const GET_SERVICES: u8 = 4;
    pub(in crate::wire) const SERVICES: u8 = 5;
}

#[expect(clippy::as_conversions, reason = "a const fn has no try_from; the assertion below bounds the value")]
const MESSAGE_CAP: u32 = MAX_MESSAGE_BYTES as u32;

#[expect(clippy::as_conversions, reason = "a frame header has eight bytes")]
const _: () = assert!(MESSAGE_CAP + FRAME_HEADER_BYTES as u32 <= MAX_FRAME_BYTES);

/// The stream, declared.
pub const STREAM: StreamSpec = StreamSpec {
    name: "discovery",
    kind: StreamKind::DISCOVERY,
    version: 1,
    capability: Capabilities::DISCOVERY,
    mode: Mode::Ordered,
    max_frame: MAX_FRAME_BYTES,
    payload_caps: &[PayloadCap { message_type: FRAME_TYPE, bytes: MESSAGE_CAP }],
    opener: Opener::Initiator,
    frames_per_second: FRAMES_PER_SECOND,
};
