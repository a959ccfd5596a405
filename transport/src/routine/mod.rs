//! The routine kit: what a per-peer service is built from.
//!
//! A service splits into three. A [`Machine`] decides: plain synchronous Rust that owns one peer's protocol state. A
//! routine is [`drive()`]`(machine, session, ..)`, the only per-peer loop, run under supervision. A reactor owns what
//! is truly shared and hears from routines through bounded [events()].
//!
//! # How to write a service
//!
//! A service that measures how long each peer takes to answer: two message types, one machine, one reactor, and a node
//! around them. It is whole: it compiles as it stands here, and this documentation runs it.
//!
//! ```
//! use bytes::Bytes;
//! use std::{convert::Infallible, error::Error, time::{Duration, Instant}};
//! use zakura_transport::{
//!     Capabilities, Exit, Fence, Frame, Identity, Mode, Opener, PayloadCap, PeerId, Registry, Service, Session, Spawner,
//!     StreamKind, StreamSpec, Transport, TransportConfig, TransportHandle, Violation,
//!     lifecycle::Reactor,
//!     routine::{Ends, EventReceiver, EventSender, Machine, Message, Published, Publisher, drive, events, publish},
//!     wire::Malformed,
//! };
//!
//! // 1. The message: a decoder that takes any frame and believes none, and its inverse. What it refuses is the peer's
//! // fault, and ends the connection.
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
//!
//!     fn encode(self) -> Frame {
//!         Frame::new(match self { Self::Ask => 1, Self::Answer => 2 }, Bytes::new())
//!     }
//! }
//!
//! // 2. The machine: all that is decided about one peer, in plain synchronous code. It performs nothing: it is told what
//! // happened, and says what it wants when it is polled. Time comes in, so that a test can choose it.
//! struct PingMachine {
//!     session: Fence,
//!     peer: PeerId,
//!     /// When to ask next; at once if nothing is said.
//!     ask_at: Option<Instant>,
//!     /// When the question that waits for its answer was asked.
//!     asked: Option<Instant>,
//!     owes_answer: bool,
//!     is_unanswered: bool,
//!     measured: Option<Duration>,
//! }
//!
//! /// From an answer to the next question.
//! const PAUSE: Duration = Duration::from_secs(5);
//! /// An answer that takes longer is not waited for.
//! const LONGEST: Duration = Duration::from_secs(10);
//!
//! /// What the reactor hears: in which session, of whom, and how long it took. A peer that comes back has a new session, and
//! /// the old one may still speak for a moment: the fence tells them apart.
//! type Measured = (Fence, PeerId, Duration);
//!
//! impl Machine for PingMachine {
//!     type Message = Ping;
//!     type State = (); // nothing that a reactor publishes to it
//!     type Input = Infallible; // no instructions
//!     type Event = Measured;
//!     type Work = (); // nothing to fetch
//!
//!     fn handle_message(&mut self, now: Instant, message: Ping) -> Result<(), Violation> {
//!         match (message, self.asked) {
//!             (Ping::Ask, _) => self.owes_answer = true,
//!             (Ping::Answer, Some(asked)) => {
//!                 (self.measured, self.asked) = (Some(now - asked), None);
//!                 self.ask_at = Some(now + PAUSE);
//!             }
//!             (Ping::Answer, None) => return Err(Violation::protocol("ping.answer", "nobody asked")),
//!         }
//!         Ok(())
//!     }
//!
//!     fn poll_transmit(&mut self, now: Instant) -> Option<Ping> {
//!         if std::mem::take(&mut self.owes_answer) {
//!             return Some(Ping::Answer);
//!         }
//!         if self.asked.is_some() || self.ask_at.is_some_and(|at| now < at) {
//!             return None;
//!         }
//!         self.asked = Some(now);
//!         Some(Ping::Ask)
//!     }
//!
//!     fn poll_event(&mut self) -> Option<Measured> {
//!         Some((self.session, self.peer, self.measured.take()?))
//!     }
//!
//!     // Whatever a machine waits for, it waits for until some instant: a peer may simply never answer.
//!     fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
//!         match self.asked {
//!             Some(asked) => Some((asked + LONGEST, "no answer")),
//!             None => Some((self.ask_at?, "ask again")),
//!         }
//!     }
//!
//!     fn handle_timeout(&mut self, now: Instant) {
//!         self.is_unanswered = self.asked.is_some_and(|asked| now >= asked + LONGEST);
//!     }
//!
//!     // Silence proves no fault: the stream is given up, and opened again after a pause.
//!     fn poll_exit(&mut self) -> Option<Exit> {
//!         self.is_unanswered.then_some(Exit::Local("no answer"))
//!     }
//! }
//!
//! // 3. The service: the streams it speaks, and one routine for each session. Every bound a peer meets stands here. Own
//! // kinds are 0x0100 to 0xffff, own capabilities the bits 33 to 63, frame caps 9 bytes to 4 MiB with the header's 8.
//! struct PingService { events: EventSender<Measured> }
//!
//! impl Service for PingService {
//!     fn streams(&self) -> Vec<StreamSpec> {
//!         vec![StreamSpec {
//!             name: "ping",
//!             kind: StreamKind(0x0100),
//!             version: 1,
//!             capability: Capabilities::from_bits(1 << 40),
//!             mode: Mode::Ordered,
//!             max_frame: 9,
//!             payload_caps: &[
//!                 PayloadCap { message_type: 1, bytes: 0 },
//!                 PayloadCap { message_type: 2, bytes: 0 },
//!             ],
//!             opener: Opener::Initiator,
//!             frames_per_second: 8,
//!         }]
//!     }
//!
//!     async fn run(&self, session: Session) -> Exit {
//!         let machine = PingMachine {
//!             session: session.generation,
//!             peer: session.peer.id,
//!             ask_at: None,
//!             asked: None,
//!             owes_answer: false,
//!             is_unanswered: false,
//!             measured: None,
//!         };
//!         let (_, no_state) = publish(());
//!         drive(machine, session, Ends::plain(no_state, self.events.clone())).await
//!     }
//! }
//!
//! // 4. The reactor: the one owner of what all sessions share, here the fastest peer. It hears events, and publishes what
//! // others may read. It ends when nobody is left to hear from.
//! async fn reactor(mut heard: EventReceiver<Measured>, fastest: Publisher<Option<Measured>>) {
//!     let mut best: Option<Measured> = None;
//!     while let Some(measured) = heard.recv().await {
//!         // A newer word of the same session counts, whatever it is; of another one only a better.
//!         if best.is_none_or(|(session, _, took)| session == measured.0 || measured.2 < took) {
//!             best = Some(measured);
//!             fastest.set(best);
//!         }
//!     }
//! }
//!
//! // 5. The node: the reactor runs, the registry knows the service, and the transport takes both along.
//! async fn start(spawner: &Spawner) -> Result<(TransportHandle, Published<Option<Measured>>), Box<dyn Error>> {
//!     let (events, heard) = events(64);
//!     let (publisher, fastest) = publish(None);
//!     Reactor::new("ping reactor", reactor(heard, publisher)).spawn(spawner);
//!     let mut registry = Registry::new();
//!     registry.register(PingService { events })?;
//!     // Network 3 is Regtest; the chain id is the genesis hash; the last number seeds the pauses between dials.
//!     let config = TransportConfig::local("127.0.0.1:0".parse()?, 3, [0; 32], 1);
//!     let transport = Transport::start(config, Identity::generate()?, registry, spawner.clone()).await?;
//!     Ok((transport, fastest))
//! }
//!
//! // Two nodes, for one has nobody to ask.
//! async fn measure() -> Result<(), Box<dyn Error>> {
//!     let spawner = Spawner::new();
//!     let (there, _) = start(&spawner).await?;
//!     let (here, mut fastest) = start(&spawner).await?;
//!     here.add_peer(there.local_peer()).await?;
//!     if let Some((_, peer, took)) = fastest.changed().await? {
//!         println!("{peer} answers within {took:?}");
//!         assert_eq!(peer, there.local_id());
//!     }
//!     let grace = Duration::from_secs(5);
//!     here.shutdown(grace).await;
//!     there.shutdown(grace).await;
//!     // The services went with their transports, and the reactors with the last of their events.
//!     let report = spawner.stop(grace).await;
//!     assert!(report.stragglers.is_empty(), "{report:?}");
//!     Ok(())
//! }
//! # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
//! # let limit = Duration::from_secs(60);
//! # runtime.block_on(async { tokio::time::timeout(limit, measure()).await.expect("two nodes meet within a minute") }).unwrap();
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
