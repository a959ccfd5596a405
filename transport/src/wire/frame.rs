//! Frames (wire 4.3): type, flags, length, payload.

use super::{Reader, Writer};
use crate::Violation;
use bytes::{Buf, Bytes, buf::Chain};

/// Bytes of a frame header: `u16` type, `u16` flags, `u32` payload length, little-endian.
pub const FRAME_HEADER_BYTES: usize = 8;

/// A decoded frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The message type.
    pub message_type: u16,
    /// Must be zero in every service today.
    pub flags: u16,
    /// Payload bytes that follow.
    pub payload_bytes: u32,
}

impl FrameHeader {
    /// Reads a header; every bit pattern is one, bounds are the stream's business.
    #[must_use]
    pub const fn decode(b: [u8; FRAME_HEADER_BYTES]) -> Self {
        let [t0, t1, f0, f1, l0, l1, l2, l3] = b;
        Self {
            message_type: u16::from_le_bytes([t0, t1]),
            flags: u16::from_le_bytes([f0, f1]),
            payload_bytes: u32::from_le_bytes([l0, l1, l2, l3]),
        }
    }
}

/// One message as bytes with a type. The payload is `head` followed by `body`, so that a large body can travel
/// without being copied behind its one-byte message tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message type.
    pub message_type: u16,
    /// The payload's first part; empty in received frames.
    pub head: Bytes,
    /// The rest of the payload; in received frames, all of it.
    pub body: Bytes,
}

impl Frame {
    /// A frame whose payload is one piece.
    #[must_use]
    pub const fn new(message_type: u16, payload: Bytes) -> Self {
        Self { message_type, head: Bytes::new(), body: payload }
    }

    /// A frame whose payload is `head` then `body`.
    #[must_use]
    pub const fn with_body(message_type: u16, head: Bytes, body: Bytes) -> Self {
        Self { message_type, head, body }
    }

    /// Payload bytes, without the frame header.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.head.len().saturating_add(self.body.len())
    }

    /// Bytes on the wire, with the frame header.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.payload_len().saturating_add(FRAME_HEADER_BYTES)
    }

    /// Reads the payload. Of a received frame, and behind the head of any other, bytes are shared and not copied.
    #[must_use]
    pub fn into_reader(self) -> Reader<Chain<Bytes, Bytes>> {
        Reader::new(self.head.chain(self.body))
    }

    /// Header and `head` in one piece; the body follows it on the wire.
    #[must_use]
    pub fn encode_front(&self) -> Bytes {
        let mut front = Writer::with_capacity(FRAME_HEADER_BYTES.saturating_add(self.head.len()));
        front.u16(self.message_type);
        front.u16(0);
        front.u32(u32::try_from(self.payload_len()).unwrap_or(u32::MAX));
        front.raw(&self.head);
        front.finish()
    }
}

/// Bytes that are no message: what was being read, and what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Malformed {
    /// The thing being read, e.g. `"GetBlocks.count"`.
    pub what: &'static str,
    /// What was wrong.
    pub why: String,
}

impl Malformed {
    /// Names the thing and the fault.
    #[must_use]
    pub fn new(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, why: why.into() }
    }
}

impl From<Malformed> for Violation {
    fn from(error: Malformed) -> Self {
        Self::malformed(error.what, error.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ping_vector_is_an_empty_frame_of_type_12() {
        let frame = Frame::new(12, Bytes::new());
        assert_eq!(frame.encode_front()[..], [0x0c, 0, 0, 0, 0, 0, 0, 0]);
        let header = FrameHeader::decode([0x0c, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(header, FrameHeader { message_type: 12, flags: 0, payload_bytes: 0 });
    }
}
