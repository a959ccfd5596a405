//! The bytes of discovery against the specification's vectors, and as properties.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a payload that does not read has failed the test")]

mod codec;
mod properties;
mod support;
