//! The codecs against frames that an existing node's encoders produced (wire 8).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a vector that cannot be read has failed")]

use bytes::Bytes;
use zakura_block_sync::wire::{Limits, Message, Span, Status};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};
use zakura_transport::{
    Frame,
    routine::Message as _,
    wire::{FRAME_HEADER_BYTES, FrameHeader},
};

fn vector(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.trim().chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// The vector's message, having checked that it decodes, and encodes to the same bytes again.
#[track_caller]
fn both_ways(hex: &str) -> Message {
    let bytes = vector(hex);
    let (front, payload) = bytes.split_at(FRAME_HEADER_BYTES);
    let header = FrameHeader::decode(front.try_into().unwrap());
    assert_eq!((header.flags, header.payload_bytes as usize), (0, payload.len()));
    let message = Message::decode(Frame::new(header.message_type, Bytes::copy_from_slice(payload))).unwrap();
    let frame = message.clone().encode();
    assert_eq!([&frame.encode_front()[..], &frame.body[..]].concat(), bytes);
    message
}

fn height(height: u32) -> Height {
    Height::new(height).unwrap()
}

#[test]
fn status_vector() {
    let hash = "63554e55888d5f4e4fcf6b081414d9ae4c3e8b88bdfed353c59a96309b86c9c6";
    let high = BlockRef { height: height(2300), hash: BlockHash(vector(hash).try_into().unwrap()) };
    let expected = Status { low: height(0), high, limits: Limits::clamped(1, 32_000, 33_554_432) };
    assert_eq!(both_ways(include_str!("vectors/bs_status_frame.hex")), Message::Status(expected));
}

#[test]
fn span_vectors() {
    let span = |start, count| Span::new(height(start), count).unwrap();
    let get = both_ways(include_str!("vectors/bs_get_blocks_frame.hex"));
    assert_eq!(get, Message::GetBlocks(span(1, 1)));
    let done = both_ways(include_str!("vectors/bs_blocks_done_frame.hex"));
    assert_eq!(done, Message::BlocksDone(span(1, 1)));
    let unavailable = both_ways(include_str!("vectors/bs_range_unavailable_frame.hex"));
    assert_eq!(unavailable, Message::RangeUnavailable(span(2301, 1)));
}

#[test]
fn block_vector() {
    let Message::Block(raw) = both_ways(include_str!("vectors/bs_block_frame.hex")) else {
        panic!("the vector is a Block")
    };
    assert_eq!(raw.len(), 0x143 - 1);
    assert_eq!(raw[..4], [4, 0, 0, 0], "a block begins with its header's version");
}
