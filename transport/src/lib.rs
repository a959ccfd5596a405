//! Peers, streams and supervised routines over QUIC. Knows no chain word.
//!
//! ```text
//!  UDP ── quic ── handshake ── connection actor ──┬── stream: supervise(drive(machine, session))
//!                                  ▲              ├── stream: supervise(service.run(session))
//!                                  │              └── stream: supervise(service.answer(request))
//!                              pool actor ── dials, admits, one registered connection per peer
//! ```
//!
//! A service declares its streams as data ([`StreamSpec`]) and runs one session per connection per stream ([`Service`]).
//! A peer has one connection that counts, but sessions of the one before may run on for up to five seconds after its
//! [`PeerEvent::Disconnected`], beside those of the next: key what you hold by [`Session::generation`], not by peer.
//! The module [`routine`] holds the kit a service is built from: [`routine::Machine`] and [`routine::drive()`], the
//! [`routine::RangeQueue`], budgets and the work pool.
//!
//! # What may grow
//!
//! What only this crate builds, and will grow, is `#[non_exhaustive]`: errors, reasons, events, reports, snapshots, sessions.
//! What embedders write ([`StreamSpec`], [`PeerInfo`], [`Frame`] and their like) and rules that are closed ([`Exit`],
//! [`Mode`], [`Direction`] and their like) are not: a field or a case more is a breaking release.
//!
//! # Features
//!
//! - `metrics`: counters and gauges through the facade of that name ([`observe::metrics`]).
//! - `qlog`: QUIC's own trace of each connection, in files ([`TransportConfig`]).
//! - `simulation`: seeded randomness and planted panics, for tests; never in a product.
//! - `shuttle`: locks and atomics under a scheduler that tries interleavings, for this crate's own tests.

#[cfg(panic = "abort")]
compile_error!("supervised routines turn panics into values and need panic = \"unwind\"");

pub mod lifecycle;
pub mod observe;
pub mod routine;
pub mod wire;

mod admission;
mod bandwidth;
mod cancel;
mod capability;
mod config;
mod connection;
mod conviction;
mod deadline;
mod envelope;
mod error;
mod exit;
mod fault;
mod fence;
mod handshake;
mod identity;
mod peer;
mod plant;
mod pool;
mod quic;
mod service;
mod session;
mod spawner;
mod stream;
mod tongue;
mod transport;

#[cfg(feature = "simulation")]
pub use admission::{AdmissionProbe, Tally};
pub use admission::{Ban, BanError, BanReason, BanTarget, GroupCaps, Merit, Netgroup, Role};
pub use bandwidth::Bandwidth;
pub use cancel::Cancel;
pub use capability::Capabilities;
#[cfg(feature = "simulation")]
pub use config::TokenTime;
pub use config::TransportConfig;
pub use connection::Response;
pub use conviction::{Conviction, Convictions};
pub use error::{BindError, CloseReason, RequestError};
pub use exit::{Action, Exit, Violation};
pub use fault::{FaultClass, FaultGroup};
pub use fence::{Fence, Slot};
pub use handshake::{ChainName, NetworkName, Refusal};
pub use identity::{Identity, IdentityError};
pub use peer::{Direction, PeerAddr, PeerAddrError, PeerId, PeerIdError, PeerInfo};
#[cfg(feature = "simulation")]
pub use plant::{Saboteur, planted};
pub use pool::{PeerEvent, PeerEvents, PeerEventsError};
#[cfg(feature = "simulation")]
pub use quic::os_draws;
pub use quic::{DatagramSocket, Entropy};
pub use service::{Registry, RegistryError, Service};
pub use session::{FrameError, FrameReceiver, FrameSender, OUTBOX_BYTES, Request, Session};
pub use spawner::{Spawner, TaskReport};
pub use stream::{Mode, Opener, PayloadCap, StreamKind, StreamSpec};
#[cfg(feature = "simulation")]
pub use tongue::{Spoken, Tongue};
pub use transport::{AddPeerError, Stopped, Transport, TransportHandle, WeakTransportHandle};
pub use wire::Frame;
