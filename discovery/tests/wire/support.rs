//! The author and the record of the vectors (wire 8), and payloads by hand.

use bytes::Bytes;
use zakura_discovery::wire::{BlockName, Message, Record, RecordAddr, ServiceId};
use zakura_transport::{Frame, Identity, routine::Message as _, wire::Malformed};

/// Half of all encodings are no point; y = 2 is one of them.
pub(crate) const NO_POINT: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 2;
    bytes
};

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

pub(crate) fn decode_bytes(payload: Bytes) -> Result<Message, Malformed> {
    Message::decode(Frame::new(1, payload))
}

pub(crate) fn decode(payload: &[u8]) -> Result<Message, Malformed> {
    decode_bytes(Bytes::copy_from_slice(payload))
}

pub(crate) fn encode(message: Message) -> Vec<u8> {
    let frame = message.encode();
    assert_eq!(frame.message_type, 1, "the stream has one frame type");
    [frame.head, frame.body].concat()
}

/// The payload with some bytes replaced.
pub(crate) fn patched(payload: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

pub(crate) fn block(height: u32, byte: u8) -> BlockName {
    BlockName { height, hash: [byte; 32] }
}

pub(crate) fn author() -> Identity {
    let mut seed = *b"loopback-interop-throwaway-key-\x09";
    seed[31] = 9;
    Identity::from_seed(seed).unwrap()
}

pub(crate) fn record() -> Record {
    Record {
        node_id: author().peer_id(),
        addresses: ["93.184.216.34:8234", "[2606:2800:220:1::1]:8234"]
            .map(|address| RecordAddr(address.parse().unwrap()))
            .to_vec(),
        services: vec![ServiceId::BLOCK_SYNC, ServiceId::DISCOVERY],
        protocol_min: 1,
        protocol_max: 1,
        network_id: 1,
        chain_id: [0x22; 32],
        sequence: 0x0102_0304_0506_0708,
        expiry: 1_800_000_000,
    }
}
