//! Disco: encrypted pings and pongs beside QUIC on the same port (wire 1.6).
//!
//! Existing nodes hide their QUIC behind a magic socket: it drops QUIC in silence from any UDP address that has not sent
//! it a valid ping, and it tries a peer's further addresses only if pings are answered. So we ping before every Initial
//! of a dial, answer valid pings, and go on pinging connected peers that ping us.
//!
//! Nothing that arrives here is believed beyond "this address sent a ping": no address is learned for dialling, and no
//! peer's standing changes.

mod beat;
mod intake;
mod state;
mod wire;

pub(super) use beat::beat;
pub(super) use state::{Due, Path, State, Ticket};
pub(super) use wire::{Envelope, Keys, Message, Refused, is_disco};
