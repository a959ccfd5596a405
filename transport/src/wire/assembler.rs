//! Frames out of a byte stream, whatever its pieces (wire 4.3).

use super::{FRAME_HEADER_BYTES, Frame, FrameHeader};
use crate::{StreamSpec, Violation};
use bytes::{Buf, Bytes, BytesMut};

/// Payload bytes set aside before any has arrived; above it the buffer at most doubles with what has arrived. Stops
/// allocation by declared length: a peer that declares 3 MB and sends nothing costs this much.
const FIRST_PAYLOAD_BYTES: usize = 16 * 1024;

/// Reads frames of one stream incrementally, under the stream's caps.
#[derive(Debug)]
pub struct FrameAssembler {
    spec: StreamSpec,
    max_frame: u32,
    header: [u8; FRAME_HEADER_BYTES],
    filled: usize,
    payload: Option<(u16, usize, BytesMut)>,
}

impl FrameAssembler {
    /// For a stream of this kind on which the peer may send frames of `max_frame` bytes at most.
    #[must_use]
    pub fn new(spec: StreamSpec, max_frame: u32) -> Self {
        Self { spec, max_frame, header: [0; FRAME_HEADER_BYTES], filled: 0, payload: None }
    }

    /// Takes bytes from `input` until a frame is whole or the input is used up.
    ///
    /// # Errors
    ///
    /// [`Violation`]: flags, a frame above the stream's cap, an unknown type, or a payload above its type's cap. Seen
    /// at the header, before the payload has any memory.
    pub fn feed(&mut self, input: &mut Bytes) -> Result<Option<Frame>, Violation> {
        while !input.is_empty() {
            if self.payload.is_none() {
                self.fill_header(input);
                if self.filled < FRAME_HEADER_BYTES {
                    return Ok(None);
                }
                self.payload = Some(self.open_payload()?);
            }
            if let Some(frame) = self.fill_payload(input) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Bytes of the frame under way still to come, at least: 0 between frames.
    #[must_use]
    pub fn missing(&self) -> usize {
        match &self.payload {
            Some((_, length, got)) => length.saturating_sub(got.len()),
            None if self.filled == 0 => 0,
            None => FRAME_HEADER_BYTES.saturating_sub(self.filled),
        }
    }

    /// Whether the stream may end here: between frames or inside a header, not inside a payload (wire 4.3).
    #[must_use]
    pub const fn may_end(&self) -> bool {
        self.payload.is_none()
    }

    fn fill_header(&mut self, input: &mut Bytes) {
        let room = self.header.get_mut(self.filled..).unwrap_or_default();
        let count = room.len().min(input.len());
        if let Some(room) = room.get_mut(..count) {
            input.copy_to_slice(room);
        }
        self.filled = self.filled.saturating_add(count);
    }

    fn open_payload(&self) -> Result<(u16, usize, BytesMut), Violation> {
        let header = FrameHeader::decode(self.header);
        let name = self.spec.name;
        if header.flags != 0 {
            return Err(Violation::malformed("frame.flags", format!("{:#06x} on {name}", header.flags)));
        }
        let room = self.max_frame.saturating_sub(u32::try_from(FRAME_HEADER_BYTES).unwrap_or(u32::MAX));
        if header.payload_bytes > room {
            let seen = format!("{} payload bytes on {name}, {room} at most", header.payload_bytes);
            return Err(Violation::malformed("frame.length", seen));
        }
        let kind = header.message_type;
        let Some(cap) = self.spec.payload_cap(kind) else {
            return Err(Violation::malformed("frame.type", format!("{kind} is no message of {name}")));
        };
        if header.payload_bytes > cap {
            let seen =
                format!("{} payload bytes in message {kind} of {name}, {cap} at most", header.payload_bytes);
            return Err(Violation::malformed("message.length", seen));
        }
        let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
        Ok((kind, length, BytesMut::with_capacity(length.min(FIRST_PAYLOAD_BYTES))))
    }

    fn fill_payload(&mut self, input: &mut Bytes) -> Option<Frame> {
        let (kind, length, mut got) = self.payload.take()?;
        let count = length.saturating_sub(got.len()).min(input.len());
        let need = got.len().saturating_add(count);
        if need > got.capacity() {
            let target = got.len().saturating_mul(2).max(need).min(length);
            let mut larger = BytesMut::with_capacity(target);
            larger.extend_from_slice(&got);
            got = larger;
        }
        got.extend_from_slice(&input.split_to(count));
        if got.len() < length {
            self.payload = Some((kind, length, got));
            return None;
        }
        self.filled = 0;
        Some(Frame::new(kind, got.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, Mode, Opener, PayloadCap, StreamKind};
    use proptest::prelude::*;

    fn spec() -> StreamSpec {
        StreamSpec {
            name: "test",
            kind: StreamKind(256),
            version: 1,
            capability: Capabilities::from_bits(1 << 40),
            mode: Mode::Ordered,
            max_frame: 1 << 20,
            payload_caps: &[
                PayloadCap { message_type: 1, bytes: 100_000 },
                PayloadCap { message_type: 2, bytes: 0 },
            ],
            opener: Opener::Initiator,
            frames_per_second: 2048,
        }
    }

    fn wire(frame: &Frame) -> Vec<u8> {
        [&frame.encode_front()[..], &frame.body[..]].concat()
    }

    fn feed_all(
        assembler: &mut FrameAssembler,
        pieces: impl Iterator<Item = Bytes>,
    ) -> Result<Vec<Frame>, Violation> {
        let mut frames = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                frames.extend(assembler.feed(&mut piece)?);
            }
        }
        Ok(frames)
    }

    fn header(kind: u16, flags: u16, length: u32) -> Bytes {
        let mut out = Vec::new();
        out.extend(kind.to_le_bytes());
        out.extend(flags.to_le_bytes());
        out.extend(length.to_le_bytes());
        out.into()
    }

    #[test]
    fn every_split_gives_the_same_frames() {
        let frames = [
            Frame::new(1, Bytes::from_static(b"one")),
            Frame::new(2, Bytes::new()),
            Frame::new(1, Bytes::from_static(b"three")),
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(wire).collect();
        for size in 1..=bytes.len() {
            let mut assembler = FrameAssembler::new(spec(), 1 << 20);
            let pieces = bytes.chunks(size).map(Bytes::copy_from_slice);
            assert_eq!(feed_all(&mut assembler, pieces).unwrap(), frames, "pieces of {size}");
            assert!(assembler.may_end());
        }
    }

    #[test]
    fn each_bound_is_met_at_the_header() {
        for (max_frame, kind, flags, length, rule) in [
            (1 << 20, 1, 1, 1, "frame.flags"),
            (108, 1, 0, 101, "frame.length"),
            (1 << 20, 3, 0, 1, "frame.type"),
            (1 << 20, 1, 0, 100_001, "message.length"),
            (1 << 20, 2, 0, 1, "message.length"),
            (1 << 20, 1, 0, u32::MAX, "frame.length"),
        ] {
            let mut assembler = FrameAssembler::new(spec(), max_frame);
            let violation = assembler.feed(&mut header(kind, flags, length)).unwrap_err();
            assert_eq!(violation.rule(), rule);
        }
        let mut assembler = FrameAssembler::new(spec(), 108);
        assert_eq!(assembler.feed(&mut header(1, 0, 100)), Ok(None), "exactly at the cap is allowed");
    }

    #[test]
    fn a_declared_payload_costs_what_has_arrived() {
        let mut assembler = FrameAssembler::new(spec(), 1 << 20);
        assembler.feed(&mut header(1, 0, 100_000)).unwrap();
        let mut arrived = 0;
        while arrived < 99_000 {
            arrived += 1000;
            assembler.feed(&mut Bytes::from(vec![0; 1000])).unwrap();
            let (_, _, got) = assembler.payload.as_ref().unwrap();
            assert!(
                got.capacity() <= FIRST_PAYLOAD_BYTES.max(2 * arrived),
                "{} at {arrived}",
                got.capacity()
            );
            assert_eq!(assembler.missing(), 100_000 - arrived);
        }
        assert!(!assembler.may_end());
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_end_in_frames_or_a_violation(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)
        ) {
            let mut assembler = FrameAssembler::new(spec(), 1 << 20);
            let joined: Vec<u8> = pieces.concat();
            let whole = feed_all(
                &mut FrameAssembler::new(spec(), 1 << 20),
                std::iter::once(Bytes::from(joined)),
            );
            let split = feed_all(&mut assembler, pieces.into_iter().map(Bytes::from));
            prop_assert_eq!(whole, split);
        }
    }
}
