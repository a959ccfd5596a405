//! The Zcash rules against real blocks of every era (`data/NOTICE` says where they come from): what the network
//! accepted we accept, and no covered byte can be changed unnoticed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is how a test speaks")]

use std::ops::Range;

use proptest::prelude::*;
use zakura::zcash::{
    BodyReject, Header, HeaderReject, LOOKBACK, Network, Past, PowReject, check_body, check_header,
    check_pow,
    difficulty::expected_bits,
    hash::to_display,
    reader::Reader,
    rules::Place,
    tx::{Transaction, TxVersion},
};

/// Local time for the time rules: long after every real block.
const NOW: u64 = 1_800_000_000;

/// A line of INDEX.tsv with its block.
struct Real {
    network: Network,
    height: u32,
    bad: bool,
    header_bytes: usize,
    hash: String,
    raw: Vec<u8>,
}

impl Real {
    fn header(&self) -> Header {
        Header::decode_prefix(self.network, &self.raw).unwrap().0
    }
}

fn real_blocks() -> Vec<Real> {
    include_str!("../data/blocks/INDEX.tsv").lines().skip(1).map(read).collect()
}

fn read(line: &str) -> Real {
    let [name, height, note, bytes, header_bytes, hash] = line.split('\t').collect::<Vec<_>>()[..] else {
        panic!("six columns: {line}")
    };
    let network = match name {
        "main" => Network::Mainnet,
        "test" => Network::Testnet,
        _ => Network::Regtest,
    };
    let height: u32 = height.parse().unwrap();
    let path = format!("{}/data/blocks/{name}-{height:07}{note}.block", env!("CARGO_MANIFEST_DIR"));
    let raw = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(raw.len().to_string(), bytes, "{path}");
    let (bad, hash, header_bytes) = (note == "-bad", hash.to_owned(), header_bytes.parse().unwrap());
    Real { network, height, bad, header_bytes, hash, raw }
}

fn real(network: Network, height: u32) -> Real {
    real_blocks().into_iter().find(|it| it.network == network && it.height == height && !it.bad).unwrap()
}

/// Transactions of a good block, each with its place in the block.
fn transactions(block: &Real) -> Vec<(usize, Transaction<'_>)> {
    let mut reader = Reader::starting_at(&block.raw, block.network.header_bytes());
    let count = reader.compact_size("count").unwrap();
    (0..count).map(|_| (reader.position(), Transaction::walk(&mut reader).unwrap())).collect()
}

#[test]
fn every_real_block_is_what_the_index_says() {
    let blocks = real_blocks();
    assert_eq!(blocks.len(), 79);
    let mut versions = std::collections::BTreeMap::new();
    for block in &blocks {
        let (header, used) = Header::decode_prefix(block.network, &block.raw).unwrap();
        let name = format!("{} {}", block.network, block.height);
        assert_eq!((used, &to_display(&header.hash())), (block.header_bytes, &block.hash), "{name}");
        assert_eq!(header.encode(), block.raw[..used], "{name}");
        assert_eq!(check_pow(block.network, &header, false), Ok(()), "{name}");
        let verdict = check_body(block.network, &block.raw, block.height);
        if block.bad {
            // Its coinbase differs from the true one by a byte less of script.
            assert_eq!(verdict, Err(BodyReject::MerkleMismatch), "{name}");
            continue;
        }
        let walked = transactions(block);
        let facts = verdict.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((facts.hash, facts.txs as usize), (header.hash(), walked.len()), "{name}");
        let v5 = walked.iter().any(|(_, tx)| tx.version == TxVersion::V5);
        assert_eq!(facts.auth_unverified, v5, "{name}");
        for (_, tx) in walked {
            *versions.entry(tx.version).or_insert(0) += 1;
        }
        if block.height > 0 {
            let other = check_body(block.network, &block.raw, block.height + 1);
            assert_eq!(other, Err(BodyReject::CoinbaseHeight { expected: block.height + 1 }), "{name}");
        }
    }
    assert_eq!(versions.len(), 5, "every transaction version is among them: {versions:?}");
    assert!(versions.values().all(|count| *count >= 5), "{versions:?}");
}

#[test]
fn checkpoints_name_the_real_blocks_at_their_heights() {
    let mut met = 0;
    for block in real_blocks() {
        if let Some((_, hash)) = block.network.checkpoints().find(|(height, _)| *height == block.height) {
            assert_eq!(to_display(&hash), block.hash);
            met += 1;
        }
    }
    assert!(met >= 6, "{met} real blocks are checkpoints");
}

#[test]
fn the_first_real_headers_pass_in_their_places() {
    for network in [Network::Mainnet, Network::Testnet] {
        let mut past = Vec::new();
        for height in 0..=10 {
            let header = real(network, height).header();
            if height > 0 {
                let place = Place { height, past: &past };
                // Block 1 came eight hours after genesis: the ceiling of 90 minutes starts above it.
                assert_eq!(check_header(network, &header, place, NOW, false), Ok(()), "{network} {height}");
                let hard = Header { bits: header.bits - 1, ..header.clone() };
                let refused = check_header(network, &hard, place, NOW, false);
                assert!(matches!(refused, Err(HeaderReject::Bits { .. })), "{network} {height}");
            }
            past.push(Past::from(&header));
        }
    }
}

#[test]
fn late_real_testnet_blocks_have_the_lowest_difficulty_and_prompt_ones_do_not() {
    let network = Network::Testnet;
    let mut late = 0;
    for height in
        [299_188, 299_189, 299_202, 584_000, 584_001, 903_800, 903_801, 1_028_500, 1_028_501, 1_116_000]
    {
        let (parent, header) = (real(network, height - 1).header(), real(network, height).header());
        // Only the gap matters here: the ancestors before the parent are invented, at a middling difficulty.
        let mut past: Vec<_> = (1..LOOKBACK as u32)
            .rev()
            .map(|ago| Past { time: parent.time - 75 * ago, bits: 0x1f00_ffff })
            .collect();
        past.push(Past::from(&parent));
        let lowest = network.pow_limit().to_compact();
        let expected = expected_bits(network, height, header.time, &past).unwrap();
        assert_eq!(expected == lowest, header.bits == lowest, "height {height}");
        late += usize::from(header.bits == lowest);
    }
    assert_eq!(late, 7, "both kinds are among them");
}

#[test]
fn three_hundred_blocks_of_another_nodes_regtest_chain_link_up() {
    let network = Network::Regtest;
    let mut past: Vec<Past> = Vec::new();
    let mut prev = [0; 32];
    for (height, line) in (0..).zip(include_str!("../data/blocks/regtest-node-chain.hex").lines()) {
        let raw = data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap();
        let (header, _) = Header::decode_prefix(network, &raw).unwrap();
        assert_eq!(header.prev, prev, "height {height}");
        assert_eq!(check_body(network, &raw, height).map(|facts| facts.hash), Ok(header.hash()), "{height}");
        if height > 0 {
            let recent = &past[past.len().saturating_sub(LOOKBACK)..];
            let place = Place { height, past: recent };
            assert_eq!(check_header(network, &header, place, NOW, true), Ok(()), "height {height}");
            assert_eq!(check_pow(network, &header, true), Ok(()));
            // They were made without work, so that the flag is what lets them in.
            assert!(check_pow(network, &header, false).is_err(), "height {height}");
        }
        past.push(Past::from(&header));
        prev = header.hash();
    }
    assert_eq!(past.len(), 301);
}

/// One block of each era and transaction version, and the step between flipped bytes of its body: all bytes of
/// the small ones, a prime step through the large ones.
const FLIPPED: [(Network, u32, usize); 14] = [
    (Network::Mainnet, 1, 1),
    (Network::Mainnet, 396, 1),     // version 2, a JoinSplit
    (Network::Mainnet, 347_501, 1), // version 3, a JoinSplit
    (Network::Mainnet, 419_202, 3), // version 4, JoinSplit and Sapling
    (Network::Mainnet, 419_201, 37),
    (Network::Mainnet, 653_601, 11),
    (Network::Mainnet, 903_001, 7),
    (Network::Mainnet, 949_496, 1), // a shielded coinbase
    (Network::Testnet, 925_483, 5),
    (Network::Mainnet, 1_687_106, 1), // version 5: Sapling spends and outputs, Orchard
    (Network::Mainnet, 1_687_107, 5),
    (Network::Mainnet, 1_687_108, 5),
    (Network::Testnet, 1_842_467, 3),
    (Network::Testnet, 1_842_468, 3),
];

#[test]
fn no_byte_that_an_id_covers_can_be_changed() {
    for (network, height, step) in FLIPPED {
        let block = real(network, height);
        let exempt = authorizing(&block);
        let start = network.header_bytes();
        let (mut refused, mut kept) = (0, 0);
        for at in (start..block.raw.len()).step_by(step) {
            let mut raw = block.raw.clone();
            raw[at] ^= 1 << (at % 8);
            let verdict = check_body(network, &raw, height);
            let free = exempt.iter().any(|range| range.contains(&at));
            assert_eq!(
                verdict.is_ok(),
                free,
                "{network} {height} byte {at} of {}: {verdict:?}",
                block.raw.len()
            );
            if free {
                assert!(verdict.unwrap().auth_unverified);
                kept += 1;
            } else {
                refused += 1;
            }
        }
        assert!(refused > 100, "{network} {height}: {refused} refused");
        assert_eq!(kept > 0, !exempt.is_empty(), "{network} {height}: {kept} exempt");
    }
}

/// Where the authorizing data of version 5 transactions lies: scripts of inputs (but for the coinbase's
/// height), proofs and signatures.
fn authorizing(block: &Real) -> Vec<Range<usize>> {
    let offset = |part: &[u8]| part.as_ptr() as usize - block.raw.as_ptr() as usize;
    let mut ranges = Vec::new();
    for (index, (start, tx)) in transactions(block).into_iter().enumerate() {
        let Some(shielded) = tx.shielded else { continue };
        for input in tx.each_input() {
            let height = if index == 0 { 4 } else { 0 };
            ranges.push(offset(input.script) + height..offset(input.script) + input.script.len());
        }
        let sapling = offset(shielded.sapling_anchor) + shielded.sapling_anchor.len();
        let (spends, outputs) = (shielded.spends.len() / 96, shielded.outputs.len() / 756);
        let binding = if spends + outputs > 0 { 64 } else { 0 };
        ranges.push(sapling..sapling + spends * (192 + 64) + outputs * 192 + binding);
        if !shielded.actions.is_empty() {
            // The length of the proofs is no authorizing data, though no id covers it: it holds the form.
            let mut reader = Reader::starting_at(
                &block.raw,
                offset(shielded.orchard_fields) + shielded.orchard_fields.len(),
            );
            reader.compact_size("length of the proofs").unwrap();
            ranges.push(reader.position()..start + tx.raw.len());
        }
    }
    ranges
}

#[test]
fn no_byte_of_a_header_can_be_changed() {
    for (network, height) in [(Network::Mainnet, 1_687_107), (Network::Testnet, 1_116_001)] {
        let block = real(network, height);
        let header = &block.raw[..block.header_bytes];
        for at in 0..header.len() {
            let mut raw = header.to_vec();
            raw[at] ^= 1 << (at % 8);
            // A changed length of the solution is no header at all.
            let Ok(changed) = Header::decode(network, &raw) else {
                assert!((140..143).contains(&at), "byte {at}");
                continue;
            };
            assert_ne!(to_display(&changed.hash()), block.hash, "byte {at}");
            let refused = check_pow(network, &changed, false).unwrap_err();
            let target_field = (104..108).contains(&at);
            assert!(target_field || matches!(refused, PowReject::HashAboveTarget(_)), "byte {at}: {refused}");
        }
    }
}

#[test]
fn a_solution_is_bound_to_the_header_and_to_each_of_its_bits() {
    let block = real(Network::Mainnet, 415_000);
    let header = block.header();
    for at in (0..header.solution.len()).step_by(29) {
        let mut solution = header.solution.to_vec();
        solution[at] ^= 1 << (at % 8);
        let changed = Header { solution: solution.into(), ..header.clone() };
        assert!(zakura::zcash::pow::check_solution(Network::Mainnet, &changed).is_err(), "byte {at}");
    }
    let later = Header { time: header.time + 1, ..header };
    assert!(zakura::zcash::pow::check_solution(Network::Mainnet, &later).is_err());
}

#[test]
fn a_real_block_with_its_last_transactions_repeated_is_refused() {
    // Three transactions: a fourth equal to the third leaves the merkle root as it is.
    let block = real(Network::Mainnet, 982_681);
    let (last, _) = *transactions(&block).last().unwrap();
    let mut raw = block.raw.clone();
    raw.extend_from_slice(&block.raw[last..]);
    raw[block.header_bytes] += 1;
    assert_eq!(check_body(block.network, &raw, block.height), Err(BodyReject::DuplicateLeaf));

    // Ten: the fifth pair is what gets repeated, one level up.
    let block = real(Network::Mainnet, 419_199);
    let (ninth, _) = transactions(&block)[8];
    let mut raw = block.raw.clone();
    raw.extend_from_slice(&block.raw[ninth..]);
    raw[block.header_bytes] += 2;
    assert_eq!(check_body(block.network, &raw, block.height), Err(BodyReject::DuplicateLeaf));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mangled_blocks_get_a_verdict_and_never_a_crash(
        which in 0usize..79,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        behind_header in any::<bool>(),
    ) {
        let line = include_str!("../data/blocks/INDEX.tsv").lines().nth(which + 1).unwrap();
        let block = read(line);
        let mut raw = block.raw.clone();
        let from = if behind_header { block.header_bytes } else { 0 };
        for (place, byte) in edits {
            let at = from + place.index(raw.len() - from);
            raw[at] = byte;
        }
        if let Some(place) = cut {
            raw.truncate(place.index(raw.len()));
            prop_assert!(check_body(block.network, &raw, block.height).is_err());
        }
        if let Ok(facts) = check_body(block.network, &raw, block.height) {
            prop_assert!(raw == block.raw || facts.auth_unverified || to_display(&facts.hash) != block.hash);
        }
    }
}
