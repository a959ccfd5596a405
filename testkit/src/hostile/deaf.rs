//! A socket that can be told to hear nothing more: whoever speaks to it waits for acknowledgements for ever.

use super::Trouble;
use quinn::{
    AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// A socket on this machine that still speaks when it hears nothing.
#[derive(Debug)]
pub(super) struct DeafSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    is_deaf: AtomicBool,
}

impl DeafSocket {
    /// Binds this address. It hears, for now.
    pub(super) fn bind(own: SocketAddr) -> Result<Arc<Self>, Trouble> {
        let socket = UdpSocket::bind(own).map_err(Trouble::of)?;
        let inner = TokioRuntime.wrap_udp_socket(socket).map_err(Trouble::of)?;
        Ok(Arc::new(Self { inner, is_deaf: AtomicBool::new(false) }))
    }

    /// From now on nothing is heard.
    pub(super) fn deafen(&self) {
        self.is_deaf.store(true, Ordering::Relaxed);
    }
}

impl AsyncUdpSocket for DeafSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let received = self.inner.poll_recv(cx, buffers, meta);
            if received.is_pending() || !self.is_deaf.load(Ordering::Relaxed) {
                return received;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }
}
