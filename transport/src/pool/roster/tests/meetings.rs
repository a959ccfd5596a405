//! Two nodes that dial each other, in every order that the network and their own queues may bring.

use super::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{cmp::Reverse, collections::BinaryHeap};

/// Worlds, and how long each goes on after its last disturbance.
const SEEDS: u64 = 3_000;
const QUIET: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A node looks who is due.
    Look(usize),
    /// The handshake is done for this end of a wire.
    Arrives { at: usize, wire: usize },
    /// An end hears that the other has closed.
    Hears { at: usize, wire: usize },
    /// Somebody closes whatever counts.
    Disturb(usize),
}

#[derive(Debug, Default, Clone, Copy)]
struct End {
    connection: Option<Fence>,
    /// Closed here, or heard from the other.
    is_over: bool,
}

struct Wire {
    dialler: usize,
    ends: [End; 2],
}

struct World {
    nodes: [Roster; 2],
    wires: Vec<Wire>,
    queue: BinaryHeap<Reverse<(Duration, u64, Step)>>,
    chance: ChaCha8Rng,
    /// Nobody closes anything but the rule.
    is_calm: bool,
    start: Instant,
    at: Duration,
    steps: u64,
}

fn node(seed: u8, addr: &str) -> (Roster, PeerAddr) {
    let identity = Identity::from_seed([seed; 32]).unwrap();
    let config = TransportConfig::new("127.0.0.1:0".parse().unwrap(), 3, [0; 32], u64::from(seed));
    (Roster::new(&identity, &config), PeerAddr { id: identity.peer_id(), addr: addr.parse().unwrap() })
}

impl World {
    fn new(seed: u64) -> Self {
        let (mut a, a_addr) = node(1, "10.0.0.1:1");
        let (mut b, b_addr) = node(2, "10.1.0.1:1");
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let start = tokio::time::Instant::now().into_std();
        let _role = a.name(b_addr, false, start);
        // In some worlds only one of them knows the other.
        if !chance.next_u64().is_multiple_of(4) {
            let _role = b.name(a_addr, false, start);
        }
        let disturbances = chance.next_u64() % 6;
        let mut world = Self {
            nodes: [a, b],
            wires: Vec::new(),
            queue: BinaryHeap::new(),
            chance,
            is_calm: disturbances == 0,
            start,
            at: Duration::ZERO,
            steps: 0,
        };
        for at in 0..2 {
            world.soon(Step::Look(at), 50);
        }
        for _ in 0..disturbances {
            let at = usize::from(world.chance.next_u64().is_multiple_of(2));
            world.soon(Step::Disturb(at), 30_000);
        }
        world
    }

    /// Within so many milliseconds.
    fn soon(&mut self, step: Step, most: u64) {
        self.steps += 1;
        let at = self.at + Duration::from_micros(self.chance.next_u64() % (most * 1_000) + 1);
        self.queue.push(Reverse((at, self.steps, step)));
    }

    fn run(&mut self, until: Duration) {
        while self.queue.peek().is_some_and(|Reverse((at, ..))| *at <= until) {
            let Some(Reverse((at, _, step))) = self.queue.pop() else { return };
            self.at = at;
            self.take(step);
        }
    }

    fn take(&mut self, step: Step) {
        let now = self.start + self.at;
        match step {
            Step::Look(at) => {
                while let Some(due) = self.nodes[at].take_due(now) {
                    assert!(matches!(due, Due::Dial(_)), "{due:?}");
                    let wire = self.wires.len();
                    self.wires.push(Wire { dialler: at, ends: Default::default() });
                    // Whichever pool looks first.
                    self.soon(Step::Arrives { at, wire }, 300);
                    self.soon(Step::Arrives { at: 1 - at, wire }, 300);
                }
                self.soon(Step::Look(at), 200);
            }
            Step::Arrives { at, wire } => self.arrives(at, wire, now),
            Step::Hears { at, wire } => {
                let end = &mut self.wires[wire].ends[at];
                end.is_over = true;
                if let Some(connection) = end.connection {
                    let other = self.nodes[1 - at].us;
                    let gone = self.nodes[at].ended(other, connection, CloseReason::Reset, now);
                    assert!(gone.is_none_or(|gone| gone.farewell.is_none()));
                }
            }
            Step::Disturb(at) => {
                let other = self.nodes[1 - at].us;
                let gone = self.nodes[at].drop_peer(other, CloseReason::Local, Farewell::NEUTRAL, now);
                self.close(at, gone);
            }
        }
    }

    fn arrives(&mut self, at: usize, wire: usize, now: Instant) {
        let dialler = self.wires[wire].dialler;
        let direction = if dialler == at { Direction::Outbound } else { Direction::Inbound };
        let (other, other_ip) = (self.nodes[1 - at].us, [10, u8::from(at == 0), 0, 1]);
        if direction == Direction::Outbound {
            self.nodes[at].dial_over(other, false);
        }
        let is_over = self.wires[wire].ends[at].is_over;
        let outcome = if is_over {
            Err(())
        } else {
            let addr = SocketAddr::from((other_ip, 1));
            let arrival = Arrival { id: other, addr, direction, capabilities: Capabilities::NONE };
            let Entry { gone, outcome } = self.nodes[at].register(arrival, |_| Worth::NONE, now);
            self.close(at, gone);
            outcome.map_err(|refused| assert_ne!(refused.reason, CloseReason::Full))
        };
        match outcome {
            Ok(info) => self.wires[wire].ends[at].connection = Some(info.connection),
            Err(()) => {
                if direction == Direction::Outbound {
                    let _told = self.nodes[at].dial_failed(other, false, now);
                }
                if !is_over {
                    self.over(at, wire);
                }
            }
        }
    }

    fn close(&mut self, at: usize, gone: impl IntoIterator<Item = Gone>) {
        for gone in gone {
            let of = |wire: &Wire| wire.ends[at].connection == Some(gone.peer.connection);
            let wire = self.wires.iter().position(of).unwrap();
            self.over(at, wire);
        }
    }

    fn over(&mut self, at: usize, wire: usize) {
        self.wires[wire].ends[at].is_over = true;
        self.soon(Step::Hears { at: 1 - at, wire }, 300);
    }

    /// The wire that counts at an end.
    fn counts(&self, at: usize) -> Option<usize> {
        let member = self.nodes[at].members.values().next()?;
        let of = |wire: &Wire| wire.ends[at].connection == Some(member.info.connection);
        self.wires.iter().position(of)
    }
}

#[test]
fn whatever_the_order_both_come_to_count_the_same_connection_and_keep_it() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.run(Duration::from_secs(30) + QUIET);
        let met = [world.counts(0), world.counts(1)];
        assert!(met[0].is_some() && met[0] == met[1], "seed {seed}: {met:?}");
        let wires = world.wires.len();
        assert!(
            !world.is_calm || wires <= 2,
            "seed {seed}: of two dials neither counted, {wires} were needed"
        );
        world.run(Duration::from_secs(60) + QUIET);
        assert_eq!((world.wires.len(), [world.counts(0), world.counts(1)]), (wires, met), "seed {seed}");
    }
}
