//! A path with a delay, through the kernel: datagrams that come in on one side leave on the other a while later.

use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep_until},
};

/// Datagrams under way in one direction, at most; more are lost, as any path loses them.
const UNDER_WAY: usize = 65_536;

/// Passes datagrams between whoever writes to `near` and the node at `far`, each `delay` late, for ever.
///
/// # Errors
///
/// What the operating system says of the sockets.
pub async fn relay(
    near: SocketAddr,
    own_far: SocketAddr,
    far: SocketAddr,
    delay: Duration,
) -> io::Result<()> {
    let (near, out) = (UdpSocket::bind(near).await?, UdpSocket::bind(own_far).await?);
    let (mut there, mut back) = (Line::new(delay), Line::new(delay));
    let mut caller = None;
    let (mut from_near, mut from_far) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            () = there.due() => out.send_to(&there.take(), far).await.map(drop)?,
            () = back.due() => {
                let datagram = back.take();
                if let Some(caller) = caller {
                    near.send_to(&datagram, caller).await?;
                }
            }
            came = near.recv_from(&mut from_near) => {
                let (length, from) = came?;
                caller = Some(from);
                there.put(from_near.get(..length).unwrap_or_default());
            }
            came = out.recv_from(&mut from_far) => {
                let (length, _) = came?;
                back.put(from_far.get(..length).unwrap_or_default());
            }
        }
    }
}

/// Datagrams under way in one direction.
struct Line {
    delay: Duration,
    waiting: VecDeque<(Instant, Vec<u8>)>,
}

impl Line {
    const fn new(delay: Duration) -> Self {
        Self { delay, waiting: VecDeque::new() }
    }

    fn put(&mut self, datagram: &[u8]) {
        if self.waiting.len() < UNDER_WAY {
            self.waiting.push_back((Instant::now() + self.delay, datagram.to_vec()));
        }
    }

    /// Waits until the first one is due; for ever if there is none.
    async fn due(&self) {
        match self.waiting.front() {
            Some((at, _)) => sleep_until(*at).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.waiting.pop_front().map(|(_, datagram)| datagram).unwrap_or_default()
    }
}
