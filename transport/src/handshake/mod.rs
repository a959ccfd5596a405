//! The control handshake: one Hello, one Ack (wire 2).

mod run;
mod verdict;

pub use verdict::{ChainName, NetworkName, Refusal};

pub(crate) use run::{HandshakeError, initiate, respond};
pub(crate) use verdict::{Negotiated, Shortage, Terms};
