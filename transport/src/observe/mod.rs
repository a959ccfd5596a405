//! What a node tells of itself: snapshots of connections, the last events of each, log lines, metrics.
//!
//! Recording is itself a way to be attacked, so everything here is of fixed size and paid for by events that are already
//! bounded: counters are plain integers of the task that counts, published once a batch; a recorder keeps the last
//! [`FLIGHT_EVENTS`] events; a peer's words are escaped and cut; a log line that a peer can provoke is rationed by
//! [`Quota`]; labels of metrics come from closed sets.
//!
//! # Targets of log lines and spans
//!
//! Stable, for filters. Spans: `peer` (fields `id`, `connection`, `direction`) and below it `stream` (fields `stream`,
//! `generation`).
//!
//! | target | what |
//! | --- | --- |
//! | [`target::PEER`] | connections: dials, admissions, ends, and the span `peer` |
//! | [`target::STREAM`] | sessions: their ends, and the span `stream` |
//! | [`target::TASK`] | panics of tasks, jobs and drops |
//! | [`target::ENDPOINT`] | the UDP socket and the QUIC endpoint |
//! | [`target::SERVICE`] | services that are started and stopped |

pub mod metrics;
pub mod target;

mod connection;
mod flight;
mod print;
mod quota;
mod snapshot;
mod text;
mod traffic;

pub use connection::{ConnectionSnapshot, Refusals, StreamSnapshot, StreamState, Volume};
pub use flight::{FLIGHT_EVENTS, Flight, FlightEvent, FlightRecord, StreamEnd};
pub use quota::{LINE_EVERY, Quota};
pub use text::{MAX_TEXT, Text};

pub(crate) use flight::Phase;
pub(crate) use quota::rationed;
pub(crate) use snapshot::Recorder;
pub(crate) use traffic::{Lane, Tally, TurnedAway, Way};
