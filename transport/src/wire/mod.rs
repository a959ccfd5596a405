//! The bytes of the transport, one thing on the wire a file.

mod frame;

pub use frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, Malformed};
