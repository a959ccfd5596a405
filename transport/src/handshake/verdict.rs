//! Whether a Hello or an Ack is acceptable, and what was agreed. Pure.

use crate::{
    Capabilities, PeerId,
    wire::{Ack, Hello, Limits, Malformed, PATH_NATIVE, PROTOCOL, ROLE_INITIATOR},
};
use std::fmt;

/// What we bring to every handshake.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) network_id: u32,
    pub(crate) chain_id: [u8; 32],
    pub(crate) offer: Capabilities,
    pub(crate) limits: Limits,
}

/// What a finished handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) capabilities: Capabilities,
    pub(crate) limits: Limits,
}

/// Limits too small for the streams that the capabilities bring (wire 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Fewer open streams than ordered streams.
    OrderedStreams,
    /// A shallower inbound queue than ordered kinds that share it.
    QueueSplit,
}

/// Why a handshake was refused: the first rule that failed, in the order of wire 2.7.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are no Hello or no Ack of the one control version.
    #[error("malformed handshake: {0}")]
    Malformed(Malformed),
    /// A protocol that was not offered.
    #[error("protocol {0} selected, only 1 exists")]
    Protocol(u16),
    /// Not the native path.
    #[error("handshake path {0} is not accepted, only the native path 1")]
    Path(u8),
    /// A Hello from a side that did not dial.
    #[error("role {0} in a Hello, only 1 (initiator) is accepted")]
    Role(u8),
    /// The peer lives on another network.
    #[error("wrong network: the peer has {theirs}, we have {ours}")]
    WrongNetwork {
        /// The peer's network.
        theirs: NetworkName,
        /// Ours.
        ours: NetworkName,
    },
    /// The same network, another genesis.
    #[error("wrong chain: the peer's genesis {theirs} is not our {ours}")]
    WrongChain {
        /// The peer's chain id.
        theirs: ChainName,
        /// Ours.
        ours: ChainName,
    },
    /// The identity in the Hello is not the one that TLS proved.
    #[error("the Hello names another identity than the connection's key")]
    IdentityMismatch,
    /// A channel is required; none is defined.
    #[error("required channels {0:#x} are unknown")]
    RequiredChannels(u64),
    /// A limit outside its range, or an accepted limit above what was asked for.
    #[error("unacceptable limit: {0}")]
    Limits(&'static str),
    /// Upgrade fields are not zero on the native path.
    #[error("the {0} must be zero on the native path")]
    NotNative(&'static str),
    /// The Ack answers another Hello.
    #[error("the Ack does not echo our nonce")]
    NonceMismatch,
}

/// A network id, printed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkName(pub u32);

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("Mainnet"),
            2 => f.write_str("Testnet"),
            3 => f.write_str("Regtest"),
            4 => f.write_str("a private network"),
            other => write!(f, "unknown network {other}"),
        }
    }
}

/// A chain id, printed as explorers print a genesis hash: last byte first, shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainName(pub [u8; 32]);

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..")
    }
}

impl Terms {
    /// Judges an initiator's Hello, in the order of wire 2.7.
    pub(crate) fn judge_hello(&self, hello: &Hello, proven: PeerId) -> Result<Negotiated, Refusal> {
        if hello.protocol != PROTOCOL {
            return Err(Refusal::Protocol(hello.protocol));
        }
        if hello.path != PATH_NATIVE {
            return Err(Refusal::Path(hello.path));
        }
        if hello.role != ROLE_INITIATOR {
            return Err(Refusal::Role(hello.role));
        }
        if hello.network_id != self.network_id {
            let (theirs, ours) = (NetworkName(hello.network_id), NetworkName(self.network_id));
            return Err(Refusal::WrongNetwork { theirs, ours });
        }
        if hello.chain_id != self.chain_id {
            let (theirs, ours) = (ChainName(hello.chain_id), ChainName(self.chain_id));
            return Err(Refusal::WrongChain { theirs, ours });
        }
        if hello.node_id != proven.as_bytes() {
            return Err(Refusal::IdentityMismatch);
        }
        if hello.required_channels != 0 {
            return Err(Refusal::RequiredChannels(hello.required_channels));
        }
        if let Some(field) = hello.limits.fault() {
            return Err(Refusal::Limits(field));
        }
        if hello.upgrade_nonces != [[0; 32]; 2] {
            return Err(Refusal::NotNative("upgrade nonces"));
        }
        if hello.transcript != [0; 32] {
            return Err(Refusal::NotNative("upgrade transcript"));
        }
        let limits = hello.limits.lower(self.limits);
        Ok(Negotiated { capabilities: hello.capabilities.intersection(self.offer), limits })
    }

    /// Judges a responder's Ack. Accepted bits are masked with ours, accepted limits are clamped to ours.
    pub(crate) fn judge_ack(&self, ack: &Ack, nonce: &[u8; 32]) -> Result<Negotiated, Refusal> {
        if ack.protocol != PROTOCOL {
            return Err(Refusal::Protocol(ack.protocol));
        }
        if ack.hello_nonce != *nonce {
            return Err(Refusal::NonceMismatch);
        }
        if ack.channels != 0 {
            return Err(Refusal::RequiredChannels(ack.channels));
        }
        if let Some(field) = ack.limits.fault() {
            return Err(Refusal::Limits(field));
        }
        if !ack.limits.fits(self.limits) {
            return Err(Refusal::Limits("an accepted limit above what we asked for"));
        }
        let limits = ack.limits.lower(self.limits);
        Ok(Negotiated { capabilities: ack.capabilities.intersection(self.offer), limits })
    }
}

impl Negotiated {
    /// Whether the agreed limits carry this many ordered kinds.
    pub(crate) fn carries(&self, ordered_kinds: usize) -> Result<(), Shortage> {
        if usize::from(self.limits.max_open_streams) < ordered_kinds {
            Err(Shortage::OrderedStreams)
        } else if usize::from(self.limits.max_inbound_depth) < ordered_kinds {
            Err(Shortage::QueueSplit)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId::new([9; 32]);

    fn terms() -> Terms {
        Terms { network_id: 3, chain_id: [1; 32], offer: Capabilities::from_bits(0x2c), limits: Limits::OURS }
    }

    fn hello() -> Hello {
        Hello::native(3, [1; 32], PEER, [7; 32], Capabilities::from_bits(u64::MAX), Limits::OURS)
    }

    fn spoilt(spoil: impl FnOnce(&mut Hello)) -> Refusal {
        let mut hello = hello();
        spoil(&mut hello);
        terms().judge_hello(&hello, PEER).unwrap_err()
    }

    #[test]
    fn unknown_bits_are_ignored_and_limits_meet_in_the_lower() {
        let low = Limits { max_frame: 1000, idle_timeout_ms: 600_000, ..Limits::OURS };
        let agreed = terms().judge_hello(&Hello { limits: low, ..hello() }, PEER).unwrap();
        assert_eq!(agreed.capabilities, Capabilities::from_bits(0x2c));
        assert_eq!(agreed.limits.max_frame, 1000);
        assert_eq!(agreed.limits.idle_timeout_ms, 149_999);
    }

    #[test]
    fn each_field_has_its_refusal_and_the_first_rule_wins() {
        assert_eq!(spoilt(|h| h.protocol = 2), Refusal::Protocol(2));
        assert_eq!(spoilt(|h| h.path = 0), Refusal::Path(0));
        assert_eq!(spoilt(|h| h.role = 2), Refusal::Role(2));
        assert!(matches!(spoilt(|h| h.network_id = 1), Refusal::WrongNetwork { .. }));
        assert!(matches!(spoilt(|h| h.chain_id[31] = 0), Refusal::WrongChain { .. }));
        assert_eq!(spoilt(|h| h.node_id[0] = 0), Refusal::IdentityMismatch);
        assert_eq!(spoilt(|h| h.node_id.clear()), Refusal::IdentityMismatch);
        assert_eq!(spoilt(|h| h.required_channels = 1), Refusal::RequiredChannels(1));
        assert_eq!(spoilt(|h| h.limits.max_frame = 0), Refusal::Limits("max frame bytes"));
        assert_eq!(spoilt(|h| h.upgrade_nonces[1][0] = 1), Refusal::NotNative("upgrade nonces"));
        assert_eq!(spoilt(|h| h.transcript[0] = 1), Refusal::NotNative("upgrade transcript"));
        let both = spoilt(|h| {
            h.network_id = 1;
            h.transcript[0] = 1;
        });
        assert!(matches!(both, Refusal::WrongNetwork { .. }));
    }

    #[test]
    fn an_ack_is_masked_and_may_not_exceed_the_ask() {
        let ack = Ack {
            protocol: 1,
            nonce: [2; 32],
            hello_nonce: [7; 32],
            capabilities: Capabilities::from_bits(0xff),
            channels: 0,
            limits: Limits::OURS,
        };
        let agreed = terms().judge_ack(&ack, &[7; 32]).unwrap();
        assert_eq!(agreed.capabilities, Capabilities::from_bits(0x2c));
        assert_eq!(terms().judge_ack(&ack, &[8; 32]), Err(Refusal::NonceMismatch));
        let greedy = Ack { limits: Limits { idle_timeout_ms: 150_000, ..Limits::OURS }, ..ack };
        assert!(matches!(terms().judge_ack(&greedy, &[7; 32]), Err(Refusal::Limits(_))));
        let zero = Ack { limits: Limits { max_frame: 0, ..Limits::OURS }, ..ack };
        assert!(matches!(terms().judge_ack(&zero, &[7; 32]), Err(Refusal::Limits("max frame bytes"))));
    }

    /// Every message that differs from this one in a bit.
    fn flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..bytes.len() * 8).map(|bit| {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            changed
        })
    }

    #[test]
    fn no_bit_changed_on_the_way_grants_more_than_was_offered() {
        let within_the_offer = |agreed: Negotiated| {
            let (limits, ours) = (agreed.limits, Limits::OURS);
            terms().offer.contains(agreed.capabilities)
                && limits.fault().is_none()
                && ours.lower(limits) == limits
        };
        let mut taken = 0;
        for bytes in flipped(&hello().encode()) {
            let Ok(hello) = Hello::decode(&bytes) else { continue };
            let Ok(agreed) = terms().judge_hello(&hello, PEER) else { continue };
            assert!(within_the_offer(agreed), "{agreed:?}");
            taken += 1;
        }
        // What is left free: our nonce's echo, bits of capabilities, and smaller limits.
        assert!(taken < 256 + 64 + 64 + 64, "{taken}");
        let offer = Capabilities::from_bits(0x2c);
        let (nonce, limits) = ([2; 32], Limits::OURS);
        let ack = Ack { protocol: 1, nonce, hello_nonce: [7; 32], capabilities: offer, channels: 0, limits };
        for bytes in flipped(&ack.encode()) {
            let Ok(ack) = Ack::decode(&bytes) else { continue };
            let Ok(agreed) = terms().judge_ack(&ack, &[7; 32]) else { continue };
            assert!(within_the_offer(agreed), "{agreed:?}");
            assert_eq!(ack.hello_nonce, [7; 32], "an answer to another Hello");
        }
    }

    #[test]
    fn limits_too_small_for_the_streams_are_a_shortage() {
        let agreed = |streams, depth| Negotiated {
            capabilities: Capabilities::NONE,
            limits: Limits { max_open_streams: streams, max_inbound_depth: depth, ..Limits::OURS },
        };
        assert_eq!(agreed(3, 3).carries(3), Ok(()));
        assert_eq!(agreed(2, 3).carries(3), Err(Shortage::OrderedStreams));
        assert_eq!(agreed(3, 2).carries(3), Err(Shortage::QueueSplit));
    }
}
