//! The pool's part in admission: it carries out what the [`Door`](crate::admission::Door) decides.

use super::{Missed, Pool, Report, admit};
#[cfg(feature = "simulation")]
use crate::admission::AdmissionProbe;
use crate::{
    Ban, BanError, BanTarget, Cancel, CloseReason, Direction, Fence, Netgroup, PeerAddr, PeerId, Role,
    admission::{Candidate, Knock, Newcomer, Place},
    observe::metrics,
    quic::{Endpoint, Farewell, Incoming},
    routine::contain,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::Instant};

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
        let now = Instant::now().into_std();
        // Whoever asked may have stopped waiting.
        match command {
            DoorCommand::Ban { target, lasting, evidence, done } => {
                let banned = self.door.ban(target, &evidence, lasting, now);
                if banned.is_ok() {
                    self.close_banned(target);
                }
                let _ = done.send(banned);
            }
            DoorCommand::Unban { target, done } => _ = done.send(self.door.unban(target, now)),
            DoorCommand::Bans(done) => _ = done.send(self.door.bans(now)),
            #[cfg(feature = "simulation")]
            DoorCommand::Probe(done) => _ = done.send(self.probe()),
        }
    }

    fn close_banned(&mut self, target: BanTarget) {
        let hit = self
            .peers
            .values()
            .map(|peer| &peer.info)
            .filter(|peer| peer.role != Role::Trusted && target.covers(peer.id, peer.addr.ip()));
        for id in hit.map(|peer| peer.id).collect::<Vec<_>>() {
            self.drop_peer(id, CloseReason::Banned, Farewell::NEUTRAL);
        }
    }

    /// Spends nothing on an attempt before there is a place for it.
    pub(super) fn on_incoming(&mut self, incoming: Incoming) {
        let (from, now) = (incoming.remote_addr(), Instant::now().into_std());
        let held = self.endpoint.as_ref().map_or(0, Endpoint::held);
        let place = match self.door.knock(from.ip(), incoming.is_validated(), held, now) {
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
        let deadline = Instant::now() + self.config.handshake_timeout;
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

    /// Whether a peer may be dialled at all.
    pub(super) fn may_dial(&self, peer: PeerAddr) -> Result<(), CloseReason> {
        let now = Instant::now().into_std();
        self.door.welcome(peer.id, peer.addr.ip(), Direction::Outbound, now).map(drop)
    }

    /// Whether there is a place for a newcomer of this identity; one that it has already counts as free.
    pub(super) fn place(&self, id: PeerId, newcomer: Newcomer) -> Place {
        let beside = self
            .peers
            .values()
            .filter(|peer| peer.info.direction == newcomer.direction && peer.info.id != id);
        let beside: Vec<_> = beside
            .map(|peer| {
                let requester = self.snapshot.requester(peer.info.id);
                Candidate {
                    connection: peer.info.connection,
                    group: Netgroup::of(peer.info.addr.ip()),
                    since: peer.since.into_std(),
                    useful: requester.as_ref().and_then(|requester| requester.merit().last()),
                    round_trip: requester.map_or(Duration::MAX, |requester| requester.round_trip()),
                    is_named: peer.info.role.is_named(),
                }
            })
            .collect();
        self.door.place(newcomer, &beside, Instant::now().into_std())
    }

    pub(super) fn displace(&mut self, connection: Fence) {
        let gone = self.peers.values().find(|peer| peer.info.connection == connection);
        if let Some(id) = gone.map(|peer| peer.info.id) {
            self.drop_peer(id, CloseReason::Displaced, Farewell::ADMISSION);
        }
    }

    /// A peer was named, or is not any more.
    pub(super) fn renew_role(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.info.role = self.door.role(id, peer.info.direction);
            self.snapshot.set_role(id, peer.info.role);
        }
    }

    #[cfg(feature = "simulation")]
    fn probe(&self) -> AdmissionProbe {
        let peers = self.peers.values().map(|peer| &peer.info);
        self.door.probe(peers, self.dialling, self.snapshot.peers().len())
    }
}
