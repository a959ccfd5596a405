//! Which chain a world is about: three rungs, from one that costs nothing to the real one.

use super::{
    blocks::{self, Block, Branch, Flaw, MAINNET_HEADER, Recipe, SPACING, TOY_HEADER},
    quarry::{self, Vein},
};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{fmt, sync::Arc};
use zakura::zcash::{Header, Network};
use zakura_header_sync::chain::Height;

/// A rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Rung {
    /// Toy rules, 64-byte headers, small bodies: a million blocks in one world.
    #[default]
    Toy,
    /// Toy rules with what weighs as on Mainnet: 1,487-byte headers, bodies from 1.7 kB to 2 MB.
    Mainnet,
    /// Regtest blocks with real (48,5) proof-of-work in the store that ships, which applies every rule.
    Regtest,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toy => "toy",
            Self::Mainnet => "mainnet",
            Self::Regtest => "regtest",
        })
    }
}

/// What honest peers begin with.
pub const TRUNK: usize = 0;
/// One block less than the trunk has.
pub const LESSER: usize = 1;
/// Claims much more work than the trunk, and has no proof of it.
pub const BOASTFUL: usize = 2;
/// Three blocks more than the trunk: the network may go over to it.
pub const LONGER: usize = 3;
/// Two blocks on top of the trunk, made hours from now.
pub const EARLY: usize = 4;

/// Three blocks on top of the trunk, proven, of which the first breaks a rule; on Regtest, which has none that a miner of
/// the house would break, they are without proof.
pub const FORBIDDEN: usize = 5;

/// Seconds that the early branch is ahead: more than any honest clock takes, less than the clocks of those who hold it.
pub const EARLY_BY: u32 = 3 * 60 * 60;

impl Rung {
    /// Grows the branches of a world, by their numbers.
    #[must_use]
    pub fn branches(self, heights: u32, rng: &mut ChaCha8Rng) -> Vec<Arc<Branch>> {
        match self {
            Self::Toy | Self::Mainnet => self.toy(heights, rng),
            Self::Regtest => mined(heights, rng),
        }
    }

    /// When a block was made, Unix seconds.
    #[must_use]
    pub fn time(self, block: &Block) -> u32 {
        match self {
            Self::Toy | Self::Mainnet => blocks::read(&block.header).map_or(0, |fields| fields.time),
            Self::Regtest => Header::decode(Network::Regtest, &block.header).map_or(0, |header| header.time),
        }
    }

    fn toy(self, heights: u32, rng: &mut ChaCha8Rng) -> Vec<Arc<Branch>> {
        let header_bytes = if self == Self::Toy { TOY_HEADER } else { MAINNET_HEADER };
        let depth = 1 + rng.next_u32() % 20;
        let mut honest = |salt| Recipe {
            salt,
            work: 2,
            flaw: Flaw::None,
            body_bytes: if self == Self::Toy { 64 + rng.next_u32() % 1_500 } else { mainnet_size(rng) },
            later: SPACING,
        };
        let trunk = Branch::genesis(header_bytes).grow(Height::GENESIS, (0..heights).map(&mut honest));
        let tip = trunk.tip().at.height;
        let fork = tip.saturating_sub(depth);
        let lesser = trunk.grow(fork, (1_000_000_000..).take(small(depth - 1)).map(&mut honest));
        let boast = |salt| Recipe { salt, work: 200, flaw: Flaw::Proof, body_bytes: 100, later: SPACING };
        let boastful = trunk.grow(fork, (2_000_000_000..).take(small(depth + 5)).map(boast));
        let longer = trunk.grow(fork, (3_000_000_000..).take(small(depth + 3)).map(&mut honest));
        let first = Recipe { later: EARLY_BY, ..honest(4_000_000_000) };
        let early = trunk.grow(tip, [first, honest(4_000_000_001)]);
        let bad = Recipe { flaw: Flaw::Rule, ..honest(4_100_000_000) };
        let forbidden = trunk.grow(tip, [bad, honest(4_100_000_001), honest(4_100_000_002)]);
        vec![trunk, lesser, boastful, longer, early, forbidden]
    }
}

/// Blocks to mine cost 15 ms each, so few fork points are drawn.
fn mined(heights: u32, rng: &mut ChaCha8Rng) -> Vec<Arc<Branch>> {
    let depth = [2, 5, 9][small(rng.next_u32() % 3)].min(heights);
    let vein = |salt| Vein { salt, late: 0, proven: true };
    let trunk = quarry::grow(&quarry::genesis(), Height::GENESIS, heights, vein(1));
    let tip = trunk.tip().at.height;
    let fork = tip.saturating_sub(depth);
    let branch = |fork, count, vein| quarry::grow(&trunk, fork, count, vein);
    let lesser = branch(fork, depth.saturating_sub(1), vein(2));
    let boastful = branch(fork, depth + 5, Vein { proven: false, ..vein(3) });
    let longer = branch(fork, depth + 3, vein(4));
    let early = branch(tip, 2, Vein { late: EARLY_BY, ..vein(5) });
    let forbidden = branch(tip, 3, Vein { proven: false, ..vein(6) });
    vec![trunk, lesser, boastful, longer, early, forbidden]
}

/// 55 % 1.7 kB, 35 % 2 to 16 kB, 9 % 16 to 75 kB, 1 % 100 kB to 2 MB: the mix of a busy chain.
fn mainnet_size(rng: &mut ChaCha8Rng) -> u32 {
    let (low, high) = match rng.next_u32() % 100 {
        0..55 => (1_700, 1_700),
        55..90 => (2_000, 16_000),
        90..99 => (16_000, 75_000),
        _ => (100_000, 2_000_000),
    };
    low + rng.next_u32() % (high - low + 1)
}

fn small(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
