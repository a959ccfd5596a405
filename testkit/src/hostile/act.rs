//! What an act is, and what may come of it.

use super::{Scene, Stream, Trouble};
use futures::future::BoxFuture;
use quinn::Connection;
use std::fmt;

/// What the hostile peer itself sees in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The victim closed the connection.
    Closed {
        /// With this code (wire 1.5).
        code: u64,
        /// And these words.
        reason: String,
    },
    /// The victim reset the stream with this code; the connection stays.
    Reset(u64),
    /// The victim finished and stopped the stream; the connection stays.
    Parked,
    /// Nothing: connection and stream stay.
    Kept,
    /// The connection is gone where it should have stayed.
    Lost(String),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code, reason } => write!(f, "closed {code} {reason:?}"),
            Self::Reset(code) => write!(f, "stream reset {code}"),
            Self::Parked => f.write_str("stream parked"),
            Self::Kept => f.write_str("kept"),
            Self::Lost(why) => write!(f, "lost: {why}"),
        }
    }
}

/// What a good node makes of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It refuses our Hello, and its reason contains these words.
    Refused(&'static str),
    /// It dialled us and refuses our Ack, and its reason contains these words.
    AckRefused(&'static str),
    /// It drops us before it knows us, and blames nobody.
    Dropped,
    /// The limits that we asked for carry no streams: closed as wire 2.3 says.
    TooSmall,
    /// It closes the connection for a provable fault, and names this rule.
    Violation(&'static str),
    /// It resets the stream with this code and keeps the connection.
    Reset(u64),
    /// It parks the stream and keeps the connection.
    Parked,
    /// It keeps everything: what was done is allowed, useless, or no proof of anything.
    Kept,
}

impl Outcome {
    /// How it looks from the hostile end: the same on every node that follows the wire specification.
    #[must_use]
    pub fn seen(self) -> Seen {
        let closed = |code, reason: &str| Seen::Closed { code, reason: reason.to_owned() };
        match self {
            Self::Refused(_) | Self::Dropped => closed(0, "control handshake"),
            Self::AckRefused(_) | Self::Violation(_) => closed(0, ""),
            Self::TooSmall => closed(1, "ordered streams"),
            Self::Reset(code) => Seen::Reset(code),
            Self::Parked => Seen::Parked,
            Self::Kept => Seen::Kept,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "hello refused: {why}"),
            Self::AckRefused(why) => write!(f, "ack refused: {why}"),
            Self::Dropped => f.write_str("dropped unblamed"),
            Self::TooSmall => f.write_str("closed: limits too small"),
            Self::Violation(rule) => write!(f, "violation: {rule}"),
            Self::Reset(code) => write!(f, "stream reset {code}"),
            Self::Parked => f.write_str("stream parked"),
            Self::Kept => f.write_str("kept"),
        }
    }
}

/// What an act needs of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A node that can be dialled.
    Nothing,
    /// A node that dials us: only one in this process can be told to.
    Dial,
    /// Blocks that continue the victim's chain: they can be mined on Regtest only. After the act an honest peer brings
    /// them, and the victim must take them.
    Ahead,
}

/// How an act ended. It keeps what is still open, so that the victim finds it open.
#[derive(Debug)]
pub struct Ending {
    /// What was seen.
    pub seen: Seen,
    pub(super) connection: Option<Connection>,
    pub(super) streams: Vec<Stream>,
}

impl Ending {
    /// Nothing stays open.
    #[must_use]
    pub const fn of(seen: Seen) -> Self {
        Self { seen, connection: None, streams: Vec::new() }
    }
}

/// An act's script.
pub type Run = fn(Scene) -> BoxFuture<'static, Result<Ending, Trouble>>;

/// One way to be hostile.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Its name, with the group in front: `group/name`.
    pub name: &'static str,
    /// The rule that it breaks, or leans on.
    pub breaks: &'static str,
    /// What is done.
    pub what: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// What is to come of it.
    pub expected: Outcome,
    /// The script.
    pub run: Run,
}

impl Act {
    /// The part of the name in front of the slash.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(group, _)| group)
    }
}
