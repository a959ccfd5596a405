//! The initiator's Hello (wire 2.2), and a private cohort's chain id (wire 2.5).

use super::{Limits, Malformed, Reader, Writer};
use crate::{Capabilities, PeerId};
use bytes::{Buf, Bytes};

/// First bytes of a Hello.
const MAGIC: [u8; 8] = *b"ZAKCTRL\0";

/// The one control version.
pub(super) const CONTROL_VERSION: u16 = 1;

/// The longest node id a Hello may carry (wire 2.2); an acceptable one has 32 bytes. Stops allocation by declared length.
pub const MAX_NODE_ID_BYTES: usize = 128;

/// The one protocol, selected in Hello and Ack.
pub const PROTOCOL: u16 = 1;

/// The native path: the only one that is accepted.
pub const PATH_NATIVE: u8 = 1;

/// The initiator's role: the only one that is accepted in a Hello.
pub const ROLE_INITIATOR: u8 = 1;

/// The first message of a connection, from the side that dialled (wire 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Must be [`PROTOCOL`].
    pub protocol: u16,
    /// Must be [`PATH_NATIVE`].
    pub path: u8,
    /// Must be [`ROLE_INITIATOR`].
    pub role: u8,
    /// 1 Mainnet, 2 Testnet, 3 Regtest, 4 configured.
    pub network_id: u32,
    /// The genesis hash, or [`cohort_chain_id`].
    pub chain_id: [u8; 32],
    /// Must be the 32 bytes of the identity that TLS proved.
    pub node_id: Vec<u8>,
    /// Fresh random bytes, echoed in the Ack.
    pub nonce: [u8; 32],
    /// All zero on the native path.
    pub upgrade_nonces: [[u8; 32]; 2],
    /// All zero on the native path.
    pub transcript: [u8; 32],
    /// What the initiator offers.
    pub capabilities: Capabilities,
    /// Must be zero: no channel is defined.
    pub required_channels: u64,
    /// What the initiator accepts.
    pub limits: Limits,
}

impl Hello {
    /// A native initiator's Hello.
    #[must_use]
    pub fn native(
        network_id: u32,
        chain_id: [u8; 32],
        node_id: PeerId,
        nonce: [u8; 32],
        capabilities: Capabilities,
        limits: Limits,
    ) -> Self {
        Self {
            protocol: PROTOCOL,
            path: PATH_NATIVE,
            role: ROLE_INITIATOR,
            network_id,
            chain_id,
            node_id: node_id.as_bytes().to_vec(),
            nonce,
            upgrade_nonces: [[0; 32]; 2],
            transcript: [0; 32],
            capabilities,
            required_channels: 0,
            limits,
        }
    }

    /// The bytes, without the length in front of them.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(244);
        out.raw(&MAGIC);
        out.u16(CONTROL_VERSION);
        out.u16(self.protocol);
        out.u8(self.path);
        out.u8(self.role);
        out.u32(self.network_id);
        out.raw(&self.chain_id);
        out.b16(&self.node_id);
        out.raw(&self.nonce);
        out.raw(self.upgrade_nonces.as_flattened());
        out.raw(&self.transcript);
        out.u64(self.capabilities.bits());
        out.u64(self.required_channels);
        self.limits.put(&mut out);
        out.finish()
    }

    /// Reads a Hello. Layout, magic and control version are judged here, values are the verdict's business.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        check_front(&mut from, MAGIC, "hello")?;
        let hello = Self {
            protocol: from.u16("hello.protocol")?,
            path: from.u8("hello.path")?,
            role: from.u8("hello.role")?,
            network_id: from.u32("hello.network_id")?,
            chain_id: from.array("hello.chain_id")?,
            node_id: from.b16("hello.node_id", MAX_NODE_ID_BYTES)?.into(),
            nonce: from.array("hello.nonce")?,
            upgrade_nonces: [from.array("hello.upgrade_nonce")?, from.array("hello.upgrade_nonce")?],
            transcript: from.array("hello.transcript")?,
            capabilities: Capabilities::from_bits(from.u64("hello.capabilities")?),
            required_channels: from.u64("hello.required_channels")?,
            limits: Limits::take(&mut from)?,
        };
        from.end("hello")?;
        Ok(hello)
    }
}

/// Magic and control version: what comes after them is unknown if they differ.
pub(super) fn check_front(
    from: &mut Reader<impl Buf>,
    magic: [u8; 8],
    what: &'static str,
) -> Result<(), Malformed> {
    if from.array(what)? != magic {
        return Err(Malformed::new(what, "wrong magic"));
    }
    match from.u16(what)? {
        CONTROL_VERSION => Ok(()),
        other => Err(Malformed::new(what, format!("control version {other}, we speak {CONTROL_VERSION}"))),
    }
}

/// The chain id of a private cohort, whose network id is 4: only nodes with the same tag meet (wire 2.5).
#[must_use]
pub fn cohort_chain_id(genesis: &[u8; 32], tag: &str) -> [u8; 32] {
    let hash = blake2b_simd::Params::new()
        .hash_length(32)
        .personal(b"zebra-zk-cohort1")
        .to_state()
        .update(genesis)
        .update(tag.as_bytes())
        .finalize();
    let mut id = [0; 32];
    id.copy_from_slice(hash.as_bytes());
    id
}
