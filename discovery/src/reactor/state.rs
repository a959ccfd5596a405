//! What all peers share, and what is decided about it.

use super::{census::Census, own::Own};
use crate::{
    book::{Book, Merged, Rules, Secret, Signed, Source, disclose},
    config::DiscoveryConfig,
    machine::{Event, Guidance, Input, News, RECORDS, UnixClock},
    plan::{Limits, Outcome, Plan, Scene},
    status::DiscoveryStatus,
    wire::{DiscoverySummary, Summary},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};
use zakura_transport::{
    CloseReason, Direction, Fence, Identity, Netgroup, PeerAddr, PeerEvent, PeerId, PeerInfo,
    routine::Mailbox,
};

/// The wall clock is told to machines again once it is off by this much.
const CLOCK_DRIFT: Duration = Duration::from_secs(2);

/// What the shell is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Dial this peer once.
    Dial(PeerAddr),
    /// Close this connection: nothing runs on it any more. The peer's next one, if there is one, is not meant.
    Close(Fence),
}

/// What was read of the world for this moment.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// The wall clock.
    pub(crate) since_epoch: Duration,
    /// What the other services have.
    pub(crate) summaries: Vec<Summary>,
    /// Every registered connection.
    pub(crate) standing: Vec<PeerInfo>,
}

/// One session.
#[derive(Debug)]
struct Session {
    peer: PeerId,
    connection: Fence,
    mailbox: Mailbox<Input>,
}

/// The shared state.
#[derive(Debug)]
pub(crate) struct State {
    us: PeerId,
    config: DiscoveryConfig,
    secret: Secret,
    book: Book,
    plan: Plan,
    own: Own,
    census: Census,
    sessions: BTreeMap<Fence, Session>,
    listening: Option<SocketAddr>,
    clock: UnixClock,
    summaries: Vec<Summary>,
    orders: Vec<Order>,
    mail: Vec<(Mailbox<Input>, Input)>,
    dials: u64,
    refused: u64,
}

/// Three numbers out of the node's secret bytes.
fn split(secret: &[u8; 32]) -> [u64; 3] {
    let (words, _) = secret.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    [(); 3].map(|()| words.next().unwrap_or(0))
}

impl State {
    pub(crate) fn new(
        now: Instant,
        identity: Identity,
        config: DiscoveryConfig,
        since_epoch: Duration,
    ) -> Self {
        let us = identity.peer_id();
        let [a, b, seed] = split(&config.secret);
        let secret = Secret::new([a, b]);
        let mut book = Book::new(Rules::new(us, config.policy));
        for id in &config.named {
            book.name(*id, now);
        }
        let limits = Limits {
            target_outbound: config.target_outbound,
            max_outbound: config.max_outbound,
            named: config.named.len(),
        };
        Self {
            us,
            secret,
            book,
            plan: Plan::new(limits, secret, seed),
            own: Own::new(identity),
            config,
            census: Census::default(),
            sessions: BTreeMap::new(),
            listening: None,
            clock: UnixClock { at: now, said: since_epoch },
            summaries: Vec::new(),
            orders: Vec::new(),
            mail: Vec::new(),
            dials: 0,
            refused: 0,
        }
    }

    /// The transport listens here: from now on we can introduce ourselves.
    pub(crate) fn on_listening(&mut self, now: Instant, listening: SocketAddr, look: Look) {
        self.listening = Some(listening);
        self.on_look(now, look);
    }

    /// Once a second: what is overdue, who is there, whom to dial.
    pub(crate) fn on_look(&mut self, now: Instant, look: Look) {
        let Look { since_epoch, summaries, standing } = look;
        let carried_on = self.clock.said.saturating_add(now.saturating_duration_since(self.clock.at));
        if carried_on.abs_diff(since_epoch) >= CLOCK_DRIFT {
            self.clock = UnixClock { at: now, said: since_epoch };
        }
        self.summaries = summaries;
        if let Some(listening) = self.listening {
            self.own.renew(&self.config, listening, since_epoch);
        }
        for (id, connection) in self.census.missing(&standing) {
            self.on_disconnected(now, id, connection);
        }
        for info in standing {
            self.on_connected(now, info);
        }
        for (id, direction) in self.census.proven(now) {
            if direction == Direction::Outbound
                && let Some(attempts) = self.book.attempts_mut(id)
            {
                attempts.succeeded(now);
            }
        }
        self.plan.tick(now, &mut self.book);
        self.dial(now);
    }

    /// A connection came or went, or a dial failed.
    pub(crate) fn on_peer_event(&mut self, now: Instant, event: PeerEvent) {
        match event {
            PeerEvent::Connected(info) => self.on_connected(now, info),
            // Another connection with the peer stands: nobody left.
            PeerEvent::Disconnected { peer, reason: CloseReason::Duplicate } => {
                self.census.disconnected(peer.id, peer.connection);
            }
            PeerEvent::Disconnected { peer, .. } => self.on_disconnected(now, peer.id, peer.connection),
            PeerEvent::DialFailed { peer, reason } => {
                self.plan.landed(now, &mut self.book, peer.id, outcome(&reason));
            }
            // Whom we do not let in shows nothing about an address.
            _ => return,
        }
        self.dial(now);
    }

    fn on_connected(&mut self, now: Instant, info: PeerInfo) {
        let (id, direction) = (info.id, info.direction);
        if self.census.connected(now, info) {
            // An inbound connection ends our dial as well, but shows nothing about the address we dialled.
            let outcome = match direction {
                Direction::Outbound => Outcome::Connected,
                Direction::Inbound => Outcome::NotTried,
            };
            self.plan.landed(now, &mut self.book, id, outcome);
        }
    }

    fn on_disconnected(&mut self, now: Instant, id: PeerId, connection: Fence) {
        let Some(gone) = self.census.disconnected(id, connection) else { return };
        let jitter = self.plan.jitter();
        let Some(attempts) = self.book.attempts_mut(id) else { return };
        match (gone.fell_short, gone.direction) {
            (true, _) => attempts.fell_short(now, jitter),
            (false, Direction::Outbound) => attempts.succeeded(now),
            (false, Direction::Inbound) => {}
        }
    }

    /// Fills the places there are.
    fn dial(&mut self, now: Instant) {
        let Some(listening) = self.listening else { return };
        let own: BTreeSet<_> =
            self.config.advertise.iter().copied().chain(std::iter::once(listening)).collect();
        let connected = self.census.ids();
        loop {
            let scene = Scene {
                book: &self.book,
                connected: &connected,
                outbound: self.census.outbound(),
                own: &own,
                unix: self.clock.unix(now),
            };
            let Some(peer) = self.plan.next(now, scene) else { return };
            self.dials = self.dials.saturating_add(1);
            self.orders.push(Order::Dial(peer));
        }
    }

    /// A session says something.
    pub(crate) fn on_event(&mut self, now: Instant, Event { session, news }: Event) {
        if let News::Joined { peer, mailbox } = news {
            self.on_joined(now, session, peer, mailbox);
            return;
        }
        let of = self.sessions.get(&session).map(|session| (session.peer, session.connection));
        let Some((peer, connection)) = of else { return };
        match news {
            News::Joined { .. } => {}
            News::Met(signed) => self.merge(now, peer, signed),
            News::Heard(records) => records.into_iter().for_each(|signed| self.merge(now, peer, signed)),
            News::Summaries { summaries, until } => self.census.told(peer, summaries, until),
            News::Asked(asked) => {
                let records = disclose(&self.book, self.secret, peer, self.clock.unix(now), &asked);
                self.post(session, Input::Disclose(records));
            }
            News::Exchanged => self.census.exchanged(now, peer),
            News::Missed => {
                let reopen = self.census.missed(peer);
                self.post(session, Input::Leave { reopen });
            }
            News::Finished => self.orders.push(Order::Close(connection)),
            News::Left => drop(self.sessions.remove(&session)),
        }
    }

    fn on_joined(&mut self, now: Instant, session: Fence, info: PeerInfo, mailbox: Mailbox<Input>) {
        let (peer, connection) = (info.id, info.connection);
        self.on_connected(now, info);
        let is_welcome = self.census.may_open(now, peer);
        self.sessions.insert(session, Session { peer, connection, mailbox });
        if !is_welcome {
            self.post(session, Input::Leave { reopen: false });
        }
    }

    /// Takes in a record. A peer may always speak for itself; how many others it adds is bounded.
    fn merge(&mut self, now: Instant, peer: PeerId, signed: Signed) {
        let Some(group) = self.census.info(peer).map(|info| Netgroup::of(info.addr.ip())) else { return };
        let unix = self.clock.unix(now);
        let may_add = signed.record.node_id == peer
            || self.book.knows(signed.record.node_id)
            || self.census.may_add(now, peer);
        match self.book.merge(now, unix, signed, Source { peer, group, may_add }) {
            Merged::Added | Merged::Refreshed => self.dial(now),
            Merged::Stale => {}
            Merged::Refused | Merged::NoRoom => self.refused = self.refused.saturating_add(1),
        }
    }

    fn post(&mut self, session: Fence, input: Input) {
        if let Some(session) = self.sessions.get(&session) {
            self.mail.push((session.mailbox.clone(), input));
        }
    }

    /// What the shell is to do now.
    pub(crate) fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// What sessions are to hear now.
    pub(crate) fn take_mail(&mut self) -> Vec<(Mailbox<Input>, Input)> {
        std::mem::take(&mut self.mail)
    }

    /// What every machine is to know.
    pub(crate) fn guidance(&self) -> Guidance {
        let free = self.config.max_connections.saturating_sub(self.census.len());
        let own = Summary::Discovery(DiscoverySummary {
            free_exchanges: u16::try_from(free).unwrap_or(u16::MAX),
            max_records: RECORDS,
            will_disconnect: false,
        });
        Guidance {
            own: self.own.sealed().cloned(),
            summaries: self.summaries.iter().copied().chain([own]).collect(),
            known: [self.us].into_iter().chain(self.census.ids()).collect(),
            clock: self.clock,
        }
    }

    /// Where discovery stands.
    pub(crate) fn status(&self) -> DiscoveryStatus {
        let (known, confirmed) = self.book.count();
        DiscoveryStatus {
            known,
            confirmed,
            dialling: self.plan.flying(),
            dials: self.dials,
            refused: self.refused,
            own: self.own.record().cloned(),
            peers: self.census.exchanges(),
        }
    }
}

/// What a dial without a connection says about the peer.
fn outcome(reason: &CloseReason) -> Outcome {
    match reason {
        CloseReason::Duplicate
        | CloseReason::Full
        | CloseReason::Local
        | CloseReason::Banned
        | CloseReason::NotNamed
        | CloseReason::NotDialled(_) => Outcome::NotTried,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        book::{
            Asked,
            tests::{UNIX, id, signed_at},
        },
        wire::AddressPolicy,
    };
    use zakura_transport::{
        Capabilities, Role,
        routine::{Inlet, inlet},
    };

    /// A reactor's state in a world of its own.
    struct World {
        state: State,
        start: Instant,
        now: Instant,
        standing: Vec<PeerInfo>,
        dialled: Vec<(u64, PeerAddr)>,
        closed: Vec<Fence>,
        dead: bool,
    }

    fn config(target_outbound: usize) -> DiscoveryConfig {
        DiscoveryConfig { target_outbound, ..DiscoveryConfig::new(3, [9; 32], [7; 32]) }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    impl World {
        fn new(config: DiscoveryConfig) -> Self {
            let start = tokio::time::Instant::now().into_std();
            let identity = Identity::from_seed([1; 32]).unwrap();
            let mut state = State::new(start, identity, config, secs(UNIX));
            let here = "8.8.4.4:8234".parse().unwrap();
            let (standing, dialled, closed) = (Vec::new(), Vec::new(), Vec::new());
            let look = Look { since_epoch: secs(UNIX), summaries: vec![], standing: vec![] };
            state.on_listening(start, here, look);
            Self { state, start, now: start, standing, dialled, closed, dead: false }
        }

        fn info(&self, n: u32, direction: Direction) -> PeerInfo {
            let [_, a, b, c] = n.to_be_bytes();
            let (addr, connection) = (([30 + a, b, c, 9], 8234).into(), Fence::mint());
            let (role, capabilities) = (Role::stranger(direction), Capabilities::DISCOVERY);
            PeerInfo { id: id(n), addr, direction, role, connection, capabilities }
        }

        /// A peer connects and opens a session.
        fn meets(&mut self, n: u32) -> (Fence, Inlet<Input>) {
            let info = self.info(n, Direction::Inbound);
            self.standing.push(info.clone());
            self.state.on_peer_event(self.now, PeerEvent::Connected(info.clone()));
            self.opens(info)
        }

        fn opens(&mut self, peer: PeerInfo) -> (Fence, Inlet<Input>) {
            let (session, (mailbox, inlet)) = (Fence::mint(), inlet(8));
            self.says(session, News::Joined { peer, mailbox });
            (session, inlet)
        }

        fn says(&mut self, session: Fence, news: News) {
            self.state.on_event(self.now, Event { session, news });
            self.perform();
        }

        /// Delivers mail and does what is ordered: a dial fails at once if the world is dead, and is left open if not.
        fn perform(&mut self) {
            loop {
                for (mailbox, input) in self.state.take_mail() {
                    mailbox.send(input);
                }
                let orders = self.state.take_orders();
                if orders.is_empty() {
                    return;
                }
                for order in orders {
                    match order {
                        Order::Dial(peer) => {
                            self.dialled.push(((self.now - self.start).as_secs(), peer));
                            if self.dead {
                                let reason = CloseReason::Timeout;
                                let failed = PeerEvent::DialFailed { peer, reason };
                                self.state.on_peer_event(self.now, failed);
                            }
                        }
                        Order::Close(connection) => self.closed.push(connection),
                    }
                }
            }
        }

        /// So many seconds pass.
        fn wait(&mut self, secs: u64) {
            for _ in 0..secs {
                self.now += Duration::from_secs(1);
                let since_epoch = Duration::from_secs(UNIX) + (self.now - self.start);
                let look = Look { since_epoch, summaries: vec![], standing: self.standing.clone() };
                self.state.on_look(self.now, look);
                self.perform();
            }
        }

        fn hears(&mut self, session: Fence, nodes: impl Iterator<Item = (u32, SocketAddr)>) {
            let heard = nodes.map(|(n, addr)| signed_at(n, 1, addr)).collect();
            self.says(session, News::Heard(heard));
        }
    }

    /// The instruction that waits in an inlet.
    fn read(inlet: &mut Inlet<Input>) -> Option<Input> {
        let mut recv = tokio_test::task::spawn(inlet.recv());
        match recv.poll() {
            std::task::Poll::Ready(input) => Some(input),
            std::task::Poll::Pending => None,
        }
    }

    fn spread(nodes: std::ops::Range<u32>) -> impl Iterator<Item = (u32, SocketAddr)> {
        nodes.map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            (n, ([40 + a, b, c, 1], 8234).into())
        })
    }

    #[test]
    fn learned_nodes_are_dialled_four_at_once_and_up_to_the_target() {
        let mut world = World::new(config(6));
        let (session, _inlet) = world.meets(1);
        world.hears(session, spread(100..200));
        assert_eq!(world.dialled.len(), 4);
        world.wait(3);
        assert_eq!(world.dialled.len(), 4, "the four are still under way");
        for (_, peer) in world.dialled.clone() {
            let info = PeerInfo { id: peer.id, addr: peer.addr, ..world.info(0, Direction::Outbound) };
            world.standing.push(info.clone());
            world.state.on_peer_event(world.now, PeerEvent::Connected(info));
            world.perform();
        }
        assert_eq!(world.dialled.len(), 6, "two more are wanted");
        let distinct: BTreeSet<_> = world.dialled.iter().map(|(_, peer)| peer.id).collect();
        assert_eq!((distinct.len(), world.state.status().confirmed), (6, 4));
        // Nobody tells what became of the last two: they are given up, others tried, and they wait a minute.
        world.wait(16);
        assert_eq!(world.dialled.len(), 8);
    }

    #[test]
    fn places_for_named_peers_stay_free() {
        let named = (50..60).map(id).collect();
        let mut world = World::new(DiscoveryConfig { named, max_outbound: 12, ..config(12) });
        let (session, _inlet) = world.meets(1);
        world.hears(session, spread(100..200));
        assert_eq!(world.dialled.len(), 2, "ten of twelve are for named peers");
        let mut small = World::new(DiscoveryConfig { max_outbound: 3, ..config(8) });
        let (session, _inlet) = small.meets(1);
        small.hears(session, spread(100..200));
        assert_eq!(small.dialled.len(), 2);
    }

    /// D05 and wire 9.8: five hundred identities say that they live at one victim's address.
    #[test]
    fn records_that_name_a_victim_cannot_make_us_hammer_it() {
        for policy in [AddressPolicy::Public, AddressPolicy::Any] {
            let mut world = World::new(DiscoveryConfig { policy, ..config(8) });
            world.dead = true;
            let ports = |n: u32| u16::try_from(n).unwrap();
            for source in 1..=10u32 {
                let (session, _inlet) = world.meets(source);
                let nodes = (0..50).map(|n| source * 1_000 + n);
                let there = |n| (n, SocketAddr::from(([93, 184, 216, 34], ports(n))));
                world.hears(session, nodes.map(there));
            }
            world.wait(3_599);
            let victim: Vec<_> = world.dialled.iter().map(|(at, _)| *at).collect();
            assert_eq!(victim.len(), 5, "{victim:?}");
            assert!(victim.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{victim:?}");
            // An honest node elsewhere is dialled all the same.
            let (session, _inlet) = world.meets(11);
            world.hears(session, spread(90_000..90_001));
            assert_eq!(world.dialled.last().map(|(_, peer)| peer.id), Some(id(90_000)));
        }
    }

    #[test]
    fn a_node_that_never_answers_is_dialled_ever_less_often() {
        let mut world = World::new(config(8));
        world.dead = true;
        let (session, _inlet) = world.meets(1);
        world.hears(session, spread(100..101));
        world.wait(3_000);
        let times: Vec<_> = world.dialled.iter().map(|(at, _)| *at).collect();
        let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses.len(), 4, "{pauses:?}");
        for (pause, expected) in pauses.iter().zip([60, 120, 240, 480]) {
            assert!((expected..=expected * 6 / 5 + 1).contains(pause), "{pauses:?}");
        }
    }

    #[test]
    fn a_peer_that_drops_at_once_is_paused_and_one_that_stays_is_not() {
        let mut world = World::new(config(8));
        let (session, _inlet) = world.meets(1);
        world.hears(session, spread(100..101));
        let peer = world.dialled[0].1;
        let comes_and_goes = |world: &mut World, stays: u64| {
            let info = PeerInfo { id: peer.id, addr: peer.addr, ..world.info(0, Direction::Outbound) };
            world.standing.push(info.clone());
            world.state.on_peer_event(world.now, PeerEvent::Connected(info));
            world.wait(stays);
            let peer = world.standing.pop().unwrap();
            let (reason, before) = (CloseReason::Reset, world.dialled.len());
            world.state.on_peer_event(world.now, PeerEvent::Disconnected { peer, reason });
            world.perform();
            world.wait(59);
            world.dialled.len() - before
        };
        assert_eq!(comes_and_goes(&mut world, 5), 0, "a minute's pause");
        world.wait(20);
        assert_eq!(world.dialled.len(), 2);
        assert_eq!(comes_and_goes(&mut world, 61), 1, "it stood: the next dial is at once");
    }

    #[test]
    fn ourselves_and_our_own_addresses_are_never_dialled() {
        let advertise = vec!["93.184.216.34:8234".parse().unwrap()];
        let mut world = World::new(DiscoveryConfig { advertise, ..config(8) });
        let (session, _inlet) = world.meets(1);
        let here = ["8.8.4.4:8234", "93.184.216.34:8234"].map(|addr| addr.parse().unwrap());
        world.hears(session, here.into_iter().enumerate().map(|(n, addr)| (100 + n as u32, addr)));
        let us = Identity::from_seed([1; 32]).unwrap().peer_id();
        let mut own = signed_at(1, 1, "9.9.9.9:1".parse().unwrap());
        own.record.node_id = us;
        world.says(session, News::Heard(vec![own]));
        world.wait(5);
        assert_eq!(world.dialled, []);
        assert_eq!(world.state.status().refused, 1);
    }

    #[test]
    fn three_missed_rounds_in_a_row_retire_discovery_and_a_complete_one_starts_over() {
        let mut world = World::new(config(8));
        let info = world.info(1, Direction::Inbound);
        world.standing.push(info.clone());
        world.state.on_peer_event(world.now, PeerEvent::Connected(info.clone()));
        let mut ends = Vec::new();
        for complete in [false, false, true, false, false, false] {
            let (session, mut inlet) = world.opens(info.clone());
            if complete {
                world.says(session, News::Exchanged);
            }
            world.says(session, News::Missed);
            ends.push(read(&mut inlet));
            world.says(session, News::Left);
        }
        let leave = |reopen| Some(Input::Leave { reopen });
        // The third round was complete, so the count began anew with the failure after it.
        assert_eq!(ends, [true, true, true, true, false, false].map(leave));
        let status = world.state.status();
        assert_eq!((status.peers[0].complete, status.peers[0].missed), (1, 6));
    }

    #[test]
    fn a_peer_that_opens_its_stream_again_and_again_has_discovery_no_more() {
        let mut world = World::new(config(8));
        let info = world.info(1, Direction::Inbound);
        world.standing.push(info.clone());
        let turned_away = (0..20).filter(|_| {
            let (session, mut inlet) = world.opens(info.clone());
            world.says(session, News::Left);
            read(&mut inlet) == Some(Input::Leave { reopen: false })
        });
        assert_eq!(turned_away.count(), 12);
    }

    #[test]
    fn asked_for_records_are_told_and_a_finished_exchange_closes_the_connection() {
        let mut world = World::new(config(0));
        for n in 2..5 {
            let (session, _inlet) = world.meets(n);
            world.says(session, News::Met(signed_at(n, 1, ([50, 1, 1, n.to_be_bytes()[3]], 1).into())));
        }
        let (session, mut inlet) = world.meets(1);
        let asked = Asked { limit: 32, services: vec![], exclude: vec![id(2)] };
        world.says(session, News::Asked(asked));
        let Some(Input::Disclose(records)) = read(&mut inlet) else { panic!("an answer") };
        assert_eq!(records.len(), 2);
        let connection = world.standing.last().unwrap().connection;
        let _next = world.meets(1);
        world.says(session, News::Finished);
        assert_eq!(world.closed, [connection], "and not the one that has come in its place");
        assert_eq!(world.dialled, [], "no outbound peers are wanted");
    }

    #[test]
    fn one_connection_adds_a_thousand_nodes_and_then_one_every_ten_seconds() {
        let mut world = World::new(config(0));
        let (session, _inlet) = world.meets(1);
        // Its neighbourhood's share is smaller still, so what is counted here is what was refused.
        world.hears(session, spread(1_000..3_000));
        let status = world.state.status();
        assert_eq!((status.known, status.refused), (625, 1_000));
        world.wait(10);
        world.hears(session, spread(5_000..5_002));
        assert_eq!(world.state.status().refused, 1_001);
    }

    #[test]
    fn what_the_pool_says_counts_when_events_were_missed() {
        let mut world = World::new(config(8));
        let (session, _inlet) = world.meets(1);
        world.says(session, News::Left);
        world.standing.clear();
        world.wait(1);
        assert_eq!(world.state.status().peers, []);
        assert_eq!(world.state.guidance().known.len(), 1);
        let unheard = world.info(2, Direction::Outbound);
        world.standing.push(unheard);
        world.wait(1);
        assert_eq!(world.state.status().peers.len(), 1);
    }

    #[test]
    fn machines_hear_of_a_clock_that_was_set() {
        let mut world = World::new(config(8));
        world.wait(10);
        let before = world.state.guidance();
        assert_eq!(before.clock.unix(world.now), UNIX + 10);
        let look = Look { since_epoch: secs(UNIX + 5_000), summaries: vec![], standing: vec![] };
        world.state.on_look(world.now, look);
        assert_eq!(world.state.guidance().clock.unix(world.now), UNIX + 5_000);
    }
}
