//! Which connection with each peer counts, and who is dialled. Pure: the pool tells it what happened and carries out what it
//! decides.

use super::{
    duplicate::{Contender, Verdict, judge},
    redial::Redials,
};
use crate::{
    BanTarget, Capabilities, CloseReason, Direction, Fence, Identity, Netgroup, PeerAddr, PeerId, PeerInfo,
    Role, TransportConfig,
    admission::{Door, Newcomer, Place, Seat, Worth},
    quic::Farewell,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A connection whose handshake is done: it wants to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) id: PeerId,
    pub(super) addr: SocketAddr,
    pub(super) direction: Direction,
    pub(super) capabilities: Capabilities,
}

/// A connection that counted and does not any more.
#[derive(Debug)]
#[must_use = "somebody has to close it, and to tell of it"]
pub(super) struct Gone {
    pub(super) peer: PeerInfo,
    pub(super) lived: Duration,
    pub(super) reason: CloseReason,
    /// What it is closed with, unless it has ended by itself.
    pub(super) farewell: Option<Farewell>,
}

/// An arrival that does not count: it is to be closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) farewell: Farewell,
    pub(super) reason: CloseReason,
}

/// What becomes of an arrival.
#[derive(Debug)]
#[must_use = "those who yield have to be closed before it counts"]
pub(super) struct Entry {
    /// Who yields, whatever becomes of it.
    pub(super) gone: Vec<Gone>,
    pub(super) outcome: Result<PeerInfo, Refused>,
}

/// A named peer whose turn it is.
#[derive(Debug)]
pub(super) enum Due {
    /// It counts as being dialled from here on, until [`Roster::dial_over`].
    Dial(PeerAddr),
    /// It is not met now, and has to wait again.
    NotMet(PeerAddr, CloseReason),
}

#[derive(Debug)]
struct Member {
    info: PeerInfo,
    initiator: PeerId,
    since: Instant,
}

/// Every connection that counts, one for each peer, and every peer that is or will be dialled.
#[derive(Debug)]
pub(super) struct Roster {
    us: PeerId,
    max_outbound: usize,
    pub(super) door: Door,
    members: BTreeMap<PeerId, Member>,
    redials: Redials,
    /// Whom we dial now without dialling them again.
    once: BTreeSet<PeerId>,
    dialling: usize,
}

impl Roster {
    pub(super) fn new(identity: &Identity, config: &TransportConfig) -> Self {
        Self {
            us: identity.peer_id(),
            max_outbound: config.max_outbound,
            door: Door::new(config, identity),
            members: BTreeMap::new(),
            redials: Redials::new(config.seed),
            once: BTreeSet::new(),
            dialling: 0,
        }
    }

    /// Names a peer, which is dialled from here on, and again for ever. Its connection's new role, if it has one.
    pub(super) fn name(&mut self, peer: PeerAddr, is_trusted: bool, now: Instant) -> Option<Role> {
        self.redials.add(peer, self.members.contains_key(&peer.id), now);
        self.door.name(peer, is_trusted, now);
        self.renew_role(peer.id)
    }

    /// The peer is a stranger again. Its connection's new role, if it has one.
    pub(super) fn forget(&mut self, id: PeerId) -> Option<Role> {
        self.redials.remove(id);
        self.door.forget(id);
        self.renew_role(id)
    }

    fn renew_role(&mut self, id: PeerId) -> Option<Role> {
        let member = self.members.get_mut(&id)?;
        member.info.role = self.door.role(id, member.info.direction);
        Some(member.info.role)
    }

    /// When the next named peer is due; none while there is no room for it.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        self.redials.next().filter(|_| self.has_room_to_dial())
    }

    /// The next named peer that is due, if there is room for it.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Due> {
        if !self.has_room_to_dial() {
            return None;
        }
        let peer = self.redials.take_due(now)?;
        Some(match self.may_dial(peer, now) {
            Ok(()) => {
                self.dialling = self.dialling.saturating_add(1);
                Due::Dial(peer)
            }
            Err(reason) => {
                self.redials.failed(peer.id, now);
                Due::NotMet(peer, reason)
            }
        })
    }

    /// Whether a peer that need not be named is dialled now. If so, it counts as being dialled until
    /// [`dial_over`](Self::dial_over).
    ///
    /// # Errors
    ///
    /// Why it is not dialled at all.
    pub(super) fn dial_once(&mut self, peer: PeerAddr, now: Instant) -> Result<(), CloseReason> {
        if self.members.contains_key(&peer.id) || self.redials.is_dialling(peer.id) {
            return Err(CloseReason::Duplicate);
        }
        self.may_dial(peer, now)?;
        if !self.has_room_to_dial() {
            return Err(CloseReason::Full);
        }
        if !self.once.insert(peer.id) {
            return Err(CloseReason::Duplicate);
        }
        self.dialling = self.dialling.saturating_add(1);
        Ok(())
    }

    fn may_dial(&self, peer: PeerAddr, now: Instant) -> Result<(), CloseReason> {
        self.door.welcome(peer.id, peer.addr.ip(), Direction::Outbound, now).map(drop)
    }

    fn has_room_to_dial(&self) -> bool {
        self.count(Direction::Outbound).saturating_add(self.dialling) < self.max_outbound
    }

    /// A dial is over, whatever came of it; the connection, if it gave one, has yet to be registered.
    pub(super) fn dial_over(&mut self, id: PeerId, once: bool) {
        self.dialling = self.dialling.saturating_sub(1);
        if once {
            self.once.remove(&id);
        }
    }

    /// A dial gave no connection that counts. `false`: nothing is lost by that, since another counts.
    pub(super) fn dial_failed(&mut self, id: PeerId, once: bool, now: Instant) -> bool {
        if self.members.contains_key(&id) {
            return false;
        }
        if !once {
            self.redials.failed(id, now);
        }
        true
    }

    /// Whether an arrival counts. If so, the connection that counted before, if any, does not any more.
    pub(super) fn register(
        &mut self,
        arrival: Arrival,
        worth: impl Fn(&PeerInfo) -> Worth,
        now: Instant,
    ) -> Entry {
        let mut gone = Vec::new();
        let outcome = self.try_register(arrival, worth, now, &mut gone);
        Entry { gone, outcome }
    }

    fn try_register(
        &mut self,
        arrival: Arrival,
        worth: impl Fn(&PeerInfo) -> Worth,
        now: Instant,
        gone: &mut Vec<Gone>,
    ) -> Result<PeerInfo, Refused> {
        let Arrival { id, addr, direction, capabilities } = arrival;
        let refuse = |farewell, reason| Err(Refused { farewell, reason });
        if id == self.us {
            return refuse(Farewell::NEUTRAL, CloseReason::NotDialled("that is ourselves".into()));
        }
        let role = match self.door.welcome(id, addr.ip(), direction, now) {
            Ok(role) => role,
            Err(reason) => return refuse(Farewell::NEUTRAL, reason),
        };
        let initiator = match direction {
            Direction::Inbound => id,
            Direction::Outbound => self.us,
        };
        let verdict = self.members.get(&id).map(|incumbent| {
            let holder = Contender { initiator: incumbent.initiator, ip: incumbent.info.addr.ip() };
            let age = now.saturating_duration_since(incumbent.since);
            judge(holder, age, Contender { initiator, ip: addr.ip() })
        });
        match verdict {
            Some(Verdict::Refuse) => return refuse(Farewell::DUPLICATE, CloseReason::Duplicate),
            Some(Verdict::RefuseAndEvict) => {
                gone.extend(self.drop_peer(id, CloseReason::Duplicate, Farewell::NEUTRAL, now));
                return refuse(Farewell::DUPLICATE, CloseReason::Duplicate);
            }
            Some(Verdict::Replace) | None => {}
        }
        let newcomer = Newcomer { ip: addr.ip(), role, direction };
        // Asked before anyone is dropped: a newcomer without a place must not cost us the incumbent.
        let place = self.place(newcomer, worth, now);
        if place == Place::Full {
            return refuse(Farewell::ADMISSION, CloseReason::Full);
        }
        if !self.door.comes_in_time(id, newcomer, now) {
            return refuse(Farewell::ADMISSION, CloseReason::TooOften);
        }
        gone.extend(self.drop_peer(id, CloseReason::Duplicate, Farewell::DUPLICATE, now));
        if let Place::Displace(connection) = place {
            gone.extend(self.drop_connection(connection, CloseReason::Displaced, Farewell::ADMISSION, now));
        }
        let info = PeerInfo { id, addr, direction, role, connection: Fence::mint(), capabilities };
        self.members.insert(id, Member { info: info.clone(), initiator, since: now });
        self.redials.connected(id, now);
        Ok(info)
    }

    /// Whether there is a place for a newcomer. The incumbent whose place it takes is none of those beside it: it was dialled
    /// by the other side (wire 6).
    fn place(&self, newcomer: Newcomer, worth: impl Fn(&PeerInfo) -> Worth, now: Instant) -> Place {
        let beside = self.members.values().filter(|member| member.info.direction == newcomer.direction);
        let beside: Vec<_> = beside
            .map(|member| Seat {
                connection: member.info.connection,
                group: Netgroup::of(member.info.addr.ip()),
                since: member.since,
                is_named: member.info.role.is_named(),
            })
            .collect();
        let worth = |connection| self.holder(connection).map_or(Worth::NONE, |member| worth(&member.info));
        self.door.place(newcomer, &beside, worth, now)
    }

    fn holder(&self, connection: Fence) -> Option<&Member> {
        self.members.values().find(|member| member.info.connection == connection)
    }

    /// Takes a peer's place away. What its connection says later is too late to matter.
    pub(super) fn drop_peer(
        &mut self,
        id: PeerId,
        reason: CloseReason,
        farewell: Farewell,
        now: Instant,
    ) -> Option<Gone> {
        let member = self.members.remove(&id)?;
        Some(self.let_go(member, reason, Some(farewell), now))
    }

    /// Takes a connection's place away, and not its successor's.
    pub(super) fn drop_connection(
        &mut self,
        connection: Fence,
        reason: CloseReason,
        farewell: Farewell,
        now: Instant,
    ) -> Option<Gone> {
        let id = self.holder(connection)?.info.id;
        self.drop_peer(id, reason, farewell, now)
    }

    /// Takes everybody's place away whom a ban covers.
    pub(super) fn drop_banned(&mut self, target: BanTarget, now: Instant) -> Vec<Gone> {
        let peers = self.members.values().map(|member| &member.info);
        let hit = peers.filter(|peer| peer.role != Role::Trusted && target.covers(peer.id, peer.addr.ip()));
        let hit: Vec<_> = hit.map(|peer| peer.id).collect();
        hit.into_iter()
            .filter_map(|id| self.drop_peer(id, CloseReason::Banned, Farewell::NEUTRAL, now))
            .collect()
    }

    /// Takes everybody's place away.
    pub(super) fn drop_all(&mut self, now: Instant) -> Vec<Gone> {
        let all: Vec<_> = self.members.keys().copied().collect();
        all.into_iter()
            .filter_map(|id| self.drop_peer(id, CloseReason::Local, Farewell::NEUTRAL, now))
            .collect()
    }

    /// A connection's own end. An old generation's teardown does not touch its successor.
    pub(super) fn ended(
        &mut self,
        id: PeerId,
        connection: Fence,
        reason: CloseReason,
        now: Instant,
    ) -> Option<Gone> {
        if self.members.get(&id)?.info.connection != connection {
            return None;
        }
        let member = self.members.remove(&id)?;
        if let CloseReason::Violation { violation, .. } = &reason {
            self.door.convict(&member.info, violation, now);
        }
        Some(self.let_go(member, reason, None, now))
    }

    fn let_go(
        &mut self,
        member: Member,
        reason: CloseReason,
        farewell: Option<Farewell>,
        now: Instant,
    ) -> Gone {
        self.redials.disconnected(member.info.id, now);
        let lived = now.saturating_duration_since(member.since);
        Gone { peer: member.info, lived, reason, farewell }
    }

    /// Connections of a direction that count.
    pub(super) fn count(&self, direction: Direction) -> usize {
        self.members.values().filter(|member| member.info.direction == direction).count()
    }

    /// Counts anew. `shown`: how many peers the handle shows.
    #[cfg(feature = "simulation")]
    pub(super) fn probe(&self, shown: usize) -> crate::admission::AdmissionProbe {
        self.door.probe(self.members.values().map(|member| &member.info), self.dialling, shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod meetings;
    mod schedules;
}
