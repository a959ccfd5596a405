//! All of admission in one place: what the pool asks before it spends anything, and before it gives a place. Pure.

use super::{
    Ban, BanError, BanReason, BanTarget, GroupCaps, Netgroup, Role,
    arrivals::Arrivals,
    bans::{Bans, COOLDOWN},
    eviction::{Candidate, Seat, Worth, choose},
    pending::{Knock, Outcome, Pending},
    storm::Storm,
};
use crate::{
    CloseReason, Direction, Fence, Identity, PeerAddr, PeerId, PeerInfo, TransportConfig, Violation,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// QUIC remembers an ended connection for three probe timeouts (RFC 9000, 10.2). When it holds so many times our places, somebody
/// comes and goes: stops memory from growing with how fast that is.
const CROWD: usize = 2;

/// A peer that asks for a place: its handshake is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newcomer {
    pub(crate) ip: IpAddr,
    pub(crate) role: Role,
    pub(crate) direction: Direction,
}

/// Whether there is a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    /// Once this connection is closed.
    Displace(Fence),
    Full,
}

#[derive(Debug)]
struct Name {
    ip: IpAddr,
    is_trusted: bool,
}

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) max_inbound: usize,
    pub(super) max_outbound: usize,
    pub(super) groups: GroupCaps,
    is_for_named_only: bool,
    names: BTreeMap<PeerId, Name>,
    pub(super) bans: Bans,
    pub(super) pending: Pending,
    arrivals: Arrivals,
    storm: Storm,
    secret: [u8; 32],
}

impl Door {
    pub(crate) fn new(config: &TransportConfig, identity: &Identity) -> Self {
        // Whoever knew it could choose the neighbourhoods that are protected.
        let mut secret = blake2b_simd::Params::new();
        let secret = secret.hash_length(32).personal(b"zakura-admission").key(identity.seed()).hash(&[]);
        Self {
            max_inbound: config.max_inbound,
            max_outbound: config.max_outbound,
            groups: config.groups,
            is_for_named_only: config.connect_only,
            names: BTreeMap::new(),
            bans: Bans::default(),
            pending: Pending::new(config.pending_handshakes, config.groups.pending),
            arrivals: Arrivals::default(),
            storm: Storm::default(),
            secret: <[u8; 32]>::try_from(secret.as_bytes()).unwrap_or_default(),
        }
    }

    /// Names a peer, or gives a named one another address; trust is not taken away by it. Trust lifts a ban.
    pub(crate) fn name(&mut self, peer: PeerAddr, is_trusted: bool, now: Instant) {
        let is_trusted = is_trusted || self.names.get(&peer.id).is_some_and(|name| name.is_trusted);
        if is_trusted {
            self.bans.lift(BanTarget::Peer(peer.id), now);
        }
        self.names.insert(peer.id, Name { ip: Netgroup::canonical(peer.addr.ip()), is_trusted });
    }

    /// The peer is a stranger again.
    pub(crate) fn forget(&mut self, id: PeerId) {
        self.names.remove(&id);
    }

    /// What a peer is to us.
    pub(crate) fn role(&self, id: PeerId, direction: Direction) -> Role {
        match self.names.get(&id) {
            Some(Name { is_trusted: true, .. }) => Role::Trusted,
            Some(_) if self.is_for_named_only => Role::ConnectOnly,
            Some(_) => Role::Static,
            None => Role::stranger(direction),
        }
    }

    /// Judges an attempt to connect, before anything is spent on it. `is_proven`: the sender receives at its address. `held`:
    /// connections that QUIC holds, those that have just ended too.
    pub(crate) fn knock(&mut self, ip: IpAddr, is_proven: bool, held: usize, now: Instant) -> Knock {
        let canonical = Netgroup::canonical(ip);
        let mut named = self.names.values().filter(|name| name.ip == canonical);
        let (is_named, is_trusted) = (named.clone().next().is_some(), named.any(|name| name.is_trusted));
        if !is_trusted && self.is_banned_at(ip, is_named, now) {
            return Knock::Ignore;
        }
        let group = (!is_named).then(|| Netgroup::of(ip));
        if group.is_some_and(|group| !self.arrivals.may_begin(group, self.groups, now)) {
            return Knock::Ignore;
        }
        let places = self.max_inbound.saturating_add(self.max_outbound).saturating_add(self.pending.most);
        let knock = if self.is_storm(now) || held >= places.saturating_mul(CROWD) {
            self.pending.knock_in_a_crowd(group, is_proven, now)
        } else {
            self.pending.knock(group, is_proven, now)
        };
        if let (Some(group), true, Knock::Admit { .. }) = (group, is_proven, knock) {
            self.arrivals.begins(group, now);
        }
        knock
    }

    /// The handshake of a place is over.
    pub(crate) fn leave(&mut self, place: Fence, outcome: Outcome, now: Instant) {
        self.pending.leave(place, outcome, now);
    }

    /// Whether we meet a peer at all. Asked before a dial, and again when the handshake has proved who it is.
    ///
    /// # Errors
    ///
    /// Why we do not.
    pub(crate) fn welcome(
        &self,
        id: PeerId,
        ip: IpAddr,
        direction: Direction,
        now: Instant,
    ) -> Result<Role, CloseReason> {
        let role = self.role(id, direction);
        if role == Role::Trusted {
            return Ok(role);
        }
        if self.bans.holds_peer(id, now) || self.is_banned_at(ip, role.is_named(), now) {
            return Err(CloseReason::Banned);
        }
        if self.is_for_named_only && !role.is_named() {
            return Err(CloseReason::NotNamed);
        }
        Ok(role)
    }

    /// A named peer is not kept out for what another identity of its neighbourhood did.
    fn is_banned_at(&self, ip: IpAddr, is_named: bool, now: Instant) -> bool {
        self.bans.at(ip, now).any(|reason| !is_named || reason == BanReason::Asked)
    }

    /// Whether there is a place for a newcomer beside these connections of its direction. `worth` is asked only if one of them has to go.
    pub(crate) fn place(
        &self,
        newcomer: Newcomer,
        beside: &[Seat],
        worth: impl Fn(Fence) -> Worth,
        now: Instant,
    ) -> Place {
        match newcomer.direction {
            Direction::Outbound if beside.len() < self.max_outbound => Place::Free,
            Direction::Outbound => Place::Full,
            Direction::Inbound => self.inbound_place(newcomer, beside, worth, now),
        }
    }

    fn inbound_place(
        &self,
        newcomer: Newcomer,
        beside: &[Seat],
        worth: impl Fn(Fence) -> Worth,
        now: Instant,
    ) -> Place {
        let group = Netgroup::of(newcomer.ip);
        let is_neighbour = |other: &&Seat| !other.is_named && other.group == group;
        let neighbours = beside.iter().filter(is_neighbour).count();
        let is_group_full = !newcomer.role.is_named() && neighbours >= self.groups.inbound;
        if !is_group_full && beside.len() < self.max_inbound {
            return Place::Free;
        }
        let rivals = beside.iter().filter(|other| !is_group_full || is_neighbour(other));
        let rivals: Vec<_> =
            rivals.map(|seat| Candidate { seat: *seat, worth: worth(seat.connection) }).collect();
        choose(&rivals, group, &self.secret, now).map_or(Place::Full, Place::Displace)
    }

    /// Keeps somebody out who is not let in again before `lasting` is over.
    ///
    /// # Errors
    ///
    /// [`BanError`].
    pub(crate) fn ban(
        &mut self,
        target: BanTarget,
        evidence: &str,
        lasting: Duration,
        now: Instant,
    ) -> Result<(), BanError> {
        match target {
            BanTarget::Peer(id) if self.role(id, Direction::Inbound) == Role::Trusted => {
                Err(BanError::Trusted(id))
            }
            _ if self.bans.add(target, BanReason::Asked, evidence, lasting, now) => Ok(()),
            _ => Err(BanError::Full),
        }
    }

    /// Lifts a ban. `false` if there was none.
    pub(crate) fn unban(&mut self, target: BanTarget, now: Instant) -> bool {
        self.bans.lift(target, now)
    }

    /// Every ban in force.
    pub(crate) fn bans(&self, now: Instant) -> Vec<Ban> {
        self.bans.list(now)
    }

    /// Whether an inbound peer that is to get a place does not come too often for it, it or its neighbourhood.
    pub(crate) fn comes_in_time(&mut self, id: PeerId, newcomer: Newcomer, now: Instant) -> bool {
        let is_bound = newcomer.direction == Direction::Inbound && !newcomer.role.is_named();
        !is_bound || self.arrivals.take(id, Netgroup::of(newcomer.ip), self.groups, now)
    }

    /// We have panicked over what came from there, for which nobody is blamed. In a storm of panics nobody is let in who does
    /// not prove its address, nor whose neighbourhood brought one (threats P04). `true`: there is a storm.
    pub(crate) fn panicked(&mut self, ip: IpAddr, now: Instant) -> bool {
        self.storm.add(now);
        self.pending.shun(Netgroup::of(ip), now);
        self.is_storm(now)
    }

    fn is_storm(&self, now: Instant) -> bool {
        self.groups.tell_operators_apart() && self.storm.rages(now)
    }

    /// What follows from a fault for which a connection was closed: nothing, or for provably wrong content a cooldown of
    /// the identity and its neighbourhood (threats 4.1).
    pub(crate) fn convict(&mut self, peer: &PeerInfo, fault: &Violation, now: Instant) {
        if !fault.class().cools_down() || self.role(peer.id, peer.direction) == Role::Trusted {
            return;
        }
        self.bans.cool_down(BanTarget::Peer(peer.id), fault, COOLDOWN, now);
        if self.groups.tell_operators_apart() {
            let group = BanTarget::Group(Netgroup::of(peer.addr.ip()));
            self.bans.cool_down(group, fault, self.groups.cooldown, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capabilities;

    const MINUTE: Duration = Duration::from_secs(60);

    fn id(n: u8) -> PeerId {
        PeerId::new([n; 32])
    }

    fn ip(group: u8, host: u8) -> IpAddr {
        IpAddr::from([10, 0, group, host])
    }

    fn door(change: impl FnOnce(&mut TransportConfig)) -> (Door, Instant) {
        let mut config = TransportConfig::new("127.0.0.1:0".parse().unwrap(), 3, [0; 32], 0);
        change(&mut config);
        let door = Door::new(&config, &Identity::from_seed([1; 32]).unwrap());
        (door, tokio::time::Instant::now().into_std())
    }

    fn name(door: &mut Door, n: u8, is_trusted: bool, now: Instant) {
        door.name(PeerAddr { id: id(n), addr: (ip(n, 1), 1).into() }, is_trusted, now);
    }

    fn info(n: u8) -> PeerInfo {
        PeerInfo {
            id: id(n),
            addr: (ip(n, 1), 1).into(),
            direction: Direction::Inbound,
            role: Role::Inbound,
            connection: Fence::mint(),
            capabilities: Capabilities::NONE,
        }
    }

    fn beside(group: u8, age: u64, now: Instant) -> Seat {
        let since = now - Duration::from_secs(age);
        Seat { connection: Fence::mint(), group: Netgroup::of(ip(group, 1)), since, is_named: false }
    }

    /// Where nobody is of more use than the other.
    fn place(door: &Door, newcomer: Newcomer, beside: &[Seat], now: Instant) -> Place {
        let worth = |_| Worth { useful: None, round_trip: Duration::ZERO };
        door.place(newcomer, beside, worth, now)
    }

    fn newcomer(group: u8) -> Newcomer {
        Newcomer { ip: ip(group, 9), role: Role::Inbound, direction: Direction::Inbound }
    }

    #[test]
    fn a_stranger_has_its_directions_role_and_a_named_peer_its_names() {
        let (mut door, now) = door(|_| ());
        assert_eq!(door.role(id(1), Direction::Inbound), Role::Inbound);
        assert_eq!(door.role(id(1), Direction::Outbound), Role::Outbound);
        name(&mut door, 1, false, now);
        assert_eq!(door.role(id(1), Direction::Inbound), Role::Static);
        name(&mut door, 1, true, now);
        name(&mut door, 1, false, now);
        assert_eq!(
            door.role(id(1), Direction::Inbound),
            Role::Trusted,
            "a new address leaves trust as it was"
        );
        door.forget(id(1));
        assert_eq!(door.role(id(1), Direction::Outbound), Role::Outbound);
    }

    #[test]
    fn who_meets_only_named_peers_meets_nobody_else() {
        let (mut door, now) = door(|config| config.connect_only = true);
        name(&mut door, 1, false, now);
        for direction in [Direction::Inbound, Direction::Outbound] {
            assert_eq!(door.welcome(id(1), ip(1, 1), direction, now), Ok(Role::ConnectOnly));
            assert_eq!(door.welcome(id(2), ip(1, 1), direction, now), Err(CloseReason::NotNamed));
        }
    }

    #[test]
    fn a_named_peers_address_has_no_group_to_fill() {
        let (mut door, now) = door(|_| ());
        for host in 1..=4 {
            assert!(matches!(door.knock(ip(1, host), true, 0, now), Knock::Admit { .. }));
        }
        assert_eq!(door.knock(ip(1, 1), true, 0, now), Knock::Ignore);
        name(&mut door, 1, false, now);
        assert!(matches!(door.knock(ip(1, 1), true, 0, now), Knock::Admit { .. }));
        assert_eq!(door.knock(ip(1, 2), true, 0, now), Knock::Ignore, "its neighbours do");
    }

    #[test]
    fn banned_addresses_are_not_answered_and_banned_identities_not_met() {
        let (mut door, now) = door(|_| ());
        let target = BanTarget::Group(Netgroup::of(ip(1, 1)));
        door.ban(target, "", MINUTE, now).unwrap();
        assert_eq!(door.knock(ip(1, 7), true, 0, now), Knock::Ignore);
        assert!(matches!(door.knock(ip(2, 7), true, 0, now), Knock::Admit { .. }));
        assert_eq!(door.welcome(id(1), ip(1, 7), Direction::Outbound, now), Err(CloseReason::Banned));
        door.ban(BanTarget::Peer(id(2)), "", MINUTE, now).unwrap();
        assert_eq!(door.welcome(id(2), ip(2, 7), Direction::Inbound, now), Err(CloseReason::Banned));
        assert!(door.unban(BanTarget::Peer(id(2)), now) && door.unban(target, now));
        assert!(door.welcome(id(2), ip(1, 7), Direction::Inbound, now).is_ok());
    }

    #[test]
    fn the_trusted_are_never_banned() {
        let (mut door, now) = door(|_| ());
        let wrong = Violation::proven_invalid("rule", "seen");
        door.ban(BanTarget::Peer(id(1)), "", MINUTE, now).unwrap();
        name(&mut door, 1, true, now);
        assert!(door.bans(now).is_empty(), "trust lifts the ban");
        assert_eq!(door.ban(BanTarget::Peer(id(1)), "", MINUTE, now), Err(BanError::Trusted(id(1))));
        door.convict(&info(1), &wrong, now);
        assert!(door.bans(now).is_empty());
        door.ban(BanTarget::Ip(ip(1, 1)), "", MINUTE, now).unwrap();
        assert!(
            matches!(door.knock(ip(1, 1), true, 0, now), Knock::Admit { .. }),
            "whatever its address did"
        );
        assert_eq!(door.welcome(id(1), ip(1, 1), Direction::Inbound, now), Ok(Role::Trusted));
        assert_eq!(door.welcome(id(2), ip(1, 1), Direction::Inbound, now), Err(CloseReason::Banned));
    }

    #[test]
    fn only_proven_wrong_content_cools_down_its_identity_and_its_group_for_a_minute() {
        let (mut door, now) = door(|_| ());
        door.convict(&info(1), &Violation::malformed("rule", "seen"), now);
        door.convict(&info(1), &Violation::protocol("rule", "seen"), now);
        assert!(door.bans(now).is_empty());
        door.convict(&info(1), &Violation::proven_invalid("rule", "seen"), now);
        let kept_out = |door: &Door, n, ip, at| door.welcome(id(n), ip, Direction::Inbound, at).is_err();
        assert!(kept_out(&door, 1, ip(9, 1), now) && kept_out(&door, 2, ip(1, 200), now));
        assert!(!kept_out(&door, 2, ip(2, 1), now));
        name(&mut door, 2, false, now);
        assert!(!kept_out(&door, 2, ip(1, 200), now), "a named one answers for itself only");
        assert!(!kept_out(&door, 1, ip(1, 1), now + MINUTE));
    }

    #[test]
    fn on_one_host_a_group_says_nothing() {
        let (mut door, now) = door(|config| config.groups = GroupCaps::ONE_HOST);
        for _ in 0..64 {
            assert!(matches!(door.knock(ip(1, 1), true, 0, now), Knock::Admit { .. }));
        }
        door.convict(&info(1), &Violation::proven_invalid("rule", "seen"), now);
        assert!(door.welcome(id(1), ip(1, 1), Direction::Inbound, now).is_err());
        assert!(door.welcome(id(2), ip(1, 1), Direction::Inbound, now).is_ok());
    }

    #[test]
    fn in_a_storm_of_panics_only_those_are_let_in_from_where_none_came() {
        let (mut door, now) = door(|_| ());
        let is_in = |door: &mut Door, group, now| match door.knock(ip(group, 1), true, 0, now) {
            Knock::Admit { place, .. } => {
                door.leave(place, Outcome::Met, now);
                true
            }
            Knock::Retry | Knock::Ignore => false,
        };
        for group in 1..=4 {
            assert!(!door.panicked(ip(group, 1), now));
            assert!(is_in(&mut door, group, now), "a panic may be chance");
        }
        assert!(door.panicked(ip(5, 1), now));
        assert!((1..=5).all(|group| !is_in(&mut door, group, now)));
        assert!(is_in(&mut door, 6, now));
        assert_eq!(door.knock(ip(6, 1), false, 0, now), Knock::Retry, "anybody may write an address");
        name(&mut door, 1, false, now);
        assert!(is_in(&mut door, 1, now), "a named peer's address");
        assert!(is_in(&mut door, 2, now + MINUTE), "the storm is over");
    }

    #[test]
    fn a_neighbourhoods_handshakes_are_paced_and_a_forger_uses_up_nobodys() {
        let (mut door, now) = door(|_| ());
        let mut times = |is_proven, named: Option<u8>| {
            named.into_iter().for_each(|n| name(&mut door, n, false, now));
            let admitted = |_: &u32| match door.knock(ip(1, 1), is_proven, 0, now) {
                Knock::Admit { place, .. } => {
                    door.leave(place, Outcome::Met, now);
                    true
                }
                Knock::Retry | Knock::Ignore => false,
            };
            (0..1_000).filter(admitted).count()
        };
        assert_eq!(times(false, None), 1_000);
        assert_eq!(times(true, None), 64);
        assert_eq!(times(false, None), 0);
        assert_eq!(times(true, Some(1)), 1_000, "the operator's own peers are not paced");
    }

    #[test]
    fn only_inbound_strangers_can_come_too_often() {
        let (mut door, now) = door(|_| ());
        let (stranger, named) = (newcomer(1), Newcomer { role: Role::Static, ..newcomer(1) });
        let dialled = Newcomer { direction: Direction::Outbound, role: Role::Outbound, ..stranger };
        let mut times = |of| (0..1_000).filter(|_| door.comes_in_time(id(1), of, now)).count();
        assert_eq!((times(stranger), times(named), times(dialled)), (16, 1_000, 1_000));
    }

    #[test]
    fn a_full_group_makes_room_within_itself_only() {
        let (door, now) = door(|_| ());
        let mut all: Vec<_> = (0..4).map(|_| beside(1, 0, now)).collect();
        assert_eq!(place(&door, newcomer(1), &all, now), Place::Full, "nobody is settled");
        assert_eq!(place(&door, newcomer(2), &all, now), Place::Free);
        assert_eq!(place(&door, Newcomer { role: Role::Static, ..newcomer(1) }, &all, now), Place::Free);
        all[2].since = now - MINUTE;
        all[3].since = now - MINUTE;
        all.extend([beside(2, 600, now), beside(2, 600, now), beside(2, 600, now)]);
        all[0].since = now - Duration::from_secs(30);
        assert_eq!(place(&door, newcomer(1), &all, now), Place::Displace(all[0].connection));
        all[0].is_named = true;
        assert_eq!(place(&door, newcomer(1), &all, now), Place::Free, "named ones are not counted");
    }

    #[test]
    fn a_full_house_makes_room_for_whom_it_does_not_know() {
        let (door, now) = door(|config| config.max_inbound = 8);
        let mut all: Vec<_> = (0..8_u8).map(|n| beside(n / 2, 100 + u64::from(n), now)).collect();
        assert_eq!(place(&door, newcomer(9), &all[..7], now), Place::Free);
        assert!(matches!(place(&door, newcomer(9), &all, now), Place::Displace(_)));
        all.iter_mut().for_each(|other| other.is_named = true);
        assert_eq!(place(&door, newcomer(9), &all, now), Place::Full);
    }

    #[test]
    fn our_own_dials_have_places_of_their_own_and_take_nobodys() {
        let (door, now) = door(|config| config.max_outbound = 2);
        let dialled = Newcomer { direction: Direction::Outbound, role: Role::Outbound, ..newcomer(1) };
        let all = [beside(1, 1000, now), beside(1, 1000, now)];
        assert_eq!(place(&door, dialled, &all[..1], now), Place::Free);
        assert_eq!(place(&door, dialled, &all, now), Place::Full);
    }
}
