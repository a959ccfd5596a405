//! Disco as another implementation speaks it: it shares no code with ours, nor the libraries of its box.
//!
//! The box is `X25519 -> HChaCha20 -> HChaCha20 -> ChaCha20 and Poly1305`, from RFC 8439 and draft-irtf-cfrg-xchacha.

use curve25519_dalek::{edwards::CompressedEdwardsY, scalar::clamp_integer};
use ring::digest;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};
use zakura_transport::PeerId;

pub const MAGIC: [u8; 6] = *b"TS\xf0\x9f\x92\xac";

pub fn is_disco(datagram: &[u8]) -> bool {
    datagram.starts_with(&MAGIC)
}

/// A ping's inner message.
pub fn ping(tx: [u8; 12], from: PeerId) -> Vec<u8> {
    [&[1, 0], &tx[..], from.as_bytes()].concat()
}

/// What a pong of `tx` to an IPv4 address must contain.
pub fn pong(tx: [u8; 12], to: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = to.ip() else { panic!("an IPv4 address") };
    let ip = ip.to_ipv6_mapped().octets();
    [&[2, 0], &tx[..], &[0], &ip, &to.port().to_le_bytes()].concat()
}

/// Seals an inner message from the identity of a seed to a peer.
pub fn seal(seed: u8, to: PeerId, inner: &[u8], nonce: [u8; 24]) -> Vec<u8> {
    let (mac_key, sealed) = cipher(&shared(seed, to), &nonce, inner);
    let tag = poly1305(&mac_key, &sealed);
    let from = super::identity(seed).peer_id();
    [&MAGIC[..], from.as_bytes(), &tag, &sealed, &nonce].concat()
}

/// Opens what came for the identity of a seed: the sender and the inner message.
pub fn open(seed: u8, datagram: &[u8]) -> Option<(PeerId, Vec<u8>)> {
    let (sender, rest) = datagram.strip_prefix(&MAGIC)?.split_first_chunk::<32>()?;
    let (tag, rest) = rest.split_first_chunk::<16>()?;
    let (sealed, nonce) = rest.split_last_chunk::<24>()?;
    let sender = PeerId::new(*sender);
    let (mac_key, inner) = cipher(&shared(seed, sender), nonce, sealed);
    (poly1305(&mac_key, sealed) == *tag).then_some((sender, inner))
}

/// The gate of a magic socket (wire 1.6): QUIC passes only from addresses that have sent a valid ping.
pub fn magic_gate(seed: u8) -> impl FnMut(&[u8], SocketAddr) -> bool + Send + 'static {
    let mut known = BTreeSet::new();
    move |datagram, from| {
        if !is_disco(datagram) {
            return known.contains(&from);
        }
        let opened = open(seed, datagram);
        if opened
            .is_some_and(|(id, inner)| inner.starts_with(&[1, 0]) && inner.get(14..46) == Some(id.as_bytes()))
        {
            known.insert(from);
        }
        true
    }
}

fn shared(seed: u8, peer: PeerId) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA512, &[seed; 32]);
    let scalar = clamp_integer(hash.as_ref()[..32].try_into().unwrap());
    let point = CompressedEdwardsY(*peer.as_bytes()).decompress().unwrap().to_montgomery();
    hchacha20(&point.mul_clamped(scalar).to_bytes(), &[0; 16])
}

/// The key of the tag, and the message under the keystream that follows it.
fn cipher(key: &[u8; 32], nonce: &[u8; 24], message: &[u8]) -> ([u8; 32], Vec<u8>) {
    let (head, tail) = nonce.split_first_chunk::<16>().unwrap();
    let key = hchacha20(key, head);
    let blocks = (0_u64..).take(message.len().div_ceil(64) + 1).flat_map(|count| {
        let mut input = start(&key);
        input[12..14].copy_from_slice(&words(&count.to_le_bytes()));
        input[14..].copy_from_slice(&words(tail));
        let output = rounds(input);
        bytes(&std::array::from_fn::<u32, 16, _>(|at| output[at].wrapping_add(input[at])))
    });
    let stream: Vec<u8> = blocks.collect();
    let text = message.iter().zip(&stream[32..]).map(|(byte, key)| byte ^ key).collect();
    (stream[..32].try_into().unwrap(), text)
}

fn hchacha20(key: &[u8; 32], nonce: &[u8; 16]) -> [u8; 32] {
    let mut input = start(key);
    input[12..].copy_from_slice(&words(nonce));
    let output = rounds(input);
    bytes(&[&output[..4], &output[12..]].concat()).try_into().unwrap()
}

fn start(key: &[u8; 32]) -> [u32; 16] {
    let mut input = [0; 16];
    input[..4].copy_from_slice(&words(b"expand 32-byte k"));
    input[4..12].copy_from_slice(&words(key));
    input
}

fn rounds(mut state: [u32; 16]) -> [u32; 16] {
    const QUARTERS: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ];
    for [a, b, c, d] in QUARTERS.into_iter().cycle().take(80) {
        for (a, b, d, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[a] = state[a].wrapping_add(state[b]);
            state[d] = (state[d] ^ state[a]).rotate_left(turn);
        }
    }
    state
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Limbs of 26 bits.
const LIMB: u64 = (1 << 26) - 1;

fn poly1305(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
    let [r, s] = [&key[..16], &key[16..]].map(|half| u128::from_le_bytes(half.try_into().unwrap()));
    let r = limbs(r & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff, 0);
    let mut sum = [0_u64; 5];
    for chunk in message.chunks(16) {
        let mut block = [0; 17];
        block[..chunk.len()].copy_from_slice(chunk);
        block[chunk.len()] = 1;
        let (low, high) = block.split_first_chunk().unwrap();
        let added = limbs(u128::from_le_bytes(*low), high[0]);
        sum.iter_mut().zip(added).for_each(|(to, limb)| *to += limb);
        let mut product = [0_u64; 5];
        for (i, a) in sum.iter().enumerate() {
            for (j, b) in r.iter().enumerate() {
                // 2^130 is 5.
                product[(i + j) % 5] += a * b * if i + j < 5 { 1 } else { 5 };
            }
        }
        sum = product;
        for _ in 0..2 {
            carry(&mut sum);
        }
    }
    carry(&mut sum);
    // Not below 2^130 - 5: take it away once.
    if sum[0] >= LIMB - 4 && sum[1..].iter().all(|limb| *limb == LIMB) {
        sum = [sum[0] - (LIMB - 4), 0, 0, 0, 0];
    }
    let value = (0..5).fold(0_u128, |value, at| value.wrapping_add(u128::from(sum[at]) << (26 * at)));
    value.wrapping_add(s).to_le_bytes()
}

fn carry(limbs: &mut [u64; 5]) {
    for at in 0..5 {
        let over = limbs[at] >> 26;
        limbs[at] &= LIMB;
        limbs[(at + 1) % 5] += over * if at == 4 { 5 } else { 1 };
    }
}

fn limbs(low: u128, high: u8) -> [u64; 5] {
    let limb = |at: u32| u64::try_from((low >> (26 * at)) & u128::from(LIMB)).unwrap();
    [limb(0), limb(1), limb(2), limb(3), limb(4) | u64::from(high) << 24]
}
