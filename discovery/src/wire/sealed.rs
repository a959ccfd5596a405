//! A record as it travels: a body, and its author's signature.

use super::{
    caps::MAX_RECORD_BYTES,
    point,
    record::{Record, SIGNED_FRONT_BYTES},
};
use bytes::{Buf, Bytes};
use ed25519_zebra::Signature;
use zakura_transport::{
    Identity,
    wire::{Malformed, PROTOCOL, Reader, Writer},
};

/// What an author signs in front of the body, so that its key signs nothing else by accident (wire 5.1).
const DOMAIN: &[u8] = b"zakura-node-record-v1";

/// Follows the domain.
const DOMAIN_VERSION: u16 = 1;

const _: () = assert!(DOMAIN.len() + size_of::<u16>() == SIGNED_FRONT_BYTES);

/// A body that nobody has judged yet, and what is said to be its author's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The record as its author encoded it. A copy: keeping a record keeps no message in memory.
    pub body: Bytes,
    /// Ed25519, over the domain and the body.
    pub signature: [u8; 64],
}

/// Why a sealed record holds nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// The body has not a record's layout, or breaks a bound.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Another encoding than the one way there is.
    #[error("Record: the same record encodes to other bytes")]
    NotCanonical,
    /// The range of protocols is upside down or lacks ours.
    #[error("Record.protocol: {min} to {max} is no range around {PROTOCOL}")]
    Protocol {
        /// The lower end.
        min: u16,
        /// The upper end.
        max: u16,
    },
    /// The author is no curve point, so nobody can have signed.
    #[error("Record.node_id: is no curve point")]
    NoAuthor,
    /// The author did not sign this body.
    #[error("Record.signature: does not verify")]
    Signature,
}

impl Sealed {
    /// Signs a record. It opens only if the signer is its author.
    #[must_use]
    pub fn sign(record: &Record, author: &Identity) -> Self {
        let body = record.encode();
        let signature = author.sign(&signed(&body));
        Self { body, signature }
    }

    /// The record, if everything about it that needs no clock and no conversation is right: bounds, canonical encoding,
    /// protocol, author, and the signature by the rules of ZIP-215. Cheap checks come first. One signature is verified,
    /// which takes some tens of microseconds: never call it under a lock.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn open(&self) -> Result<Record, BadRecord> {
        let record = Record::read(Reader::new(&self.body[..]))?;
        if record.encode() != self.body {
            return Err(BadRecord::NotCanonical);
        }
        let (min, max) = (record.protocol_min, record.protocol_max);
        if !(min..=max).contains(&PROTOCOL) {
            return Err(BadRecord::Protocol { min, max });
        }
        let author = point::key(record.node_id).ok_or(BadRecord::NoAuthor)?;
        author
            .verify(&Signature::from_bytes(&self.signature), &signed(&self.body))
            .map_err(|_| BadRecord::Signature)?;
        Ok(record)
    }

    /// Bytes on the wire: a length, the body, the signature.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.body.len().saturating_add(4 + 64)
    }

    pub(super) fn read(from: &mut Reader<impl Buf>) -> Result<Self, Malformed> {
        let length = from.u32("Record.length")?;
        let body = match usize::try_from(length) {
            Ok(length) if length <= MAX_RECORD_BYTES => from.bytes("Record.body", length)?,
            _ => {
                let why = format!("{length} bytes, {MAX_RECORD_BYTES} at most");
                return Err(Malformed::new("Record.length", why));
            }
        };
        Ok(Self { body: Bytes::copy_from_slice(&body), signature: from.array("Record.signature")? })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        out.raw(&self.body);
        out.raw(&self.signature);
    }
}

/// The bytes an author signs.
fn signed(body: &[u8]) -> Bytes {
    let mut out = Writer::with_capacity(SIGNED_FRONT_BYTES.saturating_add(body.len()));
    out.raw(DOMAIN);
    out.u16(DOMAIN_VERSION);
    out.raw(body);
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_signs_the_bytes_of_the_vector() {
        let digits = include_str!("../../tests/vectors/record_sigmsg.hex").trim();
        let vector: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        let (front, body) = vector.split_at(SIGNED_FRONT_BYTES);
        assert_eq!(front, b"zakura-node-record-v1\x01\x00");
        assert_eq!(signed(body), vector);
        assert_eq!(Record::read(Reader::new(body)).unwrap().encode(), body);
    }
}
