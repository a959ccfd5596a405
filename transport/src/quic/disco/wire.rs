//! Disco's datagrams and the box they travel in (wire 1.6).
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use crate::{Identity, PeerId};
use crypto_box::{
    ChaChaBox, PublicKey, SecretKey, Tag,
    aead::{AeadInPlace, generic_array::GenericArray},
};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ring::digest;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// First bytes of every disco datagram.
const MAGIC: [u8; 6] = [0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac];
/// Bytes of the Poly1305 tag.
const TAG_BYTES: usize = 16;
/// Bytes of the nonce, which stands at the end.
const NONCE_BYTES: usize = 24;
/// Bytes around an inner message: magic, sender, tag and nonce.
const ENVELOPE_BYTES: usize = 6 + 32 + TAG_BYTES + NONCE_BYTES;
/// The shortest inner message: type and version.
const MIN_INNER_BYTES: usize = 2;
/// The longest datagram that is opened, QUIC's own bound: longer pings are legal, but opening costs by the byte.
const MAX_DATAGRAM_BYTES: usize = 1472;
/// Bytes of a ping's inner message.
const PING_BYTES: usize = 2 + 12 + 32;
/// Bytes of a pong's inner message.
const PONG_BYTES: usize = 2 + 12 + 1 + 16 + 2;

const PING: u8 = 1;
const PONG: u8 = 2;
const VERSION: u8 = 0;
/// A pong's source is a UDP address, not a relay.
const UDP_SOURCE: u8 = 0;

const _: () = assert!(ENVELOPE_BYTES + PING_BYTES == 124 && ENVELOPE_BYTES + PONG_BYTES == 111, "wire 1.6");
const _: () = assert!(PONG_BYTES <= PING_BYTES, "a forged source must not be sent more than we were");

/// What a ping is answered by: the sender's choice, echoed.
pub(in crate::quic) type TxId = [u8; 12];
/// A nonce: random, and so never used twice with one key.
pub(in crate::quic) type Nonce = [u8; NONCE_BYTES];

/// An inner message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::quic) enum Message {
    /// "I am at this address." Carries its sender's id once more, under the box.
    Ping(TxId),
    /// The answer, with the UDP address that the ping came from.
    Pong(TxId, SocketAddr),
}

/// Why a datagram with the magic is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::quic) enum Refused {
    /// Too short or too long for any message.
    Length,
    /// Our own id as its sender.
    Ourselves,
    /// More of them than we open.
    Rate,
    /// The sender's id is no curve point, or one whose secret everybody knows.
    NoKey,
    /// The box does not open: another sender, another receiver, or damage.
    Forged,
    /// A ping that carries another id than its sender's.
    BorrowedId,
    /// A version, type or address that we do not speak: relays and what comes over them.
    Foreign,
}

/// Our half of every box.
pub(in crate::quic) struct Keys {
    id: PeerId,
    secret: SecretKey,
}

/// The key we share with one peer.
#[derive(Clone)]
pub(in crate::quic) struct Pair(Arc<ChaChaBox>);

impl Keys {
    /// Derives the X25519 key from the Ed25519 identity: the scalar that signs (RFC 8032, 5.1.5).
    pub(in crate::quic) fn new(identity: &Identity) -> Self {
        let hash = digest::digest(&digest::SHA512, identity.seed());
        let mut scalar = [0; 32];
        scalar.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        // Clamps.
        Self { id: identity.peer_id(), secret: SecretKey::from_bytes(scalar) }
    }

    /// Our own id.
    pub(in crate::quic) const fn id(&self) -> PeerId {
        self.id
    }

    /// The key we share with `peer`. None if its id is no curve point, or one of the eight whose secret is no secret.
    /// Costs a scalar multiplication.
    pub(in crate::quic) fn pair(&self, peer: PeerId) -> Option<Pair> {
        let point = CompressedEdwardsY(*peer.as_bytes()).decompress()?;
        (!point.is_small_order())
            .then(|| Pair(Arc::new(ChaChaBox::new(&PublicKey::from(point.to_montgomery()), &self.secret))))
    }

    /// The datagram that carries `message` to the peer of `pair`. None if the cipher refuses, which it does for no
    /// message of these lengths.
    pub(in crate::quic) fn seal(&self, pair: &Pair, message: Message, nonce: Nonce) -> Option<Vec<u8>> {
        let mut inner = self.inner(message);
        let tag = pair.0.encrypt_in_place_detached(GenericArray::from_slice(&nonce), b"", &mut inner).ok()?;
        Some([&MAGIC[..], self.id.as_bytes(), &tag, &inner, &nonce].concat())
    }

    fn inner(&self, message: Message) -> Vec<u8> {
        match message {
            Message::Ping(tx) => [&[PING, VERSION], &tx[..], self.id.as_bytes()].concat(),
            Message::Pong(tx, source) => {
                let ip = match source.ip() {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let port = source.port().to_le_bytes();
                [&[PONG, VERSION], &tx[..], &[UDP_SOURCE], &ip.octets(), &port].concat()
            }
        }
    }
}

/// Whether a datagram is disco's. A QUIC packet begins like this by chance once in 2^48.
pub(in crate::quic) fn is_disco(datagram: &[u8]) -> bool {
    datagram.starts_with(&MAGIC)
}

/// A disco datagram, taken apart and not yet opened.
#[derive(Debug, Clone, Copy)]
pub(in crate::quic) struct Envelope<'a> {
    /// Who claims to have sent it.
    pub(in crate::quic) sender: PeerId,
    tag: &'a [u8; TAG_BYTES],
    sealed: &'a [u8],
    nonce: &'a Nonce,
}

impl<'a> Envelope<'a> {
    /// Takes a datagram apart. Costs nothing.
    pub(in crate::quic) fn parse(datagram: &'a [u8]) -> Result<Self, Refused> {
        if datagram.len() > MAX_DATAGRAM_BYTES {
            return Err(Refused::Length);
        }
        let fields = || {
            let (sender, rest) = datagram.strip_prefix(&MAGIC)?.split_first_chunk()?;
            let (tag, rest) = rest.split_first_chunk()?;
            let (sealed, nonce) = rest.split_last_chunk()?;
            (sealed.len() >= MIN_INNER_BYTES).then_some(Self {
                sender: PeerId::new(*sender),
                tag,
                sealed,
                nonce,
            })
        };
        fields().ok_or(Refused::Length)
    }

    /// Opens it and reads what is in it.
    pub(in crate::quic) fn open(&self, pair: &Pair) -> Result<Message, Refused> {
        let mut inner = self.sealed.to_vec();
        let (nonce, tag) = (GenericArray::from_slice(self.nonce), Tag::from_slice(self.tag));
        let opened = pair.0.decrypt_in_place_detached(nonce, b"", &mut inner, tag);
        opened.map_err(|_| Refused::Forged)?;
        self.read(&inner)
    }

    fn read(&self, inner: &[u8]) -> Result<Message, Refused> {
        let ([kind, VERSION], payload) = inner.split_first_chunk().ok_or(Refused::Foreign)? else {
            return Err(Refused::Foreign);
        };
        let (tx, rest) = payload.split_first_chunk::<12>().ok_or(Refused::Foreign)?;
        match *kind {
            PING => match rest.split_first_chunk() {
                Some((id, _)) if PeerId::new(*id) == self.sender => Ok(Message::Ping(*tx)),
                Some(_) => Err(Refused::BorrowedId),
                None => Err(Refused::Foreign),
            },
            PONG => udp_source(rest).map(|source| Message::Pong(*tx, source)).ok_or(Refused::Foreign),
            _ => Err(Refused::Foreign),
        }
    }
}

fn udp_source(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.strip_prefix(&[UDP_SOURCE])?.split_first_chunk::<16>()?;
    let port = u16::from_le_bytes(port.try_into().ok()?);
    Some(SocketAddr::new(IpAddr::from(*ip).to_canonical(), port))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of the test's own")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(seed: u8) -> Keys {
        Keys::new(&Identity::from_seed([seed; 32]).unwrap())
    }

    fn read(to: &Keys, datagram: &[u8]) -> Result<Message, Refused> {
        let envelope = Envelope::parse(datagram)?;
        envelope.open(&to.pair(envelope.sender).ok_or(Refused::NoKey)?)
    }

    /// A datagram with this inner message, whatever it means.
    fn raw(from: &Keys, to: &Keys, inner: &[u8]) -> Vec<u8> {
        let (pair, nonce, mut inner) = (from.pair(to.id).unwrap(), [3; 24], inner.to_vec());
        let tag = pair.0.encrypt_in_place_detached(GenericArray::from_slice(&nonce), b"", &mut inner);
        [&MAGIC[..], from.id.as_bytes(), &tag.unwrap(), &inner, &nonce].concat()
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        let v4 = any::<(u32, u16)>().prop_map(|(ip, port)| (IpAddr::from(ip.to_be_bytes()), port));
        let v6 = any::<(u128, u16)>().prop_map(|(ip, port)| (IpAddr::from(ip.to_be_bytes()), port));
        prop_oneof![v4, v6].prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
    }

    fn message() -> impl Strategy<Value = Message> {
        let ping = any::<TxId>().prop_map(Message::Ping);
        prop_oneof![ping, (any::<TxId>(), address()).prop_map(|(tx, source)| Message::Pong(tx, source))]
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_every_change_of_a_bit_is_refused(
            (from, to, message, nonce) in (1_u8..50, 50_u8.., message(), any::<Nonce>()),
            damage in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let (from, to) = (keys(from), keys(to));
            let mut datagram = from.seal(&from.pair(to.id).unwrap(), message, nonce).unwrap();
            prop_assert_eq!(datagram.len(), if matches!(message, Message::Ping(_)) { 124 } else { 111 });
            prop_assert!(is_disco(&datagram));
            prop_assert_eq!(&datagram[6..38], from.id.as_bytes());
            prop_assert_eq!(&datagram[datagram.len() - 24..], &nonce);
            prop_assert_eq!(read(&to, &datagram), Ok(message));
            prop_assert!(read(&keys(0), &datagram).is_err(), "for another");
            let at = damage.index(datagram.len());
            datagram[at] ^= 1 << bit;
            // The Montgomery form forgets a point's sign. A ping carries the whole id once more; whoever takes a pong
            // must know from whom it awaits it.
            let is_sign = at == 37 && bit == 7;
            prop_assert!(read(&to, &datagram).is_err() || is_sign && matches!(message, Message::Pong(..)));
        }

        #[test]
        fn no_bytes_are_too_strange_to_refuse(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
            let datagram = [&MAGIC[..], &bytes].concat();
            prop_assert!(read(&keys(1), &datagram).is_err());
        }
    }

    /// From seeds 01.. and 02.. by an encoder of its own: X25519, HChaCha20, ChaCha20 and Poly1305 in plain big integers,
    /// checked against the vectors of RFC 7748, 8032, 8439 and draft-irtf-cfrg-xchacha.
    const PING_1_TO_2: &str = "5453f09f92ac8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5cf5e1f5218db31c65ed43\
                               bc6b3ea5d8ca4896670798231c518ae57ac4b8e9a64e9d13428c39b25c11168bc4feae930edc49981e6713b811082939\
                               385cb525404142434445464748494a4b4c4d4e4f5051525354555657";
    const PONG_V4: &str = "5453f09f92ac8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3944015536e4ee19a21fc68\
                           1ca8c5b6852c4b96670798231c518ae57ac4b8e92cc67ece3685c827a143cd590784f3e3c39160404142434445464748\
                           494a4b4c4d4e4f5051525354555657";
    const PONG_V6: &str = "5453f09f92ac8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394cf454f5340f0bcfeaeb4\
                           c54a61ae520f4b96670798231c518ae57ac4b8e92ce67fc38e85c827a143cda6f844f3e1c5bbbf404142434445464748\
                           494a4b4c4d4e4f5051525354555657";

    #[test]
    fn golden_datagrams_are_sealed_and_opened() {
        let tx = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let nonce = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        let (a, b) = (keys(1), keys(2));
        let cases = [
            (&a, &b, Message::Ping(tx), PING_1_TO_2),
            (&b, &a, Message::Pong(tx, "192.0.2.7:8234".parse().unwrap()), PONG_V4),
            (&b, &a, Message::Pong(tx, "[2001:db8::1]:65280".parse().unwrap()), PONG_V6),
        ];
        for (from, to, message, golden) in cases {
            let golden = data_encoding::HEXLOWER.decode(golden.as_bytes()).unwrap();
            assert_eq!(from.seal(&from.pair(to.id).unwrap(), message, nonce), Some(golden.clone()));
            assert_eq!(read(to, &golden), Ok(message));
        }
    }

    #[test]
    fn a_longer_ping_is_tolerated_and_a_shorter_one_is_not() {
        let (a, b) = (keys(1), keys(2));
        let ping = a.inner(Message::Ping([5; 12]));
        let longer = [&ping[..], b"what a later version adds"].concat();
        assert_eq!(read(&b, &raw(&a, &b, &longer)), Ok(Message::Ping([5; 12])));
        assert_eq!(read(&b, &raw(&a, &b, &ping[..45])), Err(Refused::Foreign));
        let huge = [&ping[..], &[0; MAX_DATAGRAM_BYTES]].concat();
        assert_eq!(read(&b, &raw(&a, &b, &huge)), Err(Refused::Length));
    }

    #[test]
    fn other_versions_types_and_relays_are_ignored() {
        let (a, b) = (keys(1), keys(2));
        let mut later = a.inner(Message::Ping([5; 12]));
        later[1] = 1;
        let relay = [&[PONG, VERSION][..], &[5; 12], &[1], b"https://relay.example"].concat();
        let call_me_maybe = [&[3, VERSION][..], &[0; 18]].concat();
        for inner in [&later[..], &relay, &call_me_maybe, &[PING, VERSION], &[0, 0], &[4, 0]] {
            assert_eq!(read(&b, &raw(&a, &b, inner)), Err(Refused::Foreign), "{inner:?}");
        }
    }

    #[test]
    fn a_ping_must_carry_its_senders_id() {
        let (a, b) = (keys(1), keys(2));
        let borrowed = [&[PING, VERSION][..], &[5; 12], keys(3).id.as_bytes()].concat();
        assert_eq!(read(&b, &raw(&a, &b, &borrowed)), Err(Refused::BorrowedId));
    }

    #[test]
    fn an_id_that_is_no_key_gives_no_pair() {
        let us = keys(1);
        let no_point = PeerId::new([2; 32]);
        assert!(CompressedEdwardsY([2; 32]).decompress().is_none());
        assert!(us.pair(no_point).is_none());
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(us.pair(PeerId::new(neutral)).is_none(), "anybody could speak for it");
    }
}
