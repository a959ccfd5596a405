//! A toy chain, nodes that sync over sessions joined in memory, and peers that follow a script.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod node;
pub mod script;
pub mod toy;
