//! What a plan's faults are to real nodes. A new kind of fault needs its arm here.

use super::people::Person;
use crate::{
    sim::{NodeIndex, World, WorldError},
    worlds::{Plan, plan::Fault, store::NodeStore},
};
use std::{collections::BTreeSet, sync::atomic::Ordering};

/// How long a node is gone whose power failed while it wrote.
const POWER_BACK: u64 = 1_000_000_000;

/// The timeline of a plan for real nodes: whom a power cut befalls starts again by itself.
#[must_use]
pub fn timeline(plan: &Plan) -> Vec<(u64, Fault)> {
    let mut faults = plan.faults.clone();
    let back = plan.faults.iter().filter_map(|(at, fault)| match fault {
        Fault::Doom(node, _) => Some((at.saturating_add(POWER_BACK), Fault::Start(*node))),
        _ => None,
    });
    faults.extend(back);
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// Lets a fault happen now.
///
/// # Errors
///
/// A node that does not start again, or whose tasks outlive its crash.
pub async fn befall(
    world: &mut World<NodeStore>,
    plan: &Plan,
    people: &[Person],
    fault: &Fault,
) -> Result<(), WorldError> {
    match fault {
        Fault::Cut(from, to) => world.cut(*from, *to),
        Fault::Heal(from, to) => world.heal(*from, *to),
        Fault::Split(part) => world.split(part),
        Fault::Rejoin(part) => world.rejoin(part),
        // A process that neither reads nor speaks acknowledges no packet either: nothing passes between it and the others.
        Fault::Wedge(node) => world.split(&BTreeSet::from([*node])),
        Fault::Unwedge(node) => world.rejoin(&BTreeSet::from([*node])),
        // Jobs are whole here: no power fails in the middle of one. The start follows in the timeline.
        Fault::Crash(node) | Fault::Doom(node, _) => world.crash(*node).await?,
        Fault::Leave(node) => drop(world.stop(*node).await?),
        Fault::Start(node) => {
            if !world.is_up(*node) {
                world.start(*node).await?;
            }
        }
        Fault::Access(node, access) => {
            world.wire(format!("{fault:?}"), |links| links.set_access(*node, *access));
        }
        Fault::Slow(node, times) => {
            world.switch().say(None, format!("{fault:?}"));
            if let Some(person) = people.get(usize::from(node.0)) {
                person.workshop.slow_down(*times);
            }
        }
        Fault::SlowStore(node, most) => {
            world.switch().say(None, format!("{fault:?}"));
            if let Some(person) = people.get(usize::from(node.0)) {
                person.workshop.delay(*most);
            }
        }
        Fault::Clock(node, ahead) => {
            world.switch().say(None, format!("{fault:?}"));
            if let Some(person) = people.get(usize::from(node.0)) {
                let before = person.ahead.swap(*ahead, Ordering::Relaxed);
                world.outfit(*node)?.wall.jump(ahead.saturating_sub(before));
            }
        }
        Fault::Store(node, faults) => {
            world.switch().say(None, format!("{fault:?}"));
            world.outfit(*node)?.store.set_faults(|now| *now = faults.over(*now));
        }
        Fault::Mine(node, branch) => mine(world, plan, *node, *branch).await?,
    }
    Ok(())
}

/// A miner's node tells its own services of the new block by starting anew over the store.
async fn mine(
    world: &mut World<NodeStore>,
    plan: &Plan,
    node: NodeIndex,
    branch: usize,
) -> Result<(), WorldError> {
    world.switch().say(None, format!("{node} goes over to branch {branch}"));
    world.crash(node).await?;
    if let Some(branch) = plan.branches.get(branch) {
        world.outfit(node)?.store.adopt(branch);
    }
    world.start(node).await
}
