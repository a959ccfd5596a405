//! What the opener of a stream writes first (wire 4.2).

use super::{Malformed, Reader, Writer};
use crate::{Mode, StreamKind};
use bytes::Bytes;

/// First bytes of a prelude.
const MAGIC: [u8; 4] = *b"ZKST";

/// Bytes of the part that every prelude has: magic, kind, version, request id flag.
pub const PRELUDE_HEAD_BYTES: usize = 9;

/// The smallest frame cap an opener may state: a frame header and one byte. Below it no frame with a payload could be
/// answered (wire 4.2).
pub const MIN_OPENER_CAP: u32 = 9;

/// The first part of a prelude; it says how long the rest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreludeHead {
    /// The stream's kind.
    pub kind: StreamKind,
    /// The kind's version.
    pub version: u16,
    /// [`Mode::Request`] if a request id follows.
    pub mode: Mode,
}

impl PreludeHead {
    /// Reads the first part.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: wrong magic, or a flag that is neither 0 nor 1.
    pub fn decode(bytes: &[u8; PRELUDE_HEAD_BYTES]) -> Result<Self, Malformed> {
        let mut from = Reader::new(&bytes[..]);
        if from.array("prelude.magic")? != MAGIC {
            return Err(Malformed::new("prelude.magic", "wrong magic"));
        }
        let (kind, version) = (StreamKind(from.u16("prelude.kind")?), from.u16("prelude.version")?);
        let mode = if from.flag("prelude.flag")? { Mode::Request } else { Mode::Ordered };
        Ok(Self { kind, version, mode })
    }
}

/// A whole prelude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prelude {
    /// The stream's kind.
    pub kind: StreamKind,
    /// The kind's version.
    pub version: u16,
    /// Present on request streams only.
    pub request_id: Option<u64>,
    /// Frame bytes at most that the opener accepts on this stream.
    pub max_frame: u32,
}

impl Prelude {
    /// The bytes: 13 of an ordered stream, 21 of a request.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(21);
        out.raw(&MAGIC);
        out.u16(self.kind.0);
        out.u16(self.version);
        out.optional(self.request_id, Writer::u64);
        out.u32(self.max_frame);
        out.finish()
    }

    /// Reads a whole prelude.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let head = PreludeHead::decode(&from.array("prelude")?)?;
        let request_id = match head.mode {
            Mode::Ordered => None,
            Mode::Request => Some(from.u64("prelude.request_id")?),
        };
        let max_frame = from.u32("prelude.max_frame")?;
        from.end("prelude")?;
        Ok(Self { kind: head.kind, version: head.version, request_id, max_frame })
    }
}
