//! Who is known, from whom, and what became of dials: bounded, in memory.
//!
//! [`Book`] keeps one [`Entry`] a node. [`disclose`] picks what a requester hears of it, and [`Netgroup`](zakura_transport::Netgroup) is how many
//! addresses one operator is likely to have. Nothing here reads a clock, and a merge comes out the same in every order.

mod disclose;
mod entry;
mod table;

pub(crate) use disclose::{Asked, Secret, disclose};
pub(crate) use entry::{Entry, Signed};
pub(crate) use table::{Book, Merged, RECORD_LIFE, Rules, SKEW, Source};

#[cfg(test)]
pub(crate) mod tests {
    //! Records for tests. Signatures are verified before records reach the book, so these need none.

    use super::{Signed, Source};
    use crate::wire::{Record, RecordAddr, Sealed, ServiceId};
    use std::net::{IpAddr, SocketAddr};
    use zakura_transport::{Netgroup, PeerId};

    /// The wall clock of tests.
    pub(crate) const UNIX: u64 = 1_800_000_000;

    pub(crate) fn id(n: u32) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        PeerId::new(bytes)
    }

    /// A record of node `n` at `addr`, good for an hour.
    pub(crate) fn signed_at(n: u32, sequence: u64, addr: SocketAddr) -> Signed {
        seal(Record {
            node_id: id(n),
            addresses: vec![RecordAddr(addr)],
            services: vec![ServiceId::DISCOVERY],
            protocol_min: 1,
            protocol_max: 1,
            network_id: 3,
            chain_id: [9; 32],
            sequence,
            expiry: UNIX + 3_600,
        })
    }

    pub(crate) fn seal(record: Record) -> Signed {
        Signed { sealed: Sealed { body: record.encode(), signature: [0; 64] }, record }
    }

    /// A record of node `n` at an address of its own.
    pub(crate) fn signed(n: u32, sequence: u64) -> Signed {
        let [_, a, b, c] = n.to_be_bytes();
        signed_at(n, sequence, ([20 + a, b, c, 1], 8234).into())
    }

    /// Brought by `peer` from `ip`.
    pub(crate) fn from(peer: PeerId, ip: impl Into<IpAddr>) -> Source {
        Source { peer, group: Netgroup::of(ip.into()), may_add: true }
    }
}
