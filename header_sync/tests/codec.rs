//! The bytes of header sync: vectors of existing nodes, round trips, and every structural refusal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a vector that does not read has failed the test")]

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height, Work},
    ports::SizedHeader,
    wire::{
        AUX_RECORD_BYTES, GetHeaders, Headers, MAX_HEADERS, MAX_LOCATOR, MAX_SIZE_HINT, Message, Outcome,
    },
    wire::{PAYLOAD_CAPS, Refusal, RequestId, Status},
};
use zakura_transport::{
    Frame, routine::Message as _, wire::FRAME_HEADER_BYTES, wire::FrameHeader, wire::Malformed,
};

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn frame(bytes: &[u8]) -> Frame {
    let header = FrameHeader::decode(bytes[..FRAME_HEADER_BYTES].try_into().unwrap());
    assert_eq!(header.payload_bytes as usize, bytes.len() - FRAME_HEADER_BYTES);
    Frame::new(header.message_type, Bytes::copy_from_slice(&bytes[FRAME_HEADER_BYTES..]))
}

fn bytes_of(message: Message) -> Vec<u8> {
    let frame = message.encode();
    [frame.encode_front(), frame.body].concat()
}

/// Decodes a vector and sees that encoding gives the same bytes, frame header included.
fn vector(text: &str) -> Message {
    let bytes = unhex(text);
    let message = Message::decode(frame(&bytes)).unwrap();
    assert_eq!(bytes_of(message.clone()), bytes);
    message
}

#[test]
fn a_real_nodes_status_reads_and_writes_the_same() {
    let Message::Status(status) = vector(include_str!("vectors/hs_status_frame.hex")) else {
        panic!("a Status")
    };
    assert_eq!((status.anchor.height.get(), status.tip.height.get()), (1_300, 2_300));
    assert_eq!((status.max_headers, status.max_requests, status.max_bytes), (1_000, 1, 2_097_152));
    assert_eq!((status.oldest.get(), status.aux_mask), (1_300, 1));
    assert!(status.is_askable());
    let Message::Status(empty) = vector(include_str!("vectors/hs_status_empty_frame.hex")) else {
        panic!("a Status")
    };
    assert_eq!((empty.work, empty.tip.height), (Work::ZERO, Height::GENESIS));
    assert!(!empty.is_askable(), "zero caps mean: do not ask");
}

#[test]
fn a_real_nodes_request_page_and_outcome_read_and_write_the_same() {
    let Message::GetHeaders(request) = vector(include_str!("vectors/hs_get_headers_frame.hex")) else {
        panic!("a request")
    };
    assert_eq!((request.id.get(), request.locator.len(), request.max_count, request.schema), (1, 1, 3, 0));
    let Message::Headers(page) = vector(include_str!("vectors/hs_headers_frame.hex")) else {
        panic!("a page")
    };
    assert_eq!((page.headers.len(), page.complete, page.aux), (3, false, None));
    assert!(page.headers.iter().all(|header| header.raw.len() == 177), "Regtest headers");
    assert_eq!(page.target, request.target);
    assert_eq!(page.ancestor, BlockRef { height: Height::GENESIS, hash: request.locator[0] });
    let Message::Outcome(outcome) = vector(include_str!("vectors/hs_outcome_frame.hex")) else {
        panic!("an outcome")
    };
    assert_eq!(outcome.refusal, Refusal::NoIntersection);
}

fn refused(message_type: u16, payload: Vec<u8>) -> &'static str {
    let Malformed { what, .. } = Message::decode(Frame::new(message_type, payload.into())).unwrap_err();
    what
}

/// The payload of a vector with some bytes replaced.
fn patched(text: &str, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = unhex(text).split_off(FRAME_HEADER_BYTES);
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn each_broken_field_is_named() {
    let status = include_str!("vectors/hs_status_frame.hex");
    let request = include_str!("vectors/hs_get_headers_frame.hex");
    let page = include_str!("vectors/hs_headers_frame.hex");
    let outcome = include_str!("vectors/hs_outcome_frame.hex");
    assert_eq!(refused(2, patched(status, 0, &[1])), "message type");
    assert_eq!(refused(5, patched(status, 0, &[5])), "message type");
    assert_eq!(refused(1, vec![]), "message type");
    assert_eq!(refused(1, patched(status, 37, &0x8000_0000_u32.to_le_bytes())), "Status.tip");
    assert_eq!(refused(2, patched(request, 1, &[0; 8])), "GetHeaders.id");
    assert_eq!(refused(2, patched(request, 41, &[0])), "GetHeaders.locator");
    assert_eq!(refused(2, patched(request, 41, &[14])), "GetHeaders.locator");
    assert_eq!(refused(2, patched(request, 74, &[0; 4])), "GetHeaders.max_count");
    assert_eq!(refused(2, patched(request, 78, &[2])), "GetHeaders.schema");
    assert_eq!(refused(3, patched(page, 77, &4_001_u32.to_le_bytes())), "Headers.count");
    assert_eq!(refused(3, patched(page, 77, &[2])), "Headers.headers");
    assert_eq!(refused(3, patched(page, 77, &[0])), "Headers.complete");
    assert_eq!(refused(3, patched(page, 81, &[2])), "Headers.complete");
    assert_eq!(refused(3, patched(page, 82, &[2])), "Headers.schema");
    let last_hint = unhex(page).len() - FRAME_HEADER_BYTES - 4;
    assert_eq!(refused(3, patched(page, last_hint, &2_000_001_u32.to_le_bytes())), "Headers.hints");
    assert_eq!(refused(4, patched(outcome, 41, &[5])), "HeadersOutcome.outcome");
    for (message_type, text, what) in
        [(1, status, "Status"), (2, request, "GetHeaders"), (4, outcome, "HeadersOutcome")]
    {
        let mut longer = unhex(text).split_off(FRAME_HEADER_BYTES);
        longer.push(0);
        assert_eq!(refused(message_type, longer), what);
    }
}

#[test]
fn a_huge_count_is_refused_before_anything_is_allocated() {
    let page = include_str!("vectors/hs_headers_frame.hex");
    assert_eq!(refused(3, patched(page, 77, &u32::MAX.to_le_bytes())), "Headers.count");
}

fn hash() -> impl Strategy<Value = BlockHash> {
    any::<[u8; 32]>().prop_map(BlockHash)
}

fn block() -> impl Strategy<Value = BlockRef> {
    (0..=Height::MAX.get(), hash())
        .prop_map(|(height, hash)| BlockRef { height: Height::new(height).unwrap(), hash })
}

fn id() -> impl Strategy<Value = RequestId> {
    (1..=u64::MAX).prop_map(|id| RequestId::new(id).unwrap())
}

fn page() -> impl Strategy<Value = Headers> {
    let sizes = (0_usize..40, 1_usize..300);
    (id(), hash(), block(), sizes, any::<bool>(), any::<bool>(), 0..=MAX_SIZE_HINT).prop_map(
        |(id, target, ancestor, (count, bytes), complete, with_aux, hint)| {
            let header = |i: usize| SizedHeader { raw: vec![i as u8; bytes].into(), size_hint: hint };
            let ancestor = if count == 0 { BlockRef { hash: target, ..ancestor } } else { ancestor };
            let aux = with_aux.then(|| Bytes::from(vec![7; count * AUX_RECORD_BYTES]));
            let complete = complete || count == 0;
            Headers { id, target, ancestor, complete, headers: (0..count).map(header).collect(), aux }
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let caps = (any::<u32>(), any::<u16>(), any::<u32>(), any::<u32>());
    let status = (block(), block(), any::<[u8; 32]>(), 0..=Height::MAX.get(), caps).prop_map(
        |(anchor, tip, work, oldest, (max_headers, max_requests, max_bytes, aux_mask))| {
            let (work, oldest) = (Work::from_le_bytes(work), Height::new(oldest).unwrap());
            Message::Status(Status {
                anchor,
                tip,
                work,
                oldest,
                max_headers,
                max_requests,
                max_bytes,
                aux_mask,
            })
        },
    );
    let request = (id(), hash(), vec(hash(), 1..=MAX_LOCATOR), 1..=u32::MAX, 0_u8..=1).prop_map(
        |(id, target, locator, max_count, schema)| {
            Message::GetHeaders(GetHeaders { id, target, locator, max_count, schema })
        },
    );
    let refusals =
        [Refusal::TargetNotRetained, Refusal::NoIntersection, Refusal::HistoryPruned, Refusal::Busy];
    let outcome = (id(), hash(), proptest::sample::select(refusals.to_vec()))
        .prop_map(|(id, target, refusal)| Message::Outcome(Outcome { id, target, refusal }));
    prop_oneof![status, request, page().prop_map(Message::Headers), outcome]
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(message in message()) {
        let frame = message.clone().encode();
        let cap = PAYLOAD_CAPS.iter().find(|cap| cap.message_type == frame.message_type).unwrap();
        prop_assert!(frame.payload_len() <= cap.bytes as usize);
        prop_assert_eq!(Message::decode(frame), Ok(message));
    }

    #[test]
    fn a_frame_in_two_pieces_reads_the_same(message in message(), cut: prop::sample::Index) {
        let frame = message.clone().encode();
        let (head, body) = frame.body.split_at(cut.index(frame.body.len()));
        let split = Frame::with_body(
            frame.message_type, Bytes::copy_from_slice(head), Bytes::copy_from_slice(body),
        );
        prop_assert_eq!(Message::decode(split), Ok(message));
    }

    #[test]
    fn a_shortened_message_is_refused(message in message(), cut: prop::sample::Index) {
        let frame = message.encode();
        let short = frame.body.slice(..cut.index(frame.body.len()));
        // A page may lose bytes and still hold equal, shorter headers: then its length gives it away to the machine.
        if let Ok(Message::Headers(page)) = Message::decode(Frame::new(frame.message_type, short)) {
            prop_assert!(!page.headers.is_empty());
        }
    }

    #[test]
    fn noise_never_panics(message_type in 0_u16..6, payload in vec(any::<u8>(), 0..2_000)) {
        if let Ok(message) = Message::decode(Frame::new(message_type, payload.clone().into())) {
            prop_assert_eq!(&message.encode().body[..], &payload[..]);
        }
    }

    #[test]
    fn noise_behind_a_legal_front_never_allocates_beyond_its_bytes(count in 0_u32..=5_000, tail in 0_usize..9_000) {
        let mut payload = vec![3];
        payload.extend(1_u64.to_le_bytes());
        payload.extend([9; 32]);
        payload.extend(5_u32.to_le_bytes());
        payload.extend([8; 32]);
        payload.extend(count.to_le_bytes());
        payload.extend([0, 0]);
        payload.extend(vec![0; tail]);
        if let Ok(Message::Headers(page)) = Message::decode(Frame::new(3, payload.into())) {
            prop_assert!(page.headers.len() <= MAX_HEADERS);
            prop_assert_eq!(page.headers.iter().map(|header| header.raw.len() + 4).sum::<usize>(), tail);
        }
    }
}
