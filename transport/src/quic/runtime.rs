//! QUIC's tasks and timers on the node's own: tasks through the spawner, time from tokio.

use crate::{Cancel, Spawner};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Instant};

pub(super) struct NodeRuntime {
    pub(super) spawner: Spawner,
    /// Ends QUIC's tasks where they are.
    pub(super) halt: Cancel,
}

impl fmt::Debug for NodeRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeRuntime")
    }
}

impl Runtime for NodeRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let halt = self.halt.clone();
        self.spawner.spawn("quic", async move {
            tokio::select! {
                biased;
                () = halt.cancelled() => {}
                () = future => {}
            }
        });
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
