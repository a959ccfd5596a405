//! What is held.

use super::{
    lifecycle::SESSIONS,
    sight::{Finale, Finding, Sight},
    work::PLACES,
};
use zakura_transport::routine::Recount;

/// Jobs of whose number the books know only a part: a path that was given up forgets what is still computed for it.
const AT_LEAST: [&str; 2] = ["header weigh", "header check"];

/// Holds sums against what they are the sums of: how many, or the first that does not agree.
pub(super) fn recount(recounts: &[Recount], mut is_ours: impl FnMut(&str) -> bool) -> Finding {
    let ours = recounts.iter().filter(|recount| is_ours(recount.name));
    ours.map(
        |Recount { name, says, is }| {
            if says == is { Ok(1) } else { Err(format!("{name} says {says}, and it is {is}")) }
        },
    )
    .sum()
}

/// I-R1: what is reserved, retained or staged is the sum of what is there, in the reactors and in each machine. A release
/// that is made twice, or saturates, shows as a difference.
pub(super) fn conserved(sight: &mut Sight<'_>) -> Finding {
    let is_ours = |name: &str| !PLACES.contains(&name) && !SESSIONS.contains(&name);
    let mut seen = 0;
    for service in sight.node.services() {
        seen += recount(&service.recounts(), is_ours)?;
    }
    for seated in (0..2).flat_map(|place| sight.node.seated(place)) {
        seen += recount(&seated.routine.recounts(), is_ours)
            .map_err(|fault| format!("{fault}, with {}", seated.peer))?;
    }
    Ok(seen)
}

/// I-R2: what is asked for stays within its limit, but for one body without which nothing can be committed; headers in
/// memory and headers asked for stay within theirs together.
pub(super) fn within_limits(sight: &mut Sight<'_>) -> Finding {
    for stand in sight.stands {
        if stand.asked > stand.asked_cap {
            return Err(format!("{} are asked for of {}", stand.asked, stand.asked_cap));
        }
    }
    Ok(sight.stands.iter().filter(|stand| stand.asked > 0).count() as u64)
}

/// I-R3: everything that has a cap keeps it.
pub(super) fn keeps_caps(sight: &mut Sight<'_>) -> Finding {
    match sight.fills.iter().find(|fill| fill.holds > fill.cap) {
        Some(fill) => Err(format!("{} holds {} of {}", fill.name, fill.holds, fill.cap)),
        None => Ok(sight.fills.len() as u64),
    }
}

/// I-R4: the reactors know exactly what the pool works on for them: a plan, a commit, checks, reads, a batch, queries.
pub(super) fn jobs_are_known(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for (place, service) in sight.node.services().enumerate() {
        for (name, says) in service.jobs() {
            let out = sight.node.watch.jobs_out(place, name);
            seen += out;
            let holds = if AT_LEAST.contains(&name) { says <= out } else { says == out };
            if !holds {
                return Err(format!("{says} of {name} are said to be under way, and {out} are"));
            }
        }
    }
    Ok(seen)
}

/// I-R4, I-L5: once every session has ended and every job has come back, nothing is held for anybody: no session, lease,
/// order, job, read or tip.
pub(super) fn drained(finale: &Finale<'_>) -> Finding {
    let mut seen = 0;
    for node in finale.nodes.iter().filter(|node| node.is_up()) {
        let left = |what: &str, count: u64| match count {
            0 => Ok(()),
            _ => Err(format!("{count} {what} of {} are left", node.index)),
        };
        left("sessions", node.sessions() as u64)?;
        left("jobs", node.watch.all_out())?;
        for service in node.services() {
            seen += 1;
            left("sessions in a reactor's books", service.stand().sessions)?;
            left("leased keys", service.keys().counts().leased)?;
            for (name, count) in service.jobs() {
                left(name, count)?;
            }
            recount(&service.recounts(), |_| true)?;
        }
        let headers = node.services().next().map(zakura_transport::routine::SteppedService::stand);
        left("headers in memory or asked for", headers.map_or(0, |stand| stand.asked))?;
    }
    Ok(seen)
}
