//! Header sync, kind 5 version 8 (wire 5.2).

use super::{Cursor, Hash};

/// What the sender has (type 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderStatus {
    /// The finalized block's height.
    pub anchor_height: u32,
    /// The finalized block.
    pub anchor: Hash,
    /// The tip's height.
    pub tip_height: u32,
    /// The tip.
    pub tip: Hash,
    /// Work above the anchor, its lowest eight bytes.
    pub work: u64,
    /// Headers a page at most.
    pub max_headers: u32,
    /// Requests in flight at most.
    pub max_requests: u16,
    /// Message bytes at most.
    pub max_bytes: u32,
}

impl HeaderStatus {
    /// Of one who has this and serves it.
    #[must_use]
    pub const fn serving(anchor_height: u32, anchor: Hash, tip_height: u32, tip: Hash) -> Self {
        let work = (tip_height.saturating_sub(anchor_height) as u64).saturating_mul(16);
        let caps = (1_000, 1, 2_097_152);
        let (max_headers, max_requests, max_bytes) = caps;
        Self { anchor_height, anchor, tip_height, tip, work, max_headers, max_requests, max_bytes }
    }

    /// Of one who has nothing and is not to be asked.
    #[must_use]
    pub const fn client(genesis: Hash) -> Self {
        Self {
            work: 0,
            max_headers: 0,
            max_requests: 0,
            max_bytes: 0,
            ..Self::serving(0, genesis, 0, genesis)
        }
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(self.anchor_height.to_le_bytes());
        out.extend(self.anchor);
        out.extend(self.tip_height.to_le_bytes());
        out.extend(self.tip);
        out.extend(self.work.to_le_bytes());
        out.extend([0; 24]);
        out.extend(self.anchor_height.to_le_bytes());
        out.extend(self.max_headers.to_le_bytes());
        out.extend(self.max_requests.to_le_bytes());
        out.extend(self.max_bytes.to_le_bytes());
        out.extend([0; 4]);
        out
    }

    /// Reads one.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let mut from = Cursor(payload);
        let is_status = from.u8()? == 1;
        let (anchor_height, anchor) = (from.u32()?, from.array()?);
        let (tip_height, tip) = (from.u32()?, from.array()?);
        let work = from.u64()?;
        from.take(24 + 4)?;
        let (max_headers, max_requests, max_bytes) = (from.u32()?, from.u16()?, from.u32()?);
        from.take(4)?;
        let status =
            Self { anchor_height, anchor, tip_height, tip, work, max_headers, max_requests, max_bytes };
        (is_status && from.0.is_empty()).then_some(status)
    }
}

/// A request (type 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetHeaders {
    /// Not zero.
    pub id: u64,
    /// The tip asked for.
    pub target: Hash,
    /// How many hashes it says follow.
    pub entries: u8,
    /// The hashes.
    pub locator: Vec<Hash>,
    /// Headers at most.
    pub max_count: u32,
    /// 0 none.
    pub schema: u8,
}

impl GetHeaders {
    /// A request that is in order.
    #[must_use]
    pub fn new(id: u64, target: Hash, locator: Vec<Hash>, max_count: u32) -> Self {
        let entries = u8::try_from(locator.len()).unwrap_or(u8::MAX);
        Self { id, target, entries, locator, max_count, schema: 0 }
    }

    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![2];
        out.extend(self.id.to_le_bytes());
        out.extend(self.target);
        out.push(self.entries);
        out.extend(self.locator.iter().flatten());
        out.extend(self.max_count.to_le_bytes());
        out.push(self.schema);
        out
    }

    /// Reads one.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let mut from = Cursor(payload);
        let is_request = from.u8()? == 2;
        let (id, target, entries) = (from.u64()?, from.array()?, from.u8()?);
        let locator = (0..entries).map(|_| from.array()).collect::<Option<Vec<_>>>()?;
        let (max_count, schema) = (from.u32()?, from.u8()?);
        let request = Self { id, target, entries, locator, max_count, schema };
        (is_request && from.0.is_empty()).then_some(request)
    }
}

/// An answer (type 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The request's.
    pub id: u64,
    /// The request's.
    pub target: Hash,
    /// Height of the first header's parent.
    pub ancestor_height: u32,
    /// The first header's parent.
    pub ancestor: Hash,
    /// How many headers it says follow.
    pub count: u32,
    /// Whether the last one is the target.
    pub complete: u8,
    /// 0 none, 1 with 156 bytes for each header at the end.
    pub schema: u8,
    /// The headers.
    pub headers: Vec<Vec<u8>>,
    /// What is said of each body's size.
    pub hint: u32,
}

impl Page {
    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![3];
        out.extend(self.id.to_le_bytes());
        out.extend(self.target);
        out.extend(self.ancestor_height.to_le_bytes());
        out.extend(self.ancestor);
        out.extend(self.count.to_le_bytes());
        out.extend([self.complete, self.schema]);
        out.extend(self.headers.iter().flatten());
        out.extend(self.headers.iter().flat_map(|_| self.hint.to_le_bytes()));
        if self.schema == 1 {
            out.extend(self.headers.iter().flat_map(|_| [0; 156]));
        }
        out
    }

    /// Reads one without auxiliary records, of headers of this size.
    #[must_use]
    pub fn read(payload: &[u8], header_bytes: usize) -> Option<Self> {
        let mut from = Cursor(payload);
        let is_page = from.u8()? == 3;
        let (id, target) = (from.u64()?, from.array()?);
        let (ancestor_height, ancestor) = (from.u32()?, from.array()?);
        let (count, complete, schema) = (from.u32()?, from.u8()?, from.u8()?);
        let headers = (0..count).map(|_| from.take(header_bytes).map(<[u8]>::to_vec));
        let headers = headers.collect::<Option<Vec<_>>>()?;
        let hints = (0..count).map(|_| from.u32()).collect::<Option<Vec<_>>>()?;
        let hint = hints.last().copied().unwrap_or(0);
        let page = Self { id, target, ancestor_height, ancestor, count, complete, schema, headers, hint };
        (is_page && schema == 0 && from.0.is_empty()).then_some(page)
    }
}

/// A refusal (type 4).
#[must_use]
pub fn outcome(id: u64, target: Hash, outcome: u8) -> Vec<u8> {
    let mut out = vec![4];
    out.extend(id.to_le_bytes());
    out.extend(target);
    out.push(outcome);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let status = HeaderStatus::serving(3, [1; 32], 9, [2; 32]);
        assert_eq!(status.bytes().len(), 123);
        assert_eq!(HeaderStatus::read(&status.bytes()), Some(status));
        let request = GetHeaders::new(7, [3; 32], vec![[4; 32], [5; 32]], 10);
        assert_eq!(request.bytes().len(), 47 + 64);
        assert_eq!(GetHeaders::read(&request.bytes()), Some(request));
        let page = Page {
            id: 7,
            target: [3; 32],
            ancestor_height: 8,
            ancestor: [4; 32],
            count: 2,
            complete: 1,
            schema: 0,
            headers: vec![vec![6; 177], vec![7; 177]],
            hint: 5,
        };
        assert_eq!(page.bytes().len(), 83 + 2 * 181);
        assert_eq!(Page::read(&page.bytes(), 177), Some(page));
        assert_eq!(outcome(7, [3; 32], 2).len(), 42);
    }
}
