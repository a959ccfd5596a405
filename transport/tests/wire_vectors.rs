//! Every transport structure of the wire specification, byte for byte, in both directions.
#![allow(clippy::expect_used, reason = "a vector that is no hexadecimal text is no vector")]

use bytes::Bytes;
use zakura_transport::{
    Capabilities, Frame, Mode, PeerId, StreamKind,
    wire::{Ack, FrameHeader, Hello, Limits, Prelude, PreludeHead, cohort_chain_id},
};

fn vector(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).expect("vectors are hexadecimal")
}

#[test]
fn hello() {
    let bytes = vector(include_str!("vectors/hello.hex"));
    let hello = Hello::native(
        1,
        [0x22; 32],
        PeerId::new([0x11; 32]),
        [0x33; 32],
        Capabilities::from_bits(0x2d),
        Limits::OURS,
    );
    assert_eq!(hello.encode()[..], bytes[..]);
    assert_eq!(Hello::decode(&bytes), Ok(hello));
}

#[test]
fn ack() {
    let bytes = vector(include_str!("vectors/ack.hex"));
    let ack = Ack {
        protocol: 1,
        nonce: [0x44; 32],
        hello_nonce: [0x33; 32],
        capabilities: Capabilities::from_bits(0x2d),
        channels: 0,
        limits: Limits::OURS,
    };
    assert_eq!(ack.encode()[..], bytes[..]);
    assert_eq!(Ack::decode(&bytes), Ok(ack));
}

#[test]
fn preludes() {
    let ordered = vector(include_str!("vectors/prelude_ordered.hex"));
    let expected =
        Prelude { kind: StreamKind::HEADER_SYNC, version: 8, request_id: None, max_frame: 2_097_160 };
    assert_eq!(expected.encode()[..], ordered[..]);
    assert_eq!(Prelude::decode(&ordered), Ok(expected));

    let request = vector(include_str!("vectors/prelude_request.hex"));
    let expected = Prelude { kind: StreamKind(3), version: 1, request_id: Some(7), max_frame: 1_048_576 };
    assert_eq!(expected.encode()[..], request[..]);
    assert_eq!(Prelude::decode(&request), Ok(expected));
    let head = PreludeHead::decode(request[..9].try_into().unwrap()).unwrap();
    assert_eq!(head, PreludeHead { kind: StreamKind(3), version: 1, mode: Mode::Request });
}

#[test]
fn ping_frame() {
    let bytes = vector(include_str!("vectors/frame_ping.hex"));
    assert_eq!(Frame::new(12, Bytes::new()).encode_front()[..], bytes[..]);
    let header = FrameHeader::decode(bytes[..].try_into().unwrap());
    assert_eq!(header, FrameHeader { message_type: 12, flags: 0, payload_bytes: 0 });
}

#[test]
fn private_cohort_chain_id() {
    let bytes = vector(include_str!("vectors/dev_chain_id.hex"));
    assert_eq!(cohort_chain_id(&[0x22; 32], "cohort-a")[..], bytes[..]);
    assert_ne!(cohort_chain_id(&[0x22; 32], "cohort-b")[..], bytes[..]);
}
