//! The four messages behind one type, and their caps.

use super::{
    headers::Headers,
    outcome::{OUTCOME_BYTES, Outcome},
    request::{GetHeaders, MAX_LOCATOR, REQUEST_FIXED_BYTES},
    status::{STATUS_BYTES, Status},
};
use zakura_transport::{Frame, PayloadCap, routine, wire::Malformed};

/// Payload bytes of any message at most (wire 5.2).
pub const MAX_MESSAGE_BYTES: usize = 2_097_152;

pub(super) const TYPE_STATUS: u8 = 1;
pub(super) const TYPE_GET_HEADERS: u8 = 2;
pub(super) const TYPE_HEADERS: u8 = 3;
pub(super) const TYPE_OUTCOME: u8 = 4;

const MAX_REQUEST_BYTES: usize = REQUEST_FIXED_BYTES.saturating_add(MAX_LOCATOR.saturating_mul(32));

#[allow(clippy::as_conversions, reason = "a const fn has no try_from; the assertion bounds the value")]
const fn cap(message_type: u8, bytes: usize) -> PayloadCap {
    assert!(bytes <= MAX_MESSAGE_BYTES);
    PayloadCap { message_type: message_type as u16, bytes: bytes as u32 }
}

/// What each message may weigh: only a page of headers is large.
pub const PAYLOAD_CAPS: &[PayloadCap] = &[
    cap(TYPE_STATUS, STATUS_BYTES),
    cap(TYPE_GET_HEADERS, MAX_REQUEST_BYTES),
    cap(TYPE_HEADERS, MAX_MESSAGE_BYTES),
    cap(TYPE_OUTCOME, OUTCOME_BYTES),
];

/// What two peers say to each other about headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What the sender has.
    Status(Status),
    /// A request for one page.
    GetHeaders(GetHeaders),
    /// The page.
    Headers(Headers),
    /// Why there is no page.
    Outcome(Outcome),
}

impl routine::Message for Message {
    fn decode(frame: Frame) -> Result<Self, Malformed> {
        let frame_type = frame.message_type;
        let mut body = frame.into_reader();
        let tag = body.u8("message type")?;
        if u16::from(tag) != frame_type {
            let why = format!("payload says {tag}, its frame says {frame_type}");
            return Err(Malformed::new("message type", why));
        }
        match tag {
            TYPE_STATUS => Status::read(body).map(Self::Status),
            TYPE_GET_HEADERS => GetHeaders::read(body).map(Self::GetHeaders),
            TYPE_HEADERS => Headers::read(body).map(Self::Headers),
            TYPE_OUTCOME => Outcome::read(body).map(Self::Outcome),
            other => Err(Malformed::new("message type", format!("{other} is not 1 to 4"))),
        }
    }

    fn encode(self) -> Frame {
        let (tag, payload) = match self {
            Self::Status(status) => (TYPE_STATUS, status.write()),
            Self::GetHeaders(request) => (TYPE_GET_HEADERS, request.write()),
            Self::Headers(page) => (TYPE_HEADERS, page.write()),
            Self::Outcome(outcome) => (TYPE_OUTCOME, outcome.write()),
        };
        Frame::new(u16::from(tag), payload)
    }
}
