//! Who is blamed.

use super::sight::{Ending, Finale, Finding, Sight};
use zakura_transport::Exit;

/// I-B1: an honest node blames no honest peer, however slow, lossy, forked, pruned, late or ailing.
pub(super) fn honest_is_not_blamed(ending: &Ending<'_>) -> Finding {
    let Exit::Violation(violation) = ending.exit else { return Ok(0) };
    let ((us, ours), (peer, theirs)) = (ending.us, ending.peer);
    if ours.is_honest() && theirs.is_honest() {
        let (rule, evidence) = (violation.rule(), violation.evidence());
        return Err(format!("{us} blames {peer}, who is {theirs}: {rule}: {evidence}"));
    }
    Ok(1)
}

/// I-B2: every penalty names its rule and carries evidence.
pub(super) fn blame_has_evidence(ending: &Ending<'_>) -> Finding {
    let Exit::Violation(violation) = ending.exit else { return Ok(0) };
    if violation.rule().is_empty() || violation.evidence().is_empty() {
        return Err(format!("{violation}"));
    }
    Ok(1)
}

/// No routine panics: what a panic would do is contained, and still a fault of ours.
pub(super) fn nothing_panics(ending: &Ending<'_>) -> Finding {
    match ending.exit {
        Exit::Panicked(message) => Err(format!("{} with {}: {message}", ending.us.0, ending.peer.0)),
        Exit::Violation(_) | Exit::Local(_) | Exit::Closed { .. } => Ok(1),
    }
}

/// I-B3: in a step in which our own store failed nobody is convicted.
pub(super) fn own_faults_blame_nobody(sight: &mut Sight<'_>) -> Finding {
    if sight.node.watch.heard().ailments > sight.record.heard.ailments {
        sight.record.ailed = Some(sight.step);
    }
    if sight.record.ailed != Some(sight.step) {
        return Ok(0);
    }
    if sight.record.convicted == Some(sight.step) {
        return Err(format!("{} convicts a peer while its own store fails", sight.node.index));
    }
    Ok(1)
}

/// I-B3, for a whole world: whatever failed, crashed or was slow, no honest node has convicted an honest peer. A world with
/// no hostile peer has no conviction at all.
pub(super) fn faults_blame_nobody(finale: &Finale<'_>) -> Finding {
    if !finale.wronged.is_empty() {
        return Err(format!("convicted and innocent: {:?}", finale.wronged));
    }
    let ailments = finale.nodes.iter().map(|node| node.watch.heard().ailments);
    Ok(ailments.sum())
}
