//! What block sync says of itself.

use std::time::Duration;
use zakura_header_sync::chain::{BlockRef, Height};
use zakura_transport::{Conviction, PeerId, routine::Skipped};

/// Where block sync stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSyncStatus {
    /// The highest body with everything below it durable.
    pub committed: BlockRef,
    /// The best header: where bodies are to go.
    pub header_tip: BlockRef,
    /// Estimated bytes that may be on their way.
    pub in_flight_bytes: u64,
    /// Bytes of bodies received and not committed.
    pub retained_bytes: u64,
    /// Why it is not at the tip.
    pub verdict: SyncVerdict,
    /// A local condition somebody should look at, in words; none if all is well.
    pub alarm: Option<String>,
    /// Every peer's part, those that left included, by identity; bounded.
    pub per_peer: Vec<PeerProgress>,
    /// The last provable faults; bounded, oldest first.
    pub convictions: Vec<Conviction>,
    /// What the work pool did not do for us so far; it is tried again.
    pub skipped: Skipped,
}

/// What the next commit waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncVerdict {
    /// Nothing: every header's body is durable.
    AtTip,
    /// No peer speaks block sync with us.
    NoPeers,
    /// Peers are there, but none has the lowest missing body and is fit to be asked.
    NoUsefulPeers,
    /// The lowest missing body.
    WaitingForBody {
        /// Its height.
        height: Height,
        /// Who was asked for it, if anybody was.
        peer: Option<PeerId>,
    },
    /// The lowest body is here and is being checked.
    Verifying,
    /// Our own store: it commits, or has to say what is missing, or failed.
    WaitingForStore {
        /// What failed, if something did.
        reason: Option<String>,
    },
    /// The lowest body uses rules that are not known here; it is tried again now and then.
    Unsupported {
        /// Its height.
        height: Height,
        /// What is not known.
        reason: String,
    },
}

/// One peer's part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerProgress {
    /// Who.
    pub peer: PeerId,
    /// Whether a session is open now.
    pub connected: bool,
    /// Bodies it delivered that were kept.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bodies sent to it.
    pub served_blocks: u64,
    /// Their bytes.
    pub served_bytes: u64,
    /// Bytes a second, as measured lately; zero if not yet.
    pub rate: u64,
    /// From a request to its first body; zero if not measured.
    pub round_trip: Duration,
    /// Estimated bytes on their way from it.
    pub in_flight: u64,
    /// Bytes that may be on their way from it.
    pub window: u64,
    /// How often it kept its word lately, of 1,000.
    pub reliability: u32,
    /// Requests that ran out of time.
    pub timeouts: u64,
    /// Requests refused, or answered with nothing asked for.
    pub refusals: u64,
    /// Messages from it that were of no use.
    pub useless: u64,
}
