//! The task that sends what is due without QUIC's asking: heartbeats, and what the socket did not take at once.

use crate::quic::socket::DiscoSocket;
use std::sync::{Arc, Weak};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Runs until the socket is gone. Holds only a weak reference: the port must be free as soon as QUIC has let go of it.
pub(in crate::quic) async fn beat(socket: Weak<DiscoSocket>, wake: Arc<Notify>) {
    loop {
        let Some(next) = socket.upgrade().map(|socket| socket.beat()) else { return };
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = sleep_until(Instant::from_std(next)) => {}
        }
    }
}
