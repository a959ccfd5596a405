//! Who is there.

use super::sight::{Finding, Sight};

/// Sums that say who is there.
pub(super) const SESSIONS: [&str; 4] =
    ["block_sync.connected", "header_sync.connected", "header_sync.mailboxes", "header_sync.orders"];

/// I-L1: the reactors know exactly the sessions that there are, however others ended.
pub(super) fn sessions_are_known(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for (place, stand) in sight.stands.iter().enumerate() {
        let live = sight.node.seated(place).count() as u64;
        if stand.sessions != live {
            return Err(format!("service {place} knows {} sessions, and there are {live}", stand.sessions));
        }
        seen += live;
    }
    Ok(seen)
}

/// I-L2: what is counted by peer is what counting gives: who is connected, whom an instruction reaches, whose order is out.
pub(super) fn counts_are_right(sight: &mut Sight<'_>) -> Finding {
    let mut seen = 0;
    for service in sight.node.services() {
        seen += super::memory::recount(&service.recounts(), |name| SESSIONS.contains(&name))?;
    }
    Ok(seen)
}
