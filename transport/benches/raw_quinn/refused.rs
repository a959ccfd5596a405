//! First datagrams of strangers: what one costs the node that drops it or asks for a proof of its address, against a handshake
//! that it lets in. The node is alone in its process, and only its time counts.

use crate::{
    idle::Waiting,
    measure::{processor_time_of, quartiles},
    ours,
    process::Process,
    raw::{self, RawHello},
};
use std::{
    fs,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread::sleep,
    time::Duration,
};
use zakura_transport::{BanTarget, Capabilities, Mode};

/// Datagrams, and handshakes, of one measurement.
const DATAGRAMS: u64 = 4_000;
const HANDSHAKES: u64 = 100;
/// Datagrams at once, and the pause behind them: as many as a socket's buffer holds.
const BURST: u64 = 16;
const PAUSE: Duration = Duration::from_millis(1);
/// What the node may take to be done with all of them.
const SETTLE: Duration = Duration::from_millis(300);

/// Where strangers come from.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A node in a process of its own.
struct Victim {
    process: Process,
    addr: SocketAddr,
}

impl Victim {
    fn start(does: &str) -> Self {
        let mut process = Process::start("refused-end", &[does]);
        let addr = process.hear().parse().unwrap();
        Self { process, addr }
    }

    fn spent(&self) -> Duration {
        processor_time_of(&self.process.id().to_string())
    }

    /// Datagrams that found its buffer full.
    fn lost(&self) -> u64 {
        let port = format!(":{:04X}", self.addr.port());
        let text = fs::read_to_string("/proc/net/udp").unwrap();
        let line =
            text.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|it| it.ends_with(&port)));
        line.unwrap().split_whitespace().last().unwrap().parse().unwrap()
    }

    /// Microseconds for a first datagram, and which share was answered.
    fn knocked(&self, round: u64) -> (f64, f64) {
        let socket = UdpSocket::bind((STRANGER, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let first = round * DATAGRAMS;
        let knocks: Vec<_> = (first..first + DATAGRAMS).map(|number| raw::initial(number, &[1])).collect();
        let (before, lost, mut answered) = (self.spent(), self.lost(), 0);
        for burst in knocks.chunks(BURST as usize) {
            for knock in burst {
                socket.send_to(knock, self.addr).unwrap();
            }
            sleep(PAUSE);
            answered += answers(&socket);
        }
        sleep(SETTLE);
        answered += answers(&socket);
        let spent = self.spent() - before;
        let seen = DATAGRAMS - (self.lost() - lost);
        assert!(seen > DATAGRAMS / 10 * 9, "the node has not seen many of them");
        (spent.as_nanos() as f64 / 1e3 / seen as f64, answered as f64 / seen as f64)
    }

    /// Microseconds for a handshake, up to the Ack.
    async fn met(&self, round: u64) -> f64 {
        let endpoint = raw::endpoint(8);
        let (before, mut held) = (self.spent(), Vec::new());
        for number in 0..HANDSHAKES {
            let mut seed = [3; 32];
            seed[..8].copy_from_slice(&(round * HANDSHAKES + number).to_le_bytes());
            let dial = endpoint.connect_with(raw::client(seed, b"p2p-v2/1"), self.addr, "raw.invalid");
            let connection = crate::within(dial.unwrap()).await.unwrap();
            let offer = ours::spec(Mode::Ordered).capability | Capabilities::UNPACED;
            let ack = raw::hello(&connection, &RawHello::honest(seed, offer.bits())).await;
            assert_eq!(ack.len(), 112, "an Ack of 108 bytes behind its length");
            held.push(connection);
        }
        let spent = self.spent() - before;
        for connection in &held {
            raw::hang_up(connection, 0, b"");
        }
        raw::all_gone(&endpoint).await;
        tokio::time::sleep(SETTLE).await;
        spent.as_nanos() as f64 / 1e3 / HANDSHAKES as f64
    }
}

fn answers(socket: &UdpSocket) -> u64 {
    let (mut buffer, mut count) = ([0; 2_000], 0);
    loop {
        match socket.recv_from(&mut buffer) {
            Ok(_) => count += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Measures each in turn, and prints what came of it.
pub async fn compare(pairs: usize) {
    let (ignoring, asking, open) = (Victim::start("ignore"), Victim::start("retry"), Victim::start("meet"));
    let (mut ignored, mut asked, mut met) = (vec![], vec![], vec![]);
    for round in 0..=pairs as u64 {
        let (one, silence) = ignoring.knocked(round);
        let (other, answered) = asking.knocked(round);
        assert!(silence == 0.0 && answered > 0.99, "a node does not do what is measured");
        let whole = open.met(round).await;
        // The first round warms up.
        if round > 0 {
            ignored.push(one);
            asked.push(other);
            met.push(whole);
        }
    }
    let share = |of: &[f64]| {
        quartiles(&mut of.iter().zip(&met).map(|(of, all)| 100.0 * of / all).collect::<Vec<_>>())
    };
    let ([low, drop, high], [few, retry, many]) = (share(&ignored), share(&asked));
    println!(
        "{:<44} {:.1} us ignored, {:.1} us asked to prove its address, {:.0} us let in: {drop:.1} % ({low:.1} to {high:.1}) and \
         {retry:.1} % ({few:.1} to {many:.1}, {pairs} rounds)",
        "a stranger's first datagram",
        quartiles(&mut ignored)[1],
        quartiles(&mut asked)[1],
        quartiles(&mut met)[1],
    );
}

/// The node, in a process of its own.
pub fn end(words: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let does = words[0].clone();
    runtime.block_on(async move {
        let peers = 4 * HANDSHAKES as usize;
        let handle = match does.as_str() {
            // Whoever has to prove its address is asked as soon as half of the places would be taken.
            "retry" => ours::start_with(9, Waiting, |config| config.pending_handshakes = 1).await,
            _ => ours::start_with(9, Waiting, |config| config.max_inbound = peers).await,
        };
        if does == "ignore" {
            let lasting = Duration::from_secs(3_600);
            handle.ban(BanTarget::Ip(STRANGER.into()), lasting, "a bench").await.unwrap();
        }
        println!("{}", handle.local_addr());
        // Until the other process ends it.
        std::future::pending::<()>().await;
    });
}
