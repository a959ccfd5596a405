//! Whose work is what.

use super::sight::{Finding, Sight};
use std::{collections::BTreeSet, time::Duration};
use zakura_block_sync::SyncVerdict;

/// No request is waited for longer: the largest window (64 MiB) at the least rate (256 KiB/s), and some patience.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Sums that say in which set a height is.
pub(super) const PLACES: [&str; 6] = [
    "block_sync.planned_heights",
    "block_sync.waiting",
    "block_sync.deferred",
    "block_sync.open",
    "block_sync.received",
    "block_sync.keys",
];

/// I-W1: every height above the committed one, as far as is planned, is in exactly one set: waiting, deferred, in the
/// queue (pending or leased), received, checked, or with the store. The toy store names every height, so none is left out.
pub(super) fn one_place(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for service in sight.node.services() {
        service.keys().check()?;
        seen += super::memory::recount(&service.recounts(), |name| PLACES.contains(&name))?;
        let counts = service.keys().counts();
        seen += counts.pending + counts.leased;
    }
    Ok(seen)
}

/// I-W2: a key is held by one live session, or by two if it is the lowest and hedged (the queue's own check). A session
/// that is gone holds nothing.
pub(super) fn one_owner(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for (place, service) in sight.node.services().enumerate() {
        let live: BTreeSet<_> = sight.node.seated(place).map(|seated| seated.session).collect();
        for owner in service.keys().owners() {
            seen += 1;
            if !live.contains(&owner) {
                return Err(format!("session {owner:?} is gone and holds keys"));
            }
        }
    }
    Ok(seen)
}

/// I-W3: every request that is out runs out of time, and not in the past: what was due has been dealt with in this turn,
/// unless no time is charged. Nor in a time that nobody waits for.
pub(super) fn deadlines(sight: &mut Sight<'_>) -> Finding {
    let (mut seen, now) = (0, sight.now);
    for seated in (0..2).flat_map(|place| sight.node.seated(place)) {
        let duty = seated.routine.duty();
        if duty.requests == 0 {
            continue;
        }
        seen += 1;
        let (Some(first), Some(last)) = (duty.first_due, duty.last_due) else {
            return Err(format!("{} requests to {} run out of time never", duty.requests, seated.peer));
        };
        if last > now + LONGEST_WAIT {
            return Err(format!("a request to {} is out for {:?}", seated.peer, last - now));
        }
        if duty.is_paused {
            continue;
        }
        if first < now {
            return Err(format!("a request to {} is overdue by {:?}", seated.peer, now - first));
        }
        if seated.routine.deadline().is_none_or(|wake| wake > first) {
            return Err(format!("nobody looks when a request to {} is due", seated.peer));
        }
    }
    Ok(seen)
}

/// I-W4: no work is stranded. What the reactors give out they give out in the same turn: a tip to a free session that
/// holds it, while there is room for headers; a height that waits, while the budget admits it. What lies in a queue is taken
/// within the machine's own patience: at once, but for the leash of one second (`LEASH`) after which the floor is anybody's,
/// and seventeen of them for a session below half reliability, from which the floor and the 16 heights above it are kept
/// (`FLOOR_LANE`).
pub(super) fn nothing_stranded(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for (place, service) in sight.node.services().enumerate() {
        let stranded = service.stranded(sight.now);
        if stranded > 0 {
            return Err(format!("{stranded} things of {} are given to nobody", service.stream().name));
        }
        let is_pending = service.keys().counts().pending > 0;
        let Some(known) = sight.record.pending_since.get_mut(place) else { continue };
        *known = is_pending.then(|| known.unwrap_or(sight.at));
        let Some(pending_since) = *known else { continue };
        for seated in sight.node.seated(place) {
            let Some(since) = seated.idle_since else { continue };
            let duty = seated.routine.duty();
            let pending = duty.servable.and_then(|range| service.keys().pending_in(range));
            seen += 1;
            let idle = Duration::from_nanos(sight.at.saturating_sub(since.max(pending_since)));
            if let Some(key) = pending.filter(|_| idle > duty.patience) {
                let peer = seated.peer;
                return Err(format!(
                    "key {key} is pending, {peer} has it and is idle beside it for {idle:?}"
                ));
            }
        }
    }
    Ok(seen)
}

/// I-W5: if all who have the lowest missing body refused it, or are left alone for other reasons, then each is asked again
/// by itself within the longest rest, and the status says what is waited for.
pub(super) fn refused_is_retried(sight: &mut Sight<'_>) -> Finding {
    let Some(service) = sight.node.services().nth(crate::worlds::habits::BODIES) else { return Ok(0) };
    let Some(lowest) = service.keys().lowest().filter(|lowest| lowest.owner.is_none()) else { return Ok(0) };
    let mut resting = 0;
    for seated in sight.node.seated(crate::worlds::habits::BODIES) {
        let duty = seated.routine.duty();
        if duty.servable.is_none_or(|range| !range.contains(&lowest.key)) {
            continue;
        }
        let Some(until) = duty.rests_until else { return Ok(0) };
        resting += 1;
        if until > sight.now + duty.longest_rest {
            return Err(format!("{} is left alone for {:?}", seated.peer, until - sight.now));
        }
        if seated.routine.deadline().is_none_or(|wake| wake > until) {
            return Err(format!("nobody asks {} again for body {}", seated.peer, lowest.key));
        }
    }
    if resting == 0 {
        return Ok(0);
    }
    let verdict = sight.node.handles.as_ref().map(|(_, bodies)| bodies.status().verdict);
    match verdict {
        Some(SyncVerdict::AtTip) | None => {
            Err(format!("body {} is refused by all {resting}, and the status says {verdict:?}", lowest.key))
        }
        Some(_) => Ok(resting),
    }
}
