//! When to tell the peer what we have.

use crate::wire::Status;
use std::time::{Duration, Instant};

/// The shortest time between two Statuses (wire 5.2): our tip must not flap at the peer.
const MIN_GAP: Duration = Duration::from_secs(1);

/// The longest time between two Statuses (wire 5.2).
const REFRESH: Duration = Duration::from_secs(30);

/// Sends our Status at once, then on change, then now and again.
#[derive(Debug, Default)]
pub(super) struct Beacon {
    ours: Option<Status>,
    sent: Option<(Status, Instant)>,
}

impl Beacon {
    /// Our Status as of now.
    pub(super) const fn set(&mut self, ours: Status) {
        self.ours = Some(ours);
    }

    /// When the next Status is due, if we have one at all.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let ours = self.ours?;
        Some(match self.sent {
            None => now,
            Some((sent, at)) if sent == ours => at + REFRESH,
            Some((_, at)) => at + MIN_GAP,
        })
    }

    /// The Status to send now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Status> {
        let ours = self.ours.filter(|_| self.due(now).is_some_and(|due| due <= now))?;
        self.sent = Some((ours, now));
        Some(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{BlockHash, BlockRef, Height, Work};

    fn status(height: u32) -> Status {
        let tip = BlockRef { height: Height::new(height).unwrap(), hash: BlockHash([7; 32]) };
        Status {
            anchor: tip,
            tip,
            work: Work::ZERO,
            oldest: Height::GENESIS,
            max_headers: 1,
            max_requests: 1,
            max_bytes: 1,
            aux_mask: 0,
        }
    }

    #[test]
    fn says_it_at_once_then_at_most_each_second_and_at_least_each_thirty() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut beacon = Beacon::default();
        assert_eq!(beacon.poll(at(0)), None, "nothing to say yet");
        beacon.set(status(1));
        assert_eq!(beacon.poll(at(0)), Some(status(1)));
        assert_eq!(beacon.poll(at(0)), None);
        beacon.set(status(2));
        beacon.set(status(3));
        assert_eq!(beacon.poll(at(999)), None);
        assert_eq!(beacon.due(at(999)), Some(at(1_000)));
        assert_eq!(beacon.poll(at(1_000)), Some(status(3)), "changes in between coalesce");
        assert_eq!(beacon.poll(at(30_999)), None);
        assert_eq!(beacon.poll(at(31_000)), Some(status(3)));
    }
}
