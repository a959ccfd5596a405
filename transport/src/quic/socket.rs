//! Where datagrams come from and go to: the system's UDP, or a socket of the embedder's; and disco beside QUIC on it.

use super::disco::{Due, Envelope, Keys, Message, Path, Refused, State, Ticket, beat, is_disco};
use crate::{PeerId, observe::target};
use parking_lot::Mutex;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use rand_chacha::ChaCha20Rng;
use std::{
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Pause before a datagram of ours is offered again to a socket that was full.
const RETRY: Duration = Duration::from_millis(10);
/// Pause of the heartbeat's task while nothing is due; it is woken when something is.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

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

/// A socket with disco on it: takes disco's datagrams out of QUIC's way, and says who we are before each Initial of a
/// dial.
///
/// The lock is the outbox and what is known about neighbours. It is never held while a datagram is sealed, opened or
/// sent.
pub(super) struct DiscoSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    keys: Keys,
    state: Mutex<State>,
    wake: Arc<Notify>,
}

impl DiscoSocket {
    /// Puts disco on a socket. Nonces grow from `rng`.
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, keys: Keys, rng: ChaCha20Rng) -> Arc<Self> {
        let state = Mutex::new(State::new(rng, now()));
        Arc::new(Self { inner, keys, state, wake: Arc::new(Notify::new()) })
    }

    /// What must run beside the socket; it ends with it.
    pub(super) fn beating(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        beat(Arc::downgrade(self), Arc::clone(&self.wake))
    }

    /// Pings `peer` before every Initial to `addr`, while the guard lives.
    pub(super) fn dialling(self: &Arc<Self>, peer: PeerId, addr: SocketAddr) -> Neighbourhood {
        let pair = self.keys.pair(peer);
        if pair.is_none() {
            tracing::debug!(target: target::ENDPOINT, peer = %peer.short(), "dialled without a ping: the id is no key");
        }
        let ticket = pair.and_then(|pair| self.state.lock().dialling(peer, addr, pair, now()));
        Neighbourhood { socket: Arc::downgrade(self), ticket }
    }

    /// Pings a connected peer that speaks disco, while the guard lives.
    pub(super) fn connected(self: &Arc<Self>, peer: PeerId, path: Path) -> Neighbourhood {
        let ticket = self.state.lock().connected(peer, path, now());
        // It may have spoken already.
        self.wake.notify_one();
        Neighbourhood { socket: Arc::downgrade(self), ticket }
    }

    /// Sends what is due, and says when to look again.
    pub(super) fn beat(&self) -> Instant {
        let now = now();
        let parked = self.state.lock().unpark();
        for (to, datagram) in parked {
            self.send_or_park(to, datagram);
        }
        let (due, next) = self.state.lock().beats(now);
        for ping in &due {
            if let Some(datagram) = self.keys.seal(&ping.pair, ping.message, ping.nonce) {
                self.send_or_park(ping.to, datagram);
            }
        }
        let state = self.state.lock();
        let retry = state.is_parked().then(|| now + RETRY);
        next.into_iter().chain(retry).fold(now + NOTHING_DUE, Instant::min)
    }

    /// Sends a datagram, or keeps it for the next beat: then false.
    fn send_or_park(&self, to: Path, datagram: Vec<u8>) -> bool {
        let is_full = would_block(&self.send(to, &datagram));
        if is_full {
            self.state.lock().park(to, datagram);
        }
        !is_full
    }

    fn send(&self, to: Path, datagram: &[u8]) -> io::Result<()> {
        self.inner.try_send(&Transmit {
            destination: to.remote,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: to.local,
        })
    }

    /// Pings whoever is dialled at an Initial's address. While the socket is full the Initial waits, too: the ping comes
    /// first.
    fn announce(&self, to: Path) -> io::Result<()> {
        let due = self.state.lock().announce(to);
        for Due { to, pair, message, nonce } in due {
            let Some(datagram) = self.keys.seal(&pair, message, nonce) else { continue };
            let sent = self.send(to, &datagram);
            if would_block(&sent) {
                return sent;
            }
        }
        Ok(())
    }

    /// Takes the disco datagrams out of what one receive gave.
    fn sift(&self, received: &mut [u8], meta: &RecvMeta) {
        let from = Path { remote: meta.addr, local: meta.dst_ip };
        for datagram in received.chunks_mut(meta.stride.max(1)).filter(|datagram| is_disco(datagram)) {
            if let Err(why) = self.hear(from, datagram) {
                tracing::trace!(target: target::ENDPOINT, from = %from.remote, ?why, "disco datagram ignored");
                self.state.lock().refused(why);
            }
            // Without QUIC's fixed bit it is no packet, and QUIC ignores it (wire 1.6).
            if let Some(first) = datagram.first_mut() {
                *first = 0;
            }
        }
    }

    /// Answers a ping. The cheap questions come first.
    fn hear(&self, from: Path, datagram: &[u8]) -> Result<(), Refused> {
        let envelope = Envelope::parse(datagram)?;
        let (sender, now) = (envelope.sender, now());
        if sender == self.keys.id() {
            return Err(Refused::Ourselves);
        }
        let known = self.state.lock().admit(from.remote, sender, now)?;
        let pair = known.or_else(|| self.keys.pair(sender)).ok_or(Refused::NoKey)?;
        match envelope.open(&pair)? {
            Message::Ping(tx) => {
                let heard = self.state.lock().heard_ping(sender, pair.clone(), now);
                let pong = self.keys.seal(&pair, Message::Pong(tx, from.remote), heard.nonce);
                let is_sent = pong.is_none_or(|pong| self.send_or_park(from, pong));
                if heard.begins || !is_sent {
                    self.wake.notify_one();
                }
            }
            Message::Pong(tx, _) => self.state.lock().heard_pong(sender, tx, now),
        }
        Ok(())
    }
}

impl Drop for DiscoSocket {
    fn drop(&mut self) {
        tracing::debug!(target: target::ENDPOINT, counters = ?self.state.lock().counters(), "disco is over");
        self.wake.notify_one();
    }
}

impl fmt::Debug for DiscoSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DiscoSocket").field(&self.inner).finish()
    }
}

impl AsyncUdpSocket for DiscoSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if is_initial(transmit.contents) {
            self.announce(Path { remote: transmit.destination, local: transmit.src_ip })?;
        }
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.inner.poll_recv(cx, buffers, metas);
        if let Poll::Ready(Ok(received)) = polled {
            for (buffer, meta) in buffers.iter_mut().zip(metas).take(received) {
                let length = meta.len.min(buffer.len());
                self.sift(&mut buffer[..length], meta);
            }
        }
        polled
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

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// A dial or a connection that disco looks after, until this is dropped.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    socket: Weak<DiscoSocket>,
    ticket: Option<Ticket>,
}

impl Drop for Neighbourhood {
    fn drop(&mut self) {
        if let (Some(ticket), Some(socket)) = (self.ticket, self.socket.upgrade()) {
            socket.state.lock().forget(ticket);
        }
    }
}

/// Whether a transmission begins with an Initial of QUIC version 1 (RFC 9000, 17.2.2). Nothing but the header's
/// protected bits differs between them.
fn is_initial(contents: &[u8]) -> bool {
    contents.first().is_some_and(|first| first & 0xf0 == 0xc0)
}

fn would_block(sent: &io::Result<()>) -> bool {
    sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Spawner};
    use rand_core::SeedableRng;
    use std::collections::VecDeque;

    /// A socket whose traffic the test writes and reads.
    #[derive(Debug, Default)]
    struct Script {
        /// What a receive gives: the bytes, and the stride.
        arriving: Mutex<VecDeque<(Vec<u8>, usize)>>,
        sent: Mutex<Vec<(SocketAddr, Vec<u8>)>>,
        is_full: Mutex<bool>,
    }

    impl AsyncUdpSocket for Script {
        fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
            Box::pin(AlwaysWritable)
        }

        fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
            if *self.is_full.lock() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.sent.lock().push((transmit.destination, transmit.contents.to_vec()));
            Ok(())
        }

        fn poll_recv(
            &self,
            _cx: &mut Context<'_>,
            buffers: &mut [IoSliceMut<'_>],
            metas: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            let Some((bytes, stride)) = self.arriving.lock().pop_front() else { return Poll::Pending };
            buffers[0][..bytes.len()].copy_from_slice(&bytes);
            metas[0] = RecvMeta { addr: there(), len: bytes.len(), stride, ecn: None, dst_ip: None };
            Poll::Ready(Ok(1))
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(SocketAddr::from(([10, 0, 0, 1], 8234)))
        }
    }

    fn there() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], 8234))
    }

    fn keys(seed: u8) -> Keys {
        Keys::new(&Identity::from_seed([seed; 32]).unwrap())
    }

    fn ping(tx: u8) -> Vec<u8> {
        let (us, them) = (keys(1), keys(2));
        them.seal(&them.pair(us.id()).unwrap(), Message::Ping([tx; 12]), [tx; 24]).unwrap()
    }

    fn read(to: &Keys, datagram: &[u8]) -> Message {
        let envelope = Envelope::parse(datagram).unwrap();
        envelope.open(&to.pair(envelope.sender).unwrap()).unwrap()
    }

    fn socket() -> (Arc<Script>, Arc<DiscoSocket>) {
        let script = Arc::new(Script::default());
        let inner = Arc::<Script>::clone(&script);
        (script, DiscoSocket::new(inner, keys(1), ChaCha20Rng::from_seed([0; 32])))
    }

    /// What QUIC sees of one receive.
    fn receive(socket: &DiscoSocket) -> (Vec<u8>, RecvMeta) {
        let (mut bytes, mut metas) = (vec![0xee; 4096], [RecvMeta::default()]);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(socket.poll_recv(&mut cx, &mut buffers, &mut metas), Poll::Ready(Ok(1))));
        bytes.truncate(metas[0].len);
        (bytes, metas[0])
    }

    fn transmit(contents: &[u8]) -> Transmit<'_> {
        Transmit { destination: there(), ecn: None, contents, segment_size: None, src_ip: None }
    }

    #[tokio::test(start_paused = true)]
    async fn disco_in_the_middle_of_a_batch_is_taken_out_and_answered() {
        let (script, socket) = socket();
        // Segments of one stride, the last one shorter: QUIC, two of disco's, QUIC.
        let batch = [vec![0x54; 124], ping(1), ping(2), vec![0x53; 60]].concat();
        script.arriving.lock().push_back((batch.clone(), 124));
        let (seen, meta) = receive(&socket);
        assert_eq!((seen.len(), meta.stride), (batch.len(), 124));
        let mut expected = batch;
        (expected[124], expected[248]) = (0, 0);
        assert_eq!(seen, expected, "QUIC's own segments are not touched");
        let sent = script.sent.lock();
        assert_eq!(sent.len(), 2);
        for ((to, pong), tx) in sent.iter().zip([1, 2]) {
            assert_eq!(*to, there());
            assert!(pong.len() <= 124, "never more than came");
            assert_eq!(read(&keys(2), pong), Message::Pong([tx; 12], there()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn garbage_with_the_magic_is_taken_out_and_not_answered() {
        let (script, socket) = socket();
        let us = keys(1);
        let own = us.seal(&us.pair(keys(2).id()).unwrap(), Message::Ping([1; 12]), [1; 24]).unwrap();
        let mut no_key = ping(1);
        no_key[6..38].fill(2);
        let mut damaged = ping(1);
        damaged[60] ^= 1;
        let short = ping(1)[..70].to_vec();
        for garbage in [own, no_key, damaged, short, ping(1)[..6].to_vec()] {
            script.arriving.lock().push_back((garbage.clone(), garbage.len()));
            assert_eq!(receive(&socket).0[0], 0);
        }
        assert_eq!(script.sent.lock().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_goes_out_before_every_initial_of_a_dial() {
        let (script, socket) = socket();
        let (initial, short) = (vec![0xc7; 1200], vec![0x47; 50]);
        let dial = socket.dialling(keys(2).id(), there());
        *script.is_full.lock() = true;
        assert!(would_block(&socket.try_send(&transmit(&initial))), "the Initial waits for its ping");
        *script.is_full.lock() = false;
        for contents in [&initial, &initial, &short] {
            socket.try_send(&transmit(contents)).unwrap();
        }
        drop(dial);
        socket.try_send(&transmit(&initial)).unwrap();
        let sent = script.sent.lock();
        let lengths: Vec<_> = sent.iter().map(|(_, datagram)| datagram.len()).collect();
        assert_eq!(lengths, [124, 1200, 124, 1200, 50, 1200]);
        assert!(matches!(read(&keys(2), &sent[0].1), Message::Ping(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_the_socket_does_not_take_is_sent_later() {
        let (script, socket) = socket();
        let spawner = Spawner::new();
        spawner.spawn("disco", socket.beating());
        // The task waits already, with nothing due for an hour.
        tokio::time::sleep(Duration::from_secs(1)).await;
        *script.is_full.lock() = true;
        script.arriving.lock().push_back((ping(1), 124));
        receive(&socket);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(script.sent.lock().len(), 0);
        *script.is_full.lock() = false;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(script.sent.lock().len(), 1);
        // The task ends with the socket.
        drop(socket);
        assert_eq!(spawner.stop(Duration::from_secs(1)).await.stragglers, [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connected_peer_that_pings_is_pinged_until_the_connection_ends() {
        let (script, socket) = socket();
        Spawner::new().spawn("disco", socket.beating());
        let connection = socket.connected(keys(2).id(), Path { remote: there(), local: None });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(script.sent.lock().len(), 0, "it never spoke");
        script.arriving.lock().push_back((ping(1), 124));
        receive(&socket);
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(script.sent.lock().len(), 1 + 4, "a pong, and pings at 5, 10, 15 and 20 s");
        drop(connection);
        tokio::time::sleep(Duration::from_secs(21)).await;
        assert_eq!(script.sent.lock().len(), 1 + 4);
    }
}
