//! A network in memory, for runs in virtual time: datagrams arrive at once, in order, until a cable is cut.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use zakura_transport::DatagramSocket;

/// Whether a datagram from there arrives. It must not call the network.
pub type Gate = Box<dyn FnMut(&[u8], SocketAddr) -> bool + Send>;

/// What arrives in a datagram's place, in this order. It must not call the network.
pub type Middle = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>> + Send>;

#[derive(Default)]
struct Inbox {
    datagrams: VecDeque<(Vec<u8>, SocketAddr)>,
    reader: Option<Waker>,
    failure: Option<io::ErrorKind>,
    /// Datagrams that still arrive; then the cable is dead.
    left: Option<usize>,
    gate: Option<Gate>,
    middle: Option<Middle>,
}

#[derive(Clone, Default)]
pub struct Net(Arc<Mutex<BTreeMap<SocketAddr, Inbox>>>);

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

impl Net {
    pub fn socket(&self, addr: SocketAddr) -> Arc<dyn DatagramSocket> {
        self.0.lock().insert(addr, Inbox::default());
        Arc::new(Port { net: self.clone(), addr })
    }

    /// The next read at this address fails with this error, once.
    pub fn fail(&self, addr: SocketAddr, error: io::ErrorKind) {
        let mut inboxes = self.0.lock();
        let inbox = inboxes.get_mut(&addr).unwrap();
        inbox.failure = Some(error);
        if let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
    }

    /// Asks the gate about every datagram to this address.
    pub fn gate(&self, addr: SocketAddr, gate: impl FnMut(&[u8], SocketAddr) -> bool + Send + 'static) {
        self.0.lock().get_mut(&addr).unwrap().gate = Some(Box::new(gate));
    }

    /// Gives every datagram to this address to somebody in the middle.
    pub fn middle(&self, addr: SocketAddr, middle: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) {
        self.0.lock().get_mut(&addr).unwrap().middle = Some(Box::new(middle));
    }

    /// After this many datagrams nothing arrives at this address any more.
    pub fn cut_after(&self, addr: SocketAddr, datagrams: usize) {
        self.0.lock().get_mut(&addr).unwrap().left = Some(datagrams);
    }
}

#[derive(Debug)]
struct Port {
    net: Net,
    addr: SocketAddr,
}

impl DatagramSocket for Port {
    fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        if let Some(inbox) = self.net.0.lock().get_mut(&to) {
            match &mut inbox.left {
                Some(0) => return Ok(()),
                Some(left) => *left -= 1,
                None => {}
            }
            if inbox.gate.as_mut().is_some_and(|gate| !gate(datagram, self.addr)) {
                return Ok(());
            }
            let arriving = match &mut inbox.middle {
                Some(middle) => middle(datagram.to_vec()),
                None => vec![datagram.to_vec()],
            };
            inbox.datagrams.extend(arriving.into_iter().map(|datagram| (datagram, self.addr)));
            if let Some(reader) = inbox.reader.take() {
                reader.wake();
            }
        }
        Ok(())
    }

    fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut inboxes = self.net.0.lock();
        let Some(inbox) = inboxes.get_mut(&self.addr) else { return Poll::Pending };
        if let Some(error) = inbox.failure.take() {
            return Poll::Ready(Err(error.into()));
        }
        match inbox.datagrams.pop_front() {
            Some((datagram, from)) => {
                buffer[..datagram.len()].copy_from_slice(&datagram);
                Poll::Ready(Ok((datagram.len(), from)))
            }
            None => {
                inbox.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}
