//! Whom we do not meet for a while, and why. Pure.

use super::Netgroup;
use crate::{PeerId, Violation};
use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Entries at most; beyond it the one that ends first leaves, so that a flood of short cooldowns pushes out cooldowns and
/// no ban that an operator meant to last. Stops an attacker with many keys from filling our memory (threats R02).
const MOST: usize = 1_024;
/// Bytes of evidence kept: a peer may have worded it.
const MOST_EVIDENCE: usize = 256;
/// The longest ban: longer ones are cut to it, so that no sum of times overflows (threats S03).
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// For how long an identity is not met after it delivered provably wrong content (threats 4.1 and G05). Identities cost
/// nothing: longer would be no stricter on an attacker, and harder on a node that an operator repairs.
pub(super) const COOLDOWN: Duration = Duration::from_secs(60);

/// Whom a ban keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanTarget {
    /// One identity, wherever it is.
    Peer(PeerId),
    /// One address, whoever is there, however it is written ([`Netgroup::canonical`]).
    Ip(IpAddr),
    /// A whole neighbourhood.
    Group(Netgroup),
}

impl BanTarget {
    /// Whether it is about this peer at this address.
    pub(crate) fn covers(self, id: PeerId, ip: IpAddr) -> bool {
        match self.canonical() {
            Self::Peer(target) => target == id,
            Self::Ip(target) => target == Netgroup::canonical(ip),
            Self::Group(target) => target == Netgroup::of(ip),
        }
    }

    /// With an address as it is compared.
    fn canonical(self) -> Self {
        match self {
            Self::Ip(ip) => Self::Ip(Netgroup::canonical(ip)),
            other @ (Self::Peer(_) | Self::Group(_)) => other,
        }
    }
}

impl fmt::Display for BanTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(id) => id.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
            Self::Group(group) => group.fmt(f),
        }
    }
}

/// Why somebody is kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanReason {
    /// The embedder asked for it.
    Asked,
    /// Provably wrong content was delivered: this rule was broken.
    Cooldown {
        /// The rule's name, from the code and never from the peer.
        rule: &'static str,
    },
}

/// One ban, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ban {
    /// Who is kept out.
    pub target: BanTarget,
    /// Why.
    pub reason: BanReason,
    /// What was seen, or what the embedder noted: at most 256 bytes, without control characters.
    pub evidence: String,
    /// For how long it holds from now on.
    pub left: Duration,
}

/// A ban that does not come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BanError {
    /// Trusted peers are never banned.
    #[error("peer {0} is trusted: take its trust away first (`remove_peer`)")]
    Trusted(PeerId),
    /// Every entry is taken by a ban that lasts longer.
    #[error("{MOST} bans that last longer are in force: lift one first")]
    Full,
    /// The transport has stopped.
    #[error("the transport has stopped")]
    Stopped,
}

#[derive(Debug)]
struct Entry {
    reason: BanReason,
    evidence: String,
    until: Instant,
}

/// Every ban in force, cooldowns among them. It lives in memory: a restarted node has none.
#[derive(Debug, Default)]
pub(crate) struct Bans(BTreeMap<BanTarget, Entry>);

impl Bans {
    /// Keeps somebody out from now on. Of two bans on one target the one that lasts longer counts. `false` if every entry
    /// is taken by one that lasts longer.
    pub(super) fn add(
        &mut self,
        target: BanTarget,
        reason: BanReason,
        evidence: &str,
        lasting: Duration,
        now: Instant,
    ) -> bool {
        self.expire(now);
        let until = now.checked_add(lasting.min(LONGEST)).unwrap_or(now);
        let target = target.canonical();
        if self.0.get(&target).is_none_or(|entry| entry.until <= until) {
            self.0.insert(target, Entry { reason, evidence: tame(evidence), until });
        }
        if self.0.len() > MOST {
            let first = self.0.iter().min_by_key(|(_, entry)| entry.until).map(|(target, _)| *target);
            first.and_then(|target| self.0.remove(&target));
        }
        self.0.contains_key(&target)
    }

    /// Keeps whoever delivered provably wrong content out for a while.
    pub(super) fn cool_down(
        &mut self,
        target: BanTarget,
        fault: &Violation,
        lasting: Duration,
        now: Instant,
    ) {
        let reason = BanReason::Cooldown { rule: fault.rule() };
        self.add(target, reason, fault.evidence(), lasting, now);
    }

    /// Lifts a ban. `false` if there was none in force.
    pub(super) fn lift(&mut self, target: BanTarget, now: Instant) -> bool {
        self.0.remove(&target.canonical()).is_some_and(|entry| entry.until > now)
    }

    /// Whether an identity is kept out.
    pub(super) fn holds_peer(&self, id: PeerId, now: Instant) -> bool {
        self.get(BanTarget::Peer(id), now).is_some()
    }

    /// The reasons for which whoever is at this address is kept out: for its own sake, and for its neighbourhood's.
    pub(super) fn at(&self, ip: IpAddr, now: Instant) -> impl Iterator<Item = BanReason> + '_ {
        let targets = [BanTarget::Ip(Netgroup::canonical(ip)), BanTarget::Group(Netgroup::of(ip))];
        targets.into_iter().filter_map(move |target| self.get(target, now)).map(|entry| entry.reason)
    }

    /// Every ban in force, by target.
    pub(super) fn list(&self, now: Instant) -> Vec<Ban> {
        let in_force = self.0.iter().filter(|(_, entry)| entry.until > now);
        let shown = in_force.map(|(target, entry)| Ban {
            target: *target,
            reason: entry.reason,
            evidence: entry.evidence.clone(),
            left: entry.until.saturating_duration_since(now),
        });
        shown.collect()
    }

    fn get(&self, target: BanTarget, now: Instant) -> Option<&Entry> {
        self.0.get(&target).filter(|entry| entry.until > now)
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|_, entry| entry.until > now);
    }

    /// How full it is.
    #[cfg(feature = "simulation")]
    pub(super) fn fill(&self) -> crate::routine::Fill {
        crate::routine::Fill::new("transport.bans", self.0.len(), MOST)
    }
}

/// A text made fit for logs and status: one line, and short.
fn tame(text: &str) -> String {
    let mut tamed = String::new();
    for piece in text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() })
    {
        if tamed.len().saturating_add(piece.len()) > MOST_EVIDENCE {
            break;
        }
        tamed.push_str(&piece);
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn id(n: u16) -> PeerId {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&n.to_be_bytes());
        PeerId::new(key)
    }

    fn ban(bans: &mut Bans, target: BanTarget, lasting: Duration, now: Instant) -> bool {
        bans.add(target, BanReason::Asked, "", lasting, now)
    }

    #[test]
    fn a_ban_holds_until_its_end_or_until_it_is_lifted() {
        let (mut bans, now) = (Bans::default(), now());
        let target = BanTarget::Peer(id(1));
        assert!(bans.add(target, BanReason::Asked, "spam\n\u{1b}[31m", HOUR, now));
        let [shown] = bans.list(now).try_into().unwrap();
        assert_eq!((shown.target, shown.left, shown.evidence.as_str()), (target, HOUR, r"spam\n\u{1b}[31m"));
        assert!(bans.holds_peer(id(1), now + HOUR - Duration::from_secs(1)));
        assert!(!bans.holds_peer(id(1), now + HOUR) && bans.list(now + HOUR).is_empty());
        assert!(!bans.holds_peer(id(2), now));
        assert!(bans.lift(target, now) && !bans.lift(target, now) && !bans.holds_peer(id(1), now));
    }

    #[test]
    fn an_address_is_found_in_every_disguise_and_a_group_by_its_members() {
        let (mut bans, now) = (Bans::default(), now());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        ban(&mut bans, BanTarget::Ip(ip("::ffff:10.0.0.1")), HOUR, now);
        assert_eq!(bans.at(ip("10.0.0.1"), now).count(), 1);
        assert_eq!(bans.at(ip("10.0.0.2"), now).count(), 0);
        ban(&mut bans, BanTarget::Group(Netgroup::of(ip("10.0.0.9"))), HOUR, now);
        assert_eq!(bans.at(ip("2002:a00:2::1"), now).count(), 1);
        assert!(bans.lift(BanTarget::Ip(ip("10.0.0.1")), now));
    }

    #[test]
    fn a_shorter_ban_does_not_shorten_a_longer_one() {
        let (mut bans, now) = (Bans::default(), now());
        ban(&mut bans, BanTarget::Peer(id(1)), HOUR, now);
        ban(&mut bans, BanTarget::Peer(id(1)), COOLDOWN, now);
        assert_eq!(bans.list(now)[0].left, HOUR);
    }

    #[test]
    fn a_flood_of_cooldowns_pushes_out_cooldowns() {
        let (mut bans, now) = (Bans::default(), now());
        ban(&mut bans, BanTarget::Peer(id(0)), HOUR, now);
        let fault = Violation::proven_invalid("rule", "seen");
        for n in 1..3000 {
            bans.cool_down(BanTarget::Peer(id(n)), &fault, COOLDOWN, now + Duration::from_millis(n.into()));
        }
        assert_eq!(bans.0.len(), MOST);
        assert!(
            bans.holds_peer(id(0), now) && bans.holds_peer(id(2999), now) && !bans.holds_peer(id(1), now)
        );
    }

    #[test]
    fn no_duration_overflows() {
        let (mut bans, now) = (Bans::default(), now());
        assert!(ban(&mut bans, BanTarget::Peer(id(1)), Duration::MAX, now));
        assert_eq!(bans.list(now)[0].left, LONGEST);
        assert!(!ban(&mut bans, BanTarget::Peer(id(2)), Duration::ZERO, now) || !bans.holds_peer(id(2), now));
    }

    #[test]
    fn a_full_book_of_long_bans_refuses_a_short_one_and_says_so() {
        let (mut bans, now) = (Bans::default(), now());
        (0..1024).for_each(|n| assert!(ban(&mut bans, BanTarget::Peer(id(n)), HOUR, now)));
        assert!(!ban(&mut bans, BanTarget::Peer(id(2000)), COOLDOWN, now));
        assert!(ban(&mut bans, BanTarget::Peer(id(2000)), 2 * HOUR, now));
    }

    proptest! {
        #[test]
        fn evidence_is_one_short_line(text in proptest::collection::vec(any::<char>(), 0..300)) {
            let tamed = tame(&text.into_iter().collect::<String>());
            prop_assert!(tamed.len() <= MOST_EVIDENCE && !tamed.contains(char::is_control));
        }

        #[test]
        fn the_book_stays_bounded_and_forgets_the_first_to_end(
            bans in proptest::collection::vec((0_u16..4000, 1_u64..10_000), 0..2500),
        ) {
            let (mut book, now) = (Bans::default(), now());
            let mut model: BTreeMap<u16, u64> = BTreeMap::new();
            for (n, seconds) in bans {
                ban(&mut book, BanTarget::Peer(id(n)), Duration::from_secs(seconds), now);
                let longest = model.entry(n).or_default();
                *longest = (*longest).max(seconds);
                prop_assert!(book.0.len() <= MOST);
            }
            let shortest_kept = book.0.values().map(|entry| entry.until).min();
            for (n, seconds) in model {
                let until = now + Duration::from_secs(seconds);
                prop_assert!(book.holds_peer(id(n), now) || shortest_kept.is_some_and(|least| until <= least));
            }
        }
    }
}
