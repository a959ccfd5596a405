//! The tables of a store and how their rows are read.
//!
//! All of it is the selected chain: a header row for every height from genesis to the tip, a body row for every height
//! from genesis to the highest acknowledged one. So the tip is the last header row, and what is acknowledged is the
//! last body row.

use bytes::Bytes;
use redb::{ReadableTable, Table, TableDefinition, Value, WriteTransaction};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height, Work};

use super::StoreError;
use crate::zcash::{Header, LOOKBACK, Network, Past, hash::sha256d};

/// What a store is: its format, network and genesis hash.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Numbers that change: [`FLOOR`], [`COMMITS`], [`REORGS`].
pub(super) const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");
/// Height to (hash, work from genesis up to here, serialized header).
pub(super) const HEADERS: TableDefinition<'_, u32, HeaderValue> = TableDefinition::new("headers");
/// Hash to height.
pub(super) const HEIGHTS: TableDefinition<'_, [u8; 32], u32> = TableDefinition::new("heights");
/// Height to body bytes: a peer's hint until the body is here.
pub(super) const SIZES: TableDefinition<'_, u32, u32> = TableDefinition::new("sizes");
/// Height to (some authorizing data was not checked, serialized block).
pub(super) const BODIES: TableDefinition<'_, u32, BodyValue> = TableDefinition::new("bodies");

/// A row of [`HEADERS`].
pub(super) type HeaderValue = ([u8; 32], [u8; 32], &'static [u8]);
/// A row of [`BODIES`].
pub(super) type BodyValue = (bool, &'static [u8]);

/// The finalized height.
pub(super) const FLOOR: &str = "floor";
/// How many changes were committed: orders snapshots.
pub(super) const COMMITS: &str = "commits";
/// How many of them replaced a height: a snapshot with another number needs a new fence.
pub(super) const REORGS: &str = "reorgs";

/// A header on the selected chain.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: BlockRef,
    /// From genesis up to and including this header.
    pub(super) work: Work,
    pub(super) raw: Bytes,
}

pub(super) fn damaged<T>(what: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Damaged(what.into()))
}

pub(super) fn legal(height: u32) -> Result<Height, StoreError> {
    Height::new(height).map_or_else(|| damaged(format!("a row has height {height}")), Ok)
}

fn row(height: u32, (hash, work, raw): (&[u8; 32], &[u8; 32], &[u8])) -> Result<Row, StoreError> {
    let at = BlockRef { height: legal(height)?, hash: BlockHash(*hash) };
    Ok(Row { at, work: Work::from_le_bytes(*work), raw: Bytes::copy_from_slice(raw) })
}

/// The header at a height, if the chain is so long.
pub(super) fn header(
    headers: &impl ReadableTable<u32, HeaderValue>,
    height: Height,
) -> Result<Option<Row>, StoreError> {
    let Some(found) = headers.get(height.get())? else { return Ok(None) };
    let (hash, work, raw) = found.value();
    row(height.get(), (&hash, &work, raw)).map(Some)
}

/// The header at a height that the chain must have.
pub(super) fn known_header(
    headers: &impl ReadableTable<u32, HeaderValue>,
    height: Height,
) -> Result<Row, StoreError> {
    header(headers, height)?.map_or_else(|| damaged(format!("the header at height {height} is missing")), Ok)
}

/// The best header.
pub(super) fn tip(headers: &impl ReadableTable<u32, HeaderValue>) -> Result<Row, StoreError> {
    let Some((height, found)) = headers.last()? else { return damaged("there is no header") };
    let (hash, work, raw) = found.value();
    row(height.value(), (&hash, &work, raw))
}

/// The highest body.
pub(super) fn acknowledged(bodies: &impl ReadableTable<u32, BodyValue>) -> Result<Height, StoreError> {
    let Some((height, _)) = bodies.last()? else { return damaged("there is no body") };
    legal(height.value())
}

/// Checks that a table has a row for every height from genesis up to `last`, and no other.
pub(super) fn gapless<V: Value + 'static>(
    what: &str,
    table: &impl ReadableTable<u32, V>,
    last: Height,
) -> Result<(), StoreError> {
    let lowest = table.first()?.map(|(height, _)| height.value());
    let highest = table.last()?.map(|(height, _)| height.value());
    let rows = table.len()?;
    let expected = u64::from(last).saturating_add(1);
    if (lowest, highest, rows) != (Some(0), Some(last.get()), expected) {
        return damaged(format!("there are {rows} {what} rows for the {expected} heights up to {last}"));
    }
    Ok(())
}

/// Checks that a header is the one its row names, and that it continues the row below.
pub(super) fn linked(headers: &impl ReadableTable<u32, HeaderValue>, at: BlockRef) -> Result<(), StoreError> {
    let raw = known_header(headers, at.height)?.raw;
    let below = at.height.get().checked_sub(1).map(legal).transpose()?;
    let parent = below.map(|below| known_header(headers, below)).transpose()?;
    let names = raw.get(4..36);
    if sha256d(&[&raw]) != at.hash.0 || parent.is_some_and(|row| names != Some(row.at.hash.0.as_slice())) {
        return damaged(format!("the header of block {at} is not its own, or does not continue the chain"));
    }
    Ok(())
}

/// What the contextual rules need of the headers up to `parent`, oldest first.
pub(super) fn past(
    network: Network,
    headers: &impl ReadableTable<u32, HeaderValue>,
    parent: Height,
) -> Result<Vec<Past>, StoreError> {
    let oldest = parent.saturating_sub(u32::try_from(LOOKBACK).unwrap_or(u32::MAX).saturating_sub(1));
    let mut past = Vec::with_capacity(LOOKBACK);
    for entry in headers.range(oldest.get()..=parent.get())? {
        let (height, found) = entry?;
        match Header::decode(network, found.value().2) {
            Ok(header) => past.push(Past { time: header.time, bits: header.bits }),
            Err(error) => return damaged(format!("the header at height {}: {error}", height.value())),
        }
    }
    Ok(past)
}

/// The height of a hash on the chain.
pub(super) fn height_of(
    heights: &impl ReadableTable<[u8; 32], u32>,
    hash: &BlockHash,
) -> Result<Option<Height>, StoreError> {
    heights.get(hash.0)?.map(|height| legal(height.value())).transpose()
}

/// A number of [`STATE`]; zero if it was never set.
pub(super) fn number(state: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(state.get(name)?.map_or(0, |found| found.value()))
}

/// The finalized height.
pub(super) fn floor(state: &impl ReadableTable<&'static str, u64>) -> Result<Height, StoreError> {
    let floor = number(state, FLOOR)?;
    u32::try_from(floor).map_or_else(|_| damaged(format!("the floor is {floor}")), legal)
}

/// All tables, open for one change.
pub(super) struct Tables<'t> {
    pub(super) state: Table<'t, &'static str, u64>,
    pub(super) headers: Table<'t, u32, HeaderValue>,
    pub(super) heights: Table<'t, [u8; 32], u32>,
    pub(super) sizes: Table<'t, u32, u32>,
    pub(super) bodies: Table<'t, u32, BodyValue>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            state: txn.open_table(STATE)?,
            headers: txn.open_table(HEADERS)?,
            heights: txn.open_table(HEIGHTS)?,
            sizes: txn.open_table(SIZES)?,
            bodies: txn.open_table(BODIES)?,
        })
    }

    /// Appends a header; the caller has seen to it that it continues the tip.
    pub(super) fn push_header(&mut self, row: &Row, size: u32) -> Result<(), StoreError> {
        let (height, hash) = (row.at.height.get(), row.at.hash.0);
        self.headers.insert(height, (hash, row.work.to_le_bytes(), row.raw.as_ref()))?;
        self.heights.insert(hash, height)?;
        self.sizes.insert(height, size)?;
        Ok(())
    }

    /// Appends a body; the caller has seen to it that it continues what is acknowledged. From now on its true size
    /// is served in place of a peer's hint.
    pub(super) fn push_body(
        &mut self,
        at: Height,
        auth_unverified: bool,
        raw: &[u8],
    ) -> Result<(), StoreError> {
        self.bodies.insert(at.get(), (auth_unverified, raw))?;
        self.sizes.insert(at.get(), u32::try_from(raw.len()).unwrap_or(u32::MAX))?;
        Ok(())
    }

    /// Removes every header and body above a height and counts the reorg.
    pub(super) fn cut_above(&mut self, fork: Height) -> Result<(), StoreError> {
        let gone = fork.get().saturating_add(1)..;
        for entry in self.headers.extract_from_if(gone.clone(), |_, _| true)? {
            self.heights.remove(entry?.1.value().0)?;
        }
        self.sizes.retain_in(gone.clone(), |_, _| false)?;
        self.bodies.retain_in(gone, |_, _| false)?;
        self.bump(REORGS)
    }

    /// Adds one to a number.
    pub(super) fn bump(&mut self, name: &'static str) -> Result<(), StoreError> {
        let next = number(&self.state, name)?.saturating_add(1);
        self.state.insert(name, next)?;
        Ok(())
    }
}
