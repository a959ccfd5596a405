//! The Zcash rules of the stand-alone node: pure functions over bytes, with no clock, lock or task.
//!
//! What is checked: header codec, Equihash, target and difficulty, the time rules, and a body's size, structure,
//! merkle root and coinbase height. What is not: scripts, proofs, subsidies, and from NU5 on the authorizing data
//! (see [`block::BodyFacts::auth_unverified`]). Hashes are `[u8; 32]` in internal byte order, heights `u32`.
//!
//! Every refusal is a typed value that says by [`Blame`] whose fault it is.

pub mod blame;
pub mod block;
pub mod difficulty;
pub mod equihash48;
pub mod hash;
pub mod header;
pub mod mine;
pub mod network;
pub mod pow;
pub mod reader;
pub mod rules;
pub mod target;
pub mod tx;
pub mod txid;
pub mod u256;

pub use blame::Blame;
pub use block::{BodyFacts, BodyReject, MAX_BLOCK_BYTES, check_body};
pub use difficulty::{LOOKBACK, Past, expected_bits};
pub use header::{Header, HeaderError};
pub use mine::{Parent, mine_block};
pub use network::{Network, Upgrade};
pub use pow::{PowReject, check_pow};
pub use rules::{HeaderReject, check_header};
pub use target::{Target, TargetError};
