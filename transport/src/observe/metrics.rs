//! The transport's metrics: one table of names, and one function for each thing that is counted.
//!
//! With the feature `metrics` they go to the recorder that the embedder has installed for the facade crate `metrics`; a
//! counter is looked up when its connection is made, so install the recorder first. Without the feature everything here but
//! the table compiles to nothing.
//!
//! Labels come from closed sets, never from a peer: the number of series is fixed by the services that are registered
//! (threat R03).

use super::Way;
use crate::{CloseReason, Direction, Exit, FaultClass, quic::ResetCode};
use std::time::Duration;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// Which values a label takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// One of these.
    Of(&'static [&'static str]),
    /// The name of a stream that a registered service declares.
    Streams,
}

/// One label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its key.
    pub key: &'static str,
    /// Its values.
    pub values: Values,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// What it says.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
}

const fn label(key: &'static str, values: Values) -> Label {
    Label { key, values }
}

const STREAM: Label = label("stream", Values::Streams);
const DIRECTION: Label = label("direction", Values::Of(&["inbound", "outbound"]));
const WAY: Label = label("way", Values::Of(&["in", "out"]));
const CLASS: Label = label("class", Values::Of(&CLOSE_CLASSES));

/// The values of the label `class`: what kind of reason ended a connection or an attempt.
pub const CLOSE_CLASSES: [&str; 18] = [
    "violation",
    "panicked",
    "duplicate",
    "idle",
    "local",
    "full",
    "too_often",
    "remote",
    "timeout",
    "reset",
    "transport",
    "handshake_refused",
    "limits_too_small",
    "wrong_identity",
    "not_dialled",
    "displaced",
    "banned",
    "not_named",
];

macro_rules! table {
    ($($id:ident: $kind:ident $unit:ident $name:literal [$($label:expr),*] $help:literal;)+) => {
        $(const $id: Metric = Metric {
            name: concat!("zakura.transport.", $name),
            kind: Kind::$kind,
            unit: Unit::$unit,
            help: $help,
            labels: &[$($label),*],
        };)+
        /// Every metric of the transport.
        pub const METRICS: &[Metric] = &[$($id),+];
    };
}

table! {
    CONNECTIONS: Gauge Count "connections" [DIRECTION] "Connections that stand, by who dialled";
    OPENED: Counter Count "connections.opened" [DIRECTION] "Connections made, by who dialled";
    CLOSED: Counter Count "connections.closed" [CLASS] "Connections ended, by the first cause";
    LIFE: Histogram Seconds "connections.life" [] "How long connections stood";
    DIALS_FAILED: Counter Count "dials.failed" [CLASS] "Dials that gave no connection, by the reason";
    ADMISSIONS_FAILED: Counter Count "admissions.failed" [CLASS] "Peers that dialled us and were not let in, by the reason";
    ATTEMPTS: Counter Count "attempts.put_off" [label("how", Values::Of(&["ignored", "retried"]))]
        "Attempts of unknown peers that were dropped, or asked to prove their address, under load";
    SESSIONS_BEGUN: Counter Count "sessions.begun" [STREAM, label("opened_by", Values::Of(&["us", "peer"]))]
        "Sessions begun on ordered streams, by who opened the stream";
    SESSIONS_OVER: Counter Count "sessions.over"
        [STREAM, label("exit", Values::Of(&["closed", "violation", "local", "panicked"]))]
        "Sessions ended on ordered streams, by how their routine ended";
    STREAMS_REFUSED: Counter Count "streams.refused"
        [label("code", Values::Of(&["resource", "bad_prelude", "rate_limit", "unknown_stream"]))]
        "Streams of peers that were reset before anything ran on them, by the reset's code";
    FRAMES: Counter Count "frames" [STREAM, WAY] "Frames, by which way they went";
    FRAME_BYTES: Counter Bytes "frame_bytes" [STREAM, WAY] "Bytes of frames, headers included, by which way they went";
    FRAMES_REFUSED: Counter Count "frames.refused" [STREAM] "Frames that broke a rule of frames, their rate included";
    VIOLATIONS: Counter Count "violations"
        [label("class", Values::Of(&["malformed", "protocol", "proven_invalid"]))]
        "Connections closed for a provable fault of the peer, by its class";
    LOG_LINES_LEFT_OUT: Counter Count "log_lines.left_out" []
        "Log lines that were not written because their place in the code had spoken within the minute";
}

/// The value of the label `class`.
const fn close_class(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Violation { .. } => "violation",
        CloseReason::Panicked { .. } => "panicked",
        CloseReason::Duplicate => "duplicate",
        CloseReason::Idle => "idle",
        CloseReason::Local => "local",
        CloseReason::Full => "full",
        CloseReason::TooOften => "too_often",
        CloseReason::Remote { .. } => "remote",
        CloseReason::Timeout => "timeout",
        CloseReason::Reset => "reset",
        CloseReason::Transport(_) => "transport",
        CloseReason::HandshakeRefused(_) => "handshake_refused",
        CloseReason::LimitsTooSmall => "limits_too_small",
        CloseReason::WrongIdentity => "wrong_identity",
        CloseReason::NotDialled(_) => "not_dialled",
        CloseReason::Displaced => "displaced",
        CloseReason::Banned => "banned",
        CloseReason::NotNamed => "not_named",
    }
}

const fn way(way: Way) -> &'static str {
    match way {
        Way::In => "in",
        Way::Out => "out",
    }
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

pub(crate) fn connections(of: Direction, count: usize) {
    sink::set(&CONNECTIONS, &[("direction", direction(of))], count);
}

pub(crate) fn connected(of: Direction) {
    sink::add(&OPENED, &[("direction", direction(of))]);
}

pub(crate) fn disconnected(reason: &CloseReason, life: Duration) {
    sink::add(&CLOSED, &[("class", close_class(reason))]);
    sink::record(&LIFE, life);
}

pub(crate) fn dial_failed(reason: &CloseReason) {
    sink::add(&DIALS_FAILED, &[("class", close_class(reason))]);
}

pub(crate) fn admission_failed(reason: &CloseReason) {
    sink::add(&ADMISSIONS_FAILED, &[("class", close_class(reason))]);
}

/// An attempt was dropped without an answer.
pub(crate) fn attempt_ignored() {
    sink::add(&ATTEMPTS, &[("how", "ignored")]);
}

/// An attempt has to prove its address first.
pub(crate) fn attempt_retried() {
    sink::add(&ATTEMPTS, &[("how", "retried")]);
}

pub(crate) fn session_begun(stream: &'static str, ours: bool) {
    sink::add(&SESSIONS_BEGUN, &[("stream", stream), ("opened_by", if ours { "us" } else { "peer" })]);
}

pub(crate) fn session_over(stream: &'static str, exit: &Exit) {
    let how = match exit {
        Exit::Closed { .. } => "closed",
        Exit::Violation(_) => "violation",
        Exit::Local(_) => "local",
        Exit::Panicked(_) => "panicked",
    };
    sink::add(&SESSIONS_OVER, &[("stream", stream), ("exit", how)]);
}

pub(super) fn stream_refused(code: ResetCode) {
    let code = match code {
        ResetCode::Resource => "resource",
        ResetCode::BadPrelude => "bad_prelude",
        ResetCode::RateLimit => "rate_limit",
        ResetCode::UnknownStream => "unknown_stream",
    };
    sink::add(&STREAMS_REFUSED, &[("code", code)]);
}

pub(super) fn frame_refused(stream: &'static str) {
    sink::add(&FRAMES_REFUSED, &[("stream", stream)]);
}

pub(crate) fn violation(class: FaultClass) {
    let class = match class {
        FaultClass::Malformed => "malformed",
        FaultClass::ProvenInvalid => "proven_invalid",
        // The other classes close no connection.
        _ => "protocol",
    };
    sink::add(&VIOLATIONS, &[("class", class)]);
}

pub(crate) fn log_line_left_out() {
    sink::add(&LOG_LINES_LEFT_OUT, &[]);
}

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    METRICS.iter().for_each(sink::describe);
}

/// The counters of one stream kind, one way: looked up once, for they move often.
#[derive(Debug)]
pub(super) struct FlowMeter {
    frames: sink::Counter,
    bytes: sink::Counter,
}

impl FlowMeter {
    pub(super) fn new(stream: &'static str, of: Way) -> Self {
        let labels = [("stream", stream), ("way", way(of))];
        Self { frames: sink::counter(&FRAMES, &labels), bytes: sink::counter(&FRAME_BYTES, &labels) }
    }

    pub(super) fn add(&self, frames: u64, bytes: u64) {
        self.frames.increment(frames);
        self.bytes.increment(bytes);
    }
}

/// A label with its value.
type Pair = (&'static str, &'static str);

#[cfg(feature = "metrics")]
mod sink {
    use super::{Kind, Metric, Pair, Unit};
    use std::time::Duration;

    pub(super) use ::metrics::Counter;

    pub(super) fn counter(metric: &Metric, labels: &[Pair]) -> Counter {
        ::metrics::counter!(metric.name, labels)
    }

    pub(super) fn add(metric: &Metric, labels: &[Pair]) {
        counter(metric, labels).increment(1);
    }

    pub(super) fn set(metric: &Metric, labels: &[Pair], value: usize) {
        ::metrics::gauge!(metric.name, labels).set(f64::from(u32::try_from(value).unwrap_or(u32::MAX)));
    }

    pub(super) fn record(metric: &Metric, value: Duration) {
        ::metrics::histogram!(metric.name).record(value.as_secs_f64());
    }

    pub(super) fn describe(metric: &Metric) {
        let unit = match metric.unit {
            Unit::Count => ::metrics::Unit::Count,
            Unit::Bytes => ::metrics::Unit::Bytes,
            Unit::Seconds => ::metrics::Unit::Seconds,
        };
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => ::metrics::describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod sink {
    use super::{Metric, Pair};
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Counter;

    impl Counter {
        #[inline]
        pub(super) const fn increment(&self, _by: u64) {}
    }

    #[inline]
    pub(super) const fn counter(_metric: &Metric, _labels: &[Pair]) -> Counter {
        Counter
    }

    #[inline]
    pub(super) const fn add(_metric: &Metric, _labels: &[Pair]) {}

    #[inline]
    pub(super) const fn set(_metric: &Metric, _labels: &[Pair], _value: usize) {}

    #[inline]
    pub(super) const fn record(_metric: &Metric, _value: Duration) {}

    #[inline]
    pub(super) const fn describe(_metric: &Metric) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Refusal, Violation};

    /// A name is a promise: dashboards and alarms are built on it. Change the file with the table, and say so.
    #[test]
    fn the_names_are_those_that_were_promised() {
        let line = |metric: &Metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| label.key).collect();
            format!("{} {:?} {:?} [{}]\n", metric.name, metric.kind, metric.unit, labels.join(" "))
        };
        let table: String = METRICS.iter().map(line).collect();
        assert_eq!(table, include_str!("../../tests/metrics.txt"));
    }

    /// The reason after this one, in the order of the set. A new variant does not compile before it has its place here.
    fn next(reason: &CloseReason) -> Option<CloseReason> {
        Some(match reason {
            CloseReason::Violation { .. } => CloseReason::Panicked { stream: "news", message: String::new() },
            CloseReason::Panicked { .. } => CloseReason::Duplicate,
            CloseReason::Duplicate => CloseReason::Idle,
            CloseReason::Idle => CloseReason::Local,
            CloseReason::Local => CloseReason::Full,
            CloseReason::Full => CloseReason::TooOften,
            CloseReason::TooOften => CloseReason::Remote { code: 0, reason: String::new() },
            CloseReason::Remote { .. } => CloseReason::Timeout,
            CloseReason::Timeout => CloseReason::Reset,
            CloseReason::Reset => CloseReason::Transport(String::new()),
            CloseReason::Transport(_) => CloseReason::HandshakeRefused(Refusal::Protocol(2)),
            CloseReason::HandshakeRefused(_) => CloseReason::LimitsTooSmall,
            CloseReason::LimitsTooSmall => CloseReason::WrongIdentity,
            CloseReason::WrongIdentity => CloseReason::NotDialled(String::new()),
            CloseReason::NotDialled(_) => CloseReason::Displaced,
            CloseReason::Displaced => CloseReason::Banned,
            CloseReason::Banned => CloseReason::NotNamed,
            CloseReason::NotNamed => return None,
        })
    }

    #[test]
    fn every_reason_has_a_class_of_the_closed_set() {
        let first = CloseReason::Violation { stream: "news", violation: Violation::protocol("rule", "seen") };
        let reasons = std::iter::successors(Some(first), next);
        assert_eq!(reasons.map(|reason| close_class(&reason)).collect::<Vec<_>>(), CLOSE_CLASSES);
    }
}
