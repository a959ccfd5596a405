//! Every bound a peer meets on the stream (wire 4.1, 5.3 and 7.1).

use zakura_transport::{
    Capabilities, Mode, Opener, PayloadCap, StreamKind, StreamSpec, wire::FRAME_HEADER_BYTES,
};

/// Bytes of a serialized block at most (wire 7.1). Stops a peer from making us hold a body no chain can contain.
pub const MAX_BLOCK_BYTES: u32 = 2_000_000;

/// Payload bytes of any message at most (wire 5.3).
pub const MAX_MESSAGE_BYTES: u32 = 3_145_728;

/// Blocks that one request may name (wire 7.1). Stops one cheap request from costing an unbounded read.
pub const MAX_BLOCKS_PER_RESPONSE: u32 = 128;

/// The largest believed number of requests in flight (wire 5.3): larger claims are clamped.
pub const MAX_IN_FLIGHT_REQUESTS: u32 = 32_768;

/// The largest believed size of one response (wire 5.3): larger claims are clamped.
pub const MAX_RESPONSE_BYTES: u32 = 33_554_432;

/// Payload bytes of a Status: tag, two heights, a hash, three limits.
pub(super) const STATUS_BYTES: u32 = 53;

/// Payload bytes of GetBlocks, BlocksDone and RangeUnavailable: tag, height, count.
pub(super) const SPAN_BYTES: u32 = 9;

/// Frames a second accepted from a peer (wire 4.6).
const FRAMES_PER_SECOND: u32 = 2_048;

/// Message types (wire 5.3); each is repeated as the payload's first byte.
pub(super) mod tag {
    pub(in crate::wire) const STATUS: u8 = 1;
    pub(in crate::wire) const GET_BLOCKS: u8 = 2;
    pub(in crate::wire) const BLOCK: u8 = 3;
    pub(in crate::wire) const BLOCKS_DONE: u8 = 4;
    pub(in crate::wire) const RANGE_UNAVAILABLE: u8 = 5;
}

const _: () = assert!(MAX_BLOCK_BYTES < MAX_MESSAGE_BYTES, "a block and its tag fit one message");
const _: () = assert!(MAX_BLOCK_BYTES <= MAX_RESPONSE_BYTES, "a response holds at least one block");

/// The stream, declared.
pub const STREAM: StreamSpec = StreamSpec {
    name: "block-sync",
    kind: StreamKind::BLOCK_SYNC,
    version: 2,
    capability: Capabilities::BLOCK_SYNC,
    mode: Mode::Ordered,
    max_frame: MAX_MESSAGE_BYTES + FRAME_HEADER_BYTES as u32,
    payload_caps: &[
        PayloadCap { message_type: tag::STATUS as u16, bytes: STATUS_BYTES },
        PayloadCap { message_type: tag::GET_BLOCKS as u16, bytes: SPAN_BYTES },
        PayloadCap { message_type: tag::BLOCK as u16, bytes: MAX_BLOCK_BYTES + 1 },
        PayloadCap { message_type: tag::BLOCKS_DONE as u16, bytes: SPAN_BYTES },
        PayloadCap { message_type: tag::RANGE_UNAVAILABLE as u16, bytes: SPAN_BYTES },
    ],
    opener: Opener::SmallerId,
    frames_per_second: FRAMES_PER_SECOND,
};
