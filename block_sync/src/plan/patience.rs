//! How long to wait for a body, and for whom.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::time::Duration;

/// How long the lowest missing body may take, besides its transfer (wire 7.2). Stops a silent peer from holding up
/// every commit.
pub(crate) const FLOOR_PATIENCE: Duration = Duration::from_secs(2);

/// How long any other body may take, besides its transfer (wire 7.2).
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Transfer of the floor is reckoned at this rate at least (wire 5.3).
const FLOOR_RATE: u64 = 1024 * 1024;

/// Transfer of other bodies is reckoned at this rate at least (wire 5.3).
const LEAST_RATE: u64 = 256 * 1024;

/// How long the floor may stand still before a second peer is asked for it.
pub(crate) const LEASH: Duration = Duration::from_secs(1);

/// No accepted body for so long, although asked for: the peer is asked no more for a while (wire 7.2).
pub(crate) const NO_PROGRESS: Duration = Duration::from_secs(32);

/// How long a peer without progress is asked for nothing, the first time; doubles each time.
const FIRST_PARK: Duration = Duration::from_secs(30);

/// How long at most (wire 7.2).
pub(crate) const LONGEST_PARK: Duration = Duration::from_secs(180);

/// How long a refused height keeps a peer away from it, the first time; doubles each time in a row.
const FIRST_DETOUR: Duration = Duration::from_secs(1);

/// How long at most.
const LONGEST_DETOUR: Duration = Duration::from_secs(60);

const _: () = assert!(LEASH.as_millis() < FLOOR_PATIENCE.as_millis(), "the hedge comes before the deadline");
const _: () = assert!(FLOOR_PATIENCE.as_millis() < PATIENCE.as_millis());
const _: () =
    assert!(PATIENCE.as_millis() * 4 <= NO_PROGRESS.as_millis(), "a peer is late before it is parked");

/// How long a request may take until its last body: `bytes` counts those asked for before it, too.
pub(crate) fn deadline(bytes: u64, rate: Option<u64>, is_floor: bool) -> Duration {
    let (patience, least) = if is_floor { (FLOOR_PATIENCE, FLOOR_RATE) } else { (PATIENCE, LEAST_RATE) };
    let rate = rate.unwrap_or(0).max(least);
    let transfer = bytes.saturating_mul(1_000).checked_div(rate).unwrap_or(0);
    patience.saturating_add(Duration::from_millis(transfer))
}

/// How long a peer is parked that made no progress for the `strikes`-th time.
pub(crate) fn park(strikes: u32) -> Duration {
    doubling(FIRST_PARK, LONGEST_PARK, strikes)
}

/// How long a height is not asked of a peer that refused it, or did not have it, for the `strikes`-th time in a row.
pub(crate) fn detour(strikes: u32) -> Duration {
    doubling(FIRST_DETOUR, LONGEST_DETOUR, strikes)
}

fn doubling(first: Duration, longest: Duration, strikes: u32) -> Duration {
    let factor = 1_u32.checked_shl(strikes.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_follow_size_and_rate() {
        assert_eq!(deadline(0, None, true), Duration::from_secs(2));
        assert_eq!(deadline(1024 * 1024, Some(1), true), Duration::from_secs(3));
        assert_eq!(deadline(1024 * 1024, None, false), Duration::from_secs(12));
        assert_eq!(deadline(1024 * 1024, Some(4 * 1024 * 1024), false), Duration::from_millis(8_250));
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let parks: Vec<_> = (1..=5).map(|strike| park(strike).as_secs()).collect();
        assert_eq!(parks, [30, 60, 120, 180, 180]);
        assert_eq!(detour(1), Duration::from_secs(1));
        assert_eq!(detour(u32::MAX), Duration::from_secs(60));
    }
}
