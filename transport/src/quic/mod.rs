//! QUIC and TLS. No file outside this folder names their crates.

mod disco;
mod endpoint;
mod entropy;
mod link;
#[cfg(feature = "qlog")]
mod qlog;
mod runtime;
#[cfg(feature = "simulation")]
mod seeded;
mod socket;
mod streams;
mod tls;
mod windows;

pub use entropy::Entropy;
#[cfg(feature = "simulation")]
pub use entropy::os_draws;
pub use socket::DatagramSocket;

pub(crate) use endpoint::{AT_THE_DOOR, Endpoint, Ground};
pub(crate) use entropy::{NoEntropy, fresh_bytes};
pub(crate) use link::{DialError, Farewell, Incoming, Link, LinkEnd};
pub(crate) use streams::{Broken, Pieces, RecvHalf, ResetCode, SendHalf, refuse};
pub(crate) use windows::{INBOUND, OUTBOUND, STRANGER};
