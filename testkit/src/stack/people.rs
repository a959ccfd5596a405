//! Who lives in a plan's world: its members as real nodes.

use super::tongue::HabitTongue;
use crate::{
    sim::{Outfit, Seed, World, WorldError},
    worlds::{Plan, habits::Habit, store::NodeStore},
};
use rand_core::Rng;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use zakura::{bytesize::ByteSize, node::ChainId, zcash::Network};
use zakura_header_sync::chain::Height;
use zakura_transport::{
    Tongue,
    routine::{JobCost, JobPrice},
};

/// What one of several jobs takes that were opened together: a chunk of 32 headers at 100 us each.
const CHUNK: Duration = Duration::from_micros(3_200);
/// What a job by itself takes: between a read of 20 us and a durable write of 2 ms.
const SINGLE: Duration = Duration::from_millis(1);

/// Of so many pairs of a plan one dials both ways: pure worlds have no simultaneous opens, real nodes do (wire 6).
const CROSSING: u32 = 3;

/// What a node's work costs; it may become slow, and quick again.
#[derive(Debug)]
pub struct Workshop {
    times: AtomicU64,
    /// Nanoseconds that every job takes longer.
    delay: AtomicU64,
}

impl Workshop {
    /// From now on its work takes so many times as long as usual.
    pub fn slow_down(&self, times: u64) {
        self.times.store(times, Ordering::Relaxed);
    }

    /// From now on every job takes this much longer: its store is slow.
    pub fn delay(&self, by: Duration) {
        self.delay.store(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl JobPrice for Workshop {
    fn of(&self, jobs: usize) -> Duration {
        let times = u32::try_from(self.times.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let work = if jobs > 1 { CHUNK } else { SINGLE }.saturating_mul(times);
        work.saturating_add(Duration::from_nanos(self.delay.load(Ordering::Relaxed)))
    }
}

/// What a member has that its world does not show.
#[derive(Debug)]
pub struct Person {
    /// What it does to others.
    pub habit: Habit,
    /// Where its work is done.
    pub workshop: Arc<Workshop>,
    /// Its tongue, if it has one of its own.
    pub tongue: Option<Arc<HabitTongue>>,
    /// Seconds its wall clock is ahead of the true time.
    pub ahead: AtomicI64,
}

/// Puts a plan's members into a world, with their links and their dials. Nobody runs yet.
///
/// # Errors
///
/// What the world says.
pub async fn settle(world: &mut World<NodeStore>, plan: &Plan) -> Result<Vec<Person>, WorldError> {
    let seed = Seed::root(plan.seed);
    let mut people = Vec::new();
    for (number, member) in (0_u64..).zip(&plan.members) {
        let workshop = Arc::new(Workshop { times: AtomicU64::new(1), delay: AtomicU64::new(0) });
        let store = plan.store(member);
        member.habit.prepare(&store, plan.trunk().tip().at.height);
        let tongue = (member.habit != Habit::Honest)
            .then(|| Arc::new(HabitTongue::new(member.habit, store.clone(), seed.nth("habit", number))));
        let ahead = AtomicI64::new(member.clock);
        let person = Person { habit: member.habit, workshop, tongue, ahead };
        let outfit = outfit(plan, store, &person);
        outfit.wall.jump(member.clock);
        world.add(Outfit { access: member.access, ..outfit })?;
        people.push(person);
    }
    world.switch().rewire(|links| plan.shape_paths(links));
    let mut luck = seed.child("crossing").rng();
    for (from, to) in &plan.dials {
        world.introduce(*from, *to).await?;
        if luck.next_u32().is_multiple_of(CROSSING) {
            world.introduce(*to, *from).await?;
        }
    }
    Ok(people)
}

fn outfit(plan: &Plan, store: NodeStore, person: &Person) -> Outfit<NodeStore> {
    let genesis = plan.trunk().block(Height::GENESIS).map_or(plan.trunk().tip().at, |block| block.at);
    let mut outfit = Outfit::usual(Arc::new(store));
    outfit.chain_id = ChainId { network: Network::Regtest.wire_id(), genesis: genesis.hash };
    outfit.services = Some(plan.config.clone());
    outfit.job_cost = JobCost::Priced(Arc::<Workshop>::clone(&person.workshop));
    outfit.tongue = person.tongue.clone().map(|tongue| tongue as Arc<dyn Tongue>);
    // A plan says who is connected to whom; that it fits is not what it is about.
    outfit.config.transport.max_inbound = plan.members.len();
    outfit.config.transport.max_outbound = plan.members.len();
    outfit.config.node.memory_limit = ByteSize(u64::MAX);
    outfit
}
