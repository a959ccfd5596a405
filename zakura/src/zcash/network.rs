//! The three networks and their constants.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{hash::from_display, target::Target, u256::U256};

/// A Zcash network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// The network with the money.
    Mainnet,
    /// The public test network.
    Testnet,
    /// A private chain with Equihash (48, 5).
    Regtest,
}

/// A name that is none of the networks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown network {0:?}: choose mainnet, testnet or regtest")]
pub struct UnknownNetwork(pub String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(name: &str) -> Result<Self, UnknownNetwork> {
        Self::ALL
            .into_iter()
            .find(|network| network.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownNetwork(name.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// A change of the rules at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upgrade {
    /// ZIP 201: version 3 transactions.
    Overwinter,
    /// ZIP 205: version 4 transactions.
    Sapling,
    /// ZIP 206: a block every 75 s.
    Blossom,
    /// ZIP 250: the header commits to the chain's history.
    Heartwood,
    /// ZIP 251: no more Sprout deposits.
    Canopy,
    /// ZIP 252: Orchard and version 5 transactions.
    Nu5,
    /// ZIP 253.
    Nu6,
    /// ZIP 255.
    Nu61,
    /// The repaired Orchard circuit.
    Nu62,
    /// ZIP 258: Ironwood.
    Nu63,
}

impl Upgrade {
    /// All known upgrades in order of activation.
    pub const ALL: [Self; 10] = [
        Self::Overwinter,
        Self::Sapling,
        Self::Blossom,
        Self::Heartwood,
        Self::Canopy,
        Self::Nu5,
        Self::Nu6,
        Self::Nu61,
        Self::Nu62,
        Self::Nu63,
    ];

    /// (consensus branch id, Mainnet height, Testnet height), as its ZIP fixes them.
    fn facts(self) -> (u32, u32, u32) {
        match self {
            Self::Overwinter => (0x5ba8_1b19, 347_500, 207_500),
            Self::Sapling => (0x76b8_09bb, 419_200, 280_000),
            Self::Blossom => (0x2bb4_0e60, 653_600, 584_000),
            Self::Heartwood => (0xf5b9_230b, 903_000, 903_800),
            Self::Canopy => (0xe9ff_75a6, 1_046_400, 1_028_500),
            Self::Nu5 => (0xc2d6_d0b4, 1_687_104, 1_842_420),
            Self::Nu6 => (0xc8e7_1055, 2_726_400, 2_976_000),
            Self::Nu61 => (0x4dec_4df0, 3_146_400, 3_536_500),
            Self::Nu62 => (0x5437_f330, 3_364_600, 4_052_000),
            Self::Nu63 => (0x37a5_165b, 3_428_143, 4_134_000),
        }
    }

    /// The id that transactions and signatures of this upgrade carry.
    #[must_use]
    pub fn branch_id(self) -> u32 {
        self.facts().0
    }
}

/// The first Testnet height at which a late block may have the lowest difficulty (ZIP 205, ZIP 208).
pub const TESTNET_MINIMUM_DIFFICULTY_FROM: u32 = 299_188;

/// The constant compact target of Regtest: our own rule, no averaging there.
pub const REGTEST_BITS: u32 = 0x200f_0f0f;

/// Seconds between blocks from Blossom on (ZIP 208).
pub const SPACING: u32 = 75;

/// Seconds between blocks before Blossom.
pub const SPACING_BEFORE_BLOSSOM: u32 = 150;

impl Network {
    /// All networks, in the order of their ids on the wire.
    pub const ALL: [Self; 3] = [Self::Mainnet, Self::Testnet, Self::Regtest];

    /// "mainnet", "testnet" or "regtest".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Regtest => "regtest",
        }
    }

    /// The network's id in a Hello: 1, 2 or 3.
    #[must_use]
    pub fn wire_id(self) -> u32 {
        match self {
            Self::Mainnet => 1,
            Self::Testnet => 2,
            Self::Regtest => 3,
        }
    }

    /// The network with this id on the wire.
    #[must_use]
    pub fn from_wire_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.wire_id() == id)
    }

    /// The serialized block at height 0.
    #[must_use]
    pub fn genesis(self) -> &'static [u8] {
        match self {
            Self::Mainnet => include_bytes!("../../data/blocks/main-0000000.block"),
            Self::Testnet => include_bytes!("../../data/blocks/test-0000000.block"),
            Self::Regtest => include_bytes!("../../data/blocks/regtest-0000000.block"),
        }
    }

    /// The hash of the block at height 0, internal order.
    #[must_use]
    pub fn genesis_hash(self) -> [u8; 32] {
        super::hash::sha256d(&[self.genesis().get(..self.header_bytes()).unwrap_or_default()])
    }

    /// Equihash (n, k): protocol specification 7.7.1; (48, 5) is Regtest's.
    #[must_use]
    pub fn equihash(self) -> (u32, u32) {
        match self {
            Self::Mainnet | Self::Testnet => (200, 9),
            Self::Regtest => (48, 5),
        }
    }

    /// Bytes of an Equihash solution: 2^k indices of n / (k + 1) + 1 bits.
    #[must_use]
    pub fn solution_bytes(self) -> usize {
        match self {
            Self::Mainnet | Self::Testnet => 1344,
            Self::Regtest => 36,
        }
    }

    /// Bytes of a serialized header: 140, the solution's CompactSize length and the solution (1,487 or 177).
    #[must_use]
    pub fn header_bytes(self) -> usize {
        match self {
            Self::Mainnet | Self::Testnet => 1487,
            Self::Regtest => 177,
        }
    }

    /// The easiest target there is.
    #[must_use]
    pub fn pow_limit(self) -> Target {
        match self {
            Self::Mainnet => Target(U256::low_ones(243)),
            Self::Testnet => Target(U256::low_ones(251)),
            // Written out so that no compact form has to be parsed: 0x0f0f0f << 232.
            Self::Regtest => Target(U256::from(0x000f_0f0f).shifted_up(232)),
        }
    }

    /// The height from which an upgrade's rules hold; on Regtest none is active beyond what its blocks show.
    #[must_use]
    pub fn activation(self, upgrade: Upgrade) -> Option<u32> {
        let (_, main, test) = upgrade.facts();
        match self {
            Self::Mainnet => Some(main),
            Self::Testnet => Some(test),
            Self::Regtest => None,
        }
    }

    /// The latest known upgrade active at a height, `None` before the first.
    #[must_use]
    pub fn upgrade_at(self, height: u32) -> Option<Upgrade> {
        Upgrade::ALL.into_iter().rev().find(|upgrade| self.is_active(*upgrade, height))
    }

    /// Whether an upgrade is active at a height.
    #[must_use]
    pub fn is_active(self, upgrade: Upgrade, height: u32) -> bool {
        self.activation(upgrade).is_some_and(|from| height >= from)
    }

    /// Seconds between blocks that difficulty aims at, for the block at this height.
    #[must_use]
    pub fn target_spacing(self, height: u32) -> u32 {
        if self == Self::Regtest || self.is_active(Upgrade::Blossom, height) {
            SPACING
        } else {
            SPACING_BEFORE_BLOSSOM
        }
    }

    /// The first height whose time may be at most 90 minutes after the median (protocol specification 7.6).
    #[must_use]
    pub fn time_ceiling_from(self) -> Option<u32> {
        match self {
            Self::Mainnet => Some(2),
            Self::Testnet => Some(653_606),
            Self::Regtest => None,
        }
    }

    /// The built-in checkpoints (height, hash), ascending from genesis; parsed as they are asked for.
    pub fn checkpoints(self) -> impl Iterator<Item = (u32, [u8; 32])> {
        let text = match self {
            Self::Mainnet => include_str!("../../data/main-checkpoints.txt"),
            Self::Testnet => include_str!("../../data/test-checkpoints.txt"),
            Self::Regtest => include_str!("../../data/regtest-checkpoints.txt"),
        };
        text.lines().filter_map(|line| {
            let (height, hash) = line.split_once(' ')?;
            Some((height.parse().ok()?, from_display(hash)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wire_ids_go_both_ways() {
        for network in Network::ALL {
            assert_eq!(network.to_string().parse(), Ok(network));
            assert_eq!(Network::from_wire_id(network.wire_id()), Some(network));
        }
        assert_eq!("Mainnet".parse(), Ok(Network::Mainnet));
        assert!("main".parse::<Network>().unwrap_err().to_string().contains("choose mainnet"));
        assert_eq!(Network::from_wire_id(0), None);
    }

    #[test]
    fn checkpoints_start_at_genesis_and_rise_by_at_most_400() {
        for (network, lines, last) in
            [(Network::Mainnet, 14_444, 3_522_460), (Network::Testnet, 11_313, 4_518_360)]
        {
            let points: Vec<_> = network.checkpoints().collect();
            assert_eq!(points.len(), lines, "every line of {network} parses");
            assert_eq!(points[0], (0, network.genesis_hash()));
            assert_eq!(points[lines - 1].0, last);
            assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[1].0 - pair[0].0 <= 400));
        }
        let regtest: Vec<_> = Network::Regtest.checkpoints().collect();
        assert_eq!(regtest, [(0, Network::Regtest.genesis_hash())]);
    }

    #[test]
    fn sizes_follow_from_equihash() {
        for network in Network::ALL {
            let (n, k) = network.equihash();
            let solution = (1 << k) * (n as usize / (k as usize + 1) + 1) / 8;
            assert_eq!(network.solution_bytes(), solution);
            let length = if solution < 253 { 1 } else { 3 };
            assert_eq!(network.header_bytes(), 140 + length + solution);
        }
        assert_eq!(Network::Regtest.pow_limit().to_compact(), REGTEST_BITS);
    }

    #[test]
    fn upgrades_begin_at_their_heights() {
        assert_eq!(Network::Mainnet.upgrade_at(347_499), None);
        assert_eq!(Network::Mainnet.upgrade_at(347_500), Some(Upgrade::Overwinter));
        assert_eq!(Network::Testnet.upgrade_at(u32::MAX), Some(Upgrade::Nu63));
        assert_eq!(Network::Regtest.upgrade_at(u32::MAX), None);
        assert_eq!(Network::Mainnet.target_spacing(653_599), 150);
        assert_eq!(Network::Mainnet.target_spacing(653_600), 75);
        for network in [Network::Mainnet, Network::Testnet] {
            let heights: Vec<_> = Upgrade::ALL.map(|upgrade| network.activation(upgrade)).into();
            assert!(heights.is_sorted(), "{network} upgrades are in order");
        }
    }
}
