//! HeadersOutcome (type 4): why there are no headers.

use super::{fields::ReadChain, message::TYPE_OUTCOME, request::RequestId};
use crate::chain::BlockHash;
use bytes::{Buf, Bytes};
use zakura_transport::wire::{Malformed, Reader, Writer};

/// Bytes of every HeadersOutcome (wire 5.2).
pub(super) const OUTCOME_BYTES: usize = 42;

/// The answer to a request that brings no headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The request it answers.
    pub id: RequestId,
    /// Its target.
    pub target: BlockHash,
    /// Why.
    pub refusal: Refusal,
}

/// Why a peer sends no headers; never a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The target is not on its chain (any more).
    TargetNotRetained,
    /// It knows none of the locator's hashes on the target's chain.
    NoIntersection,
    /// It no longer keeps headers that old.
    HistoryPruned,
    /// It is preparing another answer for us.
    Busy,
}

impl Refusal {
    const fn code(self) -> u8 {
        match self {
            Self::TargetNotRetained => 1,
            Self::NoIntersection => 2,
            Self::HistoryPruned => 3,
            Self::Busy => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::TargetNotRetained),
            2 => Some(Self::NoIntersection),
            3 => Some(Self::HistoryPruned),
            4 => Some(Self::Busy),
            _ => None,
        }
    }
}

impl Outcome {
    pub(super) fn read(mut body: Reader<impl Buf>) -> Result<Self, Malformed> {
        let id = RequestId::read(&mut body, "HeadersOutcome.id")?;
        let target = body.hash("HeadersOutcome.target")?;
        let code = body.u8("HeadersOutcome.outcome")?;
        let refusal = Refusal::from_code(code)
            .ok_or_else(|| Malformed::new("HeadersOutcome.outcome", format!("{code} is not 1 to 4")))?;
        body.end("HeadersOutcome")?;
        Ok(Self { id, target, refusal })
    }

    pub(super) fn write(&self) -> Bytes {
        let mut out = Writer::with_capacity(OUTCOME_BYTES);
        out.u8(TYPE_OUTCOME);
        out.u64(self.id.get());
        out.raw(&self.target.0);
        out.u8(self.refusal.code());
        out.finish()
    }
}
