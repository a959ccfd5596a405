//! Double SHA-256 and the two ways a hash is written.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

/// SHA-256 of SHA-256 of the parts in sequence, in internal byte order.
#[must_use]
pub fn sha256d(parts: &[&[u8]]) -> [u8; 32] {
    let mut inner = Sha256::new();
    for part in parts {
        inner.update(part);
    }
    Sha256::digest(inner.finalize()).into()
}

/// The hash as people read it: reversed, lower-case hex.
#[must_use]
pub fn to_display(hash: &[u8; 32]) -> String {
    let mut reversed = *hash;
    reversed.reverse();
    HEXLOWER.encode(&reversed)
}

/// The hash from 64 hex digits as people read them, in internal byte order; `None` if it is anything else.
#[must_use]
pub fn from_display(text: &str) -> Option<[u8; 32]> {
    let mut hash: [u8; 32] = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()?;
    hash.reverse();
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_double_hash_of_nothing_is_the_published_one() {
        let text = "56944c5d3f98413ef45cf54545538103cc9f298e0575820ad3591376e2e0f65d";
        assert_eq!(to_display(&sha256d(&[])), text);
        assert_eq!(sha256d(&[b"ab", b"c"]), sha256d(&[b"abc"]));
    }

    #[test]
    fn a_displayed_hash_reads_back() {
        let hash = sha256d(&[b"zakura"]);
        assert_eq!(from_display(&to_display(&hash)), Some(hash));
        assert_eq!(from_display(&to_display(&hash).to_uppercase()), Some(hash));
        assert_eq!(from_display(""), None);
        assert_eq!(from_display(&to_display(&hash)[2..]), None);
    }
}
