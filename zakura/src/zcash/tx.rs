//! A structural walk over one transaction of version 1 to 5: where its parts lie, with no look at curve points.

use super::reader::{Reader, WalkError};

/// The bit that marks a version of Overwinter and later.
const OVERWINTERED: u32 = 0x8000_0000;
/// Version group of version 3 (ZIP 202).
const GROUP_V3: u32 = 0x03c4_8270;
/// Version group of version 4 (ZIP 243).
const GROUP_V4: u32 = 0x892f_2085;
/// Version group of version 5 (ZIP 225).
const GROUP_V5: u32 = 0x26a7_270a;

/// The least bytes of a transaction: version, two counts, lock time. Bounds a block's count.
pub const MIN_TX_BYTES: usize = 10;
/// Bytes of an outpoint: the spent transaction's id and an index.
pub const OUTPOINT_BYTES: usize = 36;
/// The least bytes of an input: outpoint, script length, sequence.
const MIN_INPUT_BYTES: usize = OUTPOINT_BYTES + 1 + 4;
/// The least bytes of an output: value, script length.
const MIN_OUTPUT_BYTES: usize = 8 + 1;
/// A Sprout JoinSplit with a PHGR13 proof of 296 bytes (versions 2 and 3).
const JOINSPLIT_PHGR_BYTES: usize = 1802;
/// A Sprout JoinSplit with a Groth16 proof of 192 bytes (version 4).
const JOINSPLIT_GROTH_BYTES: usize = 1698;
/// The key and signature behind JoinSplits.
const JOINSPLIT_AUTH_BYTES: usize = 32 + 64;
/// A version 4 Sapling spend: value commitment, anchor, nullifier, key, proof, signature.
const SPEND_V4_BYTES: usize = 384;
/// A version 4 Sapling output: value commitment, note commitment, key, two ciphertexts, proof.
const OUTPUT_V4_BYTES: usize = 948;
/// A version 5 Sapling spend: value commitment, nullifier, key.
pub const SPEND_V5_BYTES: usize = 96;
/// A version 5 Sapling output: value commitment, note commitment, key, two ciphertexts.
pub const OUTPUT_V5_BYTES: usize = 756;
/// An Orchard action: value commitment, nullifier, key, note commitment, key, two ciphertexts.
pub const ACTION_BYTES: usize = 820;
/// A Groth16 proof.
const PROOF_BYTES: usize = 192;
/// A signature.
const SIGNATURE_BYTES: usize = 64;
/// A signed amount.
const AMOUNT_BYTES: usize = 8;
/// A root of a note commitment tree.
const ANCHOR_BYTES: usize = 32;

/// The format of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TxVersion {
    /// Transparent only.
    V1,
    /// With Sprout JoinSplits.
    V2,
    /// Overwinter: an expiry height.
    V3,
    /// Sapling.
    V4,
    /// NU5: Orchard; the id no longer covers the authorizing data.
    V5,
}

/// A run of transparent inputs or outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// How many.
    pub count: usize,
    /// Their bytes, without the count.
    pub bytes: &'a [u8],
}

/// A transparent input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// What it spends; all zeros and index 2^32 - 1 in a coinbase.
    pub outpoint: &'a [u8],
    /// The signature script; arbitrary bytes after the height in a coinbase.
    pub script: &'a [u8],
    /// The sequence number, as it stands.
    pub sequence: &'a [u8],
}

/// The parts of a version 5 transaction that its id covers beside the transparent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shielded<'a> {
    /// Sapling spends, [`SPEND_V5_BYTES`] each.
    pub spends: &'a [u8],
    /// Sapling outputs, [`OUTPUT_V5_BYTES`] each.
    pub outputs: &'a [u8],
    /// Sapling's value balance; empty without spends and outputs.
    pub sapling_balance: &'a [u8],
    /// The anchor of all spends; empty without spends.
    pub sapling_anchor: &'a [u8],
    /// Orchard actions, [`ACTION_BYTES`] each.
    pub actions: &'a [u8],
    /// Orchard's flags, value balance and anchor; empty without actions.
    pub orchard_fields: &'a [u8],
}

/// A walked transaction: slices of the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// All its bytes.
    pub raw: &'a [u8],
    /// Its format.
    pub version: TxVersion,
    /// The bytes before its inputs (version 5: version, group, branch id, lock time, expiry).
    pub head: &'a [u8],
    /// Transparent inputs.
    pub inputs: Run<'a>,
    /// Transparent outputs.
    pub outputs: Run<'a>,
    /// Present in version 5 only.
    pub shielded: Option<Shielded<'a>>,
}

impl<'a> Transaction<'a> {
    /// Walks the transaction at the reader's place and leaves the reader behind it.
    ///
    /// # Errors
    /// [`WalkError::Unsupported`] for an unknown format (a local limit), else what is malformed.
    pub fn walk(reader: &mut Reader<'a>) -> Result<Self, WalkError> {
        let start = reader.position();
        let version = version(reader)?;
        if version == TxVersion::V5 {
            reader.take(12, "branch id, lock time and expiry height")?;
        }
        let head = reader.since(start);
        let inputs = run(reader, MIN_INPUT_BYTES, "inputs", |reader| input(reader).map(drop))?;
        let outputs = run(reader, MIN_OUTPUT_BYTES, "outputs", |reader| {
            reader.take(AMOUNT_BYTES, "output value")?;
            reader.prefixed("output script").map(drop)
        })?;
        let mut shielded = None;
        match version {
            TxVersion::V1 | TxVersion::V2 => {
                reader.take(4, "lock time")?;
            }
            TxVersion::V3 | TxVersion::V4 => {
                reader.take(8, "lock time and expiry height")?;
            }
            TxVersion::V5 => shielded = Some(shielded_v5(reader)?),
        }
        match version {
            TxVersion::V1 | TxVersion::V5 => {}
            TxVersion::V2 | TxVersion::V3 => joinsplits(reader, JOINSPLIT_PHGR_BYTES)?,
            TxVersion::V4 => sapling_v4(reader)?,
        }
        Ok(Self { raw: reader.since(start), version, head, inputs, outputs, shielded })
    }

    /// The inputs in order.
    pub fn each_input(&self) -> impl Iterator<Item = Input<'a>> {
        let mut reader = Reader::new(self.inputs.bytes);
        // The walk has proved that they parse.
        (0..self.inputs.count).map_while(move |_| input(&mut reader).ok())
    }

    /// The script of the only input if that spends nothing, which makes this a coinbase.
    #[must_use]
    pub fn coinbase_script(&self) -> Option<&'a [u8]> {
        let only = self.each_input().next().filter(|_| self.inputs.count == 1)?;
        is_null(only.outpoint).then_some(only.script)
    }

    /// Whether any input spends nothing, as only a coinbase's does.
    #[must_use]
    pub fn has_null_input(&self) -> bool {
        self.each_input().any(|input| is_null(input.outpoint))
    }
}

fn is_null(outpoint: &[u8]) -> bool {
    outpoint
        .split_at_checked(32)
        .is_some_and(|(id, index)| id.iter().all(|byte| *byte == 0) && index.iter().all(|byte| *byte == 0xff))
}

fn version(reader: &mut Reader<'_>) -> Result<TxVersion, WalkError> {
    let version = reader.u32("transaction version")?;
    let group = if version & OVERWINTERED == 0 { 0 } else { reader.u32("version group id")? };
    match (version, group) {
        (1, _) => Ok(TxVersion::V1),
        (2, _) => Ok(TxVersion::V2),
        (0x8000_0003, GROUP_V3) => Ok(TxVersion::V3),
        (0x8000_0004, GROUP_V4) => Ok(TxVersion::V4),
        (0x8000_0005, GROUP_V5) => Ok(TxVersion::V5),
        _ => Err(WalkError::Unsupported { version, group }),
    }
}

fn run<'a>(
    reader: &mut Reader<'a>,
    least_bytes: usize,
    what: &'static str,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<(), WalkError>,
) -> Result<Run<'a>, WalkError> {
    let count = reader.count(least_bytes, what)?;
    let start = reader.position();
    for _ in 0..count {
        item(reader)?;
    }
    Ok(Run { count, bytes: reader.since(start) })
}

fn input<'a>(reader: &mut Reader<'a>) -> Result<Input<'a>, WalkError> {
    Ok(Input {
        outpoint: reader.take(OUTPOINT_BYTES, "outpoint")?,
        script: reader.prefixed("input script")?,
        sequence: reader.take(4, "sequence")?,
    })
}

fn joinsplits(reader: &mut Reader<'_>, size: usize) -> Result<(), WalkError> {
    let count = reader.count(size, "JoinSplits")?;
    reader.items(count, size, "JoinSplit")?;
    if count > 0 {
        reader.take(JOINSPLIT_AUTH_BYTES, "JoinSplit key and signature")?;
    }
    Ok(())
}

fn sapling_v4(reader: &mut Reader<'_>) -> Result<(), WalkError> {
    reader.take(AMOUNT_BYTES, "Sapling value balance")?;
    let spends = reader.count(SPEND_V4_BYTES, "Sapling spends")?;
    reader.items(spends, SPEND_V4_BYTES, "Sapling spend")?;
    let outputs = reader.count(OUTPUT_V4_BYTES, "Sapling outputs")?;
    reader.items(outputs, OUTPUT_V4_BYTES, "Sapling output")?;
    joinsplits(reader, JOINSPLIT_GROTH_BYTES)?;
    if spends > 0 || outputs > 0 {
        reader.take(SIGNATURE_BYTES, "Sapling binding signature")?;
    }
    Ok(())
}

fn shielded_v5<'a>(reader: &mut Reader<'a>) -> Result<Shielded<'a>, WalkError> {
    let spend_count = reader.count(SPEND_V5_BYTES, "Sapling spends")?;
    let spends = reader.items(spend_count, SPEND_V5_BYTES, "Sapling spend")?;
    let output_count = reader.count(OUTPUT_V5_BYTES, "Sapling outputs")?;
    let outputs = reader.items(output_count, OUTPUT_V5_BYTES, "Sapling output")?;
    let sapling = spend_count > 0 || output_count > 0;
    let balance = if sapling { AMOUNT_BYTES } else { 0 };
    let sapling_balance = reader.take(balance, "Sapling value balance")?;
    let anchor = if spend_count > 0 { ANCHOR_BYTES } else { 0 };
    let sapling_anchor = reader.take(anchor, "Sapling anchor")?;
    reader.items(spend_count, PROOF_BYTES + SIGNATURE_BYTES, "Sapling spend proofs and signatures")?;
    reader.items(output_count, PROOF_BYTES, "Sapling output proofs")?;
    if sapling {
        reader.take(SIGNATURE_BYTES, "Sapling binding signature")?;
    }

    let action_count = reader.count(ACTION_BYTES, "Orchard actions")?;
    let actions = reader.items(action_count, ACTION_BYTES, "Orchard action")?;
    let mut orchard_fields: &[u8] = &[];
    if action_count > 0 {
        orchard_fields = reader.take(1 + AMOUNT_BYTES + ANCHOR_BYTES, "Orchard flags, balance and anchor")?;
        reader.prefixed("Orchard proofs")?;
        reader.items(action_count, SIGNATURE_BYTES, "Orchard signatures")?;
        reader.take(SIGNATURE_BYTES, "Orchard binding signature")?;
    }
    Ok(Shielded { spends, outputs, sapling_balance, sapling_anchor, actions, orchard_fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(raw: &[u8]) -> Result<Transaction<'_>, WalkError> {
        Transaction::walk(&mut Reader::new(raw))
    }

    #[test]
    fn unknown_formats_are_unsupported_not_malformed() {
        for (version, group) in [
            (0_u32, 0_u32),
            (3, 0),
            (0x7fff_ffff, 0),
            (0x8000_0001, 0),
            (0x8000_0003, GROUP_V4),
            (0x8000_0006, 0xffff_ffff),
        ] {
            let mut raw = version.to_le_bytes().to_vec();
            if version & OVERWINTERED != 0 {
                raw.extend_from_slice(&group.to_le_bytes());
            }
            assert_eq!(walk(&raw), Err(WalkError::Unsupported { version, group }));
        }
    }

    #[test]
    fn the_smallest_transactions_of_each_version_walk_to_their_end() {
        let head = |version: u32, group: u32| [version.to_le_bytes(), group.to_le_bytes()].concat();
        let mut v5 = head(0x8000_0005, GROUP_V5);
        v5.extend_from_slice(&[0; 12 + 5]);
        let smallest = [
            (TxVersion::V1, [&1_u32.to_le_bytes()[..], &[0; 6]].concat()),
            (TxVersion::V2, [&2_u32.to_le_bytes()[..], &[0; 7]].concat()),
            (TxVersion::V3, [head(0x8000_0003, GROUP_V3), vec![0; 2 + 8 + 1]].concat()),
            (TxVersion::V4, [head(0x8000_0004, GROUP_V4), vec![0; 2 + 8 + 8 + 3]].concat()),
            (TxVersion::V5, v5),
        ];
        assert_eq!(smallest[0].1.len(), MIN_TX_BYTES);
        for (version, raw) in smallest {
            let tx = walk(&raw).unwrap();
            assert_eq!((tx.version, tx.raw.len()), (version, raw.len()));
            assert!(!tx.has_null_input() && tx.coinbase_script().is_none());
            for cut in 0..raw.len() {
                assert!(walk(&raw[..cut]).is_err(), "{version:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_count_without_its_items_is_refused_at_once() {
        let mut raw = 1_u32.to_le_bytes().to_vec();
        raw.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0x7f]);
        raw.resize(10_000, 0);
        assert_eq!(walk(&raw), Err(WalkError::Count { what: "inputs", at: 4, count: 0x7fff_ffff }));
    }
}
