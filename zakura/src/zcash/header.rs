//! The block header: 140 fixed bytes, then the Equihash solution behind its length.

use bytes::Bytes;
use thiserror::Error;

use super::{
    hash::sha256d,
    network::Network,
    reader::{Reader, WalkError, put_compact_size},
    target::{Target, TargetError},
};

/// Bytes of a header before its solution.
pub const FIXED_BYTES: usize = 140;

/// Where the nonce starts: what Equihash takes as its input ends here.
pub const NONCE_AT: usize = 108;

/// Why bytes are not a header.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The bytes end too early, or the length of the solution is not in its shortest form.
    #[error("not a header: {0}")]
    Malformed(#[from] WalkError),
    /// The solution has another length than the network's Equihash gives.
    #[error("not a {network} header: the solution has {got} bytes, not {}", network.solution_bytes())]
    SolutionLength {
        /// The network expected.
        network: Network,
        /// Bytes announced.
        got: u64,
    },
    /// Bytes follow the header where none may.
    #[error("{0} bytes follow the header")]
    Trailing(usize),
}

/// A decoded header. Its encoding is exactly the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version; real ones are 4 and carry high bits.
    pub version: u32,
    /// The parent's hash.
    pub prev: [u8; 32],
    /// The merkle root of the transaction ids.
    pub merkle_root: [u8; 32],
    /// What the era commits to here (nothing, Sapling's root, the chain's history); not checked.
    pub commitment: [u8; 32],
    /// Unix seconds.
    pub time: u32,
    /// The compact target.
    pub bits: u32,
    /// The miner's nonce.
    pub nonce: [u8; 32],
    /// The Equihash solution.
    pub solution: Bytes,
}

impl Header {
    /// Decodes bytes that are one header and nothing else.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode(network: Network, raw: &[u8]) -> Result<Self, HeaderError> {
        let (header, used) = Self::decode_prefix(network, raw)?;
        match raw.len().saturating_sub(used) {
            0 => Ok(header),
            trailing => Err(HeaderError::Trailing(trailing)),
        }
    }

    /// Decodes the header at the start of a block, and says how many bytes it took.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode_prefix(network: Network, raw: &[u8]) -> Result<(Self, usize), HeaderError> {
        let mut reader = Reader::new(raw);
        let version = reader.u32("header version")?;
        let prev = reader.array("parent hash")?;
        let merkle_root = reader.array("merkle root")?;
        let commitment = reader.array("block commitment")?;
        let time = reader.u32("header time")?;
        let bits = reader.u32("compact target")?;
        let nonce = reader.array("nonce")?;
        let length = reader.compact_size("solution length")?;
        if usize::try_from(length) != Ok(network.solution_bytes()) {
            return Err(HeaderError::SolutionLength { network, got: length });
        }
        let solution = Bytes::copy_from_slice(reader.take(network.solution_bytes(), "solution")?);
        let header = Self { version, prev, merkle_root, commitment, time, bits, nonce, solution };
        Ok((header, reader.position()))
    }

    /// The first 140 bytes: all but the solution.
    #[must_use]
    pub fn fixed(&self) -> [u8; FIXED_BYTES] {
        let mut out = [0; FIXED_BYTES];
        out[..4].copy_from_slice(&self.version.to_le_bytes());
        out[4..36].copy_from_slice(&self.prev);
        out[36..68].copy_from_slice(&self.merkle_root);
        out[68..100].copy_from_slice(&self.commitment);
        out[100..104].copy_from_slice(&self.time.to_le_bytes());
        out[104..NONCE_AT].copy_from_slice(&self.bits.to_le_bytes());
        out[NONCE_AT..].copy_from_slice(&self.nonce);
        out
    }

    /// The serialized header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + 3 + self.solution.len());
        out.extend_from_slice(&self.fixed());
        put_compact_size(&mut out, self.solution.len() as u64);
        out.extend_from_slice(&self.solution);
        out
    }

    /// The block's hash: double SHA-256 of the serialized header.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256d(&[&self.encode()])
    }

    /// The target the header claims.
    ///
    /// # Errors
    /// The compact form is no target.
    pub fn target(&self) -> Result<Target, TargetError> {
        Target::from_compact(self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_must_be_whole_and_alone() {
        for network in Network::ALL {
            let size = network.header_bytes();
            let raw = &network.genesis()[..size];
            let header = Header::decode(network, raw).unwrap();
            assert_eq!(header.encode(), raw);
            assert_eq!(header.hash(), network.genesis_hash());
            for cut in [0, 3, 139, 140, size - 1] {
                assert!(
                    matches!(Header::decode(network, &raw[..cut]), Err(HeaderError::Malformed(_))),
                    "{cut}"
                );
            }
            let longer = &network.genesis()[..=size];
            assert_eq!(Header::decode(network, longer), Err(HeaderError::Trailing(1)));
            assert_eq!(Header::decode_prefix(network, longer), Ok((header, size)));
        }
    }

    #[test]
    fn another_networks_solution_is_refused_by_its_length() {
        let raw = &Network::Regtest.genesis()[..177];
        let refused = HeaderError::SolutionLength { network: Network::Mainnet, got: 36 };
        assert_eq!(Header::decode(Network::Mainnet, raw), Err(refused));
        let mut long = raw[..140].to_vec();
        long.extend_from_slice(&[0xfd, 36, 0]);
        long.extend_from_slice(&raw[141..]);
        let refused = HeaderError::Malformed(WalkError::LongCompactSize { at: 140 });
        assert_eq!(Header::decode(Network::Regtest, &long), Err(refused));
    }
}
