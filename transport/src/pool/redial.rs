//! Named peers: dialled, and dialled again for ever (wire 6). Pure.

use crate::{PeerAddr, PeerId};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The first pause before a redial; it doubles with every failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before a redial.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lived this long was a success: the pauses start over.
const HEALTHY: Duration = Duration::from_secs(60);
/// Pauses are spread by this much to either side, so that nodes that lost the same peer do not return as one.
const JITTER_PERCENT: u64 = 20;

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Dialling,
    Connected { since: Instant },
}

#[derive(Debug)]
struct Named {
    peer: PeerAddr,
    failures: u32,
    state: State,
}

/// Every named peer and when to dial it.
#[derive(Debug)]
pub(super) struct Redials {
    peers: BTreeMap<PeerId, Named>,
    jitter: ChaCha8Rng,
}

impl Redials {
    pub(super) fn new(seed: u64) -> Self {
        Self { peers: BTreeMap::new(), jitter: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Names a peer, or gives a named one another address. `connected`: whether it is connected already.
    pub(super) fn add(&mut self, peer: PeerAddr, connected: bool, now: Instant) {
        let fresh = || {
            let state =
                if connected { State::Connected { since: now } } else { State::Waiting { until: now } };
            Named { peer, failures: 0, state }
        };
        self.peers.entry(peer.id).or_insert_with(fresh).peer = peer;
    }

    /// The peer is not dialled any more.
    pub(super) fn remove(&mut self, id: PeerId) {
        self.peers.remove(&id);
    }

    /// The next peer to dial now. It counts as being dialled from here on.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<PeerAddr> {
        let due = |named: &&mut Named| matches!(named.state, State::Waiting { until } if until <= now);
        let named = self.peers.values_mut().find(due)?;
        named.state = State::Dialling;
        Some(named.peer)
    }

    /// Whether a named peer is being dialled.
    pub(super) fn is_dialling(&self, id: PeerId) -> bool {
        matches!(self.peers.get(&id), Some(Named { state: State::Dialling, .. }))
    }

    /// When the next peer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.peers
            .values()
            .filter_map(|named| match named.state {
                State::Waiting { until } => Some(until),
                State::Dialling | State::Connected { .. } => None,
            })
            .min()
    }

    /// A connection with the peer is registered, whoever dialled.
    pub(super) fn connected(&mut self, id: PeerId, now: Instant) {
        if let Some(named) = self.peers.get_mut(&id) {
            named.state = State::Connected { since: now };
        }
    }

    /// A dial gave no connection.
    pub(super) fn failed(&mut self, id: PeerId, now: Instant) {
        if self.is_dialling(id) {
            self.pause(id, now);
        }
    }

    /// The registered connection is gone.
    pub(super) fn disconnected(&mut self, id: PeerId, now: Instant) {
        let Some(named) = self.peers.get_mut(&id) else { return };
        let State::Connected { since } = named.state else { return };
        if now.saturating_duration_since(since) >= HEALTHY {
            named.failures = 0;
        }
        self.pause(id, now);
    }

    fn pause(&mut self, id: PeerId, now: Instant) {
        let Some(named) = self.peers.get_mut(&id) else { return };
        let pause = FIRST_PAUSE.saturating_mul(1 << named.failures.min(8)).min(LONGEST_PAUSE);
        named.failures = named.failures.saturating_add(1);
        let percent = 100 - JITTER_PERCENT + self.jitter.next_u64() % (2 * JITTER_PERCENT + 1);
        let pause = pause.saturating_mul(u32::try_from(percent).unwrap_or(100)) / 100;
        named.state = State::Waiting { until: now.checked_add(pause).unwrap_or(now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Redials {
        /// When a named peer that waits will be due.
        pub(in crate::pool) fn waits_until(&self, id: PeerId) -> Option<Instant> {
            match self.peers.get(&id)?.state {
                State::Waiting { until } => Some(until),
                State::Dialling | State::Connected { .. } => None,
            }
        }
    }

    fn peer() -> PeerAddr {
        PeerAddr { id: PeerId::new([1; 32]), addr: "127.0.0.1:1".parse().unwrap() }
    }

    fn start() -> (Redials, Instant) {
        let now = tokio::time::Instant::now().into_std();
        let mut redials = Redials::new(7);
        redials.add(peer(), false, now);
        (redials, now)
    }

    #[test]
    fn pauses_double_to_thirty_seconds_with_a_fifth_of_jitter() {
        let (mut redials, mut now) = start();
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            assert_eq!(redials.take_due(now), Some(peer()));
            assert_eq!(redials.take_due(now), None, "one dial at a time");
            redials.failed(peer().id, now);
            let next = redials.next().unwrap();
            let pause = (next - now).as_secs_f64() / expected;
            assert!((0.8..=1.2).contains(&pause), "{pause} of {expected}");
            now = next;
        }
    }

    #[test]
    fn a_healthy_connection_starts_the_pauses_over_and_a_short_one_does_not() {
        let (mut redials, mut now) = start();
        for _ in 0..4 {
            assert!(redials.take_due(now).is_some());
            redials.failed(peer().id, now);
            now = redials.next().unwrap();
        }
        redials.connected(peer().id, now);
        assert_eq!(redials.next(), None, "a connected peer is waited for");
        redials.disconnected(peer().id, now + Duration::from_secs(59));
        let pause = redials.next().unwrap() - (now + Duration::from_secs(59));
        assert!(pause > Duration::from_secs(10), "{pause:?}");
        redials.connected(peer().id, now);
        redials.disconnected(peer().id, now + HEALTHY);
        let pause = redials.next().unwrap() - (now + HEALTHY);
        assert!(pause <= Duration::from_millis(1200), "{pause:?}");
    }

    #[test]
    fn a_dial_that_loses_against_an_inbound_connection_is_no_failure() {
        let (mut redials, now) = start();
        assert!(redials.take_due(now).is_some());
        redials.connected(peer().id, now);
        redials.failed(peer().id, now);
        assert_eq!(redials.next(), None);
        redials.remove(peer().id);
        redials.disconnected(peer().id, now);
        assert_eq!(redials.next(), None, "a removed peer stays removed");
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let pauses = || {
            let (mut redials, now) = start();
            redials.take_due(now);
            redials.failed(peer().id, now);
            redials.next().unwrap() - now
        };
        let spread = pauses().abs_diff(pauses());
        assert_eq!(spread, Duration::ZERO);
    }
}
