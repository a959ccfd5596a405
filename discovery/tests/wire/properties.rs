//! Codecs are total and bounded: what is encoded decodes to itself, what decodes encodes to the same bytes, and neither
//! noise nor a broken message panics or makes us hold more than its bytes are worth.

use super::support::{block, decode, encode};
use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use zakura_discovery::wire::{
    AddressPolicy, BlockSyncSummary, DiscoverySummary, HeaderSyncSummary, Message, Record, RecordAddr,
    Sealed, ServiceId, Services, Summary,
};
use zakura_transport::{Identity, PeerId};

fn address() -> impl Strategy<Value = RecordAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddrV4::new(ip.into(), port).into());
    let v6 = any::<([u8; 16], u16, u32, u32)>()
        .prop_map(|(ip, port, flow, scope)| SocketAddrV6::new(ip.into(), port, flow, scope).into());
    prop_oneof![v4, v6].prop_map(|address: SocketAddr| RecordAddr(address))
}

fn services() -> impl Strategy<Value = Vec<ServiceId>> {
    vec("[ -~]{1,64}".prop_map(|name| ServiceId::new(&name).unwrap()), 0..=32)
}

/// A record with its author's signature.
fn signed() -> impl Strategy<Value = (Record, Sealed)> {
    let numbers = any::<(u16, u32, [u8; 32], u64, u64)>();
    (any::<[u8; 32]>(), vec(address(), 0..=8), services(), numbers).prop_map(
        |(seed, addresses, services, (protocol_max, network_id, chain_id, sequence, expiry))| {
            let author = Identity::from_seed(seed).unwrap();
            let node_id = author.peer_id();
            let (protocol_min, protocol_max) = (0, protocol_max.max(1));
            let record = Record {
                node_id,
                addresses,
                services,
                protocol_min,
                protocol_max,
                network_id,
                chain_id,
                sequence,
                expiry,
            };
            let sealed = Sealed::sign(&record, &author);
            (record, sealed)
        },
    )
}

fn sealed() -> impl Strategy<Value = Sealed> {
    let junk = (vec(any::<u8>(), 0..400), any::<[u8; 32]>()).prop_map(|(body, half)| Sealed {
        body: Bytes::from(body),
        signature: [half, half].concat().try_into().unwrap(),
    });
    prop_oneof![junk, signed().prop_map(|(_, sealed)| sealed)]
}

fn height() -> impl Strategy<Value = u32> {
    0..=0x7fff_ffff_u32
}

fn summary() -> impl Strategy<Value = Summary> {
    let block = || (height(), any::<u8>()).prop_map(|(height, byte)| block(height, byte));
    let free = any::<(bool, u16, u16, u16, u16)>();
    let header_sync = (block(), prop::option::of(height()), free).prop_map(|(best, finalized, free)| {
        Summary::HeaderSync(HeaderSyncSummary {
            best,
            finalized,
            serving: free.0,
            inbound_free: free.1,
            inbound_max: free.2,
            outbound_free: free.3,
            outbound_max: free.4,
        })
    });
    let discovery = any::<(u16, u16, bool)>().prop_map(|(free_exchanges, max_records, will_disconnect)| {
        Summary::Discovery(DiscoverySummary { free_exchanges, max_records, will_disconnect })
    });
    let block_sync = (block(), height(), any::<u16>(), 1..=128_u32, 1..=33_554_432_u32).prop_map(
        |(high, low, free, max_blocks, max_bytes)| {
            let low = low.min(high.height);
            Summary::BlockSync(BlockSyncSummary { low, high, free, max_blocks, max_bytes })
        },
    );
    prop_oneof![header_sync, discovery, block_sync]
}

fn message() -> impl Strategy<Value = Message> {
    let id = any::<[u8; 32]>().prop_map(|seed| Identity::from_seed(seed).unwrap().peer_id());
    let get_peers = (0..=32_u16, services(), vec(id, 0..20))
        .prop_map(|(limit, services, exclude)| Message::GetPeers { limit, services, exclude });
    let summaries =
        (any::<[u8; 32]>(), any::<u64>(), vec(summary(), 0..=32)).prop_map(|(node_id, expiry, summaries)| {
            Message::Services(Services { node_id: PeerId::new(node_id), expiry, summaries })
        });
    prop_oneof![
        sealed().prop_map(Message::Hello),
        get_peers,
        vec(sealed(), 0..6).prop_map(Message::Peers),
        services().prop_map(Message::GetServices),
        summaries,
    ]
}

/// What a message keeps in memory for its items, roughly: their count times their size.
fn kept(message: &Message) -> usize {
    match message {
        Message::Hello(sealed) => sealed.wire_len(),
        Message::GetPeers { services, exclude, .. } => services.len() * 26 + exclude.len() * 32,
        Message::Peers(records) => records.iter().map(Sealed::wire_len).sum(),
        Message::GetServices(services) => services.iter().map(|service| service.as_str().len()).sum(),
        Message::Services(services) => services.summaries.len() * 8,
    }
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(message in message()) {
        let bytes = encode(message.clone());
        prop_assert!(bytes.len() <= 16_384);
        prop_assert_eq!(decode(&bytes), Ok(message));
    }

    #[test]
    fn every_record_opens_as_it_was_signed((record, sealed) in signed()) {
        prop_assert_eq!(sealed.open(), Ok(record));
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_record_shuts_it((_, sealed) in signed(), at: Index, bit in 0..8_u8) {
        let mut bytes = [&sealed.body[..], &sealed.signature].concat();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let signature = bytes.split_off(sealed.body.len()).try_into().unwrap();
        let broken = Sealed { body: bytes.into(), signature };
        prop_assert!(broken.open().is_err());
    }

    #[test]
    fn a_shortened_message_is_refused(message in message(), cut: Index) {
        let bytes = encode(message);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_broken_message_is_refused_or_reads_as_its_own_bytes(
        message in message(), flips in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(message);
        for (at, with) in flips {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if let Ok(message) = decode(&bytes) {
            let again = encode(message.clone());
            // Tags of the future are dropped and the retired one is renewed: only Services may change their bytes.
            if !matches!(message, Message::Services(_)) {
                prop_assert_eq!(&again, &bytes);
            }
            prop_assert_eq!(decode(&again), Ok(message));
        }
    }

    #[test]
    fn noise_never_panics_nor_costs_more_than_its_bytes(tag in 0..7_u8, noise in vec(any::<u8>(), 0..600)) {
        let payload = [&[tag][..], &noise].concat();
        if let Ok(message) = decode(&payload) {
            prop_assert!(kept(&message) <= payload.len());
        }
    }

    #[test]
    fn a_body_is_refused_or_reads_as_its_own_bytes(body in vec(any::<u8>(), 80..200), lists in 0..3_u8) {
        let mut body = body;
        body[32..36].copy_from_slice(&[0, 0, 0, 0]);
        if lists > 0 { body.truncate(92) }
        let sealed = Sealed { body: body.into(), signature: [0; 64] };
        if let Ok(record) = sealed.open() { prop_assert_eq!(record.encode(), sealed.body); }
    }

    #[test]
    fn a_canonical_address_is_its_own(ip in any::<[u8; 16]>(), form in 0..6_usize) {
        let prefix = [&[][..], &[0; 12], &[0x20, 2], &[0x20, 1, 0, 0], &[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]][form];
        let ip = [prefix, &ip[prefix.len()..]].concat();
        let ip = std::net::IpAddr::from(<[u8; 16]>::try_from(ip).unwrap());
        let canonical = AddressPolicy::canonical(ip);
        prop_assert_eq!(AddressPolicy::canonical(canonical), canonical);
        let admits = |ip| AddressPolicy::Public.admits(SocketAddr::new(ip, 1));
        prop_assert!(!admits(ip) || admits(canonical), "a disguise makes nobody public");
        prop_assert!(!admits(ip) || AddressPolicy::Any.admits(SocketAddr::new(ip, 1)));
    }
}
