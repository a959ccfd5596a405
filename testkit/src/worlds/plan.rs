//! What a world is made of: who is there, what they have, what goes wrong and when. A plan is data; a seed draws one
//! (`draw`).

use super::{
    blocks::Branch,
    clock::Clock,
    habits::Habit,
    ladder::{LONGER, Rung},
    real::RealStore,
    regions::Regions,
    store::{NodeStore, Shelf, StoreFaults},
    toy::ToyStore,
};
use crate::sim::{Access, LinkModel, Loss, NodeIndex, PathShape};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
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
    /// Where it is.
    pub region: usize,
    /// Its line.
    pub access: Access,
    /// What its line loses.
    pub loss: Loss,
    /// Seconds its wall clock is ahead.
    pub clock: i64,
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
    /// Nothing passes between these and the rest.
    Split(BTreeSet<NodeIndex>),
    /// What [`Split`](Self::Split) cut is whole again.
    Rejoin(BTreeSet<NodeIndex>),
    /// A node loses its power.
    Crash(NodeIndex),
    /// A node writes to its store so many times more, loses its power in the next write, and starts again soon after.
    Doom(NodeIndex, u32),
    /// A node goes away and says so.
    Leave(NodeIndex),
    /// It is started again, over what its store held.
    Start(NodeIndex),
    /// It stays connected, but neither reads nor speaks.
    Wedge(NodeIndex),
    /// It goes on.
    Unwedge(NodeIndex),
    /// Its line changes.
    Access(NodeIndex, Access),
    /// Its work takes so many times as long.
    Slow(NodeIndex, u64),
    /// Its jobs that touch the store take up to this much longer each.
    SlowStore(NodeIndex, Duration),
    /// Its store fails.
    Store(NodeIndex, StoreFaults),
    /// Its wall clock jumps, to so many seconds ahead of the true time.
    Clock(NodeIndex, i64),
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
            Self::Split(_) => "split",
            Self::Rejoin(_) => "rejoin",
            Self::Crash(_) => "crash",
            Self::Doom(..) => "doom",
            Self::Leave(_) => "leave",
            Self::Start(_) => "start",
            Self::Wedge(_) => "wedge",
            Self::Unwedge(_) => "unwedge",
            Self::Access(..) => "bandwidth",
            Self::Slow(..) => "slow work",
            Self::SlowStore(..) => "slow store",
            Self::Store(..) => "store error",
            Self::Clock(..) => "clock jump",
            Self::Mine(..) => "reorg",
        }
    }

    /// Whether it mends what another broke.
    #[must_use]
    pub fn undoes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Heal(from, to), Self::Cut(a, b)) => (from, to) == (a, b),
            (Self::Rejoin(mended), Self::Split(part)) => mended == part,
            (Self::Start(node), Self::Crash(gone) | Self::Leave(gone)) => node == gone,
            (Self::Unwedge(node), Self::Wedge(wedged)) => node == wedged,
            (Self::Access(node, _), Self::Access(thin, _)) => node == thin,
            (Self::Slow(node, 1), Self::Slow(slow, _)) => node == slow,
            (Self::SlowStore(node, Duration::ZERO), Self::SlowStore(slow, _)) => node == slow,
            (Self::Clock(node, _), Self::Clock(wrong, _)) => node == wrong,
            _ => false,
        }
    }

    /// Whether it befalls only these.
    #[must_use]
    pub fn concerns(&self, nodes: &BTreeSet<NodeIndex>) -> bool {
        match self {
            Self::Cut(from, to) | Self::Heal(from, to) => nodes.contains(from) || nodes.contains(to),
            Self::Split(part) | Self::Rejoin(part) => part.is_subset(nodes),
            Self::Crash(node)
            | Self::Doom(node, _)
            | Self::Leave(node)
            | Self::Start(node)
            | Self::Wedge(node)
            | Self::Unwedge(node)
            | Self::Access(node, _)
            | Self::Slow(node, _)
            | Self::SlowStore(node, _)
            | Self::Store(node, _)
            | Self::Clock(node, _)
            | Self::Mine(node, _) => nodes.contains(node),
        }
    }
}

/// A world to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of everything that is drawn while it runs.
    pub seed: u64,
    /// The chain it is about.
    pub rung: Rung,
    /// Branches by number ([`ladder`](super::ladder)); the first is what honest peers have.
    pub branches: Vec<Arc<Branch>>,
    /// Checkpoints every node knows, ascending.
    pub anchors: Vec<BlockRef>,
    /// How far below the tip a block is final.
    pub finality: u32,
    /// Unix seconds when the world begins: the trunk's tip has just been made.
    pub epoch: u64,
    /// How far apart regions are.
    pub regions: Regions,
    /// Who is there.
    pub members: Vec<Member>,
    /// Members that never start: what was left out of a drawn plan.
    pub absent: BTreeSet<NodeIndex>,
    /// Who dials whom.
    pub dials: Vec<(NodeIndex, NodeIndex)>,
    /// What goes wrong, and when (nanoseconds).
    pub faults: Vec<(u64, Fault)>,
    /// After this nothing goes wrong any more.
    pub calm: u64,
    /// How long after that everybody may take to arrive (nanoseconds).
    pub patience: u64,
    /// The services' settings.
    pub config: (HeaderSyncConfig, BlockSyncConfig),
}

/// How large a world is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The chain it is about.
    pub rung: Rung,
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

impl Plan {
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

    /// The block that every honest full node should have in the end: the highest one of the branch with the most work that is
    /// not ahead of its time.
    #[must_use]
    pub fn goal(&self) -> BlockRef {
        let tells = |member: &Member| member.habit.has_to_arrive();
        let moves_on = self.faults.iter().any(
            |(_, fault)| matches!(fault, Fault::Mine(miner, _) if self.member(*miner).is_some_and(tells)),
        );
        let branch = if moves_on { self.branches.get(LONGER) } else { None };
        branch.unwrap_or(self.trunk()).tip().at
    }

    /// The member with this number.
    #[must_use]
    pub fn member(&self, index: NodeIndex) -> Option<&Member> {
        self.members.get(usize::from(index.0))
    }

    /// A member's store, and its wall clock as the world begins.
    ///
    /// # Panics
    ///
    /// If the store that ships does not take the blocks that were made for it: then nothing can be simulated.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a world whose blocks no store takes is no world")]
    pub fn store(&self, member: &Member) -> NodeStore {
        let branch = self.branches.get(member.branch).unwrap_or(self.trunk());
        let (clock, anchors) = (Clock::default(), self.anchors.clone());
        clock.set(self.epoch.saturating_add_signed(member.clock));
        let shelf = match self.rung {
            Rung::Toy | Rung::Mainnet => {
                Shelf::Toy(ToyStore::new(branch, member.tip, anchors, self.finality, clock.clone()))
            }
            Rung::Regtest => {
                let no_pow = matches!(member.habit, Habit::Braggart | Habit::Trespasser);
                let store = RealStore::new(branch, member.tip, anchors, no_pow, clock.clone());
                Shelf::Real(store.expect("the store takes blocks that were made for it"))
            }
        };
        NodeStore::new(shelf, clock)
    }

    /// The path from one node to another.
    #[must_use]
    pub fn path(&self, from: NodeIndex, to: NodeIndex) -> PathShape {
        let (Some(from), Some(to)) = (self.member(from), self.member(to)) else { return self.usual_path() };
        let lossy = if to.habit == Habit::Lossy { to.loss } else { from.loss };
        let latency = self.regions.latency(from.region, to.region);
        PathShape { latency, loss: lossy, ..self.usual_path() }
    }

    /// The path between two nodes that have none of their own.
    #[must_use]
    pub fn usual_path(&self) -> PathShape {
        let latency = self.regions.latency(0, 0);
        PathShape { jitter: Duration::from_millis(3), mtu: usize::MAX, ..PathShape::clean(latency) }
    }

    /// Gives every pair that may speak its path.
    pub fn shape_paths(&self, links: &mut LinkModel) {
        for (a, b) in &self.dials {
            links.set_path(*a, *b, self.path(*a, *b));
            links.set_path(*b, *a, self.path(*b, *a));
        }
    }
}
