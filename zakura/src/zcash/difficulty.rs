//! The compact target the next block must carry (protocol specification 7.7.3).

use thiserror::Error;

use super::{
    header::Header,
    network::{Network, REGTEST_BITS, TESTNET_MINIMUM_DIFFICULTY_FROM},
    target::{Target, TargetError},
    u256::U256,
};

/// Blocks whose targets are averaged.
pub const AVERAGING_WINDOW: usize = 17;

/// Blocks whose times give a median.
pub const MEDIAN_SPAN: usize = 11;

/// Ancestors that the rules of a header look at: the window, and the median at its far end.
pub const LOOKBACK: usize = AVERAGING_WINDOW + MEDIAN_SPAN;

/// The share of a deviation that counts is one over this.
const DAMPING: i64 = 4;

/// How much harder a block may become at once, in percent of the timespan.
const MAX_UP_PERCENT: i64 = 16;

/// How much easier a block may become at once, in percent of the timespan.
const MAX_DOWN_PERCENT: i64 = 32;

/// After this many spacings without a block, Testnet allows the lowest difficulty.
const TESTNET_GAP_SPACINGS: i64 = 6;

/// What the rules need of an ancestor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Unix seconds.
    pub time: u32,
    /// The compact target.
    pub bits: u32,
}

impl From<&Header> for Past {
    fn from(header: &Header) -> Self {
        Self { time: header.time, bits: header.bits }
    }
}

/// Why no target can be computed: the caller's ancestors are wrong, never a peer's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PastError {
    /// Fewer ancestors than the height has, below [`LOOKBACK`].
    #[error("height {height} needs {} ancestors, {got} were given", needed(*height))]
    TooFew {
        /// The height of the block in question.
        height: u32,
        /// Ancestors given.
        got: usize,
    },
    /// An accepted ancestor carries no target.
    #[error("an accepted ancestor is damaged: {0}")]
    Target(#[from] TargetError),
}

/// How many ancestors a block at this height needs: all it has, up to [`LOOKBACK`].
#[must_use]
pub fn needed(height: u32) -> usize {
    usize::try_from(height).unwrap_or(LOOKBACK).min(LOOKBACK)
}

/// The last ancestors a height needs, oldest first.
fn recent(height: u32, past: &[Past]) -> Result<&[Past], PastError> {
    past.len()
        .checked_sub(needed(height))
        .and_then(|start| past.get(start..))
        .ok_or(PastError::TooFew { height, got: past.len() })
}

/// The median time of the last [`MEDIAN_SPAN`] of these blocks (the upper one of an even count), 0 for none.
#[must_use]
pub fn median_time(past: &[Past]) -> u32 {
    let start = past.len().saturating_sub(MEDIAN_SPAN);
    let mut times: Vec<u32> = past.iter().skip(start).map(|block| block.time).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// The compact target of the block at `height` with this `time`; `past` ends with its parent, oldest first.
///
/// # Errors
/// See [`PastError`]; a local fault.
pub fn expected_bits(network: Network, height: u32, time: u32, past: &[Past]) -> Result<u32, PastError> {
    if network == Network::Regtest {
        return Ok(REGTEST_BITS);
    }
    let past = recent(height, past)?;
    let limit = network.pow_limit();
    let spacing = i64::from(network.target_spacing(height));
    let gap = past.last().map_or(0, |parent| i64::from(time) - i64::from(parent.time));
    let late = network == Network::Testnet
        && height >= TESTNET_MINIMUM_DIFFICULTY_FROM
        && gap > TESTNET_GAP_SPACINGS * spacing;
    // The first window of blocks has nothing to average.
    if late || past.len() <= AVERAGING_WINDOW {
        return Ok(limit.to_compact());
    }

    let (before, window) = past.split_at(past.len() - AVERAGING_WINDOW);
    let ideal = AVERAGING_WINDOW as i64 * spacing;
    let actual = i64::from(median_time(past)) - i64::from(median_time(before));
    let damped = ideal + (actual - ideal) / DAMPING;
    let shortest = ideal * (100 - MAX_UP_PERCENT) / 100;
    let longest = ideal * (100 + MAX_DOWN_PERCENT) / 100;
    Ok(scaled(mean(window)?, ideal, damped.clamp(shortest, longest))
        .map_or(limit, |next| next.min(limit))
        .to_compact())
}

/// The mean of the blocks' targets, rounded down. Seventeen targets below 2^251 cannot overflow.
fn mean(window: &[Past]) -> Result<U256, PastError> {
    let mut sum = U256::ZERO;
    for block in window {
        sum = sum.overflowing_add(Target::from_compact(block.bits)?.0).0;
    }
    Ok(sum.checked_div(U256::from(window.len() as u64)).unwrap_or(sum))
}

/// floor(mean / ideal) x span: the division comes first, as the specification has it. `None` beyond 256 bits.
fn scaled(mean: U256, ideal: i64, span: i64) -> Option<Target> {
    let unit = mean.checked_div(U256::from(u64::try_from(ideal).ok()?))?;
    unit.checked_mul_u64(u64::try_from(span).ok()?).map(Target)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: Network = Network::Mainnet;
    const BITS: u32 = 0x1c02_0000;

    /// `LOOKBACK` blocks of one target with these seconds between them.
    fn steady(spacing: u32) -> Vec<Past> {
        (0..LOOKBACK as u32).map(|index| Past { time: 1_700_000_000 + index * spacing, bits: BITS }).collect()
    }

    fn time_after(past: &[Past], seconds: u32) -> u32 {
        past.last().unwrap().time + seconds
    }

    #[test]
    fn the_median_of_an_even_count_is_the_upper_one() {
        let past =
            |times: &[u32]| times.iter().map(|time| Past { time: *time, bits: BITS }).collect::<Vec<_>>();
        assert_eq!(median_time(&past(&[])), 0);
        assert_eq!(median_time(&past(&[5])), 5);
        assert_eq!(median_time(&past(&[9, 1])), 9);
        assert_eq!(median_time(&past(&[4, 1, 3])), 3);
        let eleven_of_twelve: Vec<u32> = (0..12).rev().collect();
        assert_eq!(median_time(&past(&eleven_of_twelve)), 5);
    }

    #[test]
    fn the_first_seventeen_blocks_have_the_limit_and_the_eighteenth_averages() {
        let quick = |bits| (0..18).map(|index| Past { time: 1_000_000 + index, bits }).collect::<Vec<_>>();
        for height in 0..=17 {
            let past = &quick(0x1c01_0000)[..height as usize];
            assert_eq!(expected_bits(MAIN, height, 0, past), Ok(0x1f07_ffff), "{height}");
        }
        let past = quick(0x1f07_ffff);
        // 17 x 150 = 2550 ideal, 8 actual: damped to 1914, clamped to 2142.
        let unit =
            U256::low_ones(243).shifted_down(224).shifted_up(224).checked_div(U256::from(2550)).unwrap();
        let hardest = Target(unit.checked_mul_u64(2142).unwrap()).to_compact();
        assert_eq!(expected_bits(MAIN, 18, 0, &past), Ok(hardest));
    }

    #[test]
    fn the_adjustment_is_damped_and_clamped() {
        // (height, seconds between blocks, clamped timespan), by the formulas of 7.7.3 on paper.
        let table = [
            (600_000, 150, 2550_u64), // on time
            (600_000, 130, 2465),     // 2210 actual: 2550 - 340 / 4
            (600_000, 170, 2635),     // 2890 actual: 2550 + 340 / 4
            (600_000, 151, 2554),     // 17 / 4 is cut to 4
            (600_000, 149, 2546),     // -17 / 4 is cut towards zero
            (600_000, 1, 2142),       // at most 16 % up
            (600_000, 9_000, 3366),   // at most 32 % down
            (653_600, 75, 1275),      // Blossom halves the ideal
            (653_600, 150, 1593),     // 2550 actual: 1275 + 1275 / 4 = 1593
            (653_600, 1, 1071),
            (653_600, 9_000, 1683),
        ];
        for (height, spacing, span) in table {
            let past = steady(spacing);
            let ideal = if height < 653_600 { 2550 } else { 1275 };
            let unit = Target::from_compact(BITS).unwrap().0.checked_div(U256::from(ideal)).unwrap();
            let want = Target(unit.checked_mul_u64(span).unwrap()).to_compact();
            let got = expected_bits(MAIN, height, time_after(&past, 1), &past);
            assert_eq!(got, Ok(want), "height {height}, every {spacing} s");
        }
    }

    #[test]
    fn the_mean_is_of_all_seventeen_targets() {
        let mut past = steady(75);
        for block in &mut past[11..] {
            block.bits = 0x1c01_0000;
        }
        past[11].bits = 0x1c12_0000;
        // (16 x 0x01 + 0x12) / 17 = 2.0 in units of the mantissa's top byte.
        let unit = Target::from_compact(0x1c02_0000).unwrap().0.checked_div(U256::from(1275)).unwrap();
        let want = Target(unit.checked_mul_u64(1275).unwrap()).to_compact();
        assert_eq!(expected_bits(MAIN, 700_000, time_after(&past, 75), &past), Ok(want));
        past[10].bits = 0x1f07_ffff;
        assert_eq!(
            expected_bits(MAIN, 700_000, time_after(&past, 75), &past),
            Ok(want),
            "outside the window"
        );
    }

    #[test]
    fn nothing_is_easier_than_the_limit() {
        for (network, limit) in [(MAIN, 0x1f07_ffff), (Network::Testnet, 0x2007_ffff)] {
            let mut past = steady(9_000);
            past.iter_mut().for_each(|block| block.bits = limit);
            assert_eq!(expected_bits(network, 200_000, time_after(&past, 1), &past), Ok(limit));
        }
    }

    #[test]
    fn a_late_testnet_block_may_be_easy_from_its_height_on() {
        let past = steady(75);
        let bits =
            |network, height, late| expected_bits(network, height, time_after(&past, late), &past).unwrap();
        assert_eq!(bits(Network::Testnet, 299_188, 901), 0x2007_ffff);
        assert_ne!(bits(Network::Testnet, 299_188, 900), 0x2007_ffff, "more than six spacings");
        assert_ne!(bits(Network::Testnet, 299_187, 901), 0x2007_ffff);
        assert_eq!(bits(Network::Testnet, 584_000, 451), 0x2007_ffff, "Blossom's spacing");
        assert_ne!(bits(Network::Testnet, 584_000, 450), 0x2007_ffff);
        assert_ne!(bits(MAIN, 2_000_000, 100_000), 0x1f07_ffff);
        assert_eq!(bits(Network::Regtest, 5, 1), REGTEST_BITS);
    }

    #[test]
    fn too_few_ancestors_are_a_local_fault() {
        let past = steady(75);
        assert_eq!(needed(3), 3);
        assert_eq!(needed(u32::MAX), LOOKBACK);
        let short = PastError::TooFew { height: 28, got: 27 };
        assert_eq!(expected_bits(MAIN, 28, 0, &past[1..]), Err(short));
        assert_eq!(expected_bits(MAIN, 27, 0, &past[1..]), expected_bits(MAIN, 27, 0, &past));
        assert_eq!(LOOKBACK, 28);
    }

    #[test]
    fn a_generated_chain_settles_on_its_miners_speed() {
        // Miners whose speed makes a block every 75 s at target 2^224, whatever chain they start from.
        let speed = Target::from_compact(0x1d01_0000).unwrap().0.checked_div(U256::from(75)).unwrap();
        for start in [0x1c10_0000, 0x1e10_0000] {
            let mut past: Vec<_> =
                (0..28).map(|index| Past { time: 1_000_000 + 75 * index, bits: start }).collect();
            for height in 700_000..701_000 {
                let bits = expected_bits(MAIN, height, 0, &past).unwrap();
                // Harder targets take longer: seconds = speed x 75^2 / target, kept in integers.
                let target = Target::from_compact(bits).unwrap().0;
                let seconds = speed.checked_mul_u64(75 * 75).unwrap().checked_div(target).unwrap().low_u64();
                let time = past.last().unwrap().time + u32::try_from(seconds).unwrap().max(1);
                past.push(Past { time, bits });
                past.remove(0);
            }
            let last = past.last().unwrap().time - past[0].time;
            assert!((70 * 27..80 * 27).contains(&last), "from {start:#x}: {} s a block", last / 27);
        }
    }
}
