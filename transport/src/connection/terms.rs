//! What the negotiated limits mean for one stream. Pure.

use crate::{Capabilities, StreamSpec, handshake::Negotiated, wire::FRAME_HEADER_BYTES};
use std::time::Duration;

/// The longest a connection lives without a frame (wire 2.3): both sides clamp the negotiated value to it.
const MAX_IDLE: Duration = Duration::from_millis(149_999);
/// Frames a second we send on an ordered stream of a kind. Existing nodes close the connection above 2,048 (wire 4.6).
pub(crate) const PACED_FRAMES: u32 = 1_900;
/// Frames a second that existing nodes accept on a stream of any kind (wire 4.6).
const WIRE_FRAMES: u32 = 2_048;
/// Frames we send at once before the pace begins: far below the 2,048 that existing nodes allow in a burst.
pub(crate) const PACED_BURST: u32 = 128;
/// Frames a second accepted from a peer that negotiated [`Capabilities::UNPACED`]: its bytes are bounded by our windows,
/// this bounds the cost of empty frames.
const UNPACED_FRAMES: u32 = 65_536;

const _: () = assert!(PACED_FRAMES < WIRE_FRAMES && PACED_BURST < WIRE_FRAMES);

/// Frame bytes at most that a peer may send on a stream of this kind (wire 4.3).
pub(crate) fn inbound_cap(agreed: &Negotiated, spec: &StreamSpec) -> u32 {
    let header = u32::try_from(FRAME_HEADER_BYTES).unwrap_or(u32::MAX);
    let message = agreed.limits.max_message.saturating_add(header);
    agreed.limits.max_frame.min(spec.max_frame).min(message)
}

/// Frame bytes at most that we may send on it; an acceptor also heeds what the opener stated (wire 4.2).
pub(crate) fn outbound_cap(agreed: &Negotiated, spec: &StreamSpec, opener: Option<u32>) -> u32 {
    agreed.limits.max_frame.min(spec.max_frame).min(opener.unwrap_or(u32::MAX))
}

/// Whether both ends bound frames by bytes rather than by number.
pub(crate) const fn is_unpaced(agreed: &Negotiated) -> bool {
    agreed.capabilities.contains(Capabilities::UNPACED)
}

/// Frames a second accepted on a stream of this kind, and at once. Whoever lifts the pace of existing nodes does not lift
/// a lower one that the service declares for itself: anybody may claim that capability.
pub(crate) fn inbound_rate(agreed: &Negotiated, spec: &StreamSpec) -> u32 {
    let is_lifted = is_unpaced(agreed) && spec.frames_per_second >= WIRE_FRAMES;
    if is_lifted { UNPACED_FRAMES.max(spec.frames_per_second) } else { spec.frames_per_second }
}

/// How long the connection may be silent.
pub(crate) fn idle_limit(agreed: &Negotiated) -> Duration {
    Duration::from_millis(u64::from(agreed.limits.idle_timeout_ms)).min(MAX_IDLE)
}
