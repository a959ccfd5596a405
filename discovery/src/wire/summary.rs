//! Services: what a peer says its services have and have room for. Hints, never proofs.

use super::{
    caps::{MAX_SUMMARIES, MAX_SUMMARY_BYTES},
    service_id::ServiceId,
};
use bytes::Buf;
use zakura_transport::{
    PeerId,
    wire::{Malformed, Reader, Writer},
};

/// The largest height there is (wire 7.1).
const MAX_HEIGHT: u32 = 0x7fff_ffff;

/// Blocks in one response at most (wire 7.1); a summary that says more is no summary.
const MAX_BLOCKS: u32 = 128;

/// Bytes of one response at most (wire 7.1).
const MAX_RESPONSE_BYTES: u32 = 33_554_432;

/// A block as summaries name it. Discovery knows no chain: this is a claim to compare and show, nothing to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockName {
    /// Its height, at most 2^31 - 1 (wire 7.1).
    pub height: u32,
    /// Its hash, in internal order.
    pub hash: [u8; 32],
}

/// What one peer's services have, and until when that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Who says so. Must be the peer itself, which the machine checks.
    pub node_id: PeerId,
    /// Until when, in unix seconds.
    pub expiry: u64,
    /// One entry a service, at most [`MAX_SUMMARIES`]. Those with tags we do not know were left out.
    pub summaries: Vec<Summary>,
}

/// One service in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// Tag 4; also tag 1, which is retired and reads the same.
    HeaderSync(HeaderSyncSummary),
    /// Tag 2.
    Discovery(DiscoverySummary),
    /// Tag 3.
    BlockSync(BlockSyncSummary),
}

/// Header sync in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderSyncSummary {
    /// The best header.
    pub best: BlockName,
    /// The finalized height. Existing nodes leave it out although they have one.
    pub finalized: Option<u32>,
    /// Whether headers are served.
    pub serving: bool,
    /// Free places for peers that dial in.
    pub inbound_free: u16,
    /// All places for peers that dial in.
    pub inbound_max: u16,
    /// Free places for peers that are dialled.
    pub outbound_free: u16,
    /// All places for peers that are dialled.
    pub outbound_max: u16,
}

/// Discovery in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscoverySummary {
    /// Exchanges it has room for.
    pub free_exchanges: u16,
    /// Records it gives per response at most.
    pub max_records: u16,
    /// Whether it says that it closes the connection after the exchange. Existing nodes always say so.
    pub will_disconnect: bool,
}

/// Block sync in brief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSyncSummary {
    /// The lowest body it serves, not above `high`.
    pub low: u32,
    /// The highest body it serves.
    pub high: BlockName,
    /// Free places for peers.
    pub free: u16,
    /// Blocks in one response, 1 to 128.
    pub max_blocks: u32,
    /// Bytes in one response, 1 to 32 MiB.
    pub max_bytes: u32,
}

impl Services {
    pub(super) fn read(mut from: Reader<impl Buf>) -> Result<Self, Malformed> {
        let node_id = PeerId::new(from.array("Services.node_id")?);
        let expiry = from.u64("Services.expiry")?;
        let summaries = from.list("Services.summaries", MAX_SUMMARIES, Summary::read_envelope)?;
        from.end("Services")?;
        Ok(Self { node_id, expiry, summaries: summaries.into_iter().flatten().collect() })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.raw(self.node_id.as_bytes());
        out.u64(self.expiry);
        out.list(MAX_SUMMARIES, &self.summaries, |out, summary| summary.write_envelope(out));
    }
}

impl Summary {
    /// The service it is about.
    #[must_use]
    pub const fn service(&self) -> ServiceId {
        match self {
            Self::HeaderSync(_) => ServiceId::HEADER_SYNC,
            Self::Discovery(_) => ServiceId::DISCOVERY,
            Self::BlockSync(_) => ServiceId::BLOCK_SYNC,
        }
    }

    const fn tag(&self) -> u16 {
        match self {
            Self::HeaderSync(_) => 4,
            Self::Discovery(_) => 2,
            Self::BlockSync(_) => 3,
        }
    }

    /// Reads an envelope; `None` for a tag of the future. A tag we know must carry its own service and layout.
    fn read_envelope(from: &mut Reader<impl Buf>) -> Result<Option<Self>, Malformed> {
        let service = ServiceId::read("Services.service", from)?;
        let tag = from.u16("Services.tag")?;
        let payload = from.b16("Services.payload", MAX_SUMMARY_BYTES)?;
        let own = match tag {
            1 => ServiceId::HEADER_SYNC_V1,
            2 => ServiceId::DISCOVERY,
            3 => ServiceId::BLOCK_SYNC,
            4 => ServiceId::HEADER_SYNC,
            _ => return Ok(None),
        };
        if service != own {
            return Err(Malformed::new("Services.tag", format!("{tag} is {own}'s, not {service}'s")));
        }
        let payload = Reader::new(payload);
        match tag {
            2 => DiscoverySummary::read(payload).map(Self::Discovery),
            3 => BlockSyncSummary::read(payload).map(Self::BlockSync),
            _ => HeaderSyncSummary::read(payload).map(Self::HeaderSync),
        }
        .map(Some)
    }

    fn write_envelope(&self, out: &mut Writer) {
        let mut payload = Writer::with_capacity(50);
        match self {
            Self::HeaderSync(summary) => summary.write(&mut payload),
            Self::Discovery(summary) => summary.write(&mut payload),
            Self::BlockSync(summary) => summary.write(&mut payload),
        }
        self.service().write(out);
        out.u16(self.tag());
        out.b16(&payload.finish());
    }
}

impl HeaderSyncSummary {
    fn read(mut from: Reader<impl Buf>) -> Result<Self, Malformed> {
        let summary = Self {
            best: BlockName::read("HeaderSync.best", &mut from)?,
            finalized: from.optional("HeaderSync.finalized", |from| height("HeaderSync.finalized", from))?,
            serving: from.flag("HeaderSync.serving")?,
            inbound_free: from.u16("HeaderSync.inbound_free")?,
            inbound_max: from.u16("HeaderSync.inbound_max")?,
            outbound_free: from.u16("HeaderSync.outbound_free")?,
            outbound_max: from.u16("HeaderSync.outbound_max")?,
        };
        from.end("HeaderSync")?;
        Ok(summary)
    }

    fn write(&self, out: &mut Writer) {
        self.best.write(out);
        out.optional(self.finalized, |out, height| out.u32(height.min(MAX_HEIGHT)));
        out.flag(self.serving);
        out.u16(self.inbound_free);
        out.u16(self.inbound_max);
        out.u16(self.outbound_free);
        out.u16(self.outbound_max);
    }
}

impl DiscoverySummary {
    fn read(mut from: Reader<impl Buf>) -> Result<Self, Malformed> {
        let summary = Self {
            free_exchanges: from.u16("Discovery.free_exchanges")?,
            max_records: from.u16("Discovery.max_records")?,
            will_disconnect: from.flag("Discovery.will_disconnect")?,
        };
        from.end("Discovery")?;
        Ok(summary)
    }

    fn write(&self, out: &mut Writer) {
        out.u16(self.free_exchanges);
        out.u16(self.max_records);
        out.flag(self.will_disconnect);
    }
}

impl BlockSyncSummary {
    fn read(mut from: Reader<impl Buf>) -> Result<Self, Malformed> {
        let summary = Self {
            low: height("BlockSync.low", &mut from)?,
            high: BlockName::read("BlockSync.high", &mut from)?,
            free: from.u16("BlockSync.free")?,
            max_blocks: within("BlockSync.max_blocks", from.u32("BlockSync.max_blocks")?, MAX_BLOCKS)?,
            max_bytes: within("BlockSync.max_bytes", from.u32("BlockSync.max_bytes")?, MAX_RESPONSE_BYTES)?,
        };
        from.end("BlockSync")?;
        if summary.low > summary.high.height {
            let why = format!("{} is above {}", summary.low, summary.high.height);
            return Err(Malformed::new("BlockSync.low", why));
        }
        Ok(summary)
    }

    fn write(&self, out: &mut Writer) {
        out.u32(self.low.min(MAX_HEIGHT));
        self.high.write(out);
        out.u16(self.free);
        out.u32(self.max_blocks);
        out.u32(self.max_bytes);
    }
}

impl BlockName {
    fn read(what: &'static str, from: &mut Reader<impl Buf>) -> Result<Self, Malformed> {
        Ok(Self { height: height(what, from)?, hash: from.array(what)? })
    }

    fn write(&self, out: &mut Writer) {
        out.u32(self.height.min(MAX_HEIGHT));
        out.raw(&self.hash);
    }
}

fn height(what: &'static str, from: &mut Reader<impl Buf>) -> Result<u32, Malformed> {
    let height = from.u32(what)?;
    if height > MAX_HEIGHT {
        return Err(Malformed::new(what, format!("{height} is above 2^31 - 1")));
    }
    Ok(height)
}

fn within(what: &'static str, value: u32, most: u32) -> Result<u32, Malformed> {
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(Malformed::new(what, format!("{value} is not 1 to {most}")))
}
