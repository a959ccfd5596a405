//! Codecs are total, bounded and canonical: what decodes encodes to the same bytes, and nothing panics.

use proptest::prelude::*;
use zakura_transport::{
    Capabilities, StreamKind,
    wire::{Ack, Hello, Limits, Prelude, PreludeHead},
};

fn limits() -> impl Strategy<Value = Limits> {
    any::<(u32, u32, u16, u16, u32)>().prop_map(|(frame, message, streams, depth, idle)| Limits {
        max_frame: frame,
        max_message: message,
        max_open_streams: streams,
        max_inbound_depth: depth,
        idle_timeout_ms: idle,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let front = any::<(u16, u8, u8, u32, [u8; 32])>();
    let id = prop::collection::vec(any::<u8>(), 0..=128);
    let tail = any::<([u8; 32], [[u8; 32]; 2], [u8; 32], u64, u64)>();
    (front, id, tail, limits()).prop_map(|(front, node_id, tail, limits)| Hello {
        protocol: front.0,
        path: front.1,
        role: front.2,
        network_id: front.3,
        chain_id: front.4,
        node_id,
        nonce: tail.0,
        upgrade_nonces: tail.1,
        transcript: tail.2,
        capabilities: Capabilities::from_bits(tail.3),
        required_channels: tail.4,
        limits,
    })
}

fn ack() -> impl Strategy<Value = Ack> {
    (any::<(u16, [u8; 32], [u8; 32], u64, u64)>(), limits()).prop_map(|(fields, limits)| Ack {
        protocol: fields.0,
        nonce: fields.1,
        hello_nonce: fields.2,
        capabilities: Capabilities::from_bits(fields.3),
        channels: fields.4,
        limits,
    })
}

fn prelude() -> impl Strategy<Value = Prelude> {
    any::<(u16, u16, Option<u64>, u32)>().prop_map(|(kind, version, request_id, max_frame)| Prelude {
        kind: StreamKind(kind),
        version,
        request_id,
        max_frame,
    })
}

proptest! {
    #[test]
    fn structures_survive_the_wire(hello in hello(), ack in ack(), prelude in prelude()) {
        prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
        prop_assert_eq!(Prelude::decode(&prelude.encode()), Ok(prelude));
    }

    #[test]
    fn a_structure_is_neither_shorter_nor_longer_than_itself(hello in hello(), ack in ack(), prelude in prelude()) {
        for bytes in [hello.encode().to_vec(), ack.encode().to_vec(), prelude.encode().to_vec()] {
            let longer = [&bytes[..], &[0]].concat();
            for cut in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &longer[..], &[]] {
                prop_assert!(Hello::decode(cut).is_err());
                prop_assert!(Ack::decode(cut).is_err());
                prop_assert!(Prelude::decode(cut).is_err());
            }
        }
    }

    #[test]
    fn any_bytes_decode_to_an_error_or_to_themselves(
        magic in prop::sample::select(vec![&b"ZAKCTRL\0\x01\0"[..], b"ZAKACK\0\0\x01\0", b"ZKST", b""]),
        tail in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [magic, &tail[..]].concat();
        if let Ok(hello) = Hello::decode(&bytes) { prop_assert_eq!(&hello.encode()[..], &bytes[..]); }
        if let Ok(ack) = Ack::decode(&bytes) { prop_assert_eq!(&ack.encode()[..], &bytes[..]); }
        if let Ok(prelude) = Prelude::decode(&bytes) { prop_assert_eq!(&prelude.encode()[..], &bytes[..]); }
        if let Some(head) = bytes.first_chunk() { let _ = PreludeHead::decode(head); }
    }
}
