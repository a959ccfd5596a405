//! Why the next commit does not come, from what the reactor knows.

use super::{sequencer::Foremost, state::State};
use crate::status::{BlockSyncStatus, SyncVerdict};

impl State {
    /// The whole status.
    pub(crate) fn status(&self) -> BlockSyncStatus {
        let budget = self.sequencer.budget();
        BlockSyncStatus {
            committed: self.sequencer.committed(),
            header_tip: self.view.tip,
            in_flight_bytes: budget.in_flight,
            retained_bytes: budget.retained,
            verdict: self.verdict(),
            alarm: self.alarm(),
            per_peer: self.census.per_peer(),
            convictions: self.census.convictions(),
            skipped: self.skipped,
        }
    }

    fn verdict(&self) -> SyncVerdict {
        if self.sequencer.committed() == self.view.tip {
            return SyncVerdict::AtTip;
        }
        let failure = self.commit_retry.reason().or_else(|| self.plan_retry.reason());
        match self.sequencer.foremost() {
            Foremost::Nothing | Foremost::Uncommitted => {
                SyncVerdict::WaitingForStore { reason: failure.map(str::to_owned) }
            }
            Foremost::Unchecked => SyncVerdict::Verifying,
            Foremost::Deferred(height) => {
                let reason = self.puzzles.held().map(|(_, reason)| reason.to_owned()).unwrap_or_default();
                SyncVerdict::Unsupported { height, reason }
            }
            Foremost::Missing(_) if self.census.is_empty() => SyncVerdict::NoPeers,
            Foremost::Missing(height) if self.census.useful(height) == 0 => SyncVerdict::NoUsefulPeers,
            Foremost::Missing(height) => {
                let peer = self.carrier.filter(|(carried, _)| *carried == height).map(|(_, peer)| peer);
                SyncVerdict::WaitingForBody { height, peer }
            }
        }
    }

    fn alarm(&self) -> Option<String> {
        let puzzle = self
            .puzzles
            .held()
            .map(|(height, reason)| format!("block {height} cannot be judged here: {reason}"));
        let store = |what: &str, reason: Option<&str>| reason.map(|reason| format!("{what}: {reason}"));
        puzzle
            .or_else(|| store("the store cannot commit", self.commit_retry.reason()))
            .or_else(|| store("the store cannot say what is missing", self.plan_retry.reason()))
    }
}
