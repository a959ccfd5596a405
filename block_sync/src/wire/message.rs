//! The five messages as frames.

use super::{
    Span, Status,
    caps::{MAX_BLOCK_BYTES, SPAN_BYTES, STATUS_BYTES, tag},
};
use bytes::{Buf, Bytes};
use zakura_transport::{
    Frame, routine,
    wire::{Malformed, Reader, Writer},
};

/// What two block-sync peers say to each other. There are no request ids: answers are matched by hash and height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What the sender has and carries. Nothing is served to a peer that has not sent one.
    Status(Status),
    /// Asks for bodies.
    GetBlocks(Span),
    /// One serialized block: a slice of the received frame, never a copy.
    Block(Bytes),
    /// The answer to a request has ended; the count is that of bodies sent. Best effort.
    BlocksDone(Span),
    /// The request is not served. Best effort.
    RangeUnavailable(Span),
}

impl routine::Message for Message {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let frame_type = frame.message_type;
        let mut payload = frame.into_reader();
        let kind = payload.u8("block-sync message")?;
        if frame_type != u16::from(kind) {
            let why = format!("frame type {frame_type} carries a payload of type {kind}");
            return Err(Malformed::new("block-sync message", why));
        }
        match kind {
            tag::STATUS => Status::read(payload).map(Self::Status),
            tag::GET_BLOCKS => Span::read("GetBlocks", payload).map(Self::GetBlocks),
            tag::BLOCK => block(payload).map(Self::Block),
            tag::BLOCKS_DONE => Span::read("BlocksDone", payload).map(Self::BlocksDone),
            tag::RANGE_UNAVAILABLE => Span::read("RangeUnavailable", payload).map(Self::RangeUnavailable),
            unknown => Err(Malformed::new("block-sync message", format!("type {unknown} is none of 1..=5"))),
        }
    }

    fn encode(self) -> Frame {
        match self {
            Self::Status(status) => framed(tag::STATUS, STATUS_BYTES, |out| status.write(out)),
            Self::GetBlocks(span) => framed(tag::GET_BLOCKS, SPAN_BYTES, |out| span.write(out)),
            Self::Block(raw) => {
                Frame::with_body(u16::from(tag::BLOCK), Bytes::from_static(&[tag::BLOCK]), raw)
            }
            Self::BlocksDone(span) => framed(tag::BLOCKS_DONE, SPAN_BYTES, |out| span.write(out)),
            Self::RangeUnavailable(span) => framed(tag::RANGE_UNAVAILABLE, SPAN_BYTES, |out| span.write(out)),
        }
    }
}

fn block(mut rest: Reader<impl Buf>) -> Result<Bytes, Malformed> {
    let found = rest.left();
    if found == 0 || found as u64 > u64::from(MAX_BLOCK_BYTES) {
        return Err(Malformed::new("Block", format!("{found} bytes are not within 1..={MAX_BLOCK_BYTES}")));
    }
    rest.bytes("Block", found)
}

fn framed(kind: u8, payload_bytes: u32, fields: impl FnOnce(&mut Writer)) -> Frame {
    let mut payload = Writer::with_capacity(payload_bytes as usize);
    payload.u8(kind);
    fields(&mut payload);
    Frame::new(u16::from(kind), payload.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Limits, MAX_BLOCKS_PER_RESPONSE, STREAM};
    use proptest::prelude::*;
    use routine::Message as _;
    use zakura_header_sync::chain::{BlockHash, BlockRef, Height};

    fn frame(kind: u16, payload: &[u8]) -> Frame {
        Frame::new(kind, Bytes::copy_from_slice(payload))
    }

    fn span_payload(kind: u8, start: u32, count: u32) -> Vec<u8> {
        [&[kind][..], &start.to_le_bytes(), &count.to_le_bytes()].concat()
    }

    #[test]
    fn a_block_travels_without_a_copy() {
        let raw = Bytes::from(vec![7; 5000]);
        let frame = Message::Block(raw.clone()).encode();
        assert_eq!(frame.body.as_ptr(), raw.as_ptr(), "sending copies the body");
        let received = Bytes::from([&[3][..], &raw].concat());
        let inside = received.as_ptr().wrapping_add(1);
        let Ok(Message::Block(body)) = Message::decode(Frame::new(3, received)) else { panic!("no block") };
        assert_eq!((body.as_ptr(), body), (inside, raw), "receiving copies the body");
    }

    #[test]
    fn counts_outside_1_to_128_are_malformed() {
        for kind in [2_u8, 4, 5] {
            for count in [0, MAX_BLOCKS_PER_RESPONSE + 1, u32::MAX] {
                let outcome = Message::decode(frame(kind.into(), &span_payload(kind, 1, count)));
                assert!(outcome.is_err(), "type {kind} count {count}");
            }
            assert!(Message::decode(frame(kind.into(), &span_payload(kind, 1, 128))).is_ok());
        }
    }

    #[test]
    fn shape_faults_are_malformed() {
        let good = span_payload(2, 1, 1);
        assert!(Message::decode(frame(4, &good)).is_err(), "frame type and payload disagree");
        assert!(Message::decode(frame(2, &[])).is_err(), "no type byte");
        assert!(Message::decode(frame(2, &good[..8])).is_err(), "short");
        assert!(Message::decode(frame(2, &[&good[..], &[0]].concat())).is_err(), "trailing byte");
        assert!(Message::decode(frame(6, &[6])).is_err(), "unknown type");
        assert!(Message::decode(frame(3, &[3])).is_err(), "empty block");
        assert!(Message::decode(frame(2, &span_payload(2, 0x8000_0000, 1))).is_err(), "illegal height");
        let largest = vec![3; MAX_BLOCK_BYTES as usize + 1];
        assert!(Message::decode(frame(3, &largest)).is_ok());
        let larger = vec![3; MAX_BLOCK_BYTES as usize + 2];
        assert!(Message::decode(frame(3, &larger)).is_err(), "block too large");
    }

    #[test]
    fn status_limits_are_clamped_not_refused() {
        let mut payload = vec![1];
        payload.extend([0; 40]);
        payload.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        let Ok(Message::Status(status)) = Message::decode(frame(1, &payload)) else { panic!("no status") };
        assert_eq!(status.limits, Limits::clamped(1, 32_768, 1));
    }

    fn messages() -> impl Strategy<Value = Message> {
        let height = || (0..=Height::MAX.get()).prop_map(|height| Height::new(height).unwrap());
        let span =
            move || (height(), 1..=128_u32).prop_map(|(start, count)| Span::new(start, count).unwrap());
        let status = (height(), height(), any::<[u8; 32]>(), any::<[u32; 3]>()).prop_map(
            |(low, high, hash, [blocks, requests, bytes])| Status {
                low,
                high: BlockRef { height: high, hash: BlockHash(hash) },
                limits: Limits::clamped(blocks, requests, bytes),
            },
        );
        prop_oneof![
            status.prop_map(Message::Status),
            span().prop_map(Message::GetBlocks),
            prop::collection::vec(any::<u8>(), 1..2000).prop_map(|raw| Message::Block(raw.into())),
            span().prop_map(Message::BlocksDone),
            span().prop_map(Message::RangeUnavailable),
        ]
    }

    proptest! {
        #[test]
        fn messages_round_trip_within_their_caps(message in messages()) {
            let frame = message.clone().encode();
            let cap = STREAM.payload_cap(frame.message_type).unwrap();
            prop_assert!(frame.payload_len() <= cap as usize);
            prop_assert_eq!(Message::decode(frame.clone()), Ok(message.clone()));
            let joined = [&frame.head[..], &frame.body[..]].concat();
            prop_assert_eq!(Message::decode(Frame::new(frame.message_type, joined.into())), Ok(message));
        }

        #[test]
        fn any_payload_decodes_or_is_refused(kind in 0..8_u16, payload in prop::collection::vec(any::<u8>(), 0..70)) {
            if let Ok(message) = Message::decode(Frame::new(kind, payload.clone().into())) {
                let again = message.encode();
                prop_assert_eq!(again.message_type, kind);
                if kind != 1 {
                    prop_assert_eq!([&again.head[..], &again.body[..]].concat(), payload);
                }
            }
        }
    }
}
