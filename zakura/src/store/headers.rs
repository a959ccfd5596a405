//! The store as a header chain.

use zakura_header_sync::{
    chain::{BlockHash, BlockRef, Height},
    ports::{
        Accept, Found, HeaderBatch, HeaderChain, HeaderFacts, HeaderQuery, HeaderView, InvalidHeader,
        SizedHeader,
    },
};

use super::{
    StoreError,
    durable::{Change, Store},
    snapshot::Snapshot,
    tables::{self, FLOOR, HEADERS, HEIGHTS, SIZES},
};

impl Snapshot {
    pub(super) fn find(&self, hash: &BlockHash) -> Result<Option<Height>, StoreError> {
        tables::height_of(&self.txn.open_table(HEIGHTS)?, hash)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Result<Found, StoreError> {
        let Some(target) = self.find(&query.target)? else { return Ok(Found::TargetNotRetained) };
        let Some(ancestor) = self.first_below(&query.locator, target)? else {
            return Ok(Found::NoIntersection);
        };
        let first = ancestor.height.get().saturating_add(1);
        let last = ancestor.height.get().saturating_add(query.max_count).min(target.get());
        let (headers, sizes) = (self.txn.open_table(HEADERS)?, self.txn.open_table(SIZES)?);
        let mut found =
            Vec::with_capacity(usize::try_from(last.saturating_sub(ancestor.height.get())).unwrap_or(0));
        for (header, size) in headers.range(first..=last)?.zip(sizes.range(first..=last)?) {
            let (header, size) = (header?.1, size?.1);
            let raw = bytes::Bytes::copy_from_slice(header.value().2);
            found.push(SizedHeader { raw, size_hint: size.value() });
        }
        Ok(Found::Headers { ancestor, headers: found, complete: last == target.get() })
    }

    /// The first of these hashes that is on the chain up to `target`.
    fn first_below(&self, locator: &[BlockHash], target: Height) -> Result<Option<BlockRef>, StoreError> {
        for hash in locator {
            if let Some(height) = self.find(hash)?.filter(|height| *height <= target) {
                return Ok(Some(BlockRef { height, hash: *hash }));
            }
        }
        Ok(None)
    }
}

/// The answer, or none and an alarm: the port has no word for a short read that failed.
fn or_alarm<T>(answer: Result<Option<T>, StoreError>) -> Option<T> {
    answer.unwrap_or_else(|error| {
        tracing::error!(%error, "a read failed");
        None
    })
}

impl HeaderChain for Store {
    fn header_bytes(&self) -> usize {
        self.rules.network.header_bytes()
    }

    fn describe(&self, raw: &[u8]) -> Result<HeaderFacts, InvalidHeader> {
        let (header, hash, work) = self.rules.describe(raw)?;
        Ok(HeaderFacts { hash, parent: BlockHash(header.prev), work, time: header.time })
    }

    fn verify(&self, raw: &[u8]) -> Result<(), InvalidHeader> {
        let (header, _, _) = self.rules.describe(raw)?;
        self.rules.prove(&header).map_err(|reject| InvalidHeader { reason: reject.to_string() })
    }

    fn accept(&self, batch: HeaderBatch) -> Accept {
        self.accept_batch(batch)
    }

    fn view(&self) -> HeaderView {
        self.published.get().view
    }

    fn find(&self, hash: &BlockHash) -> Option<Height> {
        or_alarm(self.ask(|now| now.find(hash)))
    }

    fn hash_at(&self, height: Height) -> Option<BlockHash> {
        or_alarm(self.ask(|now| now.block_at(height))).map(|block| block.hash)
    }

    fn headers_after(&self, query: &HeaderQuery) -> Found {
        self.ask(|now| now.headers_after(query)).unwrap_or_else(|error| {
            tracing::error!(%error, "headers could not be read");
            Found::Unavailable
        })
    }

    fn anchors_above(&self, height: Height, limit: usize) -> Vec<BlockRef> {
        self.rules.checkpoints.above(height, limit)
    }

    fn finalize(&self, floor: BlockRef) -> HeaderView {
        let raised = self.change(|tables| {
            let there = tables::header(&tables.headers, floor.height)?.is_some_and(|row| row.at == floor);
            if there && floor.height > tables::floor(&tables.state)? {
                tables.state.insert(FLOOR, u64::from(floor.height))?;
                return Ok::<_, StoreError>(Change::Commit(()));
            }
            Ok(Change::Drop(()))
        });
        match raised {
            Ok(((), now)) => now.view,
            Err(error) => {
                let error = self.noted(error);
                tracing::error!(%error, %floor, "the finalized floor could not be raised");
                self.view()
            }
        }
    }
}
