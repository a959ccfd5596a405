//! Block sync, kind 6 version 2 (wire 5.3).

use super::{Cursor, Hash};

/// What the sender has (type 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockStatus {
    /// The lowest body.
    pub low: u32,
    /// The highest body.
    pub high: u32,
    /// Its hash.
    pub hash: Hash,
    /// Bodies an answer at most.
    pub max_blocks: u32,
    /// Requests in flight at most.
    pub max_requests: u32,
    /// Bytes an answer at most.
    pub max_bytes: u32,
}

impl BlockStatus {
    /// Of one who serves all of this.
    #[must_use]
    pub const fn serving(high: u32, hash: Hash) -> Self {
        Self { low: 0, high, hash, max_blocks: 128, max_requests: 64, max_bytes: 33_554_432 }
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(self.low.to_le_bytes());
        out.extend(self.high.to_le_bytes());
        out.extend(self.hash);
        out.extend(self.max_blocks.to_le_bytes());
        out.extend(self.max_requests.to_le_bytes());
        out.extend(self.max_bytes.to_le_bytes());
        out
    }

    /// Reads one.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let mut from = Cursor(payload);
        let is_status = from.u8()? == 1;
        let (low, high, hash) = (from.u32()?, from.u32()?, from.array()?);
        let (max_blocks, max_requests, max_bytes) = (from.u32()?, from.u32()?, from.u32()?);
        let status = Self { low, high, hash, max_blocks, max_requests, max_bytes };
        (is_status && from.0.is_empty()).then_some(status)
    }
}

fn span(kind: u8, start: u32, count: u32) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(start.to_le_bytes());
    out.extend(count.to_le_bytes());
    out
}

/// A request (type 2).
#[must_use]
pub fn get_blocks(start: u32, count: u32) -> Vec<u8> {
    span(2, start, count)
}

/// The end of an answer (type 4).
#[must_use]
pub fn blocks_done(start: u32, returned: u32) -> Vec<u8> {
    span(4, start, returned)
}

/// A refusal (type 5).
#[must_use]
pub fn range_unavailable(start: u32, count: u32) -> Vec<u8> {
    span(5, start, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let status = BlockStatus::serving(9, [2; 32]);
        assert_eq!(status.bytes().len(), 53);
        assert_eq!(BlockStatus::read(&status.bytes()), Some(status));
        assert_eq!(get_blocks(1, 2), [2, 1, 0, 0, 0, 2, 0, 0, 0]);
    }
}
