//! The network as arithmetic: what becomes of a datagram, and when.
//!
//! ```text
//!  node ── up: rate, queue ── path: cut, MTU, loss, latency, jitter ──▶ arrival ── NAT ── down: rate, queue ── node
//!          └────────────────── offer ─────────────────────────────┘           └─────────── arrive ──────────┘
//! ```
//!
//! A datagram passes in two steps. The queue of the receiver's link must take datagrams in the order in which they
//! reach it, which is not the order in which they were sent: so [`LinkModel::arrive`] is called at the time that
//! [`LinkModel::offer`] gave, for one datagram after the other.
//!
//! Times are nanoseconds since the world began. Each directed path draws from a generator of its own: what one pair
//! of nodes meets does not depend on who else is there.

use super::seed::Seed;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// A node's number in its world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u16);

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What IP and UDP add to a datagram on the wire (IPv4).
pub const HEADER_BYTES: u64 = 28;

/// A probability in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chance(pub u32);

impl Chance {
    /// So many percent.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self(percent.saturating_mul(10_000))
    }

    fn hits(self, rng: &mut ChaCha8Rng) -> bool {
        (u64::from(rng.next_u32()) * 1_000_000) >> 32 < u64::from(self.0)
    }
}

/// One direction of a node's access link: a rate, and a queue before it that drops from its tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Bits a second.
    pub rate: u64,
    /// Bytes that may wait, the one on the wire included.
    pub queue: u64,
}

impl Lane {
    /// So many Mbit/s with a queue of 100 ms.
    #[must_use]
    pub const fn mbit(rate: u64) -> Self {
        let rate = rate.saturating_mul(1_000_000);
        Self { rate, queue: rate / 80 }
    }
}

/// A node's access link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// From the node.
    pub up: Lane,
    /// To the node.
    pub down: Lane,
}

impl Access {
    /// So many Mbit/s both ways.
    #[must_use]
    pub const fn mbit(rate: u64) -> Self {
        Self { up: Lane::mbit(rate), down: Lane::mbit(rate) }
    }
}

/// How a path loses datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Each by itself.
    Even(Chance),
    /// In bursts (Gilbert-Elliott): the path is good or bad, and may change with each datagram.
    Bursty {
        /// From good to bad.
        worsen: Chance,
        /// From bad to good.
        mend: Chance,
        /// Loss while good.
        good: Chance,
        /// Loss while bad.
        bad: Chance,
    },
}

/// What lies between two access links, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathShape {
    /// One way.
    pub latency: Duration,
    /// Added to the latency, evenly from nothing to this. It does not reorder.
    pub jitter: Duration,
    /// What is lost.
    pub loss: Loss,
    /// Datagrams that come later than those behind them,
    pub reorder: Chance,
    /// by this much.
    pub reorder_by: Duration,
    /// Datagrams that come twice; the second at most one latency later.
    pub duplicate: Chance,
    /// Datagrams that arrive with a bit turned over, in a byte that a generator of its own chooses.
    pub spoil: Chance,
    /// The longest datagram that passes (UDP payload); longer ones vanish.
    pub mtu: usize,
}

impl PathShape {
    /// A clean path.
    #[must_use]
    pub const fn clean(latency: Duration) -> Self {
        Self {
            latency,
            jitter: Duration::ZERO,
            loss: Loss::Even(Chance(0)),
            reorder: Chance(0),
            reorder_by: Duration::ZERO,
            duplicate: Chance(0),
            spoil: Chance(0),
            mtu: 1472,
        }
    }

    /// 25 ms with jitter, 1 % loss, reordering and duplicates.
    #[must_use]
    pub const fn rough() -> Self {
        Self {
            jitter: Duration::from_millis(3),
            loss: Loss::Even(Chance::percent(1)),
            reorder: Chance::percent(1),
            reorder_by: Duration::from_millis(8),
            duplicate: Chance(1_000),
            ..Self::clean(Duration::from_millis(25))
        }
    }
}

/// What stands between a node and those who call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// Nothing.
    Open,
    /// Only those get in whom the node wrote to within this time.
    Pinhole {
        /// How long a pinhole lasts after the last datagram in either direction.
        idle: Duration,
    },
    /// The same, and everybody the node writes to sees it at another port, which only they can answer to: what one peer
    /// says of its address is of no use to another.
    Symmetric {
        /// How long a pinhole lasts; the next one is another port.
        idle: Duration,
    },
}

impl Nat {
    const fn idle(self) -> Option<Duration> {
        match self {
            Self::Open => None,
            Self::Pinhole { idle } | Self::Symmetric { idle } => Some(idle),
        }
    }
}

/// Why a datagram did not come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Nobody has that address.
    Nowhere,
    /// Sender or receiver is not running.
    Down,
    /// The path is cut.
    Cut,
    /// Longer than the path takes.
    Mtu,
    /// Lost on the path.
    Lost,
    /// The sender's queue is full.
    UpQueue,
    /// The receiver's queue is full.
    DownQueue,
    /// No pinhole.
    Nat,
    /// The receiver does not read fast enough.
    Inbox,
}

/// What becomes of a datagram that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It does not arrive.
    Drop(DropReason),
    /// It reaches the receiver's access link.
    Arrives {
        /// Then.
        at: u64,
        /// And once more, then.
        again: Option<u64>,
        /// The place of the byte that comes through wrong; not in the one that comes once more.
        spoiled: Option<usize>,
    },
}

/// All links of a world.
#[derive(Debug)]
pub struct LinkModel {
    seed: Seed,
    usual: PathShape,
    nodes: Vec<Attached>,
    paths: BTreeMap<(NodeIndex, NodeIndex), Path>,
    cuts: BTreeSet<(NodeIndex, NodeIndex)>,
}

#[derive(Debug)]
struct Attached {
    up: Pipe,
    down: Pipe,
    nat: Nat,
    /// By whom the node wrote to.
    pinholes: BTreeMap<NodeIndex, Pinhole>,
    next_port: u16,
    is_up: bool,
}

#[derive(Debug, Clone, Copy)]
struct Pinhole {
    /// When a datagram last passed, in either direction.
    used_at: u64,
    /// What the node is seen at there, behind a symmetric NAT.
    port: u16,
}

/// The first port that a symmetric NAT gives out.
const FIRST_PORT: u16 = 40_000;

impl Attached {
    /// The node writes to another one.
    fn pierce(&mut self, now: u64, to: NodeIndex) {
        let Some(idle) = self.nat.idle() else { return };
        match self.pinholes.get_mut(&to).filter(|hole| now.saturating_sub(hole.used_at) <= nanos(idle)) {
            Some(hole) => hole.used_at = now,
            None => {
                self.pinholes.insert(to, Pinhole { used_at: now, port: self.next_port });
                self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
            }
        }
    }
}

#[derive(Debug)]
struct Path {
    shape: PathShape,
    rng: ChaCha8Rng,
    spoils: ChaCha8Rng,
    is_bad: bool,
    last_arrival: u64,
}

/// A lane and when it has sent what it took.
#[derive(Debug)]
struct Pipe {
    lane: Lane,
    free_at: u64,
}

impl Pipe {
    const fn new(lane: Lane) -> Self {
        Self { lane, free_at: 0 }
    }

    /// Takes a datagram and says when its last bit is out; none if the queue has no room.
    fn pass(&mut self, now: u64, length: usize) -> Option<u64> {
        let bytes = u64::try_from(length).unwrap_or(u64::MAX).saturating_add(HEADER_BYTES);
        let rate = u128::from(self.lane.rate.max(1));
        let waiting = (u128::from(self.free_at.saturating_sub(now)) * rate).div_ceil(8_000_000_000);
        if waiting + u128::from(bytes) > u128::from(self.lane.queue) {
            return None;
        }
        let takes = (u128::from(bytes) * 8_000_000_000).div_ceil(rate);
        self.free_at = self.free_at.max(now).saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
        Some(self.free_at)
    }
}

impl Path {
    /// When the datagram that leaves at `now` arrives, and its double. Every datagram draws the same number of times, so
    /// that changing one rate does not change the luck of the rest.
    fn carry(&mut self, now: u64, length: usize) -> Offer {
        let Self { shape, rng, .. } = self;
        let jitter = up_to(nanos(shape.jitter), rng);
        let is_late = shape.reorder.hits(rng);
        let echo = up_to(nanos(shape.latency), rng);
        let is_double = shape.duplicate.hits(rng);
        let is_lost = match shape.loss {
            Loss::Even(chance) => chance.hits(rng),
            Loss::Bursty { worsen, mend, good, bad } => {
                let turns = if self.is_bad { mend } else { worsen }.hits(rng);
                self.is_bad ^= turns;
                if self.is_bad { bad } else { good }.hits(rng)
            }
        };
        if length > shape.mtu {
            return Offer::Drop(DropReason::Mtu);
        }
        if is_lost {
            return Offer::Drop(DropReason::Lost);
        }
        let mut at = now.saturating_add(nanos(shape.latency)).saturating_add(jitter);
        if is_late {
            at = at.saturating_add(nanos(shape.reorder_by));
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        Offer::Arrives { at, again: is_double.then(|| at.saturating_add(echo)), spoiled: self.spoil(length) }
    }

    fn spoil(&mut self, length: usize) -> Option<usize> {
        let last = u64::try_from(length).ok()?.checked_sub(1)?;
        let (hits, place) = (self.shape.spoil.hits(&mut self.spoils), up_to(last, &mut self.spoils));
        usize::try_from(place).ok().filter(|_| hits)
    }
}

impl LinkModel {
    /// No nodes yet. Pairs without a shape of their own have the usual one.
    #[must_use]
    pub const fn new(seed: Seed, usual: PathShape) -> Self {
        Self { seed, usual, nodes: Vec::new(), paths: BTreeMap::new(), cuts: BTreeSet::new() }
    }

    /// Attaches the next node; it is not up yet.
    pub fn attach(&mut self, access: Access, nat: Nat) -> NodeIndex {
        let index = NodeIndex(u16::try_from(self.nodes.len()).unwrap_or(u16::MAX));
        let (up, down) = (Pipe::new(access.up), Pipe::new(access.down));
        let (pinholes, next_port) = (BTreeMap::new(), FIRST_PORT);
        self.nodes.push(Attached { up, down, nat, pinholes, next_port, is_up: false });
        index
    }

    /// Starts or stops a node.
    pub fn set_up(&mut self, node: NodeIndex, is_up: bool) {
        if let Some(node) = self.node(node) {
            node.is_up = is_up;
        }
    }

    /// Changes a node's access link. What waits in a queue keeps its time.
    pub fn set_access(&mut self, node: NodeIndex, access: Access) {
        if let Some(node) = self.node(node) {
            (node.up.lane, node.down.lane) = (access.up, access.down);
        }
    }

    /// Gives one direction of a pair its own shape.
    pub fn set_path(&mut self, from: NodeIndex, to: NodeIndex, shape: PathShape) {
        self.path(from, to).shape = shape;
    }

    /// Cuts one direction of a pair. What is under way arrives.
    pub fn cut(&mut self, from: NodeIndex, to: NodeIndex) {
        self.cuts.insert((from, to));
    }

    /// Mends what [`cut`](Self::cut) cut.
    pub fn heal(&mut self, from: NodeIndex, to: NodeIndex) {
        self.cuts.remove(&(from, to));
    }

    /// Whether a datagram could come from one to the other now: both run, and the path is not cut.
    #[must_use]
    pub fn reaches(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.is_up(from) && self.is_up(to) && !self.cuts.contains(&(from, to))
    }

    /// A datagram of `length` bytes is sent.
    pub fn offer(&mut self, now: u64, from: NodeIndex, to: NodeIndex, length: usize) -> Offer {
        let Some(sender) = self.node(from).filter(|node| node.is_up) else {
            return Offer::Drop(DropReason::Down);
        };
        let Some(out) = sender.up.pass(now, length) else { return Offer::Drop(DropReason::UpQueue) };
        sender.pierce(now, to);
        if self.cuts.contains(&(from, to)) {
            return Offer::Drop(DropReason::Cut);
        }
        self.path(from, to).carry(out, length)
    }

    /// A datagram reaches the receiver's access link: when the node gets it.
    ///
    /// # Errors
    ///
    /// Why it never does.
    pub fn arrive(
        &mut self,
        now: u64,
        from: NodeIndex,
        to: NodeIndex,
        length: usize,
    ) -> Result<u64, DropReason> {
        let receiver = self.node(to).ok_or(DropReason::Nowhere)?;
        if let Some(idle) = receiver.nat.idle() {
            let hole = receiver.pinholes.get_mut(&from).ok_or(DropReason::Nat)?;
            if now.saturating_sub(hole.used_at) > nanos(idle) {
                return Err(DropReason::Nat);
            }
            hole.used_at = hole.used_at.max(now);
        }
        receiver.down.pass(now, length).ok_or(DropReason::DownQueue)
    }

    /// The port at which a node behind a symmetric NAT is seen by one that it wrote to.
    #[must_use]
    pub fn port_seen(&self, node: NodeIndex, by: NodeIndex) -> Option<u16> {
        let node = self.nodes.get(usize::from(node.0))?;
        let hole = node.pinholes.get(&by).filter(|_| matches!(node.nat, Nat::Symmetric { .. }))?;
        Some(hole.port)
    }

    /// Whether a node is running.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.nodes.get(usize::from(node.0)).is_some_and(|node| node.is_up)
    }

    fn node(&mut self, node: NodeIndex) -> Option<&mut Attached> {
        self.nodes.get_mut(usize::from(node.0))
    }

    fn path(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Path {
        let (seed, shape) = (self.seed, self.usual);
        self.paths.entry((from, to)).or_insert_with(|| {
            let pair = u64::from(from.0) << 16 | u64::from(to.0);
            let (rng, spoils) = (seed.nth("path", pair).rng(), seed.nth("spoils", pair).rng());
            Path { shape, rng, spoils, is_bad: false, last_arrival: 0 }
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Evenly from nothing to `most`.
fn up_to(most: u64, rng: &mut ChaCha8Rng) -> u64 {
    let drawn = (u128::from(rng.next_u64()) * (u128::from(most) + 1)) >> 64;
    u64::try_from(drawn).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: NodeIndex = NodeIndex(0);
    const B: NodeIndex = NodeIndex(1);
    const MS: u64 = 1_000_000;

    fn model(seed: u64, shape: PathShape, access: Access) -> LinkModel {
        let mut model = LinkModel::new(Seed::root(seed), shape);
        for node in [A, B] {
            assert_eq!(model.attach(access, Nat::Open), node);
            model.set_up(node, true);
        }
        model
    }

    fn fast() -> Access {
        Access::mbit(10_000)
    }

    /// Sends and gives (arrival of the first copy, its index) of what came through.
    fn arrivals(model: &mut LinkModel, sends: &[(u64, usize)]) -> Vec<u64> {
        let mut now = 0;
        let mut at_link = Vec::new();
        for (pause, length) in sends {
            now += pause;
            if let Offer::Arrives { at, .. } = model.offer(now, A, B, *length) {
                at_link.push(at);
            }
        }
        at_link
    }

    fn lost(loss: Loss) -> (usize, usize) {
        let shape = PathShape { loss, ..PathShape::clean(Duration::from_millis(1)) };
        let mut model = model(3, shape, fast());
        let lost: Vec<bool> =
            (0..100_000).map(|n| matches!(model.offer(n * MS, A, B, 100), Offer::Drop(_))).collect();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        (lost.iter().filter(|lost| **lost).count(), bursts)
    }

    #[test]
    fn loss_is_as_often_and_as_bursty_as_it_says() {
        let (even, singles) = lost(Loss::Even(Chance::percent(2)));
        assert!((1_800..2_200).contains(&even), "{even}");
        assert!(singles * 100 > even * 95, "{singles} of {even}");
        let (bursty, bursts) = lost(Loss::Bursty {
            worsen: Chance::percent(1),
            mend: Chance::percent(20),
            good: Chance(0),
            bad: Chance::percent(50),
        });
        // Bad one time in 21, and every other datagram lost then.
        assert!((2_000..2_800).contains(&bursty), "{bursty}");
        assert!(bursts * 100 < bursty * 75, "{bursts} of {bursty}");
    }

    #[test]
    fn what_is_cut_down_or_too_long_does_not_pass() {
        let mut model = model(1, PathShape::clean(Duration::from_millis(5)), fast());
        assert_eq!(model.offer(0, A, B, 1473), Offer::Drop(DropReason::Mtu));
        model.cut(A, B);
        assert_eq!(model.offer(0, A, B, 100), Offer::Drop(DropReason::Cut));
        assert!(matches!(model.offer(0, B, A, 100), Offer::Arrives { .. }), "a cut has a direction");
        model.heal(A, B);
        assert!(matches!(model.offer(0, A, B, 100), Offer::Arrives { .. }));
        model.set_up(A, false);
        assert_eq!(model.offer(0, A, B, 100), Offer::Drop(DropReason::Down));
    }

    #[test]
    fn behind_nat_only_those_get_in_who_were_written_to() {
        let mut model = LinkModel::new(Seed::root(1), PathShape::clean(Duration::from_millis(5)));
        let idle = Duration::from_secs(30);
        let inside = model.attach(fast(), Nat::Pinhole { idle });
        let outside = model.attach(fast(), Nat::Open);
        model.set_up(inside, true);
        let second = 1_000 * MS;
        assert_eq!(model.arrive(0, outside, inside, 100), Err(DropReason::Nat));
        model.offer(0, inside, outside, 100);
        assert!(model.arrive(20 * second, outside, inside, 100).is_ok());
        assert!(model.arrive(45 * second, outside, inside, 100).is_ok(), "an answer keeps it open");
        assert_eq!(model.arrive(76 * second, outside, inside, 100), Err(DropReason::Nat));
    }

    #[test]
    fn a_symmetric_nat_shows_everybody_another_port_and_a_new_one_after_its_rest() {
        let mut model = LinkModel::new(Seed::root(1), PathShape::clean(Duration::from_millis(5)));
        let idle = Duration::from_secs(30);
        let inside = model.attach(fast(), Nat::Symmetric { idle });
        let (a, b) = (model.attach(fast(), Nat::Open), model.attach(fast(), Nat::Open));
        model.set_up(inside, true);
        let second = 1_000 * MS;
        assert_eq!(model.port_seen(inside, a), None);
        for to in [a, b] {
            model.offer(0, inside, to, 100);
        }
        let (by_a, by_b) = (model.port_seen(inside, a).unwrap(), model.port_seen(inside, b).unwrap());
        assert_ne!(by_a, by_b);
        assert!(model.arrive(20 * second, a, inside, 100).is_ok());
        model.offer(45 * second, inside, a, 100);
        assert_eq!(model.port_seen(inside, a), Some(by_a), "what is used stays");
        model.offer(80 * second, inside, a, 100);
        assert_ne!(model.port_seen(inside, a), Some(by_a), "what rested is gone");
        assert_eq!(model.port_seen(a, inside), None, "nothing stands before the other one");
    }

    #[test]
    fn datagrams_are_spoiled_as_often_as_it_says_and_nothing_else_changes() {
        let spoil = PathShape { spoil: Chance::percent(2), ..PathShape::rough() };
        let (mut clean, mut spoilt) = (model(3, PathShape::rough(), fast()), model(3, spoil, fast()));
        let mut count = 0;
        for n in 0..20_000 {
            match (clean.offer(n * MS, A, B, 100), spoilt.offer(n * MS, A, B, 100)) {
                (Offer::Arrives { at, again, .. }, Offer::Arrives { at: then, again: more, spoiled }) => {
                    assert_eq!((at, again), (then, more));
                    assert!(spoiled.is_none_or(|place| place < 100));
                    count += usize::from(spoiled.is_some());
                }
                (left, right) => assert_eq!(left, right),
            }
        }
        assert!((340..460).contains(&count), "{count}");
    }

    #[test]
    fn a_datagram_takes_its_time() {
        // 972 bytes and 28 of headers at 8 Mbit/s are 1 ms, twice; 10 ms between.
        let mut model = model(1, PathShape::clean(Duration::from_millis(10)), Access::mbit(8));
        assert_eq!(model.offer(0, A, B, 972), Offer::Arrives { at: 11 * MS, again: None, spoiled: None });
        assert_eq!(model.arrive(11 * MS, A, B, 972), Ok(12 * MS));
    }

    proptest! {
        #[test]
        fn a_lane_never_exceeds_its_rate_and_its_queue(
            sends in prop::collection::vec((0u64..3 * MS, 1usize..1472), 1..300),
            mbit in 1u64..50,
        ) {
            let lane = Lane::mbit(mbit);
            let mut pipe = Pipe::new(lane);
            let (mut now, mut begun, mut bytes) = (0, None, 0u64);
            for (pause, length) in sends {
                now += pause;
                let idle = pipe.free_at <= now;
                let Some(out) = pipe.pass(now, length) else {
                    prop_assert!(!idle, "an idle lane takes what fits");
                    continue;
                };
                if idle {
                    (begun, bytes) = (Some(now), 0);
                }
                bytes += length as u64 + HEADER_BYTES;
                let busy = out - begun.unwrap();
                // Never faster than the rate, and while busy no slower, but for a nanosecond each.
                let exact = bytes as f64 * 8_000.0 / mbit as f64;
                prop_assert!(busy as f64 >= exact && busy as f64 <= exact + 300.0, "{busy} {exact}");
                let waits = out - now;
                prop_assert!(waits <= lane.queue * 8_000 / mbit + 300, "{waits}");
            }
        }

        #[test]
        fn without_reordering_the_order_is_kept_and_with_it_it_is_not_lost(
            sends in prop::collection::vec((0u64..MS, 1usize..1472), 2..200),
            jitter in 0u64..50,
            seed: u64,
        ) {
            let jitter = Duration::from_millis(jitter);
            let shape = PathShape { jitter, ..PathShape::clean(Duration::from_millis(10)) };
            let clean = arrivals(&mut model(seed, shape, fast()), &sends);
            prop_assert_eq!(clean.len(), sends.len());
            prop_assert!(clean.is_sorted());
            let late = PathShape { reorder: Chance::percent(30), reorder_by: Duration::from_millis(90), ..shape };
            let mixed = arrivals(&mut model(seed, late, fast()), &sends);
            prop_assert_eq!(mixed.len(), sends.len());
        }

        #[test]
        fn the_same_seed_repeats_and_a_third_node_changes_nothing(
            sends in prop::collection::vec((0u64..MS, 1usize..1472), 1..100),
            seed: u64,
        ) {
            let mut alone = model(seed, PathShape::rough(), fast());
            let mut company = model(seed, PathShape::rough(), fast());
            let third = company.attach(fast(), Nat::Open);
            company.set_up(third, true);
            let mut now = 0;
            for (pause, length) in sends {
                now += pause;
                company.offer(now, third, B, length);
                prop_assert_eq!(alone.offer(now, A, B, length), company.offer(now, A, B, length));
            }
        }
    }

    #[test]
    fn reordering_reorders() {
        let shape = PathShape {
            reorder: Chance::percent(10),
            reorder_by: Duration::from_millis(5),
            ..PathShape::clean(Duration::from_millis(10))
        };
        let sends = [(MS, 100); 200];
        assert!(!arrivals(&mut model(1, shape, fast()), &sends).is_sorted());
    }
}
