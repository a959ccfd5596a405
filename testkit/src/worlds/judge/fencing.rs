//! What comes too late, or from somebody else.

use super::sight::{Finding, Sight};

/// I-G1: a result about a chain, a path, a delivery or a session that is gone changes nothing of what the reactor has,
/// wants, holds or tells. Results are late in worlds whenever a session ends or the chain changes while the pool works;
/// events of ended sessions cannot be: they come on one channel, and the farewell is the last.
pub(super) fn stale_changes_nothing(sight: &mut Sight<'_>) -> Finding {
    match sight.node.watch.disturbed() {
        Some(change) => Err(change.to_owned()),
        None => Ok(sight.node.watch.heard().stale - sight.record.heard.stale),
    }
}

/// I-G2: a key in a machine's hands is its lease's in the queue's books: only who holds it gave it back, finished it, or was
/// given it. A key that the queue forgot and learnt again is another.
pub(super) fn only_owners_release(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for seated in (0..2).flat_map(|place| sight.node.seated(place)) {
        seated.routine.check_leases().map_err(|fault| format!("{fault}, with {}", seated.peer))?;
        seen += u64::from(seated.idle_since.is_none());
    }
    Ok(seen)
}

/// I-G3: the view's fence grows and never falls; under one fence the chain only grows. The same for the number of times
/// that block sync began anew. Exhaustion cannot be reached: 2^64 of them take 584 years (`Fence`).
pub(super) fn fences_grow(sight: &mut Sight<'_>) -> Finding {
    let Some((headers, _)) = &sight.node.handles else { return Ok(0) };
    let (view, before) = (headers.views().get(), sight.record.view);
    let mut seen = 0;
    if let Some(before) = before.filter(|before| *before != view) {
        seen += 1;
        if view.fence < before.fence {
            return Err(format!("fence {:?} came after {:?}", view.fence, before.fence));
        }
        if view.fence == before.fence && view.tip.height < before.tip.height {
            return Err(format!("the chain fell from {} to {} under one fence", before.tip, view.tip));
        }
    }
    for (before, now) in sight.record.stands.iter().flatten().zip(&sight.stands) {
        if now.generation < before.generation {
            return Err(format!("generation {} came after {}", now.generation, before.generation));
        }
        seen += u64::from(now.generation > before.generation);
    }
    sight.record.view = Some(view);
    Ok(seen)
}
