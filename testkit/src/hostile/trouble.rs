//! What keeps an act from going on, in words.

use std::{fmt, future::Future, time::Duration};
use tokio::time::timeout;

/// How long anything may take that should take a moment. Longer than every deadline of a node that an act waits for.
const PATIENCE: Duration = Duration::from_secs(25);

/// Something went another way than the script says: what was expected, and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

impl Trouble {
    /// From anything that can be said.
    pub fn of(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Waits for something, but not for ever.
///
/// # Errors
///
/// What was waited for.
pub async fn soon<T>(what: &str, thing: impl Future<Output = T>) -> Result<T, Trouble> {
    timeout(PATIENCE, thing).await.map_err(|_| Trouble(format!("waited {PATIENCE:?} for {what}")))
}
