//! Random schedules against a model that keeps a plain list.

use super::*;
use crate::Violation;
use proptest::prelude::*;

/// Peers of the schedules: some below our id and some above it, so that both win duplicates.
const PEERS: u8 = 6;
const INBOUND: usize = 4;
const OUTBOUND: usize = 3;

#[derive(Debug, Clone)]
enum Event {
    /// Somebody who dialled us has finished its handshake.
    Comes {
        peer: u8,
        host: u8,
    },
    /// Whoever is due is dialled.
    Dial,
    DialOnce {
        peer: u8,
    },
    /// One of the dials under way is over.
    DialEnds {
        which: usize,
        connects: bool,
    },
    /// A connection says that it has ended, however old it is.
    Ends {
        which: usize,
        how: u8,
    },
    Drop {
        peer: u8,
    },
    /// A connection is closed by its generation, however old it is.
    DropConnection {
        which: usize,
    },
    Name {
        peer: u8,
        is_trusted: bool,
    },
    Forget {
        peer: u8,
    },
    Ban {
        peer: u8,
    },
    Unban {
        peer: u8,
    },
    Passes {
        millis: u64,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let peer = || 0..PEERS;
    let which = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    let one = prop_oneof![
        6 => (peer(), 0..2_u8).prop_map(|(peer, host)| Event::Comes { peer, host }),
        3 => Just(Event::Dial),
        2 => peer().prop_map(|peer| Event::DialOnce { peer }),
        4 => (which(), prop::bool::weighted(0.7)).prop_map(|(which, connects)| Event::DialEnds { which, connects }),
        4 => (which(), 0..3_u8).prop_map(|(which, how)| Event::Ends { which, how }),
        1 => peer().prop_map(|peer| Event::Drop { peer }),
        2 => which().prop_map(|which| Event::DropConnection { which }),
        2 => (peer(), any::<bool>()).prop_map(|(peer, is_trusted)| Event::Name { peer, is_trusted }),
        1 => peer().prop_map(|peer| Event::Forget { peer }),
        1 => peer().prop_map(|peer| Event::Ban { peer }),
        1 => peer().prop_map(|peer| Event::Unban { peer }),
        4 => prop::sample::select(vec![1, 900, 5_000, 11_000, 31_000, 301_000])
            .prop_map(|millis| Event::Passes { millis }),
    ];
    prop::collection::vec(one, 1..80)
}

struct Counted {
    info: PeerInfo,
    initiator: PeerId,
    since: Instant,
}

/// What the roster is compared with.
struct Model {
    roster: Roster,
    us: PeerId,
    now: Instant,
    counted: Vec<Counted>,
    /// Every connection there ever was.
    ever: Vec<(PeerId, Fence)>,
    dials: Vec<(PeerAddr, bool)>,
    named: BTreeMap<PeerId, bool>,
    /// When strangers got places.
    came: Vec<(PeerId, Instant)>,
}

fn id(peer: u8) -> PeerId {
    PeerId::new([peer.saturating_mul(51); 32])
}

fn addr(peer: u8, host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, peer, host], 8233))
}

const fn info_of(arrival: &Arrival, connection: Fence, role: Role) -> PeerInfo {
    let Arrival { id, addr, direction, capabilities } = *arrival;
    PeerInfo { id, addr, direction, role, connection, capabilities }
}

impl Model {
    fn new() -> Self {
        let mut config = TransportConfig::new("127.0.0.1:0".parse().unwrap(), 3, [0; 32], 7);
        (config.max_inbound, config.max_outbound) = (INBOUND, OUTBOUND);
        let identity = Identity::from_seed([1; 32]).unwrap();
        Self {
            us: identity.peer_id(),
            roster: Roster::new(&identity, &config),
            now: tokio::time::Instant::now().into_std(),
            counted: Vec::new(),
            ever: Vec::new(),
            dials: Vec::new(),
            named: BTreeMap::new(),
            came: Vec::new(),
        }
    }

    fn step(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Comes { peer, host } => _ = self.arrives(peer, addr(peer, host), Direction::Inbound),
            Event::Dial => {
                while let Some(due) = self.roster.take_due(now) {
                    if let Due::Dial(peer) = due {
                        self.dials.push((peer, false));
                    }
                }
            }
            Event::DialOnce { peer } => self.dial_once(peer),
            Event::DialEnds { which, connects } if !self.dials.is_empty() => self.dial_ends(which, connects),
            Event::Ends { which, how } if !self.ever.is_empty() => self.ends(which, how),
            Event::Drop { peer } => {
                let gone = self.roster.drop_peer(id(peer), CloseReason::Local, Farewell::NEUTRAL, now);
                assert_eq!(gone.is_some(), self.find(id(peer)).is_some());
                self.remove(gone);
            }
            Event::DropConnection { which } if !self.ever.is_empty() => {
                let (_, connection) = self.ever[which % self.ever.len()];
                let counts = self.counted.iter().any(|one| one.info.connection == connection);
                let before = format!("{:?}", self.roster);
                let gone =
                    self.roster.drop_connection(connection, CloseReason::Local, Farewell::NEUTRAL, now);
                assert_eq!(gone.is_some(), counts);
                assert!(counts || before == format!("{:?}", self.roster), "an old connection has no effect");
                self.remove(gone);
            }
            Event::Name { peer, is_trusted } => {
                let _role = self.roster.name(PeerAddr { id: id(peer), addr: addr(peer, 0) }, is_trusted, now);
                *self.named.entry(id(peer)).or_default() |= is_trusted;
            }
            Event::Forget { peer } => {
                let _role = self.roster.forget(id(peer));
                self.named.remove(&id(peer));
            }
            Event::Ban { peer } => {
                let target = BanTarget::Peer(id(peer));
                let banned = self.roster.door.ban(target, "", Duration::from_secs(60), now);
                assert_eq!(
                    banned.is_err(),
                    self.named.get(&id(peer)) == Some(&true),
                    "the trusted never are"
                );
                if banned.is_ok() {
                    let gone = self.roster.drop_banned(target, now);
                    self.remove(gone);
                    assert!(self.find(id(peer)).is_none());
                }
            }
            Event::Unban { peer } => _ = self.roster.door.unban(BanTarget::Peer(id(peer)), now),
            Event::Passes { millis } => self.now += Duration::from_millis(millis),
            Event::DialEnds { .. } | Event::Ends { .. } | Event::DropConnection { .. } => {}
        }
        self.check();
    }

    fn find(&self, id: PeerId) -> Option<&Counted> {
        self.counted.iter().find(|one| one.info.id == id)
    }

    /// Whoever is gone counted until now.
    fn remove(&mut self, gone: impl IntoIterator<Item = Gone>) {
        for gone in gone {
            let at = self.counted.iter().position(|one| one.info.connection == gone.peer.connection);
            let one = self.counted.remove(at.expect("gone once, and only if it counted"));
            assert_eq!((one.info.id, self.now - one.since), (gone.peer.id, gone.lived));
        }
    }

    fn dial_once(&mut self, peer: u8) {
        let to = PeerAddr { id: id(peer), addr: addr(peer, 0) };
        let is_under_way = self.dials.iter().any(|(dialled, _)| dialled.id == to.id);
        let is_counted = self.find(to.id).is_some();
        match self.roster.dial_once(to, self.now) {
            Ok(()) => {
                assert!(!is_counted && !self.dials.contains(&(to, true)));
                self.dials.push((to, true));
            }
            Err(CloseReason::Duplicate) => assert!(is_counted || is_under_way),
            Err(CloseReason::Full) => {
                assert_eq!(self.recount(Direction::Outbound) + self.dials.len(), OUTBOUND)
            }
            Err(CloseReason::Banned) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn dial_ends(&mut self, which: usize, connects: bool) {
        let (peer, once) = self.dials.swap_remove(which % self.dials.len());
        self.roster.dial_over(peer.id, once);
        let number = (0..PEERS).find(|n| id(*n) == peer.id).unwrap();
        if !connects || !self.arrives(number, peer.addr, Direction::Outbound) {
            let told = self.roster.dial_failed(peer.id, once, self.now);
            assert_eq!(told, self.find(peer.id).is_none());
        }
    }

    fn ends(&mut self, which: usize, how: u8) {
        let (peer, connection) = self.ever[which % self.ever.len()];
        let counts = self.counted.iter().any(|one| one.info.connection == connection);
        let before = format!("{:?}", self.roster);
        let reason = match how {
            0 => CloseReason::Reset,
            1 => CloseReason::Violation {
                stream: "test",
                violation: Violation::proven_invalid("rule", "seen"),
            },
            _ => CloseReason::Panicked { stream: "test", message: String::new() },
        };
        let gone = self.roster.ended(peer, connection, reason, self.now);
        assert_eq!(gone.is_some(), counts);
        assert!(counts || before == format!("{:?}", self.roster), "an old connection's end has no effect");
        self.remove(gone);
    }

    /// Whether it counts.
    fn arrives(&mut self, peer: u8, addr: SocketAddr, direction: Direction) -> bool {
        let arrival = Arrival { id: id(peer), addr, direction, capabilities: Capabilities::NONE };
        let initiator = if direction == Direction::Inbound { id(peer) } else { self.us };
        let rule = self.find(id(peer)).map(|one| {
            // Wire 6, once more and from the other end.
            let age = self.now - one.since;
            let same_host = one.info.addr.ip() == addr.ip();
            let is_stale = age >= Duration::from_secs(if same_host { 5 } else { 300 });
            (initiator < one.initiator, is_stale, one.info.connection)
        });
        let worth = |peer: &PeerInfo| Worth {
            useful: Some(u64::from(peer.id.as_bytes()[0])).filter(|useful| *useful > 100),
            round_trip: Duration::from_millis(u64::from(peer.id.as_bytes()[1])),
        };
        let (inbound, outbound) = (self.recount(Direction::Inbound), self.recount(Direction::Outbound));
        let Entry { gone, outcome } = self.roster.register(arrival, worth, self.now);
        let displaced = gone.iter().filter(|one| one.reason == CloseReason::Displaced).count();
        let duplicates: Vec<_> = gone.iter().filter(|one| one.reason == CloseReason::Duplicate).collect();
        assert_eq!(gone.len(), displaced + duplicates.len());
        assert!(
            displaced
                <= usize::from(outcome.is_ok() && direction == Direction::Inbound && inbound == INBOUND)
        );
        let incumbent_went = duplicates.first().map(|one| one.peer.connection);
        match (&outcome, rule) {
            (Ok(info), None) => {
                assert_eq!(incumbent_went, None);
                assert_eq!(info, &info_of(&arrival, info.connection, info.role));
            }
            (Ok(_), Some((newcomer_wins, _, incumbent))) => {
                assert!(newcomer_wins);
                assert_eq!(incumbent_went, Some(incumbent));
            }
            (
                Err(Refused { reason: CloseReason::Duplicate, .. }),
                Some((newcomer_wins, is_stale, incumbent)),
            ) => {
                assert!(!newcomer_wins);
                assert_eq!(incumbent_went, is_stale.then_some(incumbent));
            }
            (Err(Refused { reason, .. }), rule) => {
                assert!(gone.is_empty(), "who is not let in costs nobody a place");
                assert!(
                    rule.is_none_or(|(newcomer_wins, ..)| newcomer_wins || *reason == CloseReason::Banned)
                );
                let full = match direction {
                    Direction::Inbound => inbound == INBOUND,
                    Direction::Outbound => outbound == OUTBOUND,
                };
                let lately = self
                    .came
                    .iter()
                    .filter(|(who, at)| *who == arrival.id && self.now - *at < Duration::from_secs(80));
                match reason {
                    CloseReason::Banned => {}
                    CloseReason::Full => assert!(full),
                    CloseReason::TooOften => {
                        assert!(lately.count() >= 16 && !self.named.contains_key(&arrival.id))
                    }
                    other => panic!("{other}"),
                }
            }
        }
        self.remove(gone);
        let Ok(info) = outcome else { return false };
        if direction == Direction::Inbound {
            self.came.push((info.id, self.now));
        }
        self.ever.push((info.id, info.connection));
        self.counted.push(Counted { info, initiator, since: self.now });
        true
    }

    fn recount(&self, direction: Direction) -> usize {
        self.counted.iter().filter(|one| one.info.direction == direction).count()
    }

    fn check(&self) {
        let mut ids: Vec<_> = self.counted.iter().map(|one| (one.info.id, one.info.connection)).collect();
        ids.sort();
        let registered: Vec<_> =
            self.roster.members.iter().map(|(id, one)| (*id, one.info.connection)).collect();
        assert_eq!(ids, registered, "each peer counts once, and the same as in the model");
        for direction in [Direction::Inbound, Direction::Outbound] {
            assert_eq!(self.roster.count(direction), self.recount(direction));
        }
        assert_eq!(self.roster.dialling, self.dials.len());
        assert_eq!(self.roster.once.len(), self.dials.iter().filter(|(_, once)| *once).count());
        assert!(self.recount(Direction::Inbound) <= INBOUND);
        assert!(self.recount(Direction::Outbound) + self.dials.len() <= OUTBOUND);
        for named in self.named.keys() {
            let is_dialled = self.dials.iter().any(|(dialled, once)| dialled.id == *named && !once);
            match self.roster.redials.waits_until(*named) {
                Some(until) => {
                    assert!(self.find(*named).is_none(), "who counts is not dialled");
                    assert!(until <= self.now + Duration::from_secs(36), "nobody is forgotten");
                }
                None => assert!(self.find(*named).is_some() || is_dialled, "nobody is forgotten"),
            }
        }
        let roles = self.roster.members.values().map(|one| (one.info.id, one.info.role.is_named()));
        assert!(roles.into_iter().all(|(id, is_named)| is_named == self.named.contains_key(&id)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn each_peer_counts_once_and_old_events_have_no_effect(events in events()) {
        let mut model = Model::new();
        for event in &events {
            model.step(event);
        }
    }
}
