//! What is known of one node.

use crate::{
    plan::Attempts,
    wire::{Record, Sealed},
};
use std::{net::SocketAddr, time::Instant};
use zakura_transport::Netgroup;

/// A record that opened, and the bytes it travelled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) record: Record,
    pub(crate) sealed: Sealed,
}

impl Signed {
    /// Whether this record replaces `other`, of the same author: the higher sequence does. Two records with one sequence are
    /// the author's doing; that the same one of them wins everywhere makes a merge come out the same in every order.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        let by_bytes = || {
            let (ours, theirs) = (&self.sealed, &other.sealed);
            (&theirs.body, &theirs.signature).cmp(&(&ours.body, &ours.signature))
        };
        self.record.sequence.cmp(&other.record.sequence).then_with(by_bytes).is_gt()
    }
}

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its newest record, if it has one.
    pub(crate) signed: Option<Signed>,
    /// Named by the operator: the transport dials it for ever, and it is never forgotten.
    pub(crate) is_named: bool,
    /// Heard of from itself, named, or met by dialling it: only such nodes are told to others (wire 5.1).
    pub(crate) is_confirmed: bool,
    /// Whose neighbourhood the node was learned from; nobody's if it is named.
    pub(super) source: Option<Netgroup>,
    /// When it was heard of last.
    pub(crate) seen: Instant,
    /// What became of our dials.
    pub(crate) attempts: Attempts,
}

impl Entry {
    /// Where it may be dialled, by its own word.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let addresses = self.signed.iter().flat_map(|signed| &signed.record.addresses);
        addresses.map(|address| address.0)
    }

    /// Whether its record still holds. A node without a record holds as long as it is named.
    pub(crate) fn holds(&self, unix: u64) -> bool {
        self.signed.as_ref().is_none_or(|signed| signed.record.expiry >= unix)
    }
}
