//! The bytes of the transport, one thing on the wire a file.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

mod ack;
mod assembler;
mod frame;
mod hello;
mod limits;
mod prelude;
mod reader;
mod writer;

pub use ack::Ack;
pub use assembler::FrameAssembler;
pub use frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, Malformed};
pub use hello::{Hello, MAX_NODE_ID_BYTES, PATH_NATIVE, PROTOCOL, ROLE_INITIATOR, cohort_chain_id};
pub use limits::Limits;
pub use prelude::{MIN_OPENER_CAP, PRELUDE_HEAD_BYTES, Prelude, PreludeHead};
pub use reader::Reader;
pub use writer::Writer;
