//! Admission, counted anew from what it is about: for checks while it runs. Only with the feature `simulation`.

use super::{Door, Netgroup};
use crate::{
    Direction, PeerInfo,
    routine::{Fill, Recount},
};
use std::collections::BTreeMap;

/// How often somebody is there, by neighbourhood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that count, by neighbourhood.
    pub by_group: BTreeMap<Netgroup, usize>,
    /// Named peers, who are not counted.
    pub exempt: usize,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.by_group.values().fold(self.exempt, |all, some| all.saturating_add(*some))
    }

    /// The fullest neighbourhood's.
    #[must_use]
    pub fn fullest(&self) -> usize {
        self.by_group.values().copied().max().unwrap_or_default()
    }
}

impl FromIterator<Option<Netgroup>> for Tally {
    fn from_iter<I: IntoIterator<Item = Option<Netgroup>>>(groups: I) -> Self {
        let mut tally = Self::default();
        for group in groups {
            let count = group.map_or(&mut tally.exempt, |group| tally.by_group.entry(group).or_default());
            *count = count.saturating_add(1);
        }
        tally
    }
}

/// Who has a place, counted anew at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionProbe {
    /// Inbound handshakes under way.
    pub pending: Tally,
    /// Inbound connections.
    pub inbound: Tally,
    /// Outbound connections.
    pub outbound: usize,
    /// Dials under way.
    pub dialling: usize,
    /// Everything that has a cap, and how full it is.
    pub fills: Vec<Fill>,
    /// What the handle shows, beside what there is.
    pub recounts: Vec<Recount>,
}

impl Door {
    /// Counts.
    pub(crate) fn probe<'a>(
        &self,
        peers: impl Iterator<Item = &'a PeerInfo>,
        dialling: usize,
        shown: usize,
    ) -> AdmissionProbe {
        let (inbound, outbound): (Vec<_>, Vec<_>) =
            peers.partition(|peer| peer.direction == Direction::Inbound);
        let group = |peer: &&PeerInfo| (!peer.role.is_named()).then(|| Netgroup::of(peer.addr.ip()));
        let recounts =
            vec![Recount::of("transport.peers", shown, inbound.len().saturating_add(outbound.len()))];
        let (inbound, outbound): (Tally, usize) = (inbound.iter().map(group).collect(), outbound.len());
        let pending: Tally = self.pending.groups().collect();
        let fills = vec![
            Fill::new("transport.pending", pending.total(), self.pending.most),
            Fill::new("transport.pending.group", pending.fullest(), self.groups.pending),
            Fill::new("transport.inbound", inbound.total(), self.max_inbound),
            Fill::new("transport.inbound.group", inbound.fullest(), self.groups.inbound),
            Fill::new("transport.outbound", outbound.saturating_add(dialling), self.max_outbound),
            self.bans.fill(),
        ];
        AdmissionProbe { pending, inbound, outbound, dialling, fills, recounts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_tells_groups_from_those_that_do_not_count() {
        let (one, other) = (Netgroup::V4([10, 0, 1]), Netgroup::V4([10, 0, 2]));
        let tally: Tally = [Some(one), None, Some(other), Some(one)].into_iter().collect();
        assert_eq!((tally.total(), tally.fullest(), tally.exempt), (4, 2, 1));
    }
}
