//! Somebody in the middle who changes, cuts, repeats and reorders what two nodes say to each other (threat T06).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;
use common::{net::Net, *};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use zakura_transport::{Frame, PeerEvent, Service, TransportConfig};

/// Datagrams that the middle remembers and says again.
const MEMORY: usize = 64;
/// What a request may take on such a path.
const PATIENT: Duration = Duration::from_secs(120);

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8234))
}

async fn start_on(net: &Net, seed: u8, service: impl Service) -> Node {
    let at = addr(seed);
    start_with(seed, service, TransportConfig { listen: at, socket: Some(net.socket(at)), ..config() }).await
}

/// What becomes of each datagram on one way, by a seed.
struct Middle {
    random: ChaCha8Rng,
    past: VecDeque<Vec<u8>>,
    held: Option<Vec<u8>>,
    meddled: usize,
}

impl Middle {
    fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), past: VecDeque::new(), held: None, meddled: 0 }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.next_u64() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// What arrives in a datagram's place, in this order.
    fn pass(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        self.past.push_back(datagram.clone());
        if self.past.len() > MEMORY {
            self.past.pop_front();
        }
        let at = self.below(datagram.len());
        let mut arriving = match self.below(12) {
            // Another bit, at any place: the first byte and the id too.
            0 => {
                let mut changed = datagram;
                changed[at] ^= 1 << self.below(8);
                vec![changed]
            }
            1 => vec![datagram[..at].to_vec()],
            2 => vec![datagram.clone(), datagram],
            // Out of its time, by any number of others.
            3 => self.held.replace(datagram).into_iter().collect(),
            // Something old before it, and noise under a good head behind it.
            4 => {
                let old = self.below(self.past.len());
                let mut noise = datagram.clone();
                let behind_the_id = noise.len().min(9);
                self.random.fill_bytes(&mut noise[behind_the_id..]);
                vec![self.past[old].clone(), datagram, noise]
            }
            _ => return vec![datagram],
        };
        self.meddled += 1;
        if self.below(2) == 0 {
            arriving.extend(self.held.take());
        }
        arriving
    }
}

/// Puts a middle on the way to this node. It tells how often it has meddled.
fn meddle(net: &Net, with: u8, seed: u64) -> Arc<AtomicUsize> {
    let told = Arc::<AtomicUsize>::default();
    let (tell, mut middle) = (Arc::clone(&told), Middle::new(seed));
    net.middle(addr(with), move |datagram| {
        let arriving = middle.pass(datagram);
        tell.store(middle.meddled, Ordering::Relaxed);
        arriving
    });
    told
}

async fn asks(node: &Node, of: &Node, word: &str) -> Vec<Frame> {
    let mut response = node.handle.request(of.id(), QUERY, text(word), PATIENT).await.unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = response.next().await.unwrap() {
        frames.push(frame);
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn a_middle_that_meddles_with_two_datagrams_of_five_costs_time_and_nothing_else() {
    for seed in 0..8 {
        let net = Net::default();
        let (service, mut sessions) = handover(vec![news(), query()]);
        let mut a = start_on(&net, 1, service).await;
        let mut b = start_on(&net, 2, Echo(vec![news(), query()])).await;
        a.dial(&b).await;
        tokio::join!(a.connected(), b.connected());
        let (mut at_a, _done) = session(&mut sessions).await;
        let meddled = [meddle(&net, 1, 2 * seed), meddle(&net, 2, 2 * seed + 1)];
        let much = Frame::new(2, vec![7; 200_000].into());
        for round in 0..5 {
            assert_eq!(asks(&a, &b, "who").await, vec![text("WHO"), text("WHO")], "round {round}");
            at_a.frames_out.send(much.clone()).await.unwrap();
            assert_eq!(at_a.frames_in.recv().await, Ok(Some(much.clone())), "every byte of it");
        }
        for way in meddled {
            assert!(way.load(Ordering::Relaxed) > 50, "the middle did nothing");
        }
        // The connection is the same, and the endpoint takes others.
        let mut c = start_on(&net, 3, Echo(vec![query()])).await;
        c.dial(&b).await;
        assert_eq!(c.connected().await.id, b.id());
        assert_eq!(asks(&c, &b, "too").await, vec![text("TOO"), text("TOO")]);
        match b.event().await {
            PeerEvent::Connected(peer) => assert_eq!(peer.id, c.id(), "seed {seed}"),
            other => panic!("seed {seed}: {other:?}"),
        }
        for node in [a, b, c] {
            node.stop().await;
        }
    }
}
