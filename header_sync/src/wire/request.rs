//! GetHeaders (type 2): headers after the first known locator hash, towards a target.

use super::{fields::ReadChain, message::TYPE_GET_HEADERS};
use crate::chain::BlockHash;
use bytes::{Buf, Bytes};
use std::{fmt, num::NonZeroU64};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// Locator hashes at most (wire 5.2): bounds what one request makes a server look up.
pub const MAX_LOCATOR: usize = 13;

/// Bytes of a request without its locator hashes (wire 5.2).
pub(super) const REQUEST_FIXED_BYTES: usize = 47;

/// The auxiliary schemas the wire knows: none, and 1.
const MAX_SCHEMA: u8 = 1;

/// Names a request within a session; never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(NonZeroU64);

impl RequestId {
    /// The first id of a session.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The id, unless it is zero.
    #[must_use]
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The id after this one. 2^64 requests do not fit in a session's life.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(super) fn read(body: &mut Reader<impl Buf>, what: &'static str) -> Result<Self, Malformed> {
        Self::new(body.u64(what)?).ok_or_else(|| Malformed::new(what, "is zero"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.0)
    }
}

/// A request for one page of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetHeaders {
    /// Names the request.
    pub id: RequestId,
    /// The tip whose chain is asked for.
    pub target: BlockHash,
    /// 1 to [`MAX_LOCATOR`] hashes: the server continues after the first it knows, in this order.
    pub locator: Vec<BlockHash>,
    /// Headers at most; at least one.
    pub max_count: u32,
    /// Auxiliary records wanted: 0 none, 1 schema 1.
    pub schema: u8,
}

impl GetHeaders {
    pub(super) fn read(mut body: Reader<impl Buf>) -> Result<Self, Malformed> {
        let id = RequestId::read(&mut body, "GetHeaders.id")?;
        let target = body.hash("GetHeaders.target")?;
        let entries = usize::from(body.u8("GetHeaders.locator")?);
        if !(1..=MAX_LOCATOR).contains(&entries) {
            return Err(Malformed::new(
                "GetHeaders.locator",
                format!("{entries} hashes are not 1 to {MAX_LOCATOR}"),
            ));
        }
        let locator = (0..entries).map(|_| body.hash("GetHeaders.locator")).collect::<Result<_, _>>()?;
        let max_count = body.u32("GetHeaders.max_count")?;
        if max_count == 0 {
            return Err(Malformed::new("GetHeaders.max_count", "is zero"));
        }
        let schema = body.u8("GetHeaders.schema")?;
        if schema > MAX_SCHEMA {
            return Err(Malformed::new("GetHeaders.schema", format!("{schema} is unknown")));
        }
        body.end("GetHeaders")?;
        Ok(Self { id, target, locator, max_count, schema })
    }

    pub(super) fn write(&self) -> Bytes {
        let mut out =
            Writer::with_capacity(REQUEST_FIXED_BYTES.saturating_add(self.locator.len().saturating_mul(32)));
        out.u8(TYPE_GET_HEADERS);
        out.u64(self.id.get());
        out.raw(&self.target.0);
        out.u8(u8::try_from(self.locator.len()).unwrap_or(u8::MAX));
        for hash in &self.locator {
            out.raw(&hash.0);
        }
        out.u32(self.max_count);
        out.u8(self.schema);
        out.finish()
    }
}
