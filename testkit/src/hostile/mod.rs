//! A peer that breaks one rule at a time, over real QUIC.
//!
//! It is written from the wire specification alone: its own TLS settings, encoder and decoder, none of the product's.
//! So a fault that the product makes on both ends shows here, and any node that speaks the protocol can be its victim.
//!
//! [`Raw`] is an endpoint with an identity, [`Peer`] a connection behind its handshake, [`Stream`] one stream of it. An
//! [`Act`] is a short script over them with the [`Outcome`] that a good node shows; [`catalog()`] lists all acts. [`perform`]
//! runs one against a node in this process, [`perform_on`] against any address. After each, honest peers are served.
//! [`flood()`] is no act but a siege: many addresses at once.

pub mod wire;

mod act;
mod book;
mod catalog;
mod deaf;
mod fill;
mod flood;
mod peer;
mod report;
mod scene;
mod server;
mod stage;
mod stream;
mod target;
mod tls;
mod trouble;
mod visitor;

pub use act::{Act, Ending, Needs, Outcome, Run, Seen};
pub use book::{Block, Book, sha256d};
pub use catalog::catalog;
pub use flood::{Flood, Flooded, flood};
pub use peer::{Peer, Raw, identity};
pub use report::{Verdict, json, table};
pub use scene::{Name, Scene, Victim};
pub use server::{Asked, Server};
pub use stage::perform;
pub use stream::Stream;
pub use target::perform_on;
pub use trouble::{Trouble, soon};
pub use visitor::Visitor;
