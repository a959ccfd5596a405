//! Why a routine ended, and the one table from that to the connection.

use crate::{
    FaultClass,
    observe::{MAX_TEXT, Text},
};
use std::fmt;

/// A peer's provable fault: the class, the rule it broke, and the evidence in words.
///
/// Of the evidence at most [`MAX_TEXT`] bytes are kept: a fault is remembered, told and printed, and a
/// peer could choose how long its words are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    class: FaultClass,
    rule: &'static str,
    evidence: String,
}

impl Violation {
    /// Bytes that break a codec.
    #[must_use]
    pub fn malformed(rule: &'static str, evidence: impl Into<String>) -> Self {
        Self { class: FaultClass::Malformed, rule, evidence: cut(evidence.into()) }
    }

    /// A decodable message that breaks a contract of the session.
    #[must_use]
    pub fn protocol(rule: &'static str, evidence: impl Into<String>) -> Self {
        Self { class: FaultClass::Protocol, rule, evidence: cut(evidence.into()) }
    }

    /// Content that is provably wrong.
    #[must_use]
    pub fn proven_invalid(rule: &'static str, evidence: impl Into<String>) -> Self {
        Self { class: FaultClass::ProvenInvalid, rule, evidence: cut(evidence.into()) }
    }

    /// The class: always one for which [`FaultClass::closes`] holds.
    #[must_use]
    pub const fn class(&self) -> FaultClass {
        self.class
    }

    /// The rule's name, from the code and never from the peer: safe as a label.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }

    /// The same with printable evidence, still [`MAX_TEXT`] bytes at most.
    pub(crate) fn shortened(&self) -> Self {
        Self { evidence: Text::of(&self.evidence).to_string(), ..self.clone() }
    }

    /// What was seen, in at most [`MAX_TEXT`] bytes. Not made printable: a peer may have chosen the words.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }
}

/// The words, or as many of them as fit into [`MAX_TEXT`] bytes: what is kept has a bound.
pub(crate) fn cut(mut words: String) -> String {
    const CUT: &str = "...";
    if words.len() > MAX_TEXT {
        words.truncate((0..=MAX_TEXT - CUT.len()).rev().find(|at| words.is_char_boundary(*at)).unwrap_or(0));
        words.push_str(CUT);
        words.shrink_to_fit();
    }
    words
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({:?})", self.rule, self.evidence, self.class)
    }
}

/// Why a routine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// A clean end: the peer finished the stream, the connection went, or we were asked to stop.
    Closed {
        /// Whether the stream may be opened again on this connection, after a pause.
        reopen: bool,
    },
    /// The peer's provable fault.
    Violation(Violation),
    /// Our own reason; never the peer's fault. The stream is parked and may be opened again.
    Local(&'static str),
    /// A bug of ours, contained: the first [`MAX_TEXT`] bytes of the panic's message at most.
    Panicked(String),
}

/// What an [`Exit`] does to the stream and the connection under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// FIN and STOP_SENDING 0 on the stream; the connection stays (wire 1.5).
    Park {
        /// Whether the stream may be opened again.
        reopen: bool,
    },
    /// Close the connection with code 0 and no reason, as existing nodes do for a fatal fault (wire 1.5).
    CloseConnection,
}

impl Exit {
    /// The one mapping from a routine's end to what happens to the connection.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Closed { reopen } => Action::Park { reopen: *reopen },
            Self::Local(_) => Action::Park { reopen: true },
            Self::Violation(_) | Self::Panicked(_) => Action::CloseConnection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_has_a_bound_whoever_chose_its_words() {
        let makers: [fn(&'static str, String) -> Violation; 3] =
            [Violation::malformed, Violation::protocol, Violation::proven_invalid];
        for (unit, kept) in [("x", 253), ("\u{e9}", 252), ("\u{20ac}", 252), ("\u{1f980}", 252)] {
            let expected = format!("{}...", unit.repeat(kept / unit.len()));
            for make in makers {
                assert_eq!(make("rule", unit.repeat(10_000)).evidence(), expected);
            }
        }
        let whole = "x".repeat(MAX_TEXT);
        assert_eq!(Violation::protocol("rule", whole.clone()).evidence(), whole, "what fits is whole");
    }

    #[test]
    fn every_exit_has_one_action() {
        let violation = Exit::Violation(Violation::protocol("rule", "seen"));
        assert_eq!(violation.action(), Action::CloseConnection);
        assert_eq!(Exit::Panicked("boom".into()).action(), Action::CloseConnection);
        assert_eq!(Exit::Local("store").action(), Action::Park { reopen: true });
        assert_eq!(Exit::Closed { reopen: false }.action(), Action::Park { reopen: false });
    }
}
