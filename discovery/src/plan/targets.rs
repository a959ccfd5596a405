//! What any one address hears from us, whatever identities are said to live there.
//!
//! A signed record proves a key and not an address (wire 9.8): without this bound, a thousand records with fresh keys and
//! one victim's address would make every node of the network dial the victim a thousand times.

use crate::wire::AddressPolicy;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use zakura_transport::Netgroup;

/// Dials to one address, and in its neighbourhood, may follow one another after this much.
const IP_PAUSE: Duration = Duration::from_secs(60);
const GROUP_PAUSE: Duration = Duration::from_secs(15);

/// Dials to one address, and in its neighbourhood, in one hour at most.
const IP_HOURLY: u32 = 5;
const GROUP_HOURLY: u32 = 20;

const HOUR: Duration = Duration::from_secs(3_600);

/// Addresses and neighbourhoods remembered at most; beyond it nobody new is dialled until an hour has passed over some.
/// Four dials a second for an hour are 14,400.
const MAX_TARGETS: usize = 32_768;

/// Who hears us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Ip(IpAddr),
    /// Loopback is one machine's many nodes, told apart by port.
    Local(SocketAddr),
    Group(Netgroup),
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    /// The last dial.
    last: Instant,
    /// Since when the dials are counted.
    since: Instant,
    dials: u32,
}

/// The dials of the last hour.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets {
    heard: BTreeMap<Target, Heard>,
}

/// The targets that a dial to `addr` reaches, with the pause and the hourly bound of each.
fn reached(addr: SocketAddr) -> impl Iterator<Item = (Target, Duration, u32)> {
    let ip = AddressPolicy::canonical(addr.ip());
    let (one, group) = if ip.is_loopback() {
        (Target::Local(SocketAddr::new(ip, addr.port())), None)
    } else {
        (Target::Ip(ip), Some((Target::Group(Netgroup::of(ip)), GROUP_PAUSE, GROUP_HOURLY)))
    };
    [(one, IP_PAUSE, IP_HOURLY)].into_iter().chain(group)
}

impl Targets {
    /// Whether `addr` may hear from us now.
    pub(super) fn allow(&self, now: Instant, addr: SocketAddr) -> bool {
        reached(addr).all(|(target, pause, hourly)| match self.heard.get(&target) {
            Some(heard) => {
                let rested = now.saturating_duration_since(heard.last) >= pause;
                let counted = now.saturating_duration_since(heard.since) < HOUR;
                rested && !(counted && heard.dials >= hourly)
            }
            None => self.heard.len() < MAX_TARGETS,
        })
    }

    /// `addr` is dialled now.
    pub(super) fn dialled(&mut self, now: Instant, addr: SocketAddr) {
        for (target, _, _) in reached(addr) {
            let heard = self.heard.entry(target).or_insert(Heard { last: now, since: now, dials: 0 });
            if now.saturating_duration_since(heard.since) >= HOUR {
                *heard = Heard { last: now, since: now, dials: 0 };
            }
            heard.last = now;
            heard.dials = heard.dials.saturating_add(1);
        }
    }

    /// Forgets what has rested for an hour.
    pub(super) fn prune(&mut self, now: Instant) {
        self.heard.retain(|_, heard| now.saturating_duration_since(heard.last) < HOUR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn an_address_hears_one_dial_a_minute_and_five_an_hour_on_all_its_ports() {
        let (mut targets, start) = (Targets::default(), now());
        let mut heard = Vec::new();
        for second in 0..7_200u64 {
            let at = start + Duration::from_secs(second);
            let port = 1 + u16::try_from(second).unwrap();
            for there in [SocketAddr::from(([8, 8, 8, 8], port)), addr("[::ffff:8.8.8.8]:9")] {
                if targets.allow(at, there) {
                    targets.dialled(at, there);
                    heard.push(second);
                }
            }
            targets.prune(at);
        }
        assert_eq!(heard, [0, 60, 120, 180, 240, 3600, 3660, 3720, 3780, 3840]);
    }

    #[test]
    fn a_neighbourhood_hears_twenty_an_hour_and_another_is_not_delayed() {
        let (mut targets, start) = (Targets::default(), now());
        let mut heard = 0;
        for second in 0..3_599u64 {
            let at = start + Duration::from_secs(second);
            let there = SocketAddr::from(([8, 8, 8, u8::try_from(second % 256).unwrap()], 1));
            if targets.allow(at, there) {
                targets.dialled(at, there);
                heard += 1;
            }
        }
        assert_eq!(heard, 20);
        assert!(targets.allow(start + Duration::from_secs(3_599), addr("8.8.9.1:1")));
    }

    #[test]
    fn nodes_on_one_machine_are_told_apart_by_port() {
        let (mut targets, at) = (Targets::default(), now());
        targets.dialled(at, addr("127.0.0.1:1"));
        assert!(!targets.allow(at, addr("127.0.0.1:1")));
        assert!(targets.allow(at, addr("127.0.0.1:2")));
        targets.dialled(at, addr("8.8.8.8:1"));
        assert!(!targets.allow(at, addr("8.8.8.8:2")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut targets, at) = (Targets::default(), now());
        for n in 0..40_000u32 {
            let there = SocketAddr::from(((0x0800_0000 + n * 256).to_be_bytes(), 1));
            if targets.allow(at, there) {
                targets.dialled(at, there);
            }
        }
        assert!(targets.heard.len() <= MAX_TARGETS + 1);
        targets.prune(at + HOUR);
        assert!(targets.heard.is_empty());
    }
}
