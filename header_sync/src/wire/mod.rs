//! The four messages of header sync, stream kind 5 version 8 (wire 5.2).
//!
//! Decoders are total: they check every bound before they allocate, refuse trailing bytes, and name the field that is
//! wrong. What needs the conversation (was this asked for? does it link?) is the machine's business.

#![deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::indexing_slicing)]

mod fields;
mod headers;
mod message;
mod outcome;
mod request;
mod status;

pub use fields::{ReadChain, WriteChain};
pub use headers::{AUX_RECORD_BYTES, FIXED_BYTES, Headers, MAX_HEADERS, MAX_SIZE_HINT, headers_per_message};
pub use message::{MAX_MESSAGE_BYTES, Message, PAYLOAD_CAPS};
pub use outcome::{Outcome, Refusal};
pub use request::{GetHeaders, MAX_LOCATOR, RequestId};
pub use status::Status;
