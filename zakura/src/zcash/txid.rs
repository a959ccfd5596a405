//! Transaction ids: double SHA-256 of everything up to version 4, the tree of ZIP 244 for version 5.

use blake2b_simd::{Params, State};

use super::{
    hash::sha256d,
    tx::{ACTION_BYTES, OUTPUT_V5_BYTES, SPEND_V5_BYTES, Shielded, Transaction},
};

/// Bytes of a note ciphertext that a light wallet needs; then comes the memo.
const COMPACT_BYTES: usize = 52;
/// Bytes of a memo within a note ciphertext.
const MEMO_BYTES: usize = 512;
/// Where the branch id stands in the head of a version 5 transaction.
const BRANCH_ID_AT: std::ops::Range<usize> = 8..12;

impl Transaction<'_> {
    /// The transaction's id, internal order.
    ///
    /// Of a version 5 transaction it covers the effects only: scripts, proofs and signatures may differ.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        let Some(shielded) = &self.shielded else { return sha256d(&[self.raw]) };
        let mut personal = *b"ZcashTxHash_\0\0\0\0";
        for (slot, byte) in personal[12..].iter_mut().zip(self.head.get(BRANCH_ID_AT).unwrap_or_default()) {
            *slot = *byte;
        }
        let mut head = hasher(b"ZTxIdHeadersHash");
        head.update(self.head);
        let mut root = hasher(&personal);
        root.update(&digest(&head));
        root.update(&transparent(self));
        root.update(&sapling(shielded));
        root.update(&orchard(shielded));
        digest(&root)
    }

    /// Whether the id covers every byte.
    #[must_use]
    pub fn id_covers_all(&self) -> bool {
        self.shielded.is_none()
    }
}

fn hasher(personal: &[u8; 16]) -> State {
    Params::new().hash_length(32).personal(personal).to_state()
}

fn digest(state: &State) -> [u8; 32] {
    let mut out = [0; 32];
    for (slot, byte) in out.iter_mut().zip(state.finalize().as_bytes()) {
        *slot = *byte;
    }
    out
}

fn transparent(tx: &Transaction<'_>) -> [u8; 32] {
    let mut all = hasher(b"ZTxIdTranspaHash");
    if tx.inputs.count > 0 || tx.outputs.count > 0 {
        let mut prevouts = hasher(b"ZTxIdPrevoutHash");
        let mut sequences = hasher(b"ZTxIdSequencHash");
        for input in tx.each_input() {
            prevouts.update(input.outpoint);
            sequences.update(input.sequence);
        }
        let mut outputs = hasher(b"ZTxIdOutputsHash");
        outputs.update(tx.outputs.bytes);
        for part in [prevouts, sequences, outputs] {
            all.update(&digest(&part));
        }
    }
    digest(&all)
}

fn sapling(parts: &Shielded<'_>) -> [u8; 32] {
    let mut all = hasher(b"ZTxIdSaplingHash");
    if !parts.spends.is_empty() || !parts.outputs.is_empty() {
        all.update(&sapling_spends(parts));
        all.update(&sapling_outputs(parts));
        all.update(parts.sapling_balance);
    }
    digest(&all)
}

fn sapling_spends(parts: &Shielded<'_>) -> [u8; 32] {
    let mut all = hasher(b"ZTxIdSSpendsHash");
    if !parts.spends.is_empty() {
        let mut compact = hasher(b"ZTxIdSSpendCHash");
        let mut rest = hasher(b"ZTxIdSSpendNHash");
        for spend in parts.spends.chunks_exact(SPEND_V5_BYTES) {
            let [value, nullifier, key] = cut(spend, [32, 32]);
            compact.update(nullifier);
            rest.update(value);
            rest.update(parts.sapling_anchor);
            rest.update(key);
        }
        all.update(&digest(&compact));
        all.update(&digest(&rest));
    }
    digest(&all)
}

fn sapling_outputs(parts: &Shielded<'_>) -> [u8; 32] {
    let mut all = hasher(b"ZTxIdSOutputHash");
    if !parts.outputs.is_empty() {
        let mut compact = hasher(b"ZTxIdSOutC__Hash");
        let mut memos = hasher(b"ZTxIdSOutM__Hash");
        let mut rest = hasher(b"ZTxIdSOutN__Hash");
        for output in parts.outputs.chunks_exact(OUTPUT_V5_BYTES) {
            // The note commitment, the ephemeral key and the ciphertext's start are neighbours.
            let [value, light, memo, sealed] = cut(output, [32, 32 + 32 + COMPACT_BYTES, MEMO_BYTES]);
            compact.update(light);
            memos.update(memo);
            rest.update(value);
            rest.update(sealed);
        }
        for part in [compact, memos, rest] {
            all.update(&digest(&part));
        }
    }
    digest(&all)
}

fn orchard(parts: &Shielded<'_>) -> [u8; 32] {
    let mut all = hasher(b"ZTxIdOrchardHash");
    if !parts.actions.is_empty() {
        let mut compact = hasher(b"ZTxIdOrcActCHash");
        let mut memos = hasher(b"ZTxIdOrcActMHash");
        let mut rest = hasher(b"ZTxIdOrcActNHash");
        for action in parts.actions.chunks_exact(ACTION_BYTES) {
            let [value, nullifier, key, light, memo, sealed] =
                cut(action, [32, 32, 32, 32 + 32 + COMPACT_BYTES, MEMO_BYTES]);
            compact.update(nullifier);
            compact.update(light);
            memos.update(memo);
            rest.update(value);
            rest.update(key);
            rest.update(sealed);
        }
        for part in [compact, memos, rest] {
            all.update(&digest(&part));
        }
        all.update(parts.orchard_fields);
    }
    digest(&all)
}

/// Cuts fields of these sizes off a description; the last part is what remains.
fn cut<const FIELDS: usize, const PARTS: usize>(mut item: &[u8], sizes: [usize; FIELDS]) -> [&[u8]; PARTS] {
    const { assert!(PARTS == FIELDS + 1, "every field and the rest") };
    let mut parts: [&[u8]; PARTS] = [&[]; PARTS];
    for (part, size) in parts.iter_mut().zip(sizes) {
        (*part, item) = item.split_at_checked(size).unwrap_or((item, &[]));
    }
    if let Some(last) = parts.last_mut() {
        *last = item;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zcash::reader::Reader;

    #[test]
    fn only_the_effects_of_version_5_reach_its_id() {
        // Nothing but one transparent input and output: the script does not count, the outpoint does.
        let mut raw = [0x8000_0005_u32.to_le_bytes(), 0x26a7_270a_u32.to_le_bytes()].concat();
        raw.extend_from_slice(&[0; 12]);
        let script = raw.len() + 1 + 36 + 1;
        raw.push(1);
        raw.extend_from_slice(&[7; 36]);
        raw.extend_from_slice(&[2, 0xaa, 0xbb, 0, 0, 0, 0]);
        raw.extend_from_slice(&[1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x6a]);
        raw.extend_from_slice(&[0; 3]);
        let id = |raw: &[u8]| Transaction::walk(&mut Reader::new(raw)).unwrap().id();
        let whole = id(&raw);
        for at in 8..raw.len() {
            let mut flipped = raw.clone();
            flipped[at] ^= 1;
            let Ok(tx) = Transaction::walk(&mut Reader::new(&flipped)) else { continue };
            assert_eq!(tx.id() == whole, (script..script + 2).contains(&at), "byte {at}");
            assert!(!tx.id_covers_all());
        }
    }

    #[test]
    fn cutting_keeps_every_byte_in_order() {
        let [a, b, rest] = cut(&[1, 2, 3, 4, 5, 6], [1, 2]);
        assert_eq!((a, b, rest), (&[1][..], &[2, 3][..], &[4, 5, 6][..]));
    }
}
