//! Our own record, signed afresh before it runs out.

use crate::{
    book::RECORD_LIFE,
    config::DiscoveryConfig,
    wire::{Record, RecordAddr, Sealed},
};
use std::{net::SocketAddr, time::Duration};
use zakura_transport::{Identity, wire::PROTOCOL};

/// A record with less than this left is signed afresh (wire 5.1).
const RENEW_BEFORE: Duration = Duration::from_secs(600);

/// Our record and what it says.
#[derive(Debug)]
pub(super) struct Own {
    identity: Identity,
    signed: Option<(Record, Sealed)>,
}

impl Own {
    pub(super) const fn new(identity: Identity) -> Self {
        Self { identity, signed: None }
    }

    pub(super) fn sealed(&self) -> Option<&Sealed> {
        self.signed.as_ref().map(|(_, sealed)| sealed)
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.signed.as_ref().map(|(record, _)| record)
    }

    /// Signs the record if there is none, if it is about to run out, if the clock went back so far that peers would refuse
    /// it, or if we are reached elsewhere. `since_epoch`: the wall clock.
    pub(super) fn renew(&mut self, config: &DiscoveryConfig, listening: SocketAddr, since_epoch: Duration) {
        let addresses: Vec<_> = config.addresses(listening).into_iter().map(RecordAddr).collect();
        let unix = since_epoch.as_secs();
        let expiry = unix.saturating_add(RECORD_LIFE.as_secs());
        let is_good = |record: &Record| {
            let left = record.expiry.saturating_sub(unix);
            record.addresses == addresses && left >= RENEW_BEFORE.as_secs() && record.expiry <= expiry
        };
        if self.record().is_some_and(is_good) {
            return;
        }
        let last = self.record().map_or(0, |record| record.sequence);
        let record = Record {
            node_id: self.identity.peer_id(),
            addresses,
            services: config.record_services(),
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            network_id: config.network_id,
            chain_id: config.chain_id,
            sequence: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX).max(last.saturating_add(1)),
            expiry,
        };
        let sealed = Sealed::sign(&record, &self.identity);
        self.signed = Some((record, sealed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{AddressPolicy, ServiceId};

    fn start() -> (Own, DiscoveryConfig, SocketAddr) {
        let config = DiscoveryConfig {
            policy: AddressPolicy::Any,
            services: vec![ServiceId::HEADER_SYNC, ServiceId::BLOCK_SYNC],
            ..DiscoveryConfig::new(3, [2; 32], [0; 32])
        };
        let own = Own::new(Identity::from_seed([7; 32]).unwrap());
        (own, config, "127.0.0.1:9".parse().unwrap())
    }

    #[test]
    fn a_record_is_signed_once_a_day_with_ten_minutes_to_spare() {
        let (mut own, config, here) = start();
        let mut signed = Vec::new();
        for minute in 0..3 * 24 * 60u64 {
            own.renew(&config, here, Duration::from_secs(1_800_000_000 + minute * 60));
            let record = own.sealed().unwrap().open().unwrap();
            assert_eq!(Some(&record), own.record());
            if signed.last().is_none_or(|(last, _)| *last != record.sequence) {
                signed.push((record.sequence, minute));
            }
        }
        assert_eq!(signed.iter().map(|(_, minute)| *minute).collect::<Vec<_>>(), [0, 1431, 2862, 4293]);
        assert!(signed.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_clock_that_goes_back_does_not_turn_back_the_sequence() {
        let (mut own, config, here) = start();
        own.renew(&config, here, Duration::from_secs(1_800_000_000));
        let first = own.record().cloned().unwrap();
        own.renew(&config, here, Duration::from_secs(1_700_000_000));
        let second = own.record().cloned().unwrap();
        assert_eq!((second.sequence, second.expiry), (first.sequence + 1, 1_700_086_400));
    }

    #[test]
    fn what_is_advertised_goes_before_where_we_listen_and_the_policy_before_both() {
        let (mut own, mut config, here) = start();
        let addresses = |own: &Own| own.record().unwrap().addresses.iter().map(|a| a.0.to_string()).collect();
        let mut said = |config: &DiscoveryConfig| -> Vec<String> {
            own.renew(config, here, Duration::from_secs(1_800_000_000));
            addresses(&own)
        };
        assert_eq!(said(&config), ["127.0.0.1:9"]);
        config.advertise = vec!["8.8.8.8:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap()];
        assert_eq!(said(&config), ["8.8.8.8:1", "10.0.0.1:2"]);
        config.policy = AddressPolicy::Public;
        assert_eq!(said(&config), ["8.8.8.8:1"]);
        config.advertise.clear();
        assert_eq!(said(&config), [""; 0], "a record without an address is legal");
        assert_eq!(own.record().unwrap().services.len(), 3);
    }
}
