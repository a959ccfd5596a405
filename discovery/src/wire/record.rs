//! What a node says about itself: the body of a record.

use super::{
    address::RecordAddr,
    caps::{MAX_ADDRESSES, MAX_RECORD_BYTES, MAX_SERVICE_ID_BYTES, MAX_SERVICES},
    service_id::ServiceId,
};
use bytes::{Buf, Bytes};
use zakura_transport::{
    PeerId,
    wire::{Malformed, Reader, Writer},
};

/// Bytes of a record without its lists.
const FIXED_BYTES: usize = 32 + 2 + 2 + 2 + 2 + 4 + 32 + 8 + 8;

/// The longest body that the bounds of its lists allow.
const LONGEST_BODY: usize =
    FIXED_BYTES + MAX_ADDRESSES * RecordAddr::MAX_BYTES + MAX_SERVICES * (2 + MAX_SERVICE_ID_BYTES);

/// Bytes of everything a node signs in front of a body; see [`super::Sealed`].
pub(super) const SIGNED_FRONT_BYTES: usize = 23;

// So no legal body outgrows the wire's bound on what is signed, and nothing has to check it.
const _: () = assert!(SIGNED_FRONT_BYTES + LONGEST_BODY <= MAX_RECORD_BYTES);

/// A node's claims: where it is, what it serves, which chain it follows. Only its signature makes it the node's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The author.
    pub node_id: PeerId,
    /// Where it may be dialled, at most [`MAX_ADDRESSES`]. None is legal: the record is advice then.
    pub addresses: Vec<RecordAddr>,
    /// What it serves, at most [`MAX_SERVICES`].
    pub services: Vec<ServiceId>,
    /// The lowest protocol it speaks.
    pub protocol_min: u16,
    /// The highest protocol it speaks.
    pub protocol_max: u16,
    /// As in the control handshake (wire 2.2).
    pub network_id: u32,
    /// As in the control handshake (wire 2.2).
    pub chain_id: [u8; 32],
    /// Higher replaces lower, for one author.
    pub sequence: u64,
    /// Until when it holds, in unix seconds.
    pub expiry: u64,
}

impl Record {
    /// The body's bytes. Entries beyond a list's bound, which nobody would accept, are cut.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(256);
        out.raw(self.node_id.as_bytes());
        out.list(MAX_ADDRESSES, &self.addresses, |out, address| address.write(out));
        ServiceId::write_list(&self.services, &mut out);
        out.u16(self.protocol_min);
        out.u16(self.protocol_max);
        out.u32(self.network_id);
        out.raw(&self.chain_id);
        out.u64(self.sequence);
        out.u64(self.expiry);
        out.finish()
    }

    /// Reads a body's layout. Whether the author is a key and whether it signed is [`super::Sealed::open`]'s business.
    pub(super) fn read(mut from: Reader<impl Buf>) -> Result<Self, Malformed> {
        let record = Self {
            node_id: PeerId::new(from.array("Record.node_id")?),
            addresses: from.list("Record.addresses", MAX_ADDRESSES, RecordAddr::read)?,
            services: ServiceId::read_list("Record.services", &mut from)?,
            protocol_min: from.u16("Record.protocol_min")?,
            protocol_max: from.u16("Record.protocol_max")?,
            network_id: from.u32("Record.network_id")?,
            chain_id: from.array("Record.chain_id")?,
            sequence: from.u64("Record.sequence")?,
            expiry: from.u64("Record.expiry")?,
        };
        from.end("Record")?;
        Ok(record)
    }
}
