//! What strangers send or claim costs them their own attempt and nobody else anything (threats T05, T06 and R06).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::{raw::*, *};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};
use zakura_transport::{CloseReason, PeerAddr, PeerEvent, TransportConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_names_for_an_honest_address_do_not_keep_its_owner_waiting() {
    let mut node = start(1, Echo(vec![news()])).await;
    let honest = start(2, Echo(vec![news()])).await;
    let addr = honest.handle.local_addr();
    for seed in 20..28 {
        node.handle.dial(PeerAddr { id: raw_id(seed), addr }).await.unwrap();
        assert_eq!(node.dial_failed().await, CloseReason::WrongIdentity);
    }
    assert_eq!(node.handle.bans().await, Ok(vec![]));
    node.handle.dial(honest.handle.local_peer()).await.unwrap();
    match node.event().await {
        PeerEvent::Connected(peer) => assert_eq!(peer.id, honest.id(), "at the first dial"),
        other => panic!("{other:?}"),
    }
    node.stop().await;
    honest.stop().await;
}

/// Frames that have no place in a first datagram, or in any.
fn wrong_frames() -> Vec<(&'static str, Vec<u8>)> {
    let crypto = |offset: u32, bytes: &[u8]| {
        let mut out = vec![0x06];
        out.extend((0x8000_0000 | offset).to_be_bytes());
        out.extend((0x4000 | u16::try_from(bytes.len()).unwrap()).to_be_bytes());
        out.extend(bytes);
        out
    };
    let gaps: Vec<u8> = (0..100_u32).flat_map(|at| crypto(at * 4 + 1, &[1])).collect();
    vec![
        ("a frame of no type", vec![0x21]),
        ("a type in four bytes", vec![0xbf, 0xff, 0xff, 0xff]),
        ("an Ack of what was not sent", vec![0x02, 0x43, 0xe8, 0, 0, 0]),
        ("an Ack below zero", vec![0x02, 1, 0, 1, 5, 5, 5]),
        ("a STREAM", vec![0x0a, 0, 2, b'h', b'i']),
        ("a RESET_STREAM", vec![0x04, 0, 0, 0]),
        ("a MAX_DATA", vec![0x10, 0x3f]),
        ("a NEW_CONNECTION_ID", [&[0x18, 1, 0, 8][..], &[1; 24]].concat()),
        ("a PATH_CHALLENGE", [&[0x1a][..], &[1; 8]].concat().repeat(50)),
        ("a HANDSHAKE_DONE", vec![0x1e]),
        ("a DATAGRAM", vec![0x31, 1, 1]),
        ("a close", vec![0x1c, 0, 0, 0]),
        ("an application's close", vec![0x1d, 0, 0]),
        ("TLS that is none", crypto(0, &[0xff; 300])),
        ("a ClientHello of 16 MiB", crypto(0, &[1, 0xff, 0xff, 0xff, 3, 3])),
        ("TLS with gaps", gaps),
        ("TLS far ahead", crypto(0x3fff_fff0, &[1; 10])),
        ("half a frame", vec![0x06, 0, 0x7f]),
        ("nothing but padding", vec![]),
        ("pings", vec![0x01; 1000]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_that_no_peer_of_quic_sends_harm_nobody() {
    let mut node = start(1, Echo(vec![news()])).await;
    let to = node.handle.local_addr();
    let friend = start(2, Echo(vec![news()])).await;
    friend.dial(&node).await;
    let before = node.connected().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for (round, (_what, frames)) in wrong_frames().into_iter().cycle().take(200).enumerate() {
        let datagram = initial(u64::try_from(round).unwrap(), &frames);
        socket.send_to(&datagram, to).unwrap();
        // The same, with a byte of it changed, and cut.
        let mut changed = datagram.clone();
        let at = usize::try_from(random.next_u32()).unwrap() % changed.len();
        changed[at] ^= 1 << (random.next_u32() % 8);
        socket.send_to(&changed, to).unwrap();
        socket.send_to(&datagram[..at], to).unwrap();
        let mut noise = vec![0; at];
        random.fill_bytes(&mut noise);
        socket.send_to(&noise, to).unwrap();
    }
    // Who comes now waits for a place like everybody else, and finds one.
    let raw = endpoint(9);
    let newcomer = meet_in_the_end(&raw, to).await;
    assert_eq!(heard_back(&newcomer, NEWS).await, "hi");
    assert!(node.handle.peers().contains(&before), "and who was there has noticed nothing");
    friend.stop().await;
    node.stop().await;
}

/// QUIC gives a dial up that is refused; an honest peer dials again.
async fn meet_in_the_end(raw: &Endpoint, to: SocketAddr) -> Connection {
    within(async {
        loop {
            if dial_with(raw, 9, b"p2p-v2/1", to).await {
                return meet(raw, 9, to, paced()).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_run_out_of_time_leave_no_place_and_no_task() {
    let strict =
        TransportConfig { handshake_timeout: Duration::from_millis(200), pending_handshakes: 4, ..config() };
    let node = start_with(1, Echo(vec![news()]), strict).await;
    let (to, idle) = (node.handle.local_addr(), node.spawner.live());
    let raw = endpoint(9);
    for _ in 0..10 {
        let silent = [dial(&raw, to).await, dial(&raw, to).await];
        for connection in &silent {
            assert_eq!(closed(connection).await, (0, "control handshake".into()));
        }
    }
    let honest = meet(&raw, 9, to, paced()).await;
    assert_eq!(heard_back(&honest, NEWS).await, "hi");
    hang_up(&honest, 0, b"");
    all_gone(&raw).await;
    within(async {
        while node.spawner.live() != idle {
            tokio::task::yield_now().await;
        }
    })
    .await;
    node.stop().await;
}

/// Bytes that a stranger may place before its handshake is done.
const STRANGER: usize = 16 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_dials_fills_16_kib_and_a_peer_its_whole_window() {
    let node = start(1, Echo(vec![news()])).await;
    let (raw, to) = (endpoint(9), node.handle.local_addr());
    let stranger = dial(&raw, to).await;
    let placed = fill(&stranger).await;
    assert!((1..=STRANGER).contains(&placed), "{placed}");
    let honest = meet(&raw, 9, to, paced()).await;
    assert_eq!(written_at_once(&honest, 4 * STRANGER), 4 * STRANGER, "the room came with the Ack");
    let other = meet(&endpoint(8), 8, to, paced()).await;
    let mut stream = open(&other, &prelude(NEWS.0, 1, None, 1 << 20)).await;
    exchange_much(&mut stream).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_whom_we_dial_fills_16_kib_and_a_peer_its_whole_window() {
    let strict = TransportConfig { handshake_timeout: Duration::from_secs(1), ..config() };
    let node = start_with(1, Echo(vec![news()]), strict).await;
    let raw = endpoint(9);
    node.handle.dial(peer(&raw, 9)).await.unwrap();
    let stranger = within(async { raw.accept().await.unwrap().await.unwrap() }).await;
    let placed = fill(&stranger).await;
    assert!((STRANGER / 2..=STRANGER).contains(&placed), "{placed}");
    let raw = endpoint(8);
    node.handle.add_peer(peer(&raw, 8)).await.unwrap();
    let honest = accept(&raw, paced()).await;
    let mut stream = within(honest.accept_bi()).await.unwrap();
    within(stream.1.read_exact(&mut [0; 13])).await.unwrap();
    exchange_much(&mut stream).await;
    node.stop().await;
}
