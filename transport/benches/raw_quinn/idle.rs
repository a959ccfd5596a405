//! Connected and silent peers: two processes, one that listens and is measured, and one that holds the other ends.

use crate::{
    measure::{processor_time, quartiles, resident},
    ours, plain,
    process::Process,
    raw::{self, RawHello},
};
use std::{net::SocketAddr, time::Duration};
use tokio::time::sleep;
use zakura_transport::{Capabilities, Mode, PeerEvent, Service, Session, Spawner, StreamSpec};

/// How long nothing happens while it is measured.
const STILL: Duration = Duration::from_secs(20);
/// And before, so that what connecting left behind is over.
const SETTLE: Duration = Duration::from_secs(3);

/// A routine for each peer that waits for a word.
pub struct Waiting;

impl Service for Waiting {
    fn streams(&self) -> Vec<StreamSpec> {
        vec![ours::spec(Mode::Ordered)]
    }

    async fn run(&self, mut session: Session) -> zakura_transport::Exit {
        loop {
            tokio::select! {
                biased;
                () = session.cancel.cancelled() => return zakura_transport::Exit::Local("cancelled"),
                heard = session.frames_in.recv() => match heard {
                    Ok(Some(_)) => {}
                    Ok(None) => return zakura_transport::Exit::Closed { reopen: false },
                    Err(error) => return error.into(),
                },
            }
        }
    }
}

/// Measures both arms in turn, and prints what came of it.
pub fn compare(peers: usize, pairs: usize) {
    let (mut ours, mut plain, mut ratios) = ((vec![], vec![]), (vec![], vec![]), vec![]);
    for _ in 0..pairs.min(3) {
        let (here, there) = (once("ours", peers), once("raw", peers));
        ours.0.push(here.0);
        ours.1.push(here.1);
        plain.0.push(there.0);
        plain.1.push(there.1);
        ratios.push(here.1 / there.1);
    }
    let [low, ratio, high] = quartiles(&mut ratios);
    println!(
        "{peers} idle peers{:<33} ours {:>5.1} KiB {:>5.2} us/s, raw {:>5.1} KiB {:>5.2} us/s a peer; \
         processor ratio {ratio:.2} ({low:.2} to {high:.2}, {} pairs)",
        "",
        quartiles(&mut ours.0)[1],
        quartiles(&mut ours.1)[1],
        quartiles(&mut plain.0)[1],
        quartiles(&mut plain.1)[1],
        pairs.min(3),
    );
}

/// KiB and microseconds a second for each peer.
fn once(arm: &str, peers: usize) -> (f64, f64) {
    let count = peers.to_string();
    let mut listener = Process::start("idle-end", &["listen", arm, &count]);
    let address = listener.hear();
    let mut dialler = Process::start("idle-end", &["dial", arm, &count, &address]);
    assert_eq!(dialler.hear(), "connected");
    listener.say("measure");
    let said = listener.hear();
    let (memory, time) = said.split_once(' ').unwrap();
    (memory.parse().unwrap(), time.parse().unwrap())
}

/// One end, in a process of its own.
pub fn end(words: &[String]) {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match words[..] {
        ["listen", arm, peers] => runtime.block_on(listen(arm == "ours", peers.parse().unwrap())),
        ["dial", arm, peers, to] => {
            runtime.block_on(dial(arm == "ours", peers.parse().unwrap(), to.parse().unwrap()));
        }
        _ => panic!("idle-end {words:?}"),
    }
}

async fn listen(is_ours: bool, peers: usize) {
    // Whatever is made once is made before.
    if is_ours {
        let handle = ours::start_roomy(9, Waiting, peers).await;
        let mut events = handle.events();
        tokio::task::yield_now().await;
        let before = resident();
        println!("{}", handle.local_addr());
        let mut connected = 0;
        while connected < peers {
            if let Ok(PeerEvent::Connected(_)) = events.recv().await {
                connected += 1;
            }
        }
        told(before, peers).await;
        assert_eq!(handle.peers().len(), peers);
    } else {
        let (endpoint, tasks) = (plain::listen(9), Spawner::new());
        tokio::task::yield_now().await;
        let before = resident();
        println!("{}", endpoint.local_addr().unwrap());
        for _ in 0..peers {
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            tasks.spawn("raw", async move {
                let (_send, mut recv) = connection.accept_bi().await.unwrap();
                let mut word = [0; 8];
                while recv.read_exact(&mut word).await.is_ok() {}
            });
        }
        told(before, peers).await;
        assert_eq!(tasks.live(), [("raw", peers)]);
    }
}

/// Waits to be asked, lies still, and says what that cost.
async fn told(before: u64, peers: usize) {
    // Nothing else happens meanwhile.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    sleep(SETTLE).await;
    let (memory, time) = (resident() - before, processor_time());
    sleep(STILL).await;
    let micros = (processor_time() - time).as_nanos() as f64 / 1e3;
    let count = peers as f64;
    println!("{} {}", memory as f64 / 1024.0 / count, micros / STILL.as_secs_f64() / count);
}

async fn dial(is_ours: bool, peers: usize, to: SocketAddr) {
    let endpoint = raw::endpoint(8);
    let mut held = Vec::new();
    for number in 0..peers {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let mut client = raw::client(seed, b"p2p-v2/1");
        client.transport_config(plain::settings());
        let connection =
            crate::within(endpoint.connect_with(client, to, "raw.invalid").unwrap()).await.unwrap();
        let mut words = vec![0; 8];
        if is_ours {
            let spec = ours::spec(Mode::Ordered);
            let offer = spec.capability | Capabilities::UNPACED;
            let ack = raw::hello(&connection, &RawHello::honest(seed, offer.bits())).await;
            assert_eq!(ack.len(), 112, "an Ack of 108 bytes behind its length");
            words = raw::prelude(spec.kind.0, spec.version, None, spec.max_frame);
        }
        held.push((raw::open(&connection, &words).await, connection));
    }
    println!("connected");
    // Until the other process ends it.
    std::future::pending::<()>().await;
}
