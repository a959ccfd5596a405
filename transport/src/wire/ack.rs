//! The responder's Ack (wire 2.6).

use super::{
    Limits, Malformed, Reader, Writer,
    hello::{CONTROL_VERSION, check_front},
};
use crate::Capabilities;
use bytes::Bytes;

/// First bytes of an Ack.
const MAGIC: [u8; 8] = *b"ZAKACK\0\0";

/// The second and last message of the handshake, from the side that was dialled (wire 2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Must be [`PROTOCOL`](super::PROTOCOL).
    pub protocol: u16,
    /// The responder's fresh random bytes.
    pub nonce: [u8; 32],
    /// The Hello's nonce: binds this Ack to it.
    pub hello_nonce: [u8; 32],
    /// What both sides offered.
    pub capabilities: Capabilities,
    /// Zero: no channel is defined.
    pub channels: u64,
    /// The lower of both sides' limits, field by field.
    pub limits: Limits,
}

impl Ack {
    /// The bytes, without the length in front of them.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(108);
        out.raw(&MAGIC);
        out.u16(CONTROL_VERSION);
        out.u16(self.protocol);
        out.raw(&self.nonce);
        out.raw(&self.hello_nonce);
        out.u64(self.capabilities.bits());
        out.u64(self.channels);
        self.limits.put(&mut out);
        out.finish()
    }

    /// Reads an Ack. Layout, magic and control version are judged here, values are the verdict's business.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        check_front(&mut from, MAGIC, "ack")?;
        let ack = Self {
            protocol: from.u16("ack.protocol")?,
            nonce: from.array("ack.nonce")?,
            hello_nonce: from.array("ack.hello_nonce")?,
            capabilities: Capabilities::from_bits(from.u64("ack.capabilities")?),
            channels: from.u64("ack.channels")?,
            limits: Limits::take(&mut from)?,
        };
        from.end("ack")?;
        Ok(ack)
    }
}
