//! How a seed draws a plan.

use super::{
    blocks::Branch,
    habits::Habit,
    ladder::{BOASTFUL, EARLY, EARLY_BY, FORBIDDEN, LESSER, LONGER, TRUNK},
    plan::{Fault, Member, Plan, SUBJECT, Size},
    regions::Regions,
    store::StoreFaults,
};
use crate::sim::{Access, Chance, Loss, NodeIndex, Seed};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::{collections::BTreeSet, time::Duration};
use zakura_block_sync::BlockSyncConfig;
use zakura_header_sync::{
    HeaderSyncConfig,
    chain::{BlockRef, Height},
};

/// When the safety phase ends: faults stop, and whoever can arrive has to.
const CALM: u64 = 60_000_000_000;

/// How long everybody may take to arrive after that: this,
const PATIENCE: u64 = 600_000_000_000;

/// and this for each block of the chain: a slow line, one commit a block.
const PATIENCE_PER_BLOCK: u64 = 10_000_000;

const SECOND: u64 = 1_000_000_000;

/// Of so many peers one at least is hostile or odd.
const ODD_ONE_IN: usize = 5;

impl Plan {
    /// Draws a plan.
    #[must_use]
    pub fn draw(number: u64, size: Size) -> Self {
        let seed = Seed::root(number).child("plan");
        // Each part draws for itself: a shorter chain is the same world over a shorter chain.
        let rng = |part| seed.child(part).rng();
        let branches = size.rung.branches(size.heights, &mut rng("chain"));
        let trunk = branches.first().cloned().unwrap_or_else(|| Branch::genesis(0));
        let mut plan = Self {
            seed: number,
            rung: size.rung,
            anchors: anchors(&trunk, &mut rng("anchors")),
            epoch: size.rung.time(trunk.tip()).into(),
            branches,
            finality: 100,
            regions: Regions::draw(&mut rng("regions")),
            members: Vec::new(),
            absent: BTreeSet::new(),
            dials: Vec::new(),
            faults: Vec::new(),
            calm: CALM,
            patience: PATIENCE.saturating_add(PATIENCE_PER_BLOCK.saturating_mul(size.heights.into())),
            config: draw_limits(&mut rng("limits")),
        };
        plan.people(size, &mut rng("people"));
        plan.acquaint(size, &mut rng("dials"));
        plan.trouble(size, &mut rng("trouble"));
        plan
    }

    fn people(&mut self, size: Size, rng: &mut ChaCha8Rng) {
        let newcomers = usize::from(size.newcomers);
        let mut habits: Vec<_> = (0..size.peers)
            .map(|number| if number < size.newcomers { Habit::Honest } else { draw_habit(rng) })
            .collect();
        // One honest peer with everything stays whatever happens: without it nobody could arrive (I-V1).
        if let Some(last) = habits.last_mut() {
            *last = Habit::Honest;
        }
        // Where luck has drawn too few of them, some more are hostile or odd.
        let others = newcomers..habits.len().saturating_sub(1);
        while odd(&habits) < habits.len().div_ceil(ODD_ONE_IN)
            && let Some(at) = others.clone().find(|at| habits.get(*at) == Some(&Habit::Honest))
        {
            habits[at] = any_of(&Habit::ODD, rng);
        }
        self.members.push(self.member_of(Habit::Honest, Height::GENESIS, rng));
        for (number, habit) in habits.into_iter().enumerate() {
            let is_new = number < newcomers && number < usize::from(size.peers).saturating_sub(1);
            let tip = if is_new { Height::GENESIS } else { Height::MAX };
            self.members.push(self.member_of(habit, tip, rng));
        }
    }

    fn member_of(&self, habit: Habit, most: Height, rng: &mut ChaCha8Rng) -> Member {
        let branch = match habit {
            Habit::Forked => LESSER,
            Habit::Braggart => BOASTFUL,
            Habit::Early => EARLY,
            Habit::Trespasser => FORBIDDEN,
            _ => TRUNK,
        };
        let tip = self.branches.get(branch).map_or(Height::GENESIS, |branch| branch.tip().at.height);
        let ahead = if habit == Habit::Early { i64::from(EARLY_BY) * 2 } else { 0 };
        Member {
            habit,
            region: usize::try_from(rng.next_u32()).unwrap_or_default() % self.regions.count().max(1),
            access: if habit == Habit::Slow { Access::mbit(1) } else { access(rng) },
            loss: if habit == Habit::Lossy { loss(rng) } else { Loss::Even(Chance(0)) },
            clock: ahead + i64::from(rng.next_u32() % 120) - 60,
            branch,
            tip: tip.min(most),
        }
    }

    fn acquaint(&mut self, size: Size, rng: &mut ChaCha8Rng) {
        let count = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        for peer in (1..count).map(NodeIndex) {
            let pair = if rng.next_u32().is_multiple_of(2) { (SUBJECT, peer) } else { (peer, SUBJECT) };
            self.dials.push(pair);
        }
        for newcomer in (1..=size.newcomers.min(count.saturating_sub(1))).map(NodeIndex) {
            for _ in 0..4 {
                let peer = NodeIndex(1 + below(u32::from(count - 1), rng));
                let is_known =
                    self.dials.iter().any(|pair| *pair == (newcomer, peer) || *pair == (peer, newcomer));
                if peer != newcomer && !is_known {
                    self.dials.push((newcomer, peer));
                }
            }
        }
    }

    fn trouble(&mut self, size: Size, rng: &mut ChaCha8Rng) {
        for _ in 0..size.faults {
            let drawn = self.draw_fault(rng);
            self.faults.extend(drawn);
        }
        for (number, member) in (0_u16..).zip(&self.members) {
            let node = NodeIndex(number);
            match member.habit {
                Habit::Restarting => {
                    let at = soon(rng);
                    self.faults.push((at, Fault::Crash(node)));
                    self.faults.push((at + SECOND, Fault::Start(node)));
                }
                Habit::Ailing => {
                    let fails = (0..4).map(|_| (soon(rng), Fault::Store(node, store_faults(rng))));
                    self.faults.extend(fails);
                }
                Habit::Churning => self.faults.extend(sessions(node, rng)),
                _ => {}
            }
        }
        if rng.next_u32().is_multiple_of(2) && size.faults > 0 {
            // The network goes over to a longer branch while everybody syncs.
            let at = soon(rng);
            for (number, member) in (0_u16..).zip(&self.members) {
                if member.branch == TRUNK && member.tip > Height::GENESIS {
                    let spread = u64::from(rng.next_u32()) % (5 * SECOND);
                    self.faults.push((at + spread, Fault::Mine(NodeIndex(number), LONGER)));
                }
            }
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// One thing that goes wrong, and that it is mended.
    fn draw_fault(&self, rng: &mut ChaCha8Rng) -> Vec<(u64, Fault)> {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let at = soon(rng);
        let until = (at + SECOND / 10 + soon(rng)).min(CALM);
        let (node, other) = (NodeIndex(below(count, rng)), NodeIndex(below(count, rng)));
        // Half of what befalls one node befalls the one that syncs.
        let node = if rng.next_u32().is_multiple_of(2) { SUBJECT } else { node };
        match rng.next_u32() % 12 {
            0 => vec![(at, Fault::Cut(SUBJECT, other)), (until, Fault::Heal(SUBJECT, other))],
            1 => vec![
                (at, Fault::Cut(SUBJECT, other)),
                (at, Fault::Cut(other, SUBJECT)),
                (until, Fault::Heal(SUBJECT, other)),
                (until, Fault::Heal(other, SUBJECT)),
            ],
            2 => vec![(at, Fault::Crash(node)), (until, Fault::Start(node))],
            3 => vec![(at, Fault::Crash(node)), (at + SECOND / 20, Fault::Start(node))],
            4 => vec![(at, Fault::Access(node, Access::mbit(1))), (until, Fault::Access(node, access(rng)))],
            5 => vec![(at, Fault::Slow(node, 100)), (until, Fault::Slow(node, 1))],
            6 => {
                let most = Duration::from_millis(200 + u64::from(rng.next_u32() % 1_800));
                vec![(at, Fault::SlowStore(node, most)), (until, Fault::SlowStore(node, Duration::ZERO))]
            }
            7 => vec![(at, Fault::Wedge(node)), (until, Fault::Unwedge(node))],
            8 => {
                let usual = self.member(node).map_or(0, |member| member.clock);
                vec![(at, Fault::Clock(node, jump(rng))), (until, Fault::Clock(node, usual))]
            }
            9 => {
                let part = self.part(rng);
                vec![(at, Fault::Split(part.clone())), (until, Fault::Rejoin(part))]
            }
            // While there is something to be written.
            10 => vec![(at / 10, Fault::Doom(node, rng.next_u32() % 6))],
            _ => vec![(at, Fault::Store(node, store_faults(rng)))],
        }
    }

    /// Nodes that are to be cut off: those of one region, or any third of all.
    fn part(&self, rng: &mut ChaCha8Rng) -> BTreeSet<NodeIndex> {
        let region = usize::from(below(u32::try_from(self.regions.count()).unwrap_or(1), rng));
        let by_region = rng.next_u32().is_multiple_of(2);
        let members = (0..).map(NodeIndex).zip(&self.members);
        let chosen = members.filter(|(_, member)| {
            let lot = rng.next_u32().is_multiple_of(3);
            if by_region { member.region == region } else { lot }
        });
        chosen.map(|(index, _)| index).collect()
    }
}

/// How many are hostile or odd.
fn odd(habits: &[Habit]) -> usize {
    habits.iter().filter(|habit| **habit != Habit::Honest).count()
}

fn below(count: u32, rng: &mut ChaCha8Rng) -> u16 {
    u16::try_from(rng.next_u32() % count.max(1)).unwrap_or_default()
}

/// A time in the first quarter of the safety phase; every other in the first seconds, when all are busy.
fn soon(rng: &mut ChaCha8Rng) -> u64 {
    let span = if rng.next_u32().is_multiple_of(2) { 3 * SECOND } else { CALM / 4 };
    u64::from(rng.next_u32()) % span
}

fn store_faults(rng: &mut ChaCha8Rng) -> StoreFaults {
    StoreFaults {
        header_writes: rng.next_u32() % 3,
        body_writes: rng.next_u32() % 4,
        reads: rng.next_u32() % 3,
        ..StoreFaults::default()
    }
}

/// Comings and goings of a peer that never stays: 1 to 8 s here, up to 4 s away, half of the times without a word.
fn sessions(node: NodeIndex, rng: &mut ChaCha8Rng) -> Vec<(u64, Fault)> {
    let (mut faults, mut at) = (Vec::new(), u64::from(rng.next_u32()) % (4 * SECOND));
    while at < CALM / 3 {
        let silent = rng.next_u32().is_multiple_of(2);
        faults.push((at, if silent { Fault::Crash(node) } else { Fault::Leave(node) }));
        at += SECOND / 10 + u64::from(rng.next_u32()) % (4 * SECOND);
        faults.push((at, Fault::Start(node)));
        at += SECOND + u64::from(rng.next_u32()) % (7 * SECOND);
    }
    faults
}

/// Where a clock jumps to: 1 s to 20 h off, either way, as often by seconds as by minutes and hours.
fn jump(rng: &mut ChaCha8Rng) -> i64 {
    let unit = [1, 60, 3_600][usize::from(below(3, rng))];
    let off = unit * i64::from(1 + rng.next_u32() % 20);
    if rng.next_u32().is_multiple_of(2) { off } else { -off }
}

fn access(rng: &mut ChaCha8Rng) -> Access {
    Access::mbit(u64::from(10 + rng.next_u32() % 190))
}

/// Almost a third, each by itself or in bursts.
fn loss(rng: &mut ChaCha8Rng) -> Loss {
    if rng.next_u32().is_multiple_of(2) {
        return Loss::Even(Chance::percent(30));
    }
    Loss::Bursty {
        worsen: Chance::percent(10),
        mend: Chance::percent(20),
        good: Chance::percent(1),
        bad: Chance::percent(80),
    }
}

/// One in four peers is hostile, one in four odd.
fn draw_habit(rng: &mut ChaCha8Rng) -> Habit {
    match rng.next_u32() % 4 {
        0 => any_of(&Habit::HOSTILE, rng),
        1 => any_of(&Habit::ODD, rng),
        _ => Habit::Honest,
    }
}

fn any_of(habits: &[Habit], rng: &mut ChaCha8Rng) -> Habit {
    let count = u32::try_from(habits.len()).unwrap_or(1);
    habits.get(usize::from(below(count, rng))).copied().unwrap_or(Habit::Honest)
}

/// Half of the worlds have checkpoints, far enough down that no branch leaves the trunk below the last.
fn anchors(trunk: &Branch, rng: &mut ChaCha8Rng) -> Vec<BlockRef> {
    let tip = trunk.tip().at.height.get();
    let top = tip.saturating_sub((tip / 2).clamp(25, 150));
    let every = 5 + rng.next_u32() % top.clamp(1, 200);
    if rng.next_u32().is_multiple_of(2) {
        return Vec::new();
    }
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

#[cfg(test)]
mod tests {
    use super::{super::ladder::Rung, *};

    #[test]
    fn a_fifth_of_all_peers_is_hostile_or_odd_and_one_is_not() {
        let sizes = [(20, 2), (20, 0), (8, 2), (5, 1), (3, 0)];
        for (peers, newcomers) in sizes {
            for seed in 0..200 {
                let size = Size { rung: Rung::Toy, peers, heights: 30, newcomers, faults: 6 };
                let plan = Plan::draw(seed, size);
                let peers: Vec<_> = plan.members.iter().skip(1).collect();
                let odd = peers.iter().filter(|member| member.habit != Habit::Honest).count();
                assert!(odd * 5 >= peers.len(), "seed {seed}: {odd} of {}", peers.len());
                let has_all = |member: &&&Member| member.tip == plan.trunk().tip().at.height;
                let source = peers.iter().filter(has_all).find(|member| member.habit == Habit::Honest);
                assert!(source.is_some(), "seed {seed}: nobody to learn from");
            }
        }
    }

    #[test]
    fn all_that_goes_wrong_is_over_when_calm_begins() {
        let size = Size { rung: Rung::Toy, peers: 20, heights: 30, newcomers: 2, faults: 12 };
        for seed in 0..200 {
            let plan = Plan::draw(seed, size);
            assert!(plan.faults.iter().all(|(at, _)| *at <= plan.calm), "seed {seed}: {:?}", plan.faults);
            let mut down = BTreeSet::new();
            for (_, fault) in &plan.faults {
                match fault {
                    Fault::Crash(node) | Fault::Leave(node) => drop(down.insert(*node)),
                    Fault::Start(node) | Fault::Mine(node, _) => drop(down.remove(node)),
                    _ => {}
                }
            }
            assert!(down.is_empty(), "seed {seed}: {down:?} stay away");
        }
    }
}
