//! What a plan's faults are to real nodes. A new kind of fault needs its arm here.

use super::people::Person;
use crate::{
    sim::{NodeIndex, World, WorldError},
    worlds::{Plan, plan::Fault, store::ToyStore},
};

/// Lets a fault happen now.
///
/// # Errors
///
/// A node that does not start again, or whose tasks outlive its crash.
pub async fn befall(
    world: &mut World<ToyStore>,
    plan: &Plan,
    people: &[Person],
    fault: &Fault,
) -> Result<(), WorldError> {
    match fault {
        Fault::Cut(from, to) => world.cut(*from, *to),
        Fault::Heal(from, to) => world.heal(*from, *to),
        Fault::Crash(node) => world.crash(*node).await?,
        Fault::Start(node) => world.start(*node).await?,
        Fault::Access(node, access) => {
            world.wire(format!("{fault:?}"), |links| links.set_access(*node, *access));
        }
        Fault::Slow(node, times) => {
            world.switch().say(None, format!("{fault:?}"));
            if let Some(person) = people.get(usize::from(node.0)) {
                person.workshop.slow_down(*times);
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
    world: &mut World<ToyStore>,
    plan: &Plan,
    node: NodeIndex,
    branch: usize,
) -> Result<(), WorldError> {
    world.switch().say(None, format!("{node} goes over to branch {branch}"));
    world.crash(node).await?;
    if let Some(branch) = plan.branches.get(branch) {
        world.outfit(node)?.store.adopt(branch, branch.tip().at.height);
    }
    world.start(node).await
}
