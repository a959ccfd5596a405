//! What is on the chain.

use super::sight::{Finale, Finding, Sight};
use crate::worlds::{
    blocks::Branch,
    plan::{Fault, Member, Plan},
};
use zakura_block_sync::ports::BlockStore as _;
use zakura_header_sync::{
    chain::{BlockRef, Height},
    ports::HeaderChain as _,
};

/// Fork choice over what those have and mine who tell the truth about everything, by the plan alone: the block with the most
/// work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    best: BlockRef,
    work: u64,
}

impl Reference {
    /// Of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let tells = |member: &&Member| member.habit.has_to_arrive();
        let held = plan.members.iter().filter(tells).map(|member| (member.branch, member.tip));
        let mined = plan.faults.iter().filter_map(|(_, fault)| match fault {
            Fault::Mine(index, branch) => plan.member(*index).filter(tells).map(|_| (*branch, Height::MAX)),
            _ => None,
        });
        let tips = held.chain(mined).filter_map(|(branch, tip)| end_of(plan.branches.get(branch)?, tip));
        let genesis = Self { best: plan.trunk().tip().at, work: 0 };
        tips.fold(genesis, |best, tip| if tip.work > best.work { tip } else { best })
    }

    /// The block that it picks.
    pub(super) const fn best(&self) -> BlockRef {
        self.best
    }
}

/// The last block of a branch, up to `tip`.
fn end_of(branch: &Branch, tip: Height) -> Option<Reference> {
    let last = branch.block(tip).unwrap_or_else(|| branch.tip());
    (last.at.height <= tip).then_some(Reference { best: last.at, work: last.total })
}

/// I-C1: what is committed grows by what continues it and links, goes back only if the chain changed under it, and each body
/// is its header's.
pub(super) fn commits_extend(sight: &mut Sight<'_>) -> Finding {
    let store = &sight.node.store;
    let committed = store.acknowledged();
    let Some(before) = sight.record.committed.filter(|before| *before != committed) else { return Ok(0) };
    let is_kept = store.hash_at(before.height) == Some(before.hash);
    if committed.height < before.height && is_kept {
        return Err(format!("{} went back from {before} to {committed} on the same chain", sight.node.index));
    }
    if store.hash_at(committed.height) != Some(committed.hash) {
        return Err(format!("{} committed {committed}, which is not on its chain", sight.node.index));
    }
    if let Some(foul) = store.foul() {
        return Err(format!(
            "{} committed another body than the header of {foul} asks for",
            sight.node.index
        ));
    }
    let from = committed.height.min(before.height).saturating_sub(1);
    store.check(from).map_err(|fault| format!("{}: {fault}", sight.node.index))?;
    Ok(1)
}

/// I-C2: a view or a commit that is told is durable.
pub(super) fn told_is_durable(sight: &mut Sight<'_>) -> Finding {
    let Some((headers, bodies)) = &sight.node.handles else { return Ok(0) };
    let (told, stored) = (headers.views().get(), sight.node.store.view());
    if told.fence == stored.fence && told.tip.height > stored.tip.height {
        return Err(format!("{} tells of {} and has {}", sight.node.index, told.tip, stored.tip));
    }
    let committed = bodies.committed().get();
    // A commit that a reorg took away is still told of until the commit under way is over.
    let is_ours = sight.node.store.hash_at(committed.height) == Some(committed.hash);
    if is_ours && committed.height > sight.node.store.acknowledged().height {
        return Err(format!("{} tells of bodies up to {committed}", sight.node.index));
    }
    Ok(1)
}

/// I-C3: a turn in which a node heard nothing but advertisements moves no frontier and makes it hold no more: not a header
/// or body in memory, nor a height that it plans to ask for. (An advertisement may make it follow a tip, open segments
/// below a checkpoint, and begin to ask: its own record, requests to it, and what we know beforehand.)
pub(super) fn advertisements_move_nothing(sight: &mut Sight<'_>) -> Finding {
    let (heard, before) = (sight.node.watch.heard(), sight.record.heard);
    let is_alone =
        heard.statuses > before.statuses && (heard.others, heard.results) == (before.others, before.results);
    let Some(stood) = sight.record.stands.filter(|_| is_alone) else { return Ok(0) };
    for (was, is) in stood.iter().zip(&sight.stands) {
        if is.frontier != was.frontier || is.held > was.held {
            return Err(format!("{} heard a Status, and {was:?} became {is:?}", sight.node.index));
        }
    }
    let [_, was] = stood;
    let [_, is] = sight.stands;
    if is.reach > was.reach || is.known > was.known || is.generation != was.generation {
        return Err(format!("{} heard a Status, and {was:?} became {is:?}", sight.node.index));
    }
    Ok(1)
}

/// I-C4: whoever arrived has the block that fork choice picks, and its body. It may have more: what is ahead of its time, if
/// its clock is too. That it is the same for another order of events is a test of its own: it takes two worlds.
pub(super) fn fork_choice_agrees(finale: &Finale<'_>) -> Finding {
    let best = finale.reference.best;
    if finale.goal != best {
        return Err(format!("the plan wants {}, and fork choice {best}", finale.goal));
    }
    let mut seen = 0;
    let arrived = finale.travellers.iter().filter(|index| !finale.late.contains(index));
    for node in arrived.filter_map(|index| finale.nodes.get(usize::from(index.0))) {
        let (headers, bodies) = (node.store.view().tip, node.store.acknowledged());
        if node.store.hash_at(best.height) != Some(best.hash) || bodies.height < best.height {
            return Err(format!(
                "{} ends on {headers} with bodies up to {bodies}, not on {best}",
                node.index
            ));
        }
        seen += 1;
    }
    Ok(seen)
}
