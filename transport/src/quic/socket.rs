//! Where datagrams come from and go to: the system's UDP, or a socket of the embedder's.

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A source and sink of datagrams that a test or a simulator puts in the place of UDP.
///
/// It is a network, not a pipe: it may lose, delay, reorder and repeat datagrams, and it drops what it has no room
/// for. All methods are called from one node's tasks and must not block.
pub trait DatagramSocket: fmt::Debug + Send + Sync + 'static {
    /// Sends one datagram to `to`, or loses it.
    ///
    /// # Errors
    ///
    /// An error of the socket itself ends the node's endpoint; a datagram that cannot be sent is simply lost.
    fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;

    /// The next datagram: writes it to `buffer` and gives its length and where it came from, or registers the task to
    /// be woken. A datagram longer than the buffer is lost. Only one task ever waits.
    ///
    /// # Errors
    ///
    /// An error of the socket itself; it ends the node's endpoint.
    fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;

    /// The address that peers see.
    ///
    /// # Errors
    ///
    /// An error of the socket itself.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Lets QUIC use a [`DatagramSocket`].
#[derive(Debug)]
pub(super) struct SocketAdapter(pub(super) Arc<dyn DatagramSocket>);

impl AsyncUdpSocket for SocketAdapter {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        transmit.contents.chunks(segment).try_for_each(|datagram| self.0.send(transmit.destination, datagram))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut received = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            match self.0.poll_receive(cx, buffer) {
                Poll::Ready(Ok((length, from))) => {
                    *meta = RecvMeta { addr: from, len: length, stride: length, ecn: None, dst_ip: None };
                    received += 1;
                }
                Poll::Ready(Err(error)) if received == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if received == 0 => return Poll::Pending,
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
