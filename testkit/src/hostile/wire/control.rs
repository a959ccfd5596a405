//! Hello, Ack, preludes and frames (wire 2 and 4).

use super::{Cursor, Hash};

/// Header sync and block sync: what the scripts speak (wire 2.4).
pub const FULL_NODE: u64 = 0x28;

/// Limits in a Hello or an Ack (wire 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Frame bytes.
    pub max_frame: u32,
    /// Message bytes.
    pub max_message: u32,
    /// Open streams.
    pub max_open_streams: u16,
    /// Inbound queue depth.
    pub max_inbound_depth: u16,
    /// Idle timeout, milliseconds.
    pub idle_ms: u32,
}

impl Limits {
    /// What existing nodes send.
    pub const USUAL: Self = Self {
        max_frame: 4_194_304,
        max_message: 4_194_304,
        max_open_streams: 1024,
        max_inbound_depth: 4096,
        idle_ms: 149_999,
    };

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.max_frame.to_le_bytes());
        out.extend(self.max_message.to_le_bytes());
        out.extend(self.max_open_streams.to_le_bytes());
        out.extend(self.max_inbound_depth.to_le_bytes());
        out.extend(self.idle_ms.to_le_bytes());
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            max_frame: from.u32()?,
            max_message: from.u32()?,
            max_open_streams: from.u16()?,
            max_inbound_depth: from.u16()?,
            idle_ms: from.u32()?,
        })
    }
}

/// The first message (wire 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// `ZAKCTRL\0`.
    pub magic: [u8; 8],
    /// 1 is native.
    pub path: u8,
    /// 1 is initiator.
    pub role: u8,
    /// 1 Mainnet, 2 Testnet, 3 Regtest.
    pub network: u32,
    /// Genesis hash.
    pub chain: Hash,
    /// Who we say we are.
    pub node: Vec<u8>,
    /// Fresh random bytes.
    pub nonce: Hash,
    /// Zero on the native path.
    pub upgrade_nonce: Hash,
    /// Zero on the native path.
    pub transcript: Hash,
    /// What is offered.
    pub capabilities: u64,
    /// Zero.
    pub required_channels: u64,
    /// What is accepted.
    pub limits: Limits,
}

impl Hello {
    /// What an honest initiator says.
    #[must_use]
    pub fn honest(network: u32, chain: Hash, node: [u8; 32]) -> Self {
        Self {
            magic: *b"ZAKCTRL\0",
            path: 1,
            role: 1,
            network,
            chain,
            node: node.to_vec(),
            nonce: [0x33; 32],
            upgrade_nonce: [0; 32],
            transcript: [0; 32],
            capabilities: FULL_NODE,
            required_channels: 0,
            limits: Limits::USUAL,
        }
    }

    /// The message, without the length in front of it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend([1, 0, 1, 0, self.path, self.role]);
        out.extend(self.network.to_le_bytes());
        out.extend(self.chain);
        out.extend(u16::try_from(self.node.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(&self.node);
        out.extend(self.nonce);
        out.extend([0; 32]);
        out.extend(self.upgrade_nonce);
        out.extend(self.transcript);
        out.extend(self.capabilities.to_le_bytes());
        out.extend(self.required_channels.to_le_bytes());
        self.limits.put(&mut out);
        out
    }

    /// The nonce and limits of a native Hello of 244 bytes: all that an answer needs.
    #[must_use]
    pub fn asked(bytes: &[u8]) -> Option<(Hash, Limits)> {
        let mut from = Cursor(bytes);
        let magic = from.take(8)? == b"ZAKCTRL\0";
        from.take(76)?;
        let nonce = from.array()?;
        from.take(112)?;
        let limits = Limits::read(&mut from)?;
        (magic && from.0.is_empty()).then_some((nonce, limits))
    }
}

/// The answer (wire 2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The Hello's nonce.
    pub echo: Hash,
    /// What is accepted.
    pub capabilities: u64,
    /// What is accepted.
    pub limits: Limits,
}

impl Ack {
    /// The message, without the length in front of it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"ZAKACK\0\0\x01\0\x01\0".to_vec();
        out.extend([0x44; 32]);
        out.extend(self.echo);
        out.extend(self.capabilities.to_le_bytes());
        out.extend([0; 8]);
        self.limits.put(&mut out);
        out
    }

    /// Reads one, and nothing after it.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor(bytes);
        let front = from.take(12)? == b"ZAKACK\0\0\x01\0\x01\0";
        from.take(32)?;
        let (echo, capabilities, channels) = (from.array()?, from.u64()?, from.u64()?);
        let limits = Limits::read(&mut from)?;
        (front && channels == 0 && from.0.is_empty()).then_some(Self { echo, capabilities, limits })
    }
}

/// The prelude of an ordered stream (wire 4.2).
#[must_use]
pub fn prelude((kind, version): (u16, u16), max_frame: u32) -> Vec<u8> {
    let mut out = b"ZKST".to_vec();
    out.extend(kind.to_le_bytes());
    out.extend(version.to_le_bytes());
    out.push(0);
    out.extend(max_frame.to_le_bytes());
    out
}

/// The prelude of a request stream (wire 4.2).
#[must_use]
pub fn request_prelude((kind, version): (u16, u16), id: u64) -> Vec<u8> {
    let mut out = b"ZKST".to_vec();
    out.extend(kind.to_le_bytes());
    out.extend(version.to_le_bytes());
    out.push(1);
    out.extend(id.to_le_bytes());
    out.extend(1_048_576_u32.to_le_bytes());
    out
}

/// A frame that declares `length` payload bytes, whatever its payload is (wire 4.3).
#[must_use]
pub fn frame(kind: u16, flags: u16, length: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend(flags.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    #[test]
    fn the_vectors_of_wire_8_come_out() {
        let mut hello = Hello::honest(1, [0x22; 32], [0x11; 32]);
        hello.capabilities = 0x2d;
        let bytes = hello.bytes();
        assert_eq!(bytes.len(), 244);
        assert_eq!(bytes[..20], hex("5a414b4354524c000100010001010100000022 22")[..20]);
        assert_eq!(bytes[212..], hex("2d0000000000000000000000000000000000400000004000 0004 0010 ef490200"));
        assert_eq!(Hello::asked(&bytes), Some(([0x33; 32], Limits::USUAL)));
        let ack = Ack { echo: [0x33; 32], capabilities: 0x2d, limits: Limits::USUAL };
        let bytes = ack.bytes();
        assert_eq!(bytes.len(), 108);
        assert_eq!(bytes[..14], hex("5a414b41434b0000010001004444"));
        assert_eq!(Ack::read(&bytes), Some(ack));
        assert_eq!(prelude(super::super::HEADER_SYNC, 0x0020_0008), hex("5a4b5354050008000008002000"));
        assert_eq!(request_prelude((3, 1), 7)[..17], hex("5a4b5354030001000107000000000000 00"));
    }
}
