//! What a service declares about its streams.

use crate::Capabilities;
use std::fmt;

/// A stream kind (wire 4.1). Our own extensions use kinds from `0x0100` up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKind(pub u16);

impl StreamKind {
    /// Discovery.
    pub const DISCOVERY: Self = Self(4);
    /// Header sync.
    pub const HEADER_SYNC: Self = Self(5);
    /// Block sync.
    pub const BLOCK_SYNC: Self = Self(6);
}

impl fmt::Debug for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKind({})", self.0)
    }
}

/// As documents have it: `0x0100`.
impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// How a stream is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One long-lived stream per peer, frames both ways in order.
    Ordered,
    /// One stream per request: one frame out, zero or more frames back (wire 4.5).
    Request,
}

/// Who may open an ordered stream (wire 4.1 and 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opener {
    /// Only the side that dialled the connection.
    Initiator,
    /// Either side; the one with the smaller [`PeerId`](crate::PeerId) opens proactively.
    SmallerId,
}

/// The largest payload of one message type, checked before its buffer is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadCap {
    /// The frame's message type.
    pub message_type: u16,
    /// Payload bytes at most, without the frame header.
    pub bytes: u32,
}

/// One stream kind, declared as data. Every bound a peer meets on the stream stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Unique name, for spans, tasks and reports.
    pub name: &'static str,
    /// Unique kind.
    pub kind: StreamKind,
    /// The one version spoken.
    pub version: u16,
    /// The single bit under which the kind is negotiated: 33 to 63 for own extensions.
    pub capability: Capabilities,
    /// How it is used.
    pub mode: Mode,
    /// Frame bytes at most, header included (stops allocation by declared length): 9
    /// ([`MIN_OPENER_CAP`](crate::wire::MIN_OPENER_CAP)) to 4 MiB ([`Limits::MAX`](crate::wire::Limits::MAX)).
    pub max_frame: u32,
    /// Payload caps by message type; a type not listed here is malformed. Never empty, and no type twice.
    pub payload_caps: &'static [PayloadCap],
    /// Who opens it.
    pub opener: Opener,
    /// Frames a second accepted from a peer (burst: the same); wire 4.6 has 2,048. A lower one stops floods of frames that
    /// are dear to read, and a service that declares it must not send more itself. At least 1.
    pub frames_per_second: u32,
}

impl StreamSpec {
    /// The payload cap of `message_type`, or `None` if the stream has no such type.
    #[must_use]
    pub fn payload_cap(&self, message_type: u16) -> Option<u32> {
        self.payload_caps.iter().find(|cap| cap.message_type == message_type).map(|cap| cap.bytes)
    }
}
