//! Cooperative cancellation.

use tokio_util::sync::CancellationToken;

/// Asks a task to end. Clones share one state; children are cancelled with their parent and not the other way.
#[derive(Debug, Clone, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// A fresh root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A child, cancelled with this one or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Asks every holder to end. Idempotent.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the end is asked for; at once if it was. Cancel-safe.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}
