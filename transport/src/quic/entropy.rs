//! The one place where randomness enters the node from outside: keys, nonces, connection ids.

use ring::rand::{SecureRandom, SystemRandom};

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub(crate) struct NoEntropy;

/// Fresh random bytes from the operating system.
pub(crate) fn fresh_bytes() -> Result<[u8; 32], NoEntropy> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}
