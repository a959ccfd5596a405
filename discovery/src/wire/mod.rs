//! The five messages of discovery, stream kind 4 version 1 (wire 5.1), and the record a node signs about itself.
//!
//! Decoders are total: they check every bound before they allocate, refuse trailing bytes, and name the field that is
//! wrong. A record stays [`Sealed`] until somebody opens it, because what a broken one costs depends on who sent it: in a
//! Hello it is the peer's fault, in Peers it is skipped. What needs a clock or the conversation (is it expired, is it the
//! peer's own?) is the machine's business.

#![deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::indexing_slicing)]

mod address;
mod caps;
mod message;
mod point;
mod record;
mod sealed;
mod service_id;
mod summary;

pub use address::{AddressPolicy, RecordAddr};
pub use caps::{
    MAX_ADDRESSES, MAX_EXCLUDED, MAX_MESSAGE_BYTES, MAX_RECORD_BYTES, MAX_RECORDS, MAX_SERVICE_ID_BYTES,
    MAX_SERVICES, MAX_SUMMARIES, MAX_SUMMARY_BYTES, STREAM,
};
pub use message::Message;
pub use record::Record;
pub use sealed::{BadRecord, Sealed};
pub use service_id::ServiceId;
pub use summary::{BlockName, BlockSyncSummary, DiscoverySummary, HeaderSyncSummary, Services, Summary};
