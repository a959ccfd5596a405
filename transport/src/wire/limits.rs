//! Negotiated limits (wire 2.3).

use super::{Malformed, Reader, Writer};
use bytes::Buf;

/// What one side accepts from the other, 16 bytes in a Hello and in an Ack (wire 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Frame bytes at most, header included.
    pub max_frame: u32,
    /// Message (payload) bytes at most.
    pub max_message: u32,
    /// Streams open at once, at most.
    pub max_open_streams: u16,
    /// Frames queued inbound over all ordered streams, at most.
    pub max_inbound_depth: u16,
    /// A connection on which no frame arrives for this many milliseconds is closed.
    pub idle_timeout_ms: u32,
}

impl Limits {
    /// What we send and hold ourselves to: what existing nodes send (wire 2.3).
    pub const OURS: Self = Self {
        max_frame: 4_194_304,
        max_message: 4_194_304,
        max_open_streams: 1024,
        max_inbound_depth: 4096,
        idle_timeout_ms: 149_999,
    };

    /// The largest values that may be negotiated (wire 2.3).
    pub const MAX: Self = Self {
        max_frame: 4_194_304,
        max_message: 4_194_304,
        max_open_streams: 1024,
        max_inbound_depth: 4096,
        idle_timeout_ms: 600_000,
    };

    /// The field that is zero or above [`Limits::MAX`], if one is.
    #[must_use]
    pub const fn fault(&self) -> Option<&'static str> {
        if self.max_frame == 0 || self.max_frame > Self::MAX.max_frame {
            Some("max frame bytes")
        } else if self.max_message == 0 || self.max_message > Self::MAX.max_message {
            Some("max message bytes")
        } else if self.max_open_streams == 0 || self.max_open_streams > Self::MAX.max_open_streams {
            Some("max open streams")
        } else if self.max_inbound_depth == 0 || self.max_inbound_depth > Self::MAX.max_inbound_depth {
            Some("max inbound queue depth")
        } else if self.idle_timeout_ms == 0 || self.idle_timeout_ms > Self::MAX.idle_timeout_ms {
            Some("idle timeout")
        } else {
            None
        }
    }

    /// Field by field, the smaller one: the rule of negotiation.
    #[must_use]
    pub fn lower(self, other: Self) -> Self {
        Self {
            max_frame: self.max_frame.min(other.max_frame),
            max_message: self.max_message.min(other.max_message),
            max_open_streams: self.max_open_streams.min(other.max_open_streams),
            max_inbound_depth: self.max_inbound_depth.min(other.max_inbound_depth),
            idle_timeout_ms: self.idle_timeout_ms.min(other.idle_timeout_ms),
        }
    }

    /// Whether no field is above the other's.
    #[must_use]
    pub fn fits(self, other: Self) -> bool {
        self.lower(other) == self
    }

    pub(super) fn put(&self, out: &mut Writer) {
        out.u32(self.max_frame);
        out.u32(self.max_message);
        out.u16(self.max_open_streams);
        out.u16(self.max_inbound_depth);
        out.u32(self.idle_timeout_ms);
    }

    pub(super) fn take(from: &mut Reader<impl Buf>) -> Result<Self, Malformed> {
        Ok(Self {
            max_frame: from.u32("limits.max_frame")?,
            max_message: from.u32("limits.max_message")?,
            max_open_streams: from.u16("limits.max_open_streams")?,
            max_inbound_depth: from.u16("limits.max_inbound_depth")?,
            idle_timeout_ms: from.u32("limits.idle_timeout_ms")?,
        })
    }
}

const _: () = assert!(Limits::OURS.fault().is_none(), "what we send must be acceptable");
const _: () = assert!(Limits::MAX.fault().is_none());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_refused_at_zero_and_one_above_its_maximum() {
        let cases: [fn(&mut Limits, bool); 5] = [
            |l, zero| l.max_frame = if zero { 0 } else { 4_194_305 },
            |l, zero| l.max_message = if zero { 0 } else { 4_194_305 },
            |l, zero| l.max_open_streams = if zero { 0 } else { 1025 },
            |l, zero| l.max_inbound_depth = if zero { 0 } else { 4097 },
            |l, zero| l.idle_timeout_ms = if zero { 0 } else { 600_001 },
        ];
        for (at, spoil) in cases.into_iter().enumerate() {
            for zero in [true, false] {
                let mut limits = Limits::MAX;
                spoil(&mut limits, zero);
                assert!(limits.fault().is_some(), "field {at}, zero {zero}");
                assert_eq!(limits.fits(Limits::MAX), zero);
            }
        }
    }
}
