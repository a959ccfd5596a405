//! What a header must be among its ancestors and at this time.

use thiserror::Error;

use super::{
    blame::Blame,
    difficulty::{Past, PastError, expected_bits, median_time, needed},
    header::Header,
    network::Network,
};

/// The lowest version of a header (protocol specification 7.6).
pub const MIN_VERSION: i32 = 4;

/// Seconds a header may be ahead of the median of its ancestors (protocol specification 7.6).
pub const MAX_AHEAD_OF_MEDIAN: u32 = 90 * 60;

/// Seconds a header may be ahead of local time (protocol specification 7.6).
pub const MAX_AHEAD_OF_CLOCK: u64 = 2 * 60 * 60;

/// Why a header is refused at its place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderReject {
    /// The version is below four, or negative.
    #[error("header version {0:#010x} is below 4")]
    Version(u32),
    /// The time is not after the median of the last eleven.
    #[error("header time {time} is not after the median {median} of its ancestors")]
    NotAfterMedian {
        /// The header's time.
        time: u32,
        /// The median.
        median: u32,
    },
    /// The time is more than 90 minutes after the median.
    #[error("header time {time} is more than 90 minutes after the median {median} of its ancestors")]
    TooFarFromMedian {
        /// The header's time.
        time: u32,
        /// The median.
        median: u32,
    },
    /// The time is more than two hours ahead of ours: it may become valid, or our clock is wrong.
    #[error("header time {time} is more than two hours ahead of local time {now}: check the clock")]
    Future {
        /// The header's time.
        time: u32,
        /// Our time.
        now: u64,
    },
    /// The difficulty is not the one its ancestors demand.
    #[error("compact target {got:#010x} where {expected:#010x} is due")]
    Bits {
        /// What the ancestors demand.
        expected: u32,
        /// What the header has.
        got: u32,
    },
    /// The ancestors given do not suffice to judge.
    #[error(transparent)]
    Past(#[from] PastError),
}

impl HeaderReject {
    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Version(_)
            | Self::NotAfterMedian { .. }
            | Self::TooFarFromMedian { .. }
            | Self::Bits { .. } => Blame::Proven,
            Self::Future { .. } => Blame::Undesired,
            Self::Past(_) => Blame::Local,
        }
    }
}

/// A header's place: its height, and its ancestors with the parent last (at least
/// [`difficulty::needed`](super::difficulty::needed) of them).
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The header's height.
    pub height: u32,
    /// Its ancestors, oldest first.
    pub past: &'a [Past],
}

/// Checks version, time and difficulty of a header at its place; `now` is local Unix time in seconds.
/// `no_pow` skips difficulty, on Regtest only. Genesis is judged by its hash, not here.
///
/// # Errors
/// See [`HeaderReject`].
pub fn check_header(
    network: Network,
    header: &Header,
    place: Place<'_>,
    now: u64,
    no_pow: bool,
) -> Result<(), HeaderReject> {
    let Place { height, past } = place;
    // Signed, as the format's authors have it: a set top bit is a negative version.
    if header.version.cast_signed() < MIN_VERSION {
        return Err(HeaderReject::Version(header.version));
    }
    if past.len() < needed(height) {
        return Err(PastError::TooFew { height, got: past.len() }.into());
    }
    let (time, median) = (header.time, median_time(past));
    if time <= median {
        return Err(HeaderReject::NotAfterMedian { time, median });
    }
    let capped = network.time_ceiling_from().is_some_and(|from| height >= from);
    if capped && time > median.saturating_add(MAX_AHEAD_OF_MEDIAN) {
        return Err(HeaderReject::TooFarFromMedian { time, median });
    }
    if !(no_pow && network == Network::Regtest) {
        let expected = expected_bits(network, height, time, past)?;
        if header.bits != expected {
            return Err(HeaderReject::Bits { expected, got: header.bits });
        }
    }
    // Last, so that a header that can never be valid is not mistaken for one that came early.
    if u64::from(time) > now.saturating_add(MAX_AHEAD_OF_CLOCK) {
        return Err(HeaderReject::Future { time, now });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zcash::difficulty::LOOKBACK;

    const NOW: u64 = 1_700_010_000;

    fn past() -> Vec<Past> {
        (0..LOOKBACK as u32)
            .map(|index| Past { time: 1_700_000_000 + 75 * index, bits: 0x1c02_0000 })
            .collect()
    }

    fn header(network: Network, height: u32, time: u32) -> Header {
        let mut header = Header::decode_prefix(network, network.genesis()).unwrap().0;
        header.time = time;
        header.bits = expected_bits(network, height, time, &past()).unwrap();
        header
    }

    fn verdict(network: Network, height: u32, header: &Header, now: u64) -> Result<(), HeaderReject> {
        check_header(network, header, Place { height, past: &past() }, now, false)
    }

    #[test]
    fn time_must_lie_between_its_bounds() {
        let (main, height) = (Network::Mainnet, 2_000_000);
        let median = 1_700_000_000 + 75 * 22;
        let at = |time| verdict(main, height, &header(main, height, time), NOW);
        assert_eq!(at(median), Err(HeaderReject::NotAfterMedian { time: median, median }));
        assert_eq!(at(median + 1), Ok(()));
        assert_eq!(at(median + 5400), Ok(()));
        let time = median + 5401;
        assert_eq!(at(time), Err(HeaderReject::TooFarFromMedian { time, median }));
        // Testnet has the ceiling only from its height on, Regtest never.
        assert_eq!(verdict(Network::Testnet, 653_605, &header(Network::Testnet, 653_605, time), NOW), Ok(()));
        let refused = verdict(Network::Testnet, 653_606, &header(Network::Testnet, 653_606, time), NOW);
        assert_eq!(refused, Err(HeaderReject::TooFarFromMedian { time, median }));
        assert_eq!(verdict(Network::Regtest, 653_606, &header(Network::Regtest, 653_606, time), NOW), Ok(()));
    }

    #[test]
    fn a_header_from_the_future_may_come_again() {
        let time = 1_700_003_000;
        let early = header(Network::Mainnet, 2_000_000, time);
        let now = u64::from(time) - MAX_AHEAD_OF_CLOCK;
        assert_eq!(verdict(Network::Mainnet, 2_000_000, &early, now), Ok(()));
        let refused = verdict(Network::Mainnet, 2_000_000, &early, now - 1).unwrap_err();
        assert_eq!(refused, HeaderReject::Future { time, now: now - 1 });
        assert_eq!(refused.blame(), Blame::Undesired);
    }

    #[test]
    fn version_and_difficulty_are_provable_faults() {
        let good = header(Network::Mainnet, 2_000_000, 1_700_003_000);
        for version in [0, 3, 0x8000_0004, u32::MAX] {
            let refused = verdict(Network::Mainnet, 2_000_000, &Header { version, ..good.clone() }, NOW);
            assert_eq!(refused, Err(HeaderReject::Version(version)));
        }
        let high = Header { version: 0x2000_0000, ..good.clone() };
        assert_eq!(verdict(Network::Mainnet, 2_000_000, &high, NOW), Ok(()));
        let refused =
            verdict(Network::Mainnet, 2_000_000, &Header { bits: good.bits + 1, ..good.clone() }, NOW);
        assert_eq!(refused, Err(HeaderReject::Bits { expected: good.bits, got: good.bits + 1 }));
        assert_eq!(refused.unwrap_err().blame(), Blame::Proven);
    }

    #[test]
    fn without_pow_only_regtest_ignores_difficulty() {
        for network in Network::ALL {
            let mut odd = header(network, 2_000_000, 1_700_003_000);
            odd.bits = 1;
            let place = Place { height: 2_000_000, past: &past() };
            assert_eq!(check_header(network, &odd, place, NOW, true).is_ok(), network == Network::Regtest);
        }
    }

    #[test]
    fn missing_ancestors_blame_nobody() {
        let good = header(Network::Mainnet, 2_000_000, 1_700_003_000);
        let place = Place { height: 2_000_000, past: &past()[1..] };
        let refused = check_header(Network::Mainnet, &good, place, NOW, false).unwrap_err();
        assert_eq!(refused.blame(), Blame::Local);
    }
}
