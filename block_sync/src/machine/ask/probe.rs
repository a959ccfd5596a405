//! What is asked of the peer, counted again.

use super::Asking;
use crate::ports::Wanted;
use std::time::Instant;
use zakura_transport::routine::{Lease, Recount};

impl Asking {
    /// Each sum beside what it is the sum of.
    pub(in crate::machine) fn recounts(&self) -> Vec<Recount> {
        let wanted = || self.requests.values().flat_map(|request| request.lease.items());
        let bytes = wanted().map(|(_, wanted)| u64::from(wanted.size_hint)).sum();
        let blocks = u64::try_from(wanted().count()).unwrap_or(u64::MAX);
        vec![
            Recount::new("block_sync.peer.in_flight_bytes", self.in_flight, bytes),
            Recount::new("block_sync.peer.in_flight_blocks", self.blocks, blocks),
        ]
    }

    pub(in crate::machine) fn leases(&self) -> Vec<&Lease<Wanted>> {
        self.requests.values().map(|request| &request.lease).collect()
    }

    /// When the last request runs out of time.
    pub(in crate::machine) fn last_deadline(&self) -> Option<Instant> {
        self.requests.values().map(|request| self.due(request)).max()
    }
}
