//! Frames on their way into a stream. Pure.

use crate::{Frame, wire::FRAME_HEADER_BYTES};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// Frames below this are copied together, larger ones go as they are. QUIC keeps every piece until it is acknowledged and
/// looks through all of them for every packet: a window of pieces of a hundred bytes costs more than the packets do.
const COPIED_BYTES: usize = 16 * 1024;
/// Bytes taken along in one write.
const WRITE_BYTES: usize = 32 * 1024;
/// Pieces taken along in one write.
const WRITE_PIECES: usize = 32;

/// What the next write takes along: pieces, and behind them small frames that become one.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pieces: VecDeque<Bytes>,
    gathering: BytesMut,
    bytes: usize,
}

impl Staged {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.gathering.is_empty()
    }

    /// Whether there is enough for a write.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= WRITE_BYTES || self.pieces.len() >= WRITE_PIECES
    }

    /// Appends a frame. `expected` bytes may follow it, itself counted.
    pub(super) fn push(&mut self, frame: Frame, expected: usize) {
        let length = frame.wire_len();
        self.bytes = self.bytes.saturating_add(length);
        if length >= COPIED_BYTES {
            self.gather();
            self.pieces.push_back(frame.encode_front());
            self.pieces.push_back(frame.body);
            return;
        }
        if self.gathering.capacity() == 0 {
            // All that is gathered in one write, so that it is allocated once.
            self.gathering.reserve(expected.clamp(length, WRITE_BYTES.saturating_add(COPIED_BYTES)));
        }
        self.gathering.put_u16_le(frame.message_type);
        self.gathering.put_u16_le(0);
        self.gathering.put_u32_le(u32::try_from(frame.payload_len()).unwrap_or(u32::MAX));
        self.gathering.put_slice(&frame.head);
        self.gathering.put_slice(&frame.body);
    }

    /// The pieces to write, in order. What is written is to be cut from them; then [`written`](Self::written).
    pub(super) fn pieces(&mut self) -> &mut [Bytes] {
        self.gather();
        self.pieces.make_contiguous()
    }

    /// So many bytes have been taken from the pieces.
    pub(super) fn written(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        while self.pieces.front().is_some_and(Bytes::is_empty) {
            self.pieces.pop_front();
        }
    }

    /// Small frames become a piece. Nothing of their memory stays here: there are many peers, and most are quiet.
    fn gather(&mut self) {
        if !self.gathering.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.gathering).freeze());
        }
    }
}

const _: () = assert!(COPIED_BYTES > FRAME_HEADER_BYTES && WRITE_BYTES >= COPIED_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is taken when, the bytes are those of the frames in order.
        #[test]
        fn every_byte_goes_out_once_and_in_order(
            sizes in prop::collection::vec(prop_oneof![0_usize..300, 15_000_usize..40_000], 1..60),
            takes in prop::collection::vec(1_usize..50_000, 1..20),
        ) {
            let frames = sizes.iter().zip(0_u8..).map(|(size, fill)| {
                let body = Bytes::from(vec![fill; *size]);
                Frame::with_body(u16::from(fill), body.slice(..size / 3), body.slice(size / 3..))
            });
            let frames: Vec<_> = frames.collect();
            let whole: Vec<u8> =
                frames.iter().flat_map(|frame| [frame.encode_front(), frame.body.clone()].concat()).collect();
            let (mut staged, mut queue, mut out) = (Staged::default(), VecDeque::from(frames), vec![]);
            let mut takes = takes.into_iter().cycle();
            while !(queue.is_empty() && staged.is_empty()) {
                while !staged.is_full() && let Some(frame) = queue.pop_front() {
                    let expected = frame.wire_len() + queue.iter().map(Frame::wire_len).sum::<usize>();
                    staged.push(frame, expected);
                }
                let (mut left, mut taken) = (takes.next().unwrap(), 0);
                for piece in staged.pieces() {
                    let part = piece.split_to(left.min(piece.len()));
                    left -= part.len();
                    taken += part.len();
                    out.extend_from_slice(&part);
                }
                staged.written(taken);
            }
            prop_assert_eq!(staged.bytes, 0);
            prop_assert_eq!(out, whole);
        }

        /// Small frames are few pieces, whatever their number.
        #[test]
        fn small_frames_share_a_piece(sizes in prop::collection::vec(0_usize..1_000, 1..30)) {
            let mut staged = Staged::default();
            for size in sizes {
                staged.push(Frame::new(1, Bytes::from(vec![0; size])), 30_000);
            }
            prop_assert_eq!(staged.pieces().len(), 1);
        }
    }

    #[test]
    fn a_large_frame_is_not_copied() {
        let mut staged = Staged::default();
        let body = Bytes::from(vec![1; COPIED_BYTES]);
        staged.push(Frame::new(1, body.clone()), COPIED_BYTES);
        assert_eq!(staged.pieces()[1].as_ptr(), body.as_ptr());
    }
}
