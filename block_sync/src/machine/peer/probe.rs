//! What those see of a machine who look on.

use super::{FLOOR_LANE, FLOOR_RELIABILITY, PeerMachine};
use crate::plan::patience;
use zakura_transport::routine::Duty;

impl PeerMachine {
    pub(super) fn what_it_owes(&self) -> Duty {
        let rests = [
            self.parked_until,
            self.detour.as_ref().and_then(|detour| detour.until),
            self.doubt.map(|(_, until)| until),
        ];
        let servable = self.status.map(|status| status.low.into()..=status.high.height.into());
        let is_reliable = self.asking.window.reliability() >= FLOOR_RELIABILITY;
        // Who is not trusted with the floor waits until it has stood still below each height of the lane.
        let lanes = if is_reliable { 1 } else { FLOOR_LANE.saturating_add(1) };
        Duty {
            requests: u64::try_from(self.asking.requests()).unwrap_or(u64::MAX),
            is_backed_up: self.asking.is_backed_up(),
            first_due: self.asking.next_deadline(),
            last_due: self.asking.last_deadline(),
            is_paused: self.stalled_since.is_some(),
            servable,
            rests_until: rests.into_iter().flatten().max(),
            longest_rest: patience::LONGEST_PARK,
            patience: patience::LEASH.saturating_mul(lanes),
            rescue: patience::LEASH.saturating_mul(3).checked_div(2).filter(|_| is_reliable),
        }
    }
}
