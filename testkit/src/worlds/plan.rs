//! What a world is made of: who is there, what they have, what goes wrong and when. A plan is data; a seed draws one.

use super::{
    blocks::{Branch, Flaw, Recipe},
    habits::{Habit, boast},
    store::{StoreFaults, ToyStore},
};
use crate::sim::{Access, Chance, LinkModel, Loss, NodeIndex, PathShape, Seed};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{sync::Arc, time::Duration};
use zakura_block_sync::BlockSyncConfig;
use zakura_header_sync::{
    HeaderSyncConfig,
    chain::{BlockRef, Height},
};

/// One node of a plan.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it does to others.
    pub habit: Habit,
    /// Its line.
    pub access: Access,
    /// The branch its store holds.
    pub branch: usize,
    /// Up to where.
    pub tip: Height,
}

/// Something that goes wrong, or right again.
#[derive(Debug, Clone)]
pub enum Fault {
    /// One direction of a pair is cut.
    Cut(NodeIndex, NodeIndex),
    /// It is mended.
    Heal(NodeIndex, NodeIndex),
    /// A node loses its power.
    Crash(NodeIndex),
    /// It is started again, over what its store held.
    Start(NodeIndex),
    /// Its line changes.
    Access(NodeIndex, Access),
    /// Its work takes so many times as long.
    Slow(NodeIndex, u64),
    /// Its store fails.
    Store(NodeIndex, StoreFaults),
    /// Its store goes over to another branch.
    Mine(NodeIndex, usize),
}

impl Fault {
    /// Its kind's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cut(..) => "cut",
            Self::Heal(..) => "heal",
            Self::Crash(_) => "crash",
            Self::Start(_) => "start",
            Self::Access(..) => "bandwidth",
            Self::Slow(..) => "slow work",
            Self::Store(..) => "store error",
            Self::Mine(..) => "reorg",
        }
    }
}

/// A world to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of everything that is drawn while it runs.
    pub seed: u64,
    /// Branches by number; the first is what honest peers have.
    pub branches: Vec<Arc<Branch>>,
    /// Checkpoints every node knows.
    pub anchors: Vec<BlockRef>,
    /// How far below the tip a block is final.
    pub finality: u32,
    /// Who is there.
    pub members: Vec<Member>,
    /// Who dials whom.
    pub dials: Vec<(NodeIndex, NodeIndex)>,
    /// What goes wrong, and when (nanoseconds).
    pub faults: Vec<(u64, Fault)>,
    /// After this nothing goes wrong any more.
    pub calm: u64,
    /// How far apart everybody is.
    pub latency: Duration,
    /// The services' settings.
    pub config: (HeaderSyncConfig, BlockSyncConfig),
}

/// How large a world is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Peers of the node that syncs.
    pub peers: u16,
    /// Blocks of the honest branch.
    pub heights: u32,
    /// Nodes that start with nothing.
    pub newcomers: u16,
    /// How many faults are drawn.
    pub faults: u16,
}

/// The first node of every plan: honest, and with nothing but genesis.
pub const SUBJECT: NodeIndex = NodeIndex(0);

/// When the safety phase ends: faults stop, and whoever can arrive has to.
const CALM: u64 = 60_000_000_000;

impl Plan {
    /// Draws a plan.
    #[must_use]
    pub fn draw(number: u64, size: Size) -> Self {
        let seed = Seed::root(number).child("plan");
        let mut rng = seed.rng();
        let body = |rng: &mut ChaCha8Rng| 64 + rng.next_u32() % 1_500;
        let recipe = |salt: u32, rng: &mut ChaCha8Rng| Recipe {
            salt,
            work: 2,
            flaw: Flaw::None,
            body_bytes: body(rng),
        };
        let trunk: Vec<_> = (0..size.heights).map(|salt| recipe(salt, &mut rng)).collect();
        let trunk = Branch::genesis().grow(Height::GENESIS, trunk);
        let depth = 1 + rng.next_u32() % 20;
        let fork = trunk.tip().at.height.saturating_sub(depth);
        let lesser: Vec<_> =
            (0..depth.saturating_sub(1)).map(|salt| recipe(1_000_000 + salt, &mut rng)).collect();
        let lesser = trunk.grow(fork, lesser);
        let boastful = trunk.grow(fork, (0..depth + 5).map(|salt| boast(2_000_000 + salt)));
        let longer: Vec<_> = (0..depth + 3).map(|salt| recipe(3_000_000 + salt, &mut rng)).collect();
        let longer = trunk.grow(fork, longer);
        let mut plan = Self {
            seed: number,
            anchors: anchors(&trunk, &mut rng),
            branches: vec![trunk, lesser, boastful, longer],
            finality: 100,
            members: Vec::new(),
            dials: Vec::new(),
            faults: Vec::new(),
            calm: CALM,
            latency: Duration::from_millis(u64::from(1 + rng.next_u32() % 120)),
            config: draw_limits(&mut rng),
        };
        plan.people(size, &mut rng);
        plan.trouble(size, &mut rng);
        plan
    }

    fn people(&mut self, size: Size, rng: &mut ChaCha8Rng) {
        let newcomer = Member { habit: Habit::Honest, access: access(rng), branch: 0, tip: Height::GENESIS };
        self.members.push(newcomer);
        for number in 0..size.peers {
            let habit = if number < size.newcomers { Habit::Honest } else { draw_habit(rng) };
            let branch = match habit {
                Habit::Forked => 1,
                Habit::Braggart => 2,
                _ => 0,
            };
            let tip = self.branches.get(branch).map_or(Height::GENESIS, |branch| branch.tip().at.height);
            let tip = if number < size.newcomers { Height::GENESIS } else { tip };
            let access = if habit == Habit::Slow { Access::mbit(1) } else { access(rng) };
            self.members.push(Member { habit, access, branch, tip });
        }
        // One honest peer with everything stays whatever happens: without it nobody could arrive (I-V1).
        if let Some(last) = self.members.last_mut() {
            let tip = self.branches.first().map_or(Height::GENESIS, |trunk| trunk.tip().at.height);
            *last = Member { habit: Habit::Honest, access: access(rng), branch: 0, tip };
        }
        let count = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        for peer in (1..count).map(NodeIndex) {
            let pair = if rng.next_u32().is_multiple_of(2) { (SUBJECT, peer) } else { (peer, SUBJECT) };
            self.dials.push(pair);
        }
        for newcomer in (1..=size.newcomers).map(NodeIndex) {
            for _ in 0..4 {
                let peer =
                    NodeIndex(1 + u16::try_from(rng.next_u32() % u32::from(count - 1)).unwrap_or_default());
                let is_known =
                    self.dials.iter().any(|pair| *pair == (newcomer, peer) || *pair == (peer, newcomer));
                if peer != newcomer && !is_known {
                    self.dials.push((newcomer, peer));
                }
            }
        }
    }

    fn trouble(&mut self, size: Size, rng: &mut ChaCha8Rng) {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let before_calm = |rng: &mut ChaCha8Rng| u64::from(rng.next_u32()) % (CALM / 4);
        for _ in 0..size.faults {
            let at = before_calm(rng);
            let until = (at + 100_000_000 + before_calm(rng)).min(CALM);
            let node = NodeIndex(u16::try_from(rng.next_u32() % count).unwrap_or_default());
            let other = NodeIndex(u16::try_from(rng.next_u32() % count).unwrap_or_default());
            let pairs = match rng.next_u32() % 7 {
                0 => vec![(at, Fault::Cut(SUBJECT, other)), (until, Fault::Heal(SUBJECT, other))],
                1 => vec![
                    (at, Fault::Cut(SUBJECT, other)),
                    (at, Fault::Cut(other, SUBJECT)),
                    (until, Fault::Heal(SUBJECT, other)),
                    (until, Fault::Heal(other, SUBJECT)),
                ],
                2 => vec![(at, Fault::Crash(node)), (until, Fault::Start(node))],
                3 => vec![
                    (at, Fault::Access(node, Access::mbit(1))),
                    (until, Fault::Access(node, access(rng))),
                ],
                4 => vec![(at, Fault::Slow(node, 100)), (until, Fault::Slow(node, 1))],
                5 => vec![(at, Fault::Crash(SUBJECT)), (at + 50_000_000, Fault::Start(SUBJECT))],
                _ => {
                    let fails = StoreFaults {
                        header_writes: rng.next_u32() % 3,
                        body_writes: rng.next_u32() % 4,
                        reads: rng.next_u32() % 3,
                        ..StoreFaults::default()
                    };
                    vec![(at, Fault::Store(node, fails))]
                }
            };
            self.faults.extend(pairs);
        }
        for (number, member) in (0_u16..).zip(&self.members) {
            if member.habit == Habit::Restarting {
                let at = before_calm(rng);
                self.faults.push((at, Fault::Crash(NodeIndex(number))));
                self.faults.push((at + 1_000_000_000, Fault::Start(NodeIndex(number))));
            }
        }
        if rng.next_u32().is_multiple_of(2) && size.faults > 0 {
            // The network goes over to a longer branch while everybody syncs.
            let at = before_calm(rng);
            for (number, member) in (0_u16..).zip(&self.members) {
                if member.branch == 0 && member.tip > Height::GENESIS {
                    let spread = u64::from(rng.next_u32()) % 5_000_000_000;
                    self.faults.push((at + spread, Fault::Mine(NodeIndex(number), LONGER)));
                }
            }
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// The branch everybody began with.
    ///
    /// # Panics
    ///
    /// If the plan has no branch.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a plan without a branch is no plan")]
    pub fn trunk(&self) -> &Arc<Branch> {
        self.branches.first().expect("a plan has a branch")
    }

    /// The block with the most honest work.
    #[must_use]
    pub fn goal(&self) -> BlockRef {
        let moves_on = self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Mine(..)));
        let branch = if moves_on { self.branches.get(LONGER) } else { None };
        branch.unwrap_or(self.trunk()).tip().at
    }

    /// A member's store.
    #[must_use]
    pub fn store(&self, member: &Member) -> ToyStore {
        let branch = self.branches.get(member.branch).unwrap_or(self.trunk());
        ToyStore::new(branch, member.tip, member.tip, self.finality).with_anchors(self.anchors.clone())
    }

    /// The path between two nodes that have none of their own.
    #[must_use]
    pub const fn usual_path(&self) -> PathShape {
        PathShape { jitter: Duration::from_millis(3), mtu: usize::MAX, ..PathShape::clean(self.latency) }
    }

    /// Gives those their bad lines who have them.
    pub fn shape_paths(&self, links: &mut LinkModel) {
        for (number, member) in (0_u16..).zip(&self.members) {
            if member.habit == Habit::Lossy {
                let shape = PathShape { loss: Loss::Even(Chance::percent(30)), ..self.usual_path() };
                for (from, to) in [(SUBJECT, NodeIndex(number)), (NodeIndex(number), SUBJECT)] {
                    links.set_path(from, to, shape);
                }
            }
        }
    }

    /// What a job costs, in nanoseconds: proof-of-work 100 us a header, a durable write 2 ms, a read 20 us.
    #[must_use]
    pub fn cost(&self, name: &str, items: usize) -> u64 {
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        match name {
            "header check" => items.saturating_mul(100_000),
            "header store" | "body commit" => items.saturating_mul(10_000).saturating_add(2_000_000),
            "body check" => items.saturating_mul(30_000),
            _ => 50_000,
        }
    }
}

/// The branch the network may go over to.
const LONGER: usize = 3;

fn access(rng: &mut ChaCha8Rng) -> Access {
    Access::mbit(u64::from(10 + rng.next_u32() % 190))
}

/// One in four peers is hostile, one in four odd.
fn draw_habit(rng: &mut ChaCha8Rng) -> Habit {
    let pick = |habits: &[Habit], rng: &mut ChaCha8Rng| {
        let count = u32::try_from(habits.len()).unwrap_or(1).max(1);
        habits.get(usize::try_from(rng.next_u32() % count).unwrap_or_default()).copied()
    };
    let drawn = match rng.next_u32() % 4 {
        0 => pick(&Habit::HOSTILE, rng),
        1 => pick(&Habit::ODD, rng),
        _ => None,
    };
    drawn.unwrap_or(Habit::Honest)
}

/// Half of the worlds have checkpoints.
fn anchors(trunk: &Branch, rng: &mut ChaCha8Rng) -> Vec<BlockRef> {
    if rng.next_u32().is_multiple_of(2) {
        return Vec::new();
    }
    let top = trunk.tip().at.height.saturating_sub(150).get();
    let every = 20 + rng.next_u32() % 200;
    let heights = (1..=top / every).filter_map(|nth| Height::new(nth * every));
    heights.filter_map(|height| trunk.block(height)).map(|block| block.at).collect()
}

/// Limits from their recommended values down to their floors (swarm testing).
fn draw_limits(rng: &mut ChaCha8Rng) -> (HeaderSyncConfig, BlockSyncConfig) {
    let (mut headers, mut bodies) = (HeaderSyncConfig::recommended(), BlockSyncConfig::recommended());
    let mut draw = |usual: u64, floor: u64| match rng.next_u32() % 3 {
        0 => usual,
        1 => floor,
        _ => floor + u64::from(rng.next_u32()) % (usual - floor).max(1),
    };
    let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    headers.max_targets = small(draw(16, 1));
    headers.segment_window = small(draw(headers.segment_window as u64, 1));
    headers.staged_headers = small(draw(headers.staged_headers as u64, 300));
    bodies.in_flight_bytes = draw(bodies.in_flight_bytes, 64 * 1024);
    bodies.retained_bytes = draw(bodies.retained_bytes, 128 * 1024);
    bodies.commit_blocks = small(draw(bodies.commit_blocks as u64, 1));
    bodies.concurrent_checks = small(draw(bodies.concurrent_checks as u64, 1));
    bodies.concurrent_reads = small(draw(bodies.concurrent_reads as u64, 1));
    (headers, bodies)
}
