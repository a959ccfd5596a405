//! What the opener of a stream writes first (wire 4.2).

use super::{Malformed, cursor::Cursor};
use crate::{Mode, StreamKind};
use bytes::{BufMut, Bytes, BytesMut};

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
        let mut from = Cursor::new(bytes);
        if from.array("prelude.magic")? != MAGIC {
            return Err(Malformed::new("prelude.magic", "wrong magic"));
        }
        let (kind, version) = (StreamKind(from.u16("prelude.kind")?), from.u16("prelude.version")?);
        let mode = match from.u8("prelude.flag")? {
            0 => Mode::Ordered,
            1 => Mode::Request,
            other => return Err(Malformed::new("prelude.flag", format!("{other} is neither 0 nor 1"))),
        };
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
        let mut out = BytesMut::with_capacity(21);
        out.put_slice(&MAGIC);
        out.put_u16_le(self.kind.0);
        out.put_u16_le(self.version);
        out.put_u8(u8::from(self.request_id.is_some()));
        if let Some(id) = self.request_id {
            out.put_u64_le(id);
        }
        out.put_u32_le(self.max_frame);
        out.freeze()
    }

    /// Reads a whole prelude.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Cursor::new(bytes);
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
