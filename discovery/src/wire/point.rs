//! Identities that are keys.

use ed25519_zebra::VerificationKey;
use zakura_transport::{PeerId, wire::Malformed};

/// The key behind an identity. Any encoding of a curve point is one, as ZIP-215 has it.
pub(super) fn key(id: PeerId) -> Option<VerificationKey> {
    VerificationKey::try_from(*id.as_bytes()).ok()
}

/// The identity with these bytes, if a key is behind it.
pub(super) fn identity(what: &'static str, bytes: [u8; 32]) -> Result<PeerId, Malformed> {
    let id = PeerId::new(bytes);
    match key(id) {
        Some(_) => Ok(id),
        None => Err(Malformed::new(what, "is no curve point")),
    }
}
