//! Living with magic sockets (wire 1.6), in virtual time over a network in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::{
    disco::{is_disco, magic_gate, open, ping, pong, seal},
    net::Net,
    *,
};
use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use zakura_transport::{CloseReason, DatagramSocket, PeerAddr, PeerId, TransportConfig};

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8234))
}

async fn start_on(net: &Net, seed: u8) -> Node {
    let at = addr(seed);
    let config = TransportConfig { listen: at, socket: Some(net.socket(at)), ..config() };
    start_with(seed, Echo(vec![news()]), config).await
}

/// The next datagram at a bare socket.
async fn receive(socket: &dyn DatagramSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2000];
    let (length, from) = poll_fn(|cx| socket.poll_receive(cx, &mut buffer)).await.unwrap();
    buffer.truncate(length);
    (buffer, from)
}

/// Whether nothing arrives for a minute.
async fn hears_nothing(socket: &dyn DatagramSocket) -> bool {
    tokio::time::timeout(Duration::from_secs(60), receive(socket)).await.is_err()
}

/// The type of a ping.
const PING: u8 = 1;

#[test]
fn the_other_implementation_makes_the_same_datagram() {
    // The golden ping of the codec's own tests.
    let tx = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let nonce = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
    let (us, them) = (identity(1).peer_id(), identity(2).peer_id());
    let golden = "5453f09f92ac8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5cf5e1f5218db31c65ed43\
                  bc6b3ea5d8ca4896670798231c518ae57ac4b8e9a64e9d13428c39b25c11168bc4feae930edc49981e6713b811082939\
                  385cb525404142434445464748494a4b4c4d4e4f5051525354555657";
    let datagram = seal(1, them, &ping(tx, us), nonce);
    assert_eq!(data_encoding::HEXLOWER.encode(&datagram), golden);
    assert_eq!(open(2, &datagram), Some((us, ping(tx, us))));
}

#[tokio::test(start_paused = true)]
async fn a_magic_socket_is_dialled_and_dials() {
    let net = Net::default();
    let mut a = start_on(&net, 1).await;
    let b = start_on(&net, 2).await;
    net.gate(addr(2), magic_gate(2));
    a.dial(&b).await;
    let begun = Instant::now();
    assert_eq!(a.connected().await.id, b.id());
    assert!(begun.elapsed() < Duration::from_millis(100), "with the first Initial: {:?}", begun.elapsed());
    // The other way round: it stands from the first ping on, for longer than any address is remembered unpinged.
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(a.handle.peers().len(), 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_pings_a_magic_socket_hears_nothing() {
    let net = Net::default();
    let mut a = start_on(&net, 1).await;
    let b = start_on(&net, 2).await;
    let mut gate = magic_gate(2);
    net.gate(addr(2), move |datagram, from| !is_disco(datagram) && gate(datagram, from));
    a.dial(&b).await;
    assert_eq!(a.dial_failed().await, CloseReason::Timeout);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_ping_is_repeated_with_the_next_initial() {
    let net = Net::default();
    let mut a = start_on(&net, 1).await;
    let b = start_on(&net, 2).await;
    let (mut gate, mut lost) = (magic_gate(2), false);
    net.gate(addr(2), move |datagram, from| {
        let lose = is_disco(datagram) && !lost;
        lost |= lose;
        !lose && gate(datagram, from)
    });
    let begun = Instant::now();
    a.dial(&b).await;
    assert_eq!(a.connected().await.id, b.id());
    assert!(begun.elapsed() < Duration::from_secs(3), "the first attempt succeeds: {:?}", begun.elapsed());
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_valid_ping_is_answered_and_garbage_is_not() {
    let net = Net::default();
    let node = start_on(&net, 1).await;
    let socket = net.socket(addr(9));
    let us = identity(9).peer_id();
    let longer = [ping([2; 12], us), vec![0; 40]].concat();
    for (tx, inner) in [([1; 12], ping([1; 12], us)), ([2; 12], longer)] {
        socket.send(addr(1), &seal(9, node.id(), &inner, [7; 24])).unwrap();
        let (answer, from) = within(receive(&*socket)).await;
        assert_eq!((answer.len(), from), (111, addr(1)));
        assert_eq!(open(9, &answer), Some((node.id(), pong(tx, addr(9)))));
    }
    let valid = seal(9, node.id(), &ping([3; 12], us), [8; 24]);
    let mut no_key = valid.clone();
    no_key[6..38].fill(2);
    let mut later = ping([3; 12], us);
    later[1] = 1;
    let borrowed = ping([3; 12], identity(8).peer_id());
    let mut garbage: Vec<Vec<u8>> = [&later, &borrowed, &pong([3; 12], addr(1)), &vec![3, 0, 1, 2]]
        .map(|inner| seal(9, node.id(), inner, [8; 24]))
        .to_vec();
    garbage.extend([no_key, seal(9, identity(8).peer_id(), &ping([3; 12], us), [8; 24])]);
    garbage.push([&valid[..6], node.id().as_bytes(), &valid[38..]].concat());
    // Without the magic it would be QUIC's.
    garbage.extend((6..124).map(|at| {
        let mut damaged = valid.clone();
        damaged[at] ^= 1;
        damaged
    }));
    garbage.extend((6..124).map(|length| valid[..length].to_vec()));
    for datagram in garbage {
        // Slowly, so that none is refused for its number.
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.send(addr(1), &datagram).unwrap();
    }
    assert!(hears_nothing(&*socket).await, "nor by a stateless reset of QUIC's");
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_to_connected_peers_that_speak_disco_and_to_nobody_else() {
    let net = Net::default();
    let mut a = start_on(&net, 1).await;
    let b = start_on(&net, 2).await;
    // B never hears disco from A; A would hear it from B.
    net.gate(addr(2), |datagram, _| !is_disco(datagram));
    let (heard, mut beats) = mpsc::channel(64);
    net.gate(addr(1), move |datagram, _| {
        if is_disco(datagram) {
            heard.try_send(open(1, datagram).unwrap().1[0]).unwrap();
        }
        true
    });
    a.dial(&b).await;
    a.connected().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(beats.try_recv().is_err(), "B pings nobody who has not pinged");
    net.gate(addr(2), |_, _| true);
    // A ping in A's name from anywhere: from now on the address that QUIC knows is pinged.
    let socket = net.socket(addr(9));
    socket.send(addr(2), &seal(1, b.id(), &ping([1; 12], a.id()), [9; 24])).unwrap();
    let begun = Instant::now();
    for beat in 1..=12 {
        // A has been pinged since, so it pings as well, and B's pongs come between.
        while within(beats.recv()).await != Some(PING) {}
        let took = begun.elapsed().as_millis();
        assert!((beat * 5000..beat * 5000 + 100).contains(&took), "beat {beat} after {took} ms");
    }
    a.stop().await;
    while beats.try_recv().is_ok() {}
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(beats.try_recv().is_err(), "the connection is over");
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_is_answered_within_bounds_and_stops_nobody() {
    let net = Net::default();
    let mut a = start_on(&net, 1).await;
    let mut b = start_on(&net, 2).await;
    net.gate(addr(2), magic_gate(2));
    let flooder = identity(9).peer_id();
    let valid = seal(9, b.id(), &ping([1; 12], flooder), [7; 24]);
    let answers = Arc::new(AtomicUsize::new(0));
    for host in 0..100_u8 {
        let from = SocketAddr::from(([10, 1, 0, host], 1));
        let (socket, count) = (net.socket(from), Arc::clone(&answers));
        net.gate(from, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            false
        });
        for number in 0..100 {
            let mut datagram = valid.clone();
            datagram[100] ^= number % 2;
            socket.send(addr(2), &datagram).unwrap();
        }
    }
    a.dial(&b).await;
    let (at_a, at_b) = tokio::join!(a.connected(), b.connected());
    assert_eq!((at_a.id, at_b.id), (b.id(), a.id()));
    let answered = answers.load(Ordering::Relaxed);
    assert!((50..=300).contains(&answered), "{answered} of 5,000 valid pings among 10,000");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_id_is_no_key_harms_nothing() {
    let net = Net::default();
    let mut a = start_on(&net, 1).await;
    let b = start_on(&net, 2).await;
    a.handle.add_peer(PeerAddr { id: PeerId::new([2; 32]), addr: addr(2) }).await.unwrap();
    assert!(matches!(a.dial_failed().await, CloseReason::WrongIdentity | CloseReason::Timeout));
    a.dial(&b).await;
    assert_eq!(a.connected().await.id, b.id());
    a.stop().await;
    b.stop().await;
}
