//! The task that lets datagrams arrive.

use super::switch::Switch;
use tokio::time::sleep_until;

/// Delivers what is due, for ever. Timers tick in milliseconds: what is due within one tick arrives together, in order,
/// each under its own exact time.
pub(super) async fn pump(switch: Switch) {
    let earlier = switch.earlier();
    loop {
        match switch.advance() {
            None => earlier.notified().await,
            Some(next) => tokio::select! {
                biased;
                () = earlier.notified() => {}
                () = sleep_until(next) => {}
            },
        }
    }
}
