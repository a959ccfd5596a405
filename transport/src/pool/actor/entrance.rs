//! The pool's part in admission: it carries out what the [`Door`](crate::admission::Door) decides.

use super::{Missed, Pool, Report, admit, now};
#[cfg(feature = "simulation")]
use crate::admission::AdmissionProbe;
use crate::{
    Ban, BanError, BanTarget, Cancel, CloseReason,
    admission::Knock,
    deadline::after,
    observe::metrics,
    quic::{Endpoint, Incoming},
    routine::contain,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// What the handle asks about whom to let in.
#[derive(Debug)]
pub(crate) enum DoorCommand {
    /// Keep somebody out.
    Ban {
        target: BanTarget,
        lasting: Duration,
        evidence: String,
        done: oneshot::Sender<Result<(), BanError>>,
    },
    /// Let somebody in again.
    Unban { target: BanTarget, done: oneshot::Sender<bool> },
    /// Who is kept out?
    Bans(oneshot::Sender<Vec<Ban>>),
    /// Who has a place?
    #[cfg(feature = "simulation")]
    Probe(oneshot::Sender<AdmissionProbe>),
}

impl Pool {
    pub(super) fn on_door_command(&mut self, command: DoorCommand) {
        let now = now();
        // Whoever asked may have stopped waiting.
        match command {
            DoorCommand::Ban { target, lasting, evidence, done } => {
                let banned = self.roster.door.ban(target, &evidence, lasting, now);
                if banned.is_ok() {
                    let gone = self.roster.drop_banned(target, now);
                    self.let_go(gone);
                }
                let _ = done.send(banned);
            }
            DoorCommand::Unban { target, done } => _ = done.send(self.roster.door.unban(target, now)),
            DoorCommand::Bans(done) => _ = done.send(self.roster.door.bans(now)),
            #[cfg(feature = "simulation")]
            DoorCommand::Probe(done) => _ = done.send(self.probe()),
        }
    }

    /// Spends nothing on an attempt before there is a place for it.
    pub(super) fn on_incoming(&mut self, incoming: Incoming) {
        let (from, now) = (incoming.remote_addr(), now());
        let held = self.endpoint.as_ref().map_or(0, Endpoint::held);
        let place = match self.roster.door.knock(from.ip(), incoming.is_validated(), held, now) {
            Knock::Ignore => {
                metrics::attempt_ignored();
                return incoming.ignore();
            }
            Knock::Retry => {
                metrics::attempt_retried();
                return incoming.retry();
            }
            Knock::Admit { place, displaced } => {
                if let Some(gone) = displaced.and_then(|gone| self.admitting.remove(&gone)) {
                    gone.cancel();
                }
                place
            }
        };
        let (terms, reports) = (Arc::clone(&self.terms), self.reports.clone());
        let deadline = after(self.config.handshake_timeout);
        let displaced = Cancel::new();
        self.admitting.insert(place, displaced.clone());
        self.spawner.spawn("admission", async move {
            let admission = async {
                tokio::select! {
                    biased;
                    () = displaced.cancelled() => Err(Missed { peer: None, reason: CloseReason::Displaced }),
                    met = admit(incoming, &terms, deadline) => met,
                }
            };
            let outcome = contain(admission).await;
            drop(reports.send(Report::Admitted { place, from, outcome }).await);
        });
    }

    #[cfg(feature = "simulation")]
    fn probe(&self) -> AdmissionProbe {
        self.roster.probe(self.snapshot.peers().len())
    }
}
