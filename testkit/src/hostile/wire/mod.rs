//! The bytes, written and read a second time from the wire specification. Fields are public: a script may set any of them
//! to what it likes.

mod blocks;
mod control;
mod cursor;
mod headers;
mod kinds;

pub use blocks::{BlockStatus, blocks_done, get_blocks, range_unavailable};
pub use control::{Ack, FULL_NODE, Hello, Limits, frame, prelude, request_prelude};
pub use cursor::Cursor;
pub use headers::{GetHeaders, HeaderStatus, Page, outcome};
pub use kinds::{BLOCK_SYNC, HEADER_SYNC, Hash};
