//! What goes on.

use super::sight::{Finale, Finding, Sight};
use crate::worlds::habits::{BODIES, HEADERS, Habit};
use zakura_block_sync::ports::BlockStore as _;
use zakura_header_sync::ports::HeaderChain as _;
use zakura_transport::Fence;

/// How long it may take until something is committed, beside a peer that has it (I-V3), in nanoseconds.
const FIRST_COMMIT: u64 = 60_000_000_000;

/// I-V1: whoever can arrive does.
pub(super) fn all_arrive(finale: &Finale<'_>) -> Finding {
    let late = finale.late.first().and_then(|index| finale.nodes.get(usize::from(index.0)));
    let Some(node) = late else { return Ok(finale.travellers.len() as u64) };
    let (headers, bodies) = (node.store.view().tip, node.store.acknowledged());
    let why = node.handles.as_ref().map(|(_, bodies)| format!("{:?}", bodies.status().verdict));
    Err(format!(
        "{} ({}) has headers up to {headers} and bodies up to {bodies}, not {}; {}; {} sessions",
        node.index,
        node.habit,
        finale.goal,
        why.unwrap_or_else(|| "it does not run".into()),
        node.sessions()
    ))
}

/// I-V2: the lowest key is not left to one session for longer than the rescue bound while another that has it is reliable,
/// idle for as long, and has nothing else to take. The bound is the leash (`LEASH`, 1 s) and half of it: less than the floor's
/// deadline of 2 s (`FLOOR_PATIENCE`), which would bring it back without a rescue.
pub(super) fn floor_is_rescued(sight: &mut Sight<'_>) -> Finding {
    let Some(service) = sight.node.services().nth(BODIES) else { return Ok(0) };
    let lowest = service.keys().lowest().filter(|lowest| lowest.hedge.is_none());
    let Some((key, owner)) = lowest.and_then(|lowest| Some((lowest.key, lowest.owner?))) else {
        sight.record.lone_floor = None;
        return Ok(0);
    };
    let known = sight.record.lone_floor.filter(|(known, holder, _)| (*known, *holder) == (key, owner));
    let (.., since) = *sight.record.lone_floor.insert(known.unwrap_or((key, owner, sight.at)));
    let stands = sight.at.saturating_sub(since);
    if stands == 0 {
        return Ok(0);
    }
    let mut seen = 0;
    let others = sight.node.seated(BODIES).filter(|seated| seated.session != owner);
    for seated in others {
        let Some(idle) = seated.idle_since else { continue };
        let duty = seated.routine.duty();
        let (Some(bound), Some(range)) = (duty.rescue, duty.servable) else { continue };
        if !range.contains(&key) || service.keys().pending_in(range).is_some() {
            continue;
        }
        seen += 1;
        let waits = stands.min(sight.at.saturating_sub(idle));
        if u128::from(waits) > bound.as_nanos() {
            return Err(format!(
                "body {key} is in one peer's hands for {} ms, and {} is idle",
                stands / 1_000_000,
                seated.peer
            ));
        }
    }
    Ok(seen)
}

/// I-V3: once nothing goes wrong any more, something is committed at least each minute by whoever is connected to an honest
/// peer on a good line that has more, until it has arrived. (Whoever has more than what everybody is to arrive at had a
/// clock that was ahead: its headers are ahead of the others' time.)
pub(super) fn commits_go_on(sight: &mut Sight<'_>) -> Finding {
    let ours = sight.node.store.acknowledged();
    let able = |fence: &Fence| able_sessions(sight).any(|session| session == *fence);
    let known = sight.record.able.filter(|(fence, _, before)| *before == ours && able(fence));
    let since = known.or_else(|| Some((able_sessions(sight).next()?, sight.at, ours)));
    let is_on_its_way = sight.node.habit == Habit::Honest && !sight.node.store.reaches(sight.best);
    sight.record.able = since.filter(|_| sight.at >= sight.calm_from && is_on_its_way);
    let Some((session, since, _)) = sight.record.able else { return Ok(0) };
    if sight.at.saturating_sub(since) > FIRST_COMMIT {
        return Err(format!("{} stays at {ours} beside session {session:?} for a minute", sight.node.index));
    }
    Ok(1)
}

/// Body sessions with honest peers on good lines that have more than the node, and to whom it speaks about headers too.
fn able_sessions<'a>(sight: &'a Sight<'_>) -> impl Iterator<Item = Fence> + 'a {
    let ours = sight.node.store.acknowledged();
    let speaks = |peer| sight.node.seated(HEADERS).any(|seated| seated.peer == peer);
    sight
        .node
        .seated(BODIES)
        .filter(move |seated| {
            let peer = sight.nodes.get(usize::from(seated.peer.0));
            peer.is_some_and(|peer| {
                peer.habit == Habit::Honest && peer.is_up() && peer.store.acknowledged().height > ours.height
            }) && speaks(seated.peer)
        })
        .map(|seated| seated.session)
}
