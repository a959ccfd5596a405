//! What each peer did for us, kept after it left.

use crate::{chain::BlockRef, handle::PeerProgress};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
#[cfg(feature = "simulation")]
use zakura_transport::routine::Fill;
use zakura_transport::{Conviction, Convictions, Fence, PeerId, Violation};

/// Identities remembered: they cost an attacker nothing, so the oldest absent ones go.
const MAX_IDENTITIES: usize = 1_024;

/// How long a peer that timed out three times is left alone, whatever it reconnects (wire 7.2).
const COOLDOWN: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Account {
    session: Option<Fence>,
    delivered: u64,
    served: u64,
    tip: Option<BlockRef>,
    cooling_until: Option<Instant>,
}

/// Accounts by identity, and who was proven guilty of what.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<PeerId, Account>,
    convictions: Convictions,
}

impl Ledger {
    /// How full it is. Identities with a session stay whatever the cap says.
    #[cfg(feature = "simulation")]
    pub(super) fn fills(&self) -> [Fill; 2] {
        let present = self.accounts.values().filter(|account| account.session.is_some()).count();
        [
            Fill::new("header_sync.identities", self.accounts.len(), MAX_IDENTITIES.max(present)),
            self.convictions.fill("header_sync.convictions"),
        ]
    }

    /// How many guilty peers it remembers.
    #[cfg(feature = "simulation")]
    pub(super) fn guilty(&self) -> u64 {
        self.convictions.fill("").holds
    }

    /// Sessions that accounts name, beside those of them that are `live`.
    #[cfg(feature = "simulation")]
    pub(super) fn recount(&self, live: impl Fn(Fence) -> bool) -> zakura_transport::routine::Recount {
        let named = || self.accounts.values().filter_map(|account| account.session);
        let alive = named().filter(|session| live(*session)).count();
        zakura_transport::routine::Recount::of("header_sync.connected", named().count(), alive)
    }

    /// A session begins; says until when its peer must be left alone.
    pub(super) fn join(&mut self, peer: PeerId, session: Fence, now: Instant) -> Option<Instant> {
        if self.accounts.len() >= MAX_IDENTITIES && !self.accounts.contains_key(&peer) {
            self.forget_one();
        }
        let account = self.accounts.entry(peer).or_insert(Account {
            session: None,
            delivered: 0,
            served: 0,
            tip: None,
            cooling_until: None,
        });
        account.session = Some(session);
        account.cooling_until.filter(|until| now < *until)
    }

    fn forget_one(&mut self) {
        let absent = self.accounts.iter().filter(|(_, account)| account.session.is_none());
        let least = absent.min_by_key(|(_, account)| (account.cooling_until, account.delivered));
        if let Some(peer) = least.map(|(peer, _)| *peer) {
            self.accounts.remove(&peer);
        }
    }

    pub(super) fn leave(&mut self, peer: PeerId, session: Fence) {
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.session.take_if(|current| *current == session);
        }
    }

    pub(super) fn cool(&mut self, peer: PeerId, now: Instant) {
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.cooling_until = Some(now + COOLDOWN);
        }
    }

    pub(super) fn set_tip(&mut self, peer: PeerId, tip: Option<BlockRef>) {
        if let (Some(account), Some(tip)) = (self.accounts.get_mut(&peer), tip) {
            account.tip = Some(tip);
        }
    }

    pub(super) fn credit(&mut self, peer: PeerId, headers: usize) {
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.delivered = account.delivered.saturating_add(u64::try_from(headers).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn served(&mut self, peer: PeerId, headers: usize) {
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.served = account.served.saturating_add(u64::try_from(headers).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn convict(&mut self, peer: PeerId, violation: &Violation) {
        self.convictions.add(peer, violation);
    }

    pub(super) fn progress(&self) -> Vec<PeerProgress> {
        let progress = |(peer, account): (&PeerId, &Account)| PeerProgress {
            peer: *peer,
            connected: account.session.is_some(),
            tip: account.tip,
            headers: account.delivered,
            served: account.served,
        };
        self.accounts.iter().map(progress).collect()
    }

    pub(super) fn convictions(&self) -> Vec<Conviction> {
        self.convictions.to_vec()
    }
}
