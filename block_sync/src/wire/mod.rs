//! The bytes of block sync: stream kind 6, version 2 (wire 5.3).

mod caps;
mod message;
mod span;
mod status;

pub use caps::{
    MAX_BLOCK_BYTES, MAX_BLOCKS_PER_RESPONSE, MAX_IN_FLIGHT_REQUESTS, MAX_MESSAGE_BYTES, MAX_RESPONSE_BYTES,
    STREAM,
};
pub use message::Message;
pub use span::Span;
pub use status::{Limits, Status};
