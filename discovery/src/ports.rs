//! What discovery asks of the node around it.

use crate::wire::Summary;
use std::time::Duration;

/// The node around discovery. Asked about once a second, from the reactor's task: answers come from memory, at once.
pub trait Surroundings: Send + Sync + 'static {
    /// The time since the Unix epoch, by the wall clock: for the expiry and the sequence of records.
    fn since_epoch(&self) -> Duration;

    /// What the other services have, for whoever asks. Discovery adds its own.
    fn summaries(&self) -> Vec<Summary>;
}
