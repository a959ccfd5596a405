//! Proof of work: the Equihash solution, and a hash at or below a target that the network allows.

use thiserror::Error;

use super::{
    blame::Blame,
    header::{Header, NONCE_AT},
    network::Network,
    target::{Target, TargetError},
};

/// Why a header's proof of work is refused: always provable from the header alone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PowReject {
    /// The compact target is no target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target is easier than the network allows.
    #[error("compact target {0:#010x} is easier than the network allows")]
    AboveLimit(u32),
    /// The hash is above the target.
    #[error("the block hash is above its target {0:#010x}")]
    HashAboveTarget(u32),
    /// The solution does not solve Equihash.
    #[error("the Equihash solution is invalid")]
    Solution,
}

impl PowReject {
    /// Always [`Blame::Proven`].
    #[must_use]
    pub fn blame(&self) -> Blame {
        Blame::Proven
    }
}

/// Checks target, hash and solution, the cheap ones first. `no_pow` skips all of it, on Regtest only.
///
/// # Errors
/// See [`PowReject`].
pub fn check_pow(network: Network, header: &Header, no_pow: bool) -> Result<(), PowReject> {
    if no_pow && network == Network::Regtest {
        return Ok(());
    }
    check_target(network, header)?;
    check_solution(network, header)
}

/// Checks that the header's target is allowed and that its hash meets it; microseconds.
///
/// # Errors
/// All of [`PowReject`] but the solution.
pub fn check_target(network: Network, header: &Header) -> Result<Target, PowReject> {
    let target = header.target()?;
    if target > network.pow_limit() {
        return Err(PowReject::AboveLimit(header.bits));
    }
    if !target.is_met_by(&header.hash()) {
        return Err(PowReject::HashAboveTarget(header.bits));
    }
    Ok(target)
}

/// Checks the Equihash solution: the expensive part, 0.1 to 0.3 ms for (200, 9).
///
/// # Errors
/// [`PowReject::Solution`].
pub fn check_solution(network: Network, header: &Header) -> Result<(), PowReject> {
    let (n, k) = network.equihash();
    let fixed = header.fixed();
    let (input, nonce) = fixed.split_at(NONCE_AT);
    equihash::is_valid_solution(n, k, input, nonce, &header.solution).map_err(|_| PowReject::Solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis(network: Network) -> Header {
        Header::decode_prefix(network, network.genesis()).unwrap().0
    }

    #[test]
    fn each_part_of_the_proof_is_needed() {
        for network in Network::ALL {
            assert_eq!(check_pow(network, &genesis(network), false), Ok(()), "{network} genesis");

            let mut easy = genesis(network);
            easy.bits = 0x207f_ffff;
            assert_eq!(check_pow(network, &easy, false), Err(PowReject::AboveLimit(0x207f_ffff)));

            let mut hard = genesis(network);
            hard.bits = 0x0300_0001;
            assert_eq!(check_pow(network, &hard, false), Err(PowReject::HashAboveTarget(0x0300_0001)));

            let mut broken = genesis(network);
            broken.bits = 0x1f80_0001;
            let refused = PowReject::Target(TargetError::Negative(0x1f80_0001));
            assert_eq!(check_pow(network, &broken, false), Err(refused));

            let mut other = genesis(network);
            other.nonce[0] ^= 1;
            assert_eq!(check_solution(network, &other), Err(PowReject::Solution));
        }
    }

    #[test]
    fn only_regtest_may_go_without() {
        for network in Network::ALL {
            let mut header = genesis(network);
            header.bits = 0;
            assert_eq!(check_pow(network, &header, true).is_ok(), network == Network::Regtest);
        }
    }
}
