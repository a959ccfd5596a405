//! A flight as text, and as one JSON object a line. Pure.

use super::{Flight, FlightEvent, FlightRecord, StreamEnd};
use crate::Direction;
use std::fmt::{self, Write};

/// A value of a JSON object.
enum Value<'a> {
    Number(u64),
    Flag(bool),
    Words(&'a str),
}

/// What an event is called, and its fields.
fn told(event: &FlightEvent) -> (&'static str, Vec<(&'static str, Value<'_>)>) {
    use Value::{Flag, Number, Words};
    match event {
        FlightEvent::Connected => ("connected", vec![]),
        FlightEvent::Agreed(capabilities) => ("agreed", vec![("capabilities", Number(capabilities.bits()))]),
        FlightEvent::StreamOpened { stream, ours } => {
            ("stream_opened", vec![("stream", Words(stream)), ("ours", Flag(*ours))])
        }
        FlightEvent::StreamReopened { stream, ours } => {
            ("stream_reopened", vec![("stream", Words(stream)), ("ours", Flag(*ours))])
        }
        FlightEvent::StreamParked { stream, end } => ("stream_parked", ended(stream, end)),
        FlightEvent::StreamRetired { stream, end } => ("stream_retired", ended(stream, end)),
        FlightEvent::StreamRefused { code } => ("stream_refused", vec![("code", Number(u64::from(*code)))]),
        FlightEvent::FrameRefused { stream, rule } => {
            ("frame_refused", vec![("stream", Words(stream)), ("rule", Words(rule))])
        }
        FlightEvent::RateLimit { what } => ("rate_limit", vec![("what", Words(what))]),
        FlightEvent::Violation { stream, rule, evidence } => (
            "violation",
            vec![("stream", Words(stream)), ("rule", Words(rule)), ("evidence", Words(evidence.as_str()))],
        ),
        FlightEvent::Panicked { stream, message } => {
            ("panicked", vec![("stream", Words(stream)), ("message", Words(message.as_str()))])
        }
        FlightEvent::CloseSent { code, reason } => {
            ("close_sent", vec![("code", Number(u64::from(*code))), ("reason", Words(reason))])
        }
        FlightEvent::CloseReceived { code, reason } => {
            ("close_received", vec![("code", Number(*code)), ("reason", Words(reason.as_str()))])
        }
        FlightEvent::Over { reason } => ("over", vec![("reason", Words(reason.as_str()))]),
    }
}

fn ended(stream: &'static str, end: &StreamEnd) -> Vec<(&'static str, Value<'static>)> {
    use Value::Words;
    let (name, detail) = match end {
        StreamEnd::Closed => ("closed", None),
        StreamEnd::Violation { rule } => ("violation", Some(("rule", Words(rule)))),
        StreamEnd::Local { why } => ("local", Some(("why", Words(why)))),
        StreamEnd::Panicked => ("panicked", None),
    };
    [("stream", Words(stream)), ("end", Words(name))].into_iter().chain(detail).collect()
}

/// The first line of both forms says whose flight it is; each further one is an event.
impl fmt::Display for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peer, way) = (&self.peer, way(self.peer.direction));
        writeln!(f, "peer {} at {}, {way}, connection {:?}", peer.id, peer.addr, peer.connection)?;
        if self.left_out > 0 {
            writeln!(f, "{:>10} {} older events are left out", "", self.left_out)?;
        }
        for record in &self.records {
            let (name, fields) = told(&record.event);
            write!(f, "{:>9.3}s {name}", self.offset(record).as_secs_f64())?;
            for (key, value) in fields {
                match value {
                    Value::Number(number) => write!(f, " {key}={number}")?,
                    Value::Flag(flag) => write!(f, " {key}={flag}")?,
                    Value::Words(words) => write!(f, " {key}=\"{words}\"")?,
                }
            }
            match record.times {
                1 => writeln!(f)?,
                times => writeln!(f, " (x{times})")?,
            }
        }
        Ok(())
    }
}

impl Flight {
    /// One JSON object a line: the connection, then its events. Times are microseconds since it was made.
    #[must_use]
    pub fn json_lines(&self) -> String {
        let mut out = String::new();
        let peer = &self.peer;
        object(
            &mut out,
            &[
                ("peer", Value::Words(&peer.id.to_string())),
                ("addr", Value::Words(&peer.addr.to_string())),
                ("direction", Value::Words(way(peer.direction))),
                ("connection", Value::Number(peer.connection.get())),
                ("left_out", Value::Number(self.left_out)),
                ("over", Value::Flag(self.over.is_some())),
            ],
        );
        for record in &self.records {
            let (name, fields) = told(&record.event);
            let at = u64::try_from(self.offset(record).as_micros()).unwrap_or(u64::MAX);
            let mut line = vec![("at_us", Value::Number(at)), ("event", Value::Words(name))];
            line.extend(fields);
            line.push(("times", Value::Number(record.times)));
            object(&mut out, &line);
        }
        out
    }

    fn offset(&self, record: &FlightRecord) -> std::time::Duration {
        record.at.saturating_duration_since(self.begun)
    }
}

const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn object(out: &mut String, fields: &[(&str, Value<'_>)]) {
    for (index, (key, value)) in fields.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        quoted(out, key);
        out.push(':');
        match value {
            Value::Number(number) => out.push_str(&number.to_string()),
            Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Value::Words(words) => quoted(out, words),
        }
    }
    out.push_str("}\n");
}

/// A JSON string (RFC 8259, section 7).
fn quoted(out: &mut String, words: &str) {
    out.push('"');
    for letter in words.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            // Writing to a string does not fail.
            letter if letter.is_control() => drop(write!(out, "\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, CloseReason, Fence, PeerId, PeerInfo, observe::Text};
    use proptest::prelude::*;
    use std::time::Duration;

    fn flight(events: Vec<FlightEvent>) -> Flight {
        let begun = tokio::time::Instant::now().into_std();
        let record = |(at, event)| FlightRecord { at: begun + Duration::from_millis(at), event, times: 1 };
        Flight {
            peer: PeerInfo {
                id: PeerId::new([7; 32]),
                addr: "127.0.0.1:9".parse().unwrap(),
                direction: Direction::Inbound,
                role: crate::Role::Inbound,
                connection: Fence::mint(),
                capabilities: Capabilities::NONE,
            },
            begun,
            records: (0..).step_by(250).zip(events).map(record).collect(),
            left_out: 2,
            over: Some(CloseReason::Idle),
        }
    }

    #[test]
    fn text_has_a_line_for_each_event() {
        let mut flight = flight(vec![
            FlightEvent::Connected,
            FlightEvent::StreamParked { stream: "news", end: StreamEnd::Local { why: "store" } },
            FlightEvent::CloseReceived { code: 0, reason: Text::of("so\nlong") },
        ]);
        flight.records[1].times = 3;
        let lines: Vec<_> = flight.to_string().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "           2 older events are left out",
                "    0.000s connected",
                "    0.250s stream_parked stream=\"news\" end=\"local\" why=\"store\" (x3)",
                "    0.500s close_received code=0 reason=\"so\\nlong\"",
            ]
        );
    }

    #[test]
    fn a_json_line_names_its_event() {
        let events = vec![FlightEvent::CloseReceived { code: 7, reason: Text::of("\"\n\u{1b}") }];
        let flight = flight(events);
        let lines = flight.json_lines();
        let connection = format!(r#","connection":{},"#, flight.peer.connection.get());
        assert!(lines.lines().next().is_some_and(|line| line.contains(&connection)), "{lines}");
        let expected = r#"{"at_us":0,"event":"close_received","code":7,"reason":"\\\"\\n\\u{1b}","times":1}"#;
        assert_eq!(lines.lines().nth(1), Some(expected));
    }

    proptest! {
        #[test]
        fn whatever_a_peer_says_is_one_valid_json_line(words in "(?s:.{0,300})") {
            let evidence = Text::of(&words);
            let flight = flight(vec![
                FlightEvent::Violation { stream: "news", rule: "rule", evidence: evidence.clone() },
                FlightEvent::Over { reason: Text::of(&words) },
            ]);
            let lines = flight.json_lines();
            prop_assert_eq!(lines.lines().count(), 3);
            let parsed: Vec<serde_json::Value> =
                lines.lines().map(|line| serde_json::from_str(line).expect("valid JSON")).collect();
            prop_assert_eq!(parsed[1]["evidence"].as_str(), Some(evidence.as_str()));
            prop_assert_eq!(flight.to_string().lines().count(), 4, "and one line of text");
        }
    }

    #[test]
    fn words_of_our_own_need_no_escaping_to_be_valid() {
        let mut out = String::new();
        quoted(&mut out, "tab\t quote\" back\\ bell\u{7} \u{85}");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "tab\t quote\" back\\ bell\u{7} \u{85}");
    }
}
