//! The targets of the transport's log lines and spans. They are stable: filters may name them.

/// Connections: dials, admissions, ends, and the span `peer`.
pub const PEER: &str = "zakura::peer";
/// Sessions: their ends, and the span `stream`.
pub const STREAM: &str = "zakura::stream";
/// Panics of tasks, jobs and drops.
pub const TASK: &str = "zakura::task";
/// The UDP socket and the QUIC endpoint.
pub const ENDPOINT: &str = "zakura::endpoint";
/// Services that are started and stopped.
pub const SERVICE: &str = "zakura::service";

/// Every target of the transport.
pub const ALL: [&str; 5] = [PEER, STREAM, TASK, ENDPOINT, SERVICE];
