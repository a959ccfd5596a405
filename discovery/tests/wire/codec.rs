//! The bytes of discovery: vectors of existing nodes, round trips, and every structural refusal.

use super::support::{NO_POINT, author, block, decode, decode_bytes, encode, patched, record, unhex};
use bytes::Bytes;
use zakura_discovery::wire::{
    BadRecord, BlockSyncSummary, DiscoverySummary, HeaderSyncSummary, Message, Sealed, ServiceId, Services,
    Summary,
};
use zakura_transport::PeerId;

#[test]
fn a_real_nodes_hello_opens_and_signs_to_the_same_bytes() {
    let bytes = unhex(include_str!("../vectors/disc_hello.hex"));
    let Message::Hello(sealed) = decode(&bytes).unwrap() else { panic!("a Hello") };
    assert_eq!(sealed.open(), Ok(record()));
    assert_eq!(Sealed::sign(&record(), &author()), sealed, "Ed25519 signatures repeat");
    assert_eq!(encode(Message::Hello(sealed)), bytes);
}

#[test]
fn a_real_nodes_requests_and_empty_answer_read_and_write_the_same() {
    let vectors = [
        (
            include_str!("../vectors/disc_get_peers.hex"),
            Message::GetPeers {
                limit: 32,
                services: vec![ServiceId::BLOCK_SYNC],
                exclude: vec![author().peer_id()],
            },
        ),
        (include_str!("../vectors/disc_peers_empty.hex"), Message::Peers(vec![])),
        (include_str!("../vectors/disc_get_services_all.hex"), Message::GetServices(vec![])),
    ];
    for (text, message) in vectors {
        assert_eq!(decode(&unhex(text)), Ok(message.clone()));
        assert_eq!(encode(message), unhex(text));
    }
}

#[test]
fn a_real_nodes_services_read_and_write_the_same() {
    let header_sync = HeaderSyncSummary {
        best: block(100, 0x66),
        finalized: None,
        serving: true,
        inbound_free: 256,
        inbound_max: 256,
        outbound_free: 255,
        outbound_max: 256,
    };
    let discovery = DiscoverySummary { free_exchanges: 256, max_records: 32, will_disconnect: true };
    let block_sync =
        BlockSyncSummary { low: 0, high: block(90, 0x77), free: 256, max_blocks: 1, max_bytes: 33_554_432 };
    let message = Message::Services(Services {
        node_id: author().peer_id(),
        expiry: 1_800_000_030,
        summaries: vec![
            Summary::HeaderSync(header_sync),
            Summary::Discovery(discovery),
            Summary::BlockSync(block_sync),
        ],
    });
    let bytes = unhex(include_str!("../vectors/disc_services.hex"));
    assert_eq!(decode(&bytes), Ok(message.clone()));
    assert_eq!(encode(message), bytes);
}

fn refused(payload: &[u8]) -> &'static str {
    decode(payload).unwrap_err().what
}

#[test]
fn counts_limits_and_strangers_are_named() {
    assert_eq!(refused(&[]), "discovery message");
    assert_eq!(refused(&[0]), "discovery message");
    assert_eq!(refused(&[6, 0, 0]), "discovery message");
    assert_eq!(refused(&vec![3; 16_385]), "discovery message");
    let get_peers = unhex(include_str!("../vectors/disc_get_peers.hex"));
    assert_eq!(refused(&patched(&get_peers, 1, &[33])), "GetPeers.limit");
    assert_eq!(refused(&patched(&get_peers, 3, &[33])), "GetPeers.services");
    assert_eq!(refused(&patched(&get_peers, 5, &[0])), "GetPeers.services", "a service without a name");
    assert_eq!(refused(&patched(&get_peers, 5, &[65])), "GetPeers.services", "a name too long");
    assert_eq!(refused(&patched(&get_peers, 7, &[0x80])), "GetPeers.services", "no ASCII");
    assert_eq!(refused(&patched(&get_peers, 27, &257_u16.to_le_bytes())), "GetPeers.exclude");
    assert_eq!(refused(&patched(&get_peers, 29, &NO_POINT)), "GetPeers.exclude", "no curve point");
    assert_eq!(refused(&[3, 33, 0]), "Peers.records");
    assert_eq!(refused(&[4, 33, 0]), "GetServices.services");
    for text in [
        include_str!("../vectors/disc_hello.hex"),
        include_str!("../vectors/disc_get_peers.hex"),
        include_str!("../vectors/disc_peers_empty.hex"),
        include_str!("../vectors/disc_get_services_all.hex"),
        include_str!("../vectors/disc_services.hex"),
    ] {
        let longer = [&unhex(text)[..], &[0]].concat();
        assert!(decode(&longer).is_err(), "a trailing byte after {text}");
        assert!(decode(&longer[..longer.len() - 2]).is_err(), "a byte less than {text}");
    }
}

#[test]
fn a_record_of_wrong_length_is_fatal_and_a_wrong_record_is_not() {
    let hello = unhex(include_str!("../vectors/disc_hello.hex"));
    assert_eq!(refused(&patched(&hello, 1, &16_385_u32.to_le_bytes())), "Record.length");
    assert_eq!(refused(&patched(&hello, 1, &u32::MAX.to_le_bytes())), "Record.length");
    assert_eq!(refused(&patched(&hello, 1, &170_u32.to_le_bytes())), "Record.signature");
    assert_eq!(refused(&patched(&hello, 1, &168_u32.to_le_bytes())), "Hello");
    let junk = Sealed { body: Bytes::from_static(b"no record at all"), signature: [7; 64] };
    let honest = Sealed::sign(&record(), &author());
    let message = Message::Peers(vec![junk.clone(), honest.clone()]);
    assert_eq!(decode(&encode(message.clone())), Ok(message), "the honest record arrives beside the junk");
    assert!(junk.open().is_err());
    assert_eq!(honest.open(), Ok(record()));
}

#[test]
fn a_summary_of_a_known_tag_has_its_own_name_and_layout() {
    let services = unhex(include_str!("../vectors/disc_services.hex"));
    // The three envelopes begin at 43: name length, name of 21, 19 and 20 bytes, tag, payload of 46, 5 and 50 bytes.
    let (first, second, third) =
        (43, 43 + 2 + 21 + 2 + 2 + 46, 43 + 2 + 21 + 2 + 2 + 46 + 2 + 19 + 2 + 2 + 5);
    let (header, discovery, bodies) = (first + 27, second + 25, third + 26);
    assert_eq!(services[header..header + 4], [100, 0, 0, 0]);
    assert_eq!(services[discovery..discovery + 5], [0, 1, 32, 0, 1]);
    assert_eq!(services[bodies + 4..bodies + 8], [90, 0, 0, 0]);
    let broken = |at: usize, with: &[u8]| refused(&patched(&services, at, with));
    assert_eq!(broken(41, &[33]), "Services.summaries");
    assert_eq!(broken(first + 23, &[2]), "Services.tag", "discovery's tag under another name");
    assert_eq!(broken(first + 23, &[1]), "Services.tag", "the retired tag under the new name");
    assert_eq!(broken(first + 25, &1_025_u16.to_le_bytes()), "Services.payload");
    assert_eq!(broken(header, &0x8000_0000_u32.to_le_bytes()), "HeaderSync.best");
    assert_eq!(broken(header + 36, &[2]), "HeaderSync.finalized");
    assert_eq!(broken(header + 37, &[2]), "HeaderSync.serving");
    assert_eq!(broken(discovery + 4, &[2]), "Discovery.will_disconnect");
    assert_eq!(broken(bodies, &91_u32.to_le_bytes()), "BlockSync.low");
    assert_eq!(broken(bodies + 4, &0x8000_0000_u32.to_le_bytes()), "BlockSync.high");
    assert_eq!(broken(bodies + 42, &[0]), "BlockSync.max_blocks");
    assert_eq!(broken(bodies + 42, &[129]), "BlockSync.max_blocks");
    assert_eq!(broken(bodies + 46, &[0; 4]), "BlockSync.max_bytes");
    assert_eq!(broken(bodies + 46, &33_554_433_u32.to_le_bytes()), "BlockSync.max_bytes");
    let one = |name: &str, tag: u16, payload: &[u8]| {
        let head = [&[5][..], author().peer_id().as_bytes(), &[0; 8], &[1, 0]].concat();
        let name = [&(name.len() as u16).to_le_bytes()[..], name.as_bytes(), &tag.to_le_bytes()].concat();
        decode(&[&head[..], &name, &(payload.len() as u16).to_le_bytes(), payload].concat())
    };
    let summaries = |message| {
        let Ok(Message::Services(services)) = message else { panic!("{message:?}") };
        services.summaries
    };
    assert_eq!(one("zakura.discovery.v1", 2, &[0; 4]).unwrap_err().what, "Discovery.will_disconnect");
    assert_eq!(one("zakura.discovery.v1", 2, &[0; 6]).unwrap_err().what, "Discovery");
    assert_eq!(summaries(one("anything.new", 5, b"whatever")), [], "a tag of the future is ignored");
    let retired = summaries(one("zakura.header_sync.v1", 1, &services[header..header + 46]));
    assert!(
        matches!(retired[..], [Summary::HeaderSync(HeaderSyncSummary { best, .. })] if best == block(100, 0x66))
    );
}

#[test]
fn a_record_opens_only_if_everything_about_it_is_right() {
    let sealed = |change: &dyn Fn(&mut zakura_discovery::wire::Record)| {
        let mut record = record();
        change(&mut record);
        Sealed::sign(&record, &author()).open()
    };
    for (min, max) in [(2, 1), (2, 9), (0, 0)] {
        let protocol = sealed(&|record| (record.protocol_min, record.protocol_max) = (min, max));
        assert_eq!(protocol, Err(BadRecord::Protocol { min, max }));
    }
    assert!(sealed(&|record| (record.protocol_min, record.protocol_max) = (0, 9)).is_ok());
    assert!(sealed(&|record| record.addresses.clear()).is_ok(), "a record without addresses is advice");
    assert_eq!(sealed(&|record| record.node_id = PeerId::new(NO_POINT)), Err(BadRecord::NoAuthor));
    assert_eq!(sealed(&|record| record.node_id = PeerId::new([1; 32])), Err(BadRecord::Signature));
    let mut forged = Sealed::sign(&record(), &author());
    forged.signature[40] ^= 1;
    assert_eq!(forged.open(), Err(BadRecord::Signature));
    let Err(BadRecord::Malformed(reason)) = Sealed { body: Bytes::new(), signature: [0; 64] }.open() else {
        panic!("an empty body holds no record")
    };
    assert_eq!(reason.what, "Record.node_id");
}

#[test]
fn signatures_are_judged_by_the_rules_of_zip_215() {
    // The author is the identity, of small order; so are R = identity and s = 0. Only cofactored verification, which
    // every node must agree on, accepts this.
    let mut small_order = [0; 32];
    small_order[0] = 1;
    let record = zakura_discovery::wire::Record { node_id: PeerId::new(small_order), ..record() };
    let mut signature = [0; 64];
    signature[0] = 1;
    let sealed = Sealed { body: record.encode(), signature };
    assert_eq!(sealed.open(), Ok(record));
}

#[test]
fn peers_are_trimmed_by_filling_never_by_failing() {
    let mut large = record();
    large.services = (0..32).map(|n| ServiceId::new(&format!("{n:064}")).unwrap()).collect();
    let large = Sealed::sign(&large, &author());
    let fitting = (16_384 - 3) / large.wire_len();
    assert!((1..32).contains(&fitting));
    let bytes = encode(Message::Peers(vec![large.clone(); 32]));
    assert!(bytes.len() <= 16_384 && bytes.len() + large.wire_len() > 16_384);
    assert_eq!(decode(&bytes), Ok(Message::Peers(vec![large; fitting])));
    let small = Sealed { body: Bytes::from_static(b"x"), signature: [0; 64] };
    assert_eq!(decode(&encode(Message::Peers(vec![small.clone(); 40]))), Ok(Message::Peers(vec![small; 32])));
}

#[test]
fn a_kept_record_keeps_no_message_in_memory() {
    let payload = Bytes::from(unhex(include_str!("../vectors/disc_hello.hex")));
    let inside = payload.as_ptr_range();
    let Message::Hello(sealed) = decode_bytes(payload.clone()).unwrap() else { panic!("a Hello") };
    assert!(!inside.contains(&sealed.body.as_ptr()));
    assert!(payload.is_unique(), "nothing decoded holds the frame");
}

#[test]
fn a_peers_words_print_on_one_line() {
    assert_eq!(ServiceId::new("a\nb\x1b[31m").unwrap().to_string(), "a\\nb\\u{1b}[31m");
    assert_eq!(ServiceId::new(""), None);
    assert_eq!(ServiceId::new("ä"), None);
}
