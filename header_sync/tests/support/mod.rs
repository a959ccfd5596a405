//! A toy chain behind the port, and peers joined in memory.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "shared by test binaries that each use a part; what cannot be set up has failed"
)]

pub mod peers;
pub mod toy;
