//! The routine kit: what a per-peer service is built from.
//!
//! A service splits into three. A [`Machine`] decides: plain synchronous Rust that owns one peer's protocol state. A
//! routine is [`drive()`]`(machine, session, ..)`, the only per-peer loop, run under supervision. A reactor owns what
//! is truly shared and hears from routines through bounded [events()].
//!
//! # How to write a service
//!
//! A service that measures each peer's round trip. First the **message**: a bounded decoder and its inverse.
//!
//! ```
//! # use bytes::Bytes;
//! # use std::{convert::Infallible, time::{Duration, Instant}};
//! # use zakura_transport::{routine::*, wire::Malformed, *};
//! enum Ping { Ask, Answer }
//!
//! impl Message for Ping {
//!     fn decode(frame: Frame) -> Result<Self, Malformed> {
//!         match (frame.message_type, frame.payload_len()) {
//!             (1, 0) => Ok(Self::Ask),
//!             (2, 0) => Ok(Self::Answer),
//!             (kind, bytes) => Err(Malformed::new("Ping", format!("type {kind}, {bytes} bytes"))),
//!         }
//!     }
//!     fn encode(self) -> Frame {
//!         Frame::new(match self { Self::Ask => 1, Self::Answer => 2 }, Bytes::new())
//!     }
//! }
//!
//! // Then the **machine**: it performs nothing, it says what it wants when it is polled.
//! struct PingMachine { peer: PeerId, ask_at: Instant, asked: Option<Instant>, answer: bool, seen: Option<Duration> }
//!
//! impl Machine for PingMachine {
//!     type Message = Ping;
//!     type State = ();                    // nothing published by a reactor
//!     type Input = Infallible;            // no instructions
//!     type Event = (PeerId, Duration);    // what the reactor hears
//!     type Work = ();                     // nothing to fetch
//!
//!     fn handle_message(&mut self, now: Instant, message: Ping) -> Result<(), Violation> {
//!         match (message, self.asked) {
//!             (Ping::Ask, _) => self.answer = true,
//!             (Ping::Answer, Some(asked)) => {
//!                 (self.seen, self.asked) = (Some(now - asked), None);
//!                 self.ask_at = now + Duration::from_secs(5);
//!             }
//!             (Ping::Answer, None) => return Err(Violation::protocol("ping", "an answer nobody asked for")),
//!         }
//!         Ok(())
//!     }
//!     fn poll_transmit(&mut self, now: Instant) -> Option<Ping> {
//!         if std::mem::take(&mut self.answer) { return Some(Ping::Answer); }
//!         if self.asked.is_some() || now < self.ask_at { return None; }
//!         self.asked = Some(now);
//!         Some(Ping::Ask)
//!     }
//!     fn poll_event(&mut self) -> Option<(PeerId, Duration)> { Some((self.peer, self.seen.take()?)) }
//!     fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
//!         self.asked.is_none().then_some((self.ask_at, "ask again"))
//!     }
//! }
//!
//! // Last the **service**: the streams it speaks, and one routine for each session.
//! struct PingService { events: EventSender<(PeerId, Duration)>, started: Instant }
//!
//! impl Service for PingService {
//!     fn streams(&self) -> Vec<StreamSpec> {
//!         vec![StreamSpec {
//!             name: "ping", kind: StreamKind(0x0100), version: 1, capability: Capabilities::from_bits(1 << 40),
//!             mode: Mode::Ordered, max_frame: 8, opener: Opener::Initiator, frames_per_second: 8,
//!             payload_caps: &[PayloadCap { message_type: 1, bytes: 0 }, PayloadCap { message_type: 2, bytes: 0 }],
//!         }]
//!     }
//!     async fn run(&self, session: Session) -> Exit {
//!         let (peer, ask_at) = (session.peer.id, self.started);
//!         let machine = PingMachine { peer, ask_at, asked: None, answer: false, seen: None };
//!         drive(machine, session, Ends::plain(publish(()).1, self.events.clone())).await
//!     }
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
//! # runtime.block_on(async {
//! #     let (events, mut heard) = events(4);
//! #     let service = PingService { events, started: tokio::time::Instant::now().into_std() };
//! #     let peer = |id| PeerInfo {
//! #         id: PeerId::new([id; 32]), addr: ([127, 0, 0, 1], 1).into(), direction: Direction::Outbound,
//! #         role: Role::Outbound, connection: Fence::mint(), capabilities: Capabilities::NONE,
//! #     };
//! #     let (left, right) = Session::pair(peer(1), peer(2), 1);
//! #     tokio::select! {
//! #         biased;
//! #         exit = service.run(left) => panic!("{exit:?}"),
//! #         exit = supervise(service.run(right)) => panic!("{exit:?}"),
//! #         event = heard.recv() => assert!(event.is_some()),
//! #     }
//! #     assert!(Registry::new().register(service).is_ok());
//! # });
//! ```
//!
//! What a larger service adds: a [`RangeQueue`] from which machines ask work, a [`ByteBudget`] for what it holds, a
//! [`WorkPool`] for what it computes, [published](publish) state and a [`Mailbox`] for each routine, and a
//! [`Farewell`] with which a routine's end is told whatever ended it.

mod batch;
mod budget;
mod drive;
#[cfg(feature = "simulation")]
mod inline;
mod job;
mod machine;
mod mailbox;
mod pace;
mod pool;
#[cfg(feature = "simulation")]
mod probe;
mod run;
#[cfg(feature = "shuttle")]
mod shuttle;
#[cfg(feature = "simulation")]
mod stepped;
mod supervise;
mod sync;
mod turn;
mod work;

pub use budget::{ByteBudget, Reservation};
pub use drive::{Ends, drive};
#[cfg(feature = "simulation")]
pub use inline::{JobCost, JobPrice};
pub use job::{
    Busy, CloseReport, Job, JobCx, JobFault, LatePolicy, Skipped, WorkEvent, WorkPolicy, WorkReport,
    WorkSession,
};
pub use machine::{Machine, Message};
pub use mailbox::{
    Command, EventReceiver, EventSender, Farewell, Gone, Inlet, Mailbox, Overflow, Published, Publisher,
    events, inlet, publish,
};
pub use pool::WorkPool;
#[cfg(feature = "simulation")]
pub use probe::{Duty, Fill, Lowest, Recount, Stand};
#[cfg(feature = "simulation")]
pub use stepped::{JobResult, SteppedJob, SteppedRoutine, SteppedService, Stepper};
pub use supervise::{TaskEnd, contain, supervise};
pub(crate) use supervise::{bury, panic_message, shielded};
#[cfg(feature = "simulation")]
pub use work::Keys;
pub use work::{Counts, Demand, Lease, RangeQueue};
