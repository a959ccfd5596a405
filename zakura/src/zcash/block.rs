//! Body checks by a structural walk: size, structure, merkle root, coinbase height, in this order.

use thiserror::Error;

use super::{
    blame::Blame,
    hash::sha256d,
    header::{FIXED_BYTES, Header, HeaderError},
    network::Network,
    reader::{Reader, WalkError},
    tx::{MIN_TX_BYTES, Transaction},
};

/// The most bytes of a serialized block (protocol specification 7.6).
pub const MAX_BLOCK_BYTES: usize = 2_000_000;

/// What a good body is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyFacts {
    /// The hash of the header the body carries: **the caller compares it with the header it asked for**.
    pub hash: [u8; 32],
    /// Transactions, the coinbase among them.
    pub txs: u32,
    /// Some transaction's id does not cover all its bytes (version 5): scripts, proofs and signatures may have
    /// been replaced by the sender, and only a full verifier can tell.
    pub auth_unverified: bool,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyReject {
    /// It has more bytes than a block may.
    #[error("{0} bytes are more than a block's {MAX_BLOCK_BYTES}")]
    TooLarge(usize),
    /// It is no serialized block.
    #[error("malformed block: {reason}")]
    Malformed {
        /// What is wrong, and where.
        reason: WalkError,
    },
    /// The transactions are not those the header commits to.
    #[error("the transactions do not give the header's merkle root")]
    MerkleMismatch,
    /// A list of transactions doubled so that the merkle root stays (CVE-2012-2459): believed, it would condemn
    /// the honest block of the same hash.
    #[error("transactions are repeated to imitate another list's merkle root")]
    DuplicateLeaf,
    /// The coinbase does not start with the block's height.
    #[error("the coinbase script does not start with height {expected}")]
    CoinbaseHeight {
        /// The height of the header asked for.
        expected: u32,
    },
    /// A transaction format that came after this node.
    #[error("transaction version {version:#010x}, group {group:#010x}, is unknown here: upgrade this node")]
    Unsupported {
        /// The version word.
        version: u32,
        /// The version group id, zero if it has none.
        group: u32,
    },
}

impl BodyReject {
    /// Whose fault it is: the sender's, except for formats this node is too old to know.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::TooLarge(_)
            | Self::Malformed { .. }
            | Self::MerkleMismatch
            | Self::DuplicateLeaf
            | Self::CoinbaseHeight { .. } => Blame::Proven,
            Self::Unsupported { .. } => Blame::Local,
        }
    }
}

impl From<WalkError> for BodyReject {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Unsupported { version, group } => Self::Unsupported { version, group },
            WalkError::Short { .. }
            | WalkError::LongCompactSize { .. }
            | WalkError::Count { .. }
            | WalkError::Form { .. } => Self::Malformed { reason: error },
        }
    }
}

impl From<HeaderError> for BodyReject {
    fn from(error: HeaderError) -> Self {
        let form = |what, at| WalkError::Form { what, at };
        match error {
            HeaderError::Malformed(reason) => reason.into(),
            HeaderError::SolutionLength { .. } => {
                form("the solution has another network's length", FIXED_BYTES).into()
            }
            HeaderError::Trailing(_) => form("bytes follow the header", FIXED_BYTES).into(),
        }
    }
}

/// Checks a serialized block against the height of its header. Proof of work is not repeated: the caller
/// compares [`BodyFacts::hash`] with a header it has checked.
///
/// # Errors
/// See [`BodyReject`]; the first rule broken, in the order size, structure, merkle root, coinbase height.
pub fn check_body(network: Network, raw: &[u8], expected_height: u32) -> Result<BodyFacts, BodyReject> {
    if raw.len() > MAX_BLOCK_BYTES {
        return Err(BodyReject::TooLarge(raw.len()));
    }
    let (header, mut reader) = split_header(network, raw)?;
    let count = reader.count(MIN_TX_BYTES, "transactions")?;
    // At most 32 bytes for each 10 received.
    let mut ids = Vec::with_capacity(count);
    let mut coinbase = None;
    let mut auth_unverified = false;
    for index in 0..count {
        let at = reader.position();
        let tx = Transaction::walk(&mut reader)?;
        if index == 0 {
            coinbase = tx.coinbase_script();
        } else if tx.has_null_input() {
            return Err(WalkError::Form { what: "only the first transaction may be a coinbase", at }.into());
        }
        auth_unverified |= !tx.id_covers_all();
        ids.push(tx.id());
    }
    let at = reader.position();
    let coinbase =
        coinbase.ok_or(WalkError::Form { what: "the first transaction must be a coinbase", at })?;
    if reader.remaining() > 0 {
        return Err(WalkError::Form { what: "bytes follow the last transaction", at }.into());
    }

    let txs = u32::try_from(count).unwrap_or(u32::MAX);
    let merkle = merkle_root(ids);
    if merkle.root != header.merkle_root {
        return Err(BodyReject::MerkleMismatch);
    }
    if merkle.repeats {
        return Err(BodyReject::DuplicateLeaf);
    }
    // Genesis carries a newspaper's headline in place of a height.
    if expected_height > 0 && !coinbase.starts_with(&height_push(expected_height)) {
        return Err(BodyReject::CoinbaseHeight { expected: expected_height });
    }
    Ok(BodyFacts { hash: header.hash(), txs, auth_unverified })
}

/// The header at the start of a block, and a reader at what follows.
fn split_header(network: Network, raw: &[u8]) -> Result<(Header, Reader<'_>), HeaderError> {
    let (header, used) = Header::decode_prefix(network, raw)?;
    Ok((header, Reader::starting_at(raw, used)))
}

/// A merkle root, and whether its tree pairs a hash with itself before the list's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merkle {
    /// The root, zeros for no leaves.
    pub root: [u8; 32],
    /// Two distinct neighbours are equal: a shorter list has the same root (CVE-2012-2459).
    pub repeats: bool,
}

/// The merkle tree over transaction ids: pairs by double SHA-256, an odd last one paired with itself.
#[must_use]
pub fn merkle_root(mut level: Vec<[u8; 32]>) -> Merkle {
    let mut repeats = false;
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => {
                    repeats |= left == right;
                    sha256d(&[left, right])
                }
                [last, ..] => sha256d(&[last, last]),
                [] => [0; 32],
            })
            .collect();
    }
    Merkle { root: level.first().copied().unwrap_or([0; 32]), repeats }
}

/// How a coinbase script begins at this height (BIP 34): OP_1 to OP_16, else a minimal little-endian push.
#[must_use]
pub fn height_push(height: u32) -> Vec<u8> {
    match u8::try_from(height) {
        Ok(0) => vec![0],
        Ok(small @ 1..=16) => vec![0x50 + small],
        _ => {
            let mut number = height.to_le_bytes().to_vec();
            while number.last() == Some(&0) {
                number.pop();
            }
            // A set top bit would read as a sign.
            if number.last().is_some_and(|top| top & 0x80 != 0) {
                number.push(0);
            }
            number.insert(0, number.len() as u8);
            number
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_pushed_in_their_one_minimal_form() {
        let table: [(u32, &[u8]); 9] = [
            (1, &[0x51]),
            (16, &[0x60]),
            (17, &[1, 17]),
            (127, &[1, 0x7f]),
            (128, &[2, 0x80, 0]),
            (255, &[2, 0xff, 0]),
            (0x8000, &[3, 0, 0x80, 0]),
            (1_687_104, &[3, 0x40, 0xbe, 0x19]),
            (u32::MAX, &[5, 0xff, 0xff, 0xff, 0xff, 0]),
        ];
        for (height, push) in table {
            assert_eq!(height_push(height), push, "{height}");
        }
    }

    #[test]
    fn a_repeated_tail_has_the_same_root_and_is_noticed() {
        let leaf = |byte| [byte; 32];
        let short = merkle_root(vec![leaf(1), leaf(2), leaf(3)]);
        let long = merkle_root(vec![leaf(1), leaf(2), leaf(3), leaf(3)]);
        assert_eq!(short.root, long.root);
        assert!(!short.repeats && long.repeats);
        let six = merkle_root((1..=6).map(leaf).collect());
        let eight = merkle_root([1, 2, 3, 4, 5, 6, 5, 6].map(leaf).into());
        assert_eq!(six.root, eight.root);
        assert!(!six.repeats && eight.repeats, "noticed one level up");
        assert_eq!(merkle_root(vec![leaf(9)]), Merkle { root: leaf(9), repeats: false });
    }

    #[test]
    fn each_network_accepts_its_genesis_without_a_height() {
        for network in Network::ALL {
            let facts = check_body(network, network.genesis(), 0).unwrap();
            assert_eq!(facts, BodyFacts { hash: network.genesis_hash(), txs: 1, auth_unverified: false });
            let refused = check_body(network, network.genesis(), 5).unwrap_err();
            assert_eq!(refused, BodyReject::CoinbaseHeight { expected: 5 });
        }
    }

    #[test]
    fn a_transaction_that_the_header_does_not_commit_to_is_refused() {
        for network in Network::ALL {
            let mut raw = network.genesis().to_vec();
            *raw.last_mut().unwrap() ^= 1;
            assert_eq!(check_body(network, &raw, 0), Err(BodyReject::MerkleMismatch), "another lock time");
        }
    }

    #[test]
    fn structure_comes_before_the_merkle_root() {
        let network = Network::Regtest;
        let genesis = network.genesis();
        let malformed = |raw: &[u8]| match check_body(network, raw, 0) {
            Err(BodyReject::Malformed { reason }) => reason.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(malformed(&[genesis, &[0]].concat()).contains("follow the last transaction"));
        assert!(malformed(&[&genesis[..177], &[0]].concat()).contains("must be a coinbase"));
        let tx = &genesis[178..];
        assert!(malformed(&[&genesis[..177], &[2], tx, tx].concat()).contains("only the first transaction"));
        assert!(malformed(&[&genesis[..177], &[2], tx].concat()).contains("needs more bytes"));
        assert!(malformed(&[&genesis[..177], &[0xfe, 0, 0, 1, 0]].concat()).contains("cannot fit"));
        let large = vec![0; MAX_BLOCK_BYTES + 1];
        assert_eq!(check_body(network, &large, 0), Err(BodyReject::TooLarge(2_000_001)));
    }

    #[test]
    fn an_unknown_format_is_our_own_limit() {
        let mut raw = Network::Regtest.genesis().to_vec();
        raw[178..182].copy_from_slice(&0x8000_0006_u32.to_le_bytes());
        let refused = check_body(Network::Regtest, &raw, 0).unwrap_err();
        assert!(matches!(refused, BodyReject::Unsupported { version: 0x8000_0006, .. }));
        assert_eq!(refused.blame(), Blame::Local);
        assert_eq!(BodyReject::MerkleMismatch.blame(), Blame::Proven);
    }
}
