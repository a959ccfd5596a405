//! What a requester hears of the book: one stable set in an epoch, however often and however it asks (wire 5.1).

use super::table::Book;
use crate::wire::{MAX_MESSAGE_BYTES, MAX_RECORDS, Sealed, ServiceId};
use std::hash::Hasher;
use zakura_transport::PeerId;

/// One requester hears the same set for so many seconds (wire 5.1). Stops it from reading the whole book.
const EPOCH_SECS: u64 = 600;

/// Bytes of a Peers message in front of its records.
const FRONT_BYTES: usize = 3;

/// The node's own key for ranking: nobody else can tell which nodes a requester hears of.
#[derive(Clone, Copy)]
pub(crate) struct Secret(u64, u64);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(crate) const fn new([a, b]: [u64; 2]) -> Self {
        Self(a, b)
    }

    /// A keyed hash: SipHash-2-4.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> u64 {
        #[expect(deprecated, reason = "the standard library's only hash with a key and a fixed algorithm")]
        let mut hasher = std::hash::SipHasher::new_with_keys(self.0, self.1);
        for part in parts {
            hasher.write(part);
        }
        hasher.finish()
    }
}

/// A GetPeers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Records at most.
    pub(crate) limit: u16,
    /// Only nodes that serve all of these.
    pub(crate) services: Vec<ServiceId>,
    /// Nodes the requester knows.
    pub(crate) exclude: Vec<PeerId>,
}

/// The answer to `requester`: out of its set for this epoch what passes its filters, up to its limit and to what one
/// message holds.
pub(crate) fn disclose(
    book: &Book,
    secret: Secret,
    requester: PeerId,
    unix: u64,
    asked: &Asked,
) -> Vec<Sealed> {
    let epoch = (unix / EPOCH_SECS).to_le_bytes();
    let policy = book.policy();
    let candidates = book.iter().filter_map(|(id, entry)| {
        let signed = entry.signed.as_ref().filter(|_| entry.is_confirmed && id != requester)?;
        let tells = entry.holds(unix) && entry.addresses().all(|address| policy.admits(address));
        let rank = || secret.hash(&[requester.as_bytes(), &epoch, id.as_bytes()]);
        tells.then(|| (rank(), id, signed))
    });
    let mut set: Vec<_> = candidates.collect();
    set.sort_unstable_by_key(|(rank, id, _)| (*rank, *id));
    set.truncate(MAX_RECORDS);

    let wanted = set.into_iter().filter(|(_, id, signed)| {
        let serves = |service| signed.record.services.contains(service);
        asked.services.iter().all(serves) && !asked.exclude.contains(id)
    });
    let mut room = MAX_MESSAGE_BYTES.saturating_sub(FRONT_BYTES);
    let fitting = wanted.filter_map(|(_, _, signed)| {
        room = room.checked_sub(signed.sealed.wire_len())?;
        Some(signed.sealed.clone())
    });
    fitting.take(asked.limit.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        book::{
            Rules,
            tests::{UNIX, from, id, seal, signed},
        },
        wire::{AddressPolicy, Message},
    };
    use std::{collections::BTreeSet, time::Instant};
    use zakura_transport::routine::Message as _;

    const SECRET: Secret = Secret::new([1, 2]);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// A book of 200 nodes that spoke for themselves, of which every second serves blocks, and 200 of which others spoke.
    fn full() -> Book {
        let mut book = Book::new(Rules::new(id(0), AddressPolicy::Public));
        for n in 1..=400 {
            let mut record = signed(n, 1).record;
            if n % 2 == 0 {
                record.services.push(ServiceId::BLOCK_SYNC);
            }
            let peer = if n <= 200 { id(n) } else { id(999) };
            book.merge(now(), UNIX, seal(record), from(peer, [9, 9, n.to_be_bytes()[3], 1]));
        }
        book
    }

    fn ask() -> Asked {
        Asked { limit: 32, services: vec![], exclude: vec![] }
    }

    fn told(book: &Book, requester: u32, unix: u64, asked: &Asked) -> BTreeSet<PeerId> {
        let records = disclose(book, SECRET, id(requester), unix, asked);
        let author = |sealed: &Sealed| {
            let bytes: [u8; 32] = sealed.body[..32].try_into().unwrap();
            PeerId::new(bytes)
        };
        records.iter().map(author).collect()
    }

    #[test]
    fn a_requester_hears_one_set_an_epoch_however_it_asks() {
        let book = full();
        let set = told(&book, 1_000, UNIX, &ask());
        assert_eq!(set.len(), 32);
        assert!(set.iter().all(|node| *node <= id(200)), "hearsay is not passed on");
        let mut scraped = BTreeSet::new();
        for round in 0..300u64 {
            // Everything heard so far is excluded: what is left is nothing new.
            let exclude: Vec<_> = scraped.iter().copied().take(round as usize % 32).collect();
            let services = if round % 3 == 0 { vec![ServiceId::BLOCK_SYNC] } else { vec![] };
            let limit = u16::try_from(1 + round % 32).unwrap();
            scraped.extend(told(&book, 1_000, UNIX + round % 600, &Asked { limit, services, exclude }));
        }
        assert_eq!(scraped, set);
        assert_ne!(told(&book, 1_000, UNIX + 600, &ask()), set, "another epoch");
        assert_ne!(told(&book, 1_001, UNIX, &ask()), set, "another requester");
        assert!(!told(&book, 1, UNIX, &ask()).contains(&id(1)), "nobody hears of itself");
    }

    #[test]
    fn filters_apply_inside_the_set() {
        let book = full();
        let set = told(&book, 1_000, UNIX, &ask());
        let wanted = Asked { services: vec![ServiceId::BLOCK_SYNC, ServiceId::DISCOVERY], ..ask() };
        let serving = told(&book, 1_000, UNIX, &wanted);
        let even = |node: &&PeerId| node.as_bytes()[3].is_multiple_of(2);
        assert_eq!(serving, set.iter().filter(even).copied().collect());
        let exclude: Vec<_> = set.iter().take(30).copied().collect();
        assert_eq!(told(&book, 1_000, UNIX, &Asked { exclude, ..ask() }).len(), 2);
        assert_eq!(told(&book, 1_000, UNIX, &Asked { limit: 5, ..ask() }).len(), 5);
        assert_eq!(told(&book, 1_000, UNIX + 3_601, &ask()).len(), 0, "expired");
    }

    #[test]
    fn an_answer_is_filled_up_to_what_a_message_holds() {
        let mut book = Book::new(Rules::new(id(0), AddressPolicy::Public));
        for n in 1..=32 {
            let mut record = signed(n, 1).record;
            let name = |service: u32| ServiceId::new(&format!("{service:0>64}")).unwrap();
            // Ten large records, each some 2 kB.
            record.services = (0..if n <= 10 { 30 } else { 1 }).map(name).collect();
            book.merge(now(), UNIX, seal(record), from(id(n), [9, 9, n.to_be_bytes()[3], 1]));
        }
        for requester in 1_000..1_050 {
            let records = disclose(&book, SECRET, id(requester), UNIX, &ask());
            let bytes: usize = records.iter().map(Sealed::wire_len).sum();
            assert!(bytes + 3 <= MAX_MESSAGE_BYTES);
            // Seven large ones or fewer fit; small ones fill up what is left.
            assert!(bytes + 3 + 2_300 > MAX_MESSAGE_BYTES, "{bytes}");
            let count = records.len();
            let frame = Message::Peers(records).encode();
            assert!(matches!(Message::decode(frame), Ok(Message::Peers(read)) if read.len() == count));
        }
    }

    #[test]
    #[expect(clippy::unreadable_literal, reason = "the vector of the SipHash paper")]
    fn the_hash_is_siphash_2_4() {
        let key = Secret::new([0x0706050403020100, 0x0f0e0d0c0b0a0908]);
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(key.hash(&[&input]), 0xa129ca6149be45e5);
        assert_eq!(key.hash(&[&input[..7], &input[7..]]), 0xa129ca6149be45e5);
    }
}
