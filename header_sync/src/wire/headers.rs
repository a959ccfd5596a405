//! Headers (type 3): one page.

use super::{
    fields::{ReadChain, WriteChain},
    message::{MAX_MESSAGE_BYTES, TYPE_HEADERS},
    request::RequestId,
};
use crate::{
    chain::{BlockHash, BlockRef},
    ports::SizedHeader,
};
use bytes::{Buf, Bytes};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// Headers in one message at most (wire 5.2): bounds the vector a page makes us allocate.
pub const MAX_HEADERS: usize = 4_000;

/// The largest body-size hint (wire 5.2): a block's size limit.
pub const MAX_SIZE_HINT: u32 = 2_000_000;

/// Bytes of a page before its headers (wire 5.2).
pub const FIXED_BYTES: usize = 83;

/// Bytes of one auxiliary record of schema 1 (wire 5.2).
pub const AUX_RECORD_BYTES: usize = 156;

/// Bytes of one body-size hint.
const HINT_BYTES: usize = 4;

/// What a message leaves for headers and hints.
const PAGE_BYTES: usize = MAX_MESSAGE_BYTES.saturating_sub(FIXED_BYTES);

/// How many bare headers of `header_bytes` each fit one message; at least one, at most [`MAX_HEADERS`].
#[must_use]
pub const fn headers_per_message(header_bytes: usize) -> usize {
    match PAGE_BYTES.checked_div(header_bytes.saturating_add(HINT_BYTES)) {
        Some(0) => 1,
        Some(room) if room < MAX_HEADERS => room,
        Some(_) | None => MAX_HEADERS,
    }
}

// Bare Mainnet headers: the number of wire 5.2.
const _: () = assert!(headers_per_message(1_487) == 1_406);

/// One page of linked headers, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The request it answers.
    pub id: RequestId,
    /// Its target.
    pub target: BlockHash,
    /// The parent of the first header: the locator entry the server continues from.
    pub ancestor: BlockRef,
    /// Whether the last header is the target. A page without headers is complete, and its ancestor is the target.
    pub complete: bool,
    /// The headers, all of one length, which the decoder derives from the message's (the machine compares it with the
    /// chain's). They share the message's memory.
    pub headers: Vec<SizedHeader>,
    /// Auxiliary records, [`AUX_RECORD_BYTES`] for each header, if schema 1 was given.
    pub aux: Option<Bytes>,
}

impl Headers {
    pub(super) fn read(mut body: Reader<impl Buf>) -> Result<Self, Malformed> {
        let id = RequestId::read(&mut body, "Headers.id")?;
        let target = body.hash("Headers.target")?;
        let ancestor = body.block("Headers.ancestor")?;
        let count = body.u32("Headers.count")?;
        let complete = body.flag("Headers.complete")?;
        let with_aux = body.flag("Headers.schema")?;
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_HEADERS).ok_or_else(|| {
            Malformed::new("Headers.count", format!("{count} headers are more than {MAX_HEADERS}"))
        })?;
        if (count == 0) != (complete && ancestor.hash == target) {
            let why = format!("{count} headers do not go with complete = {complete} and ancestor {ancestor}");
            return Err(Malformed::new("Headers.complete", why));
        }
        let aux_bytes = if with_aux { count.saturating_mul(AUX_RECORD_BYTES) } else { 0 };
        let header_bytes = header_bytes(body.left(), count, aux_bytes)?;
        let mut raw = body.bytes("Headers.headers", count.saturating_mul(header_bytes))?;
        let mut hints = body.bytes("Headers.hints", count.saturating_mul(HINT_BYTES))?;
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let size_hint = hints.get_u32_le();
            if size_hint > MAX_SIZE_HINT {
                return Err(Malformed::new("Headers.hints", format!("{size_hint} is above {MAX_SIZE_HINT}")));
            }
            headers.push(SizedHeader { raw: raw.split_to(header_bytes), size_hint });
        }
        let aux = with_aux.then(|| body.bytes("Headers.aux", aux_bytes)).transpose()?;
        body.end("Headers")?;
        Ok(Self { id, target, ancestor, complete, headers, aux })
    }

    pub(super) fn write(&self) -> Bytes {
        let raw_bytes: usize = self.headers.iter().map(|header| header.raw.len()).sum();
        let hint_bytes = self.headers.len().saturating_mul(HINT_BYTES);
        let aux_bytes = self.aux.as_ref().map_or(0, Bytes::len);
        let bytes = [raw_bytes, hint_bytes, aux_bytes].into_iter().fold(FIXED_BYTES, usize::saturating_add);
        let mut out = Writer::with_capacity(bytes);
        out.u8(TYPE_HEADERS);
        out.u64(self.id.get());
        out.raw(&self.target.0);
        out.block(self.ancestor);
        out.u32(u32::try_from(self.headers.len()).unwrap_or(u32::MAX));
        out.flag(self.complete);
        out.flag(self.aux.is_some());
        for header in &self.headers {
            out.raw(&header.raw);
        }
        for header in &self.headers {
            out.u32(header.size_hint);
        }
        if let Some(aux) = &self.aux {
            out.raw(aux);
        }
        out.finish()
    }
}

/// The one header length for which `count` headers, their hints and `aux_bytes` fill `tail` bytes exactly. It does not
/// travel: the chain fixes it.
fn header_bytes(tail: usize, count: usize, aux_bytes: usize) -> Result<usize, Malformed> {
    if count == 0 {
        return Ok(0);
    }
    let hint_bytes = count.saturating_mul(HINT_BYTES);
    tail.checked_sub(aux_bytes)
        .and_then(|left| left.checked_sub(hint_bytes))
        .filter(|raw| *raw > 0 && raw.is_multiple_of(count))
        .and_then(|raw| raw.checked_div(count))
        .ok_or_else(|| {
            Malformed::new("Headers.headers", format!("{tail} bytes do not hold {count} equal headers"))
        })
}
