//! The store as a store of bodies.

use bytes::Bytes;
use zakura_block_sync::ports::{BlockStore, Body, BodyVerdict, Commit, Missing, Wanted};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height};
use zakura_transport::Fence;

use super::{
    StoreError,
    durable::{Change, Store},
    snapshot::Snapshot,
    tables::{self, BODIES, HEADERS, SIZES, Tables},
};
use crate::zcash::{Blame, Network, Upgrade, check_body, hash::sha256d};

impl Snapshot {
    /// Headers without a body from `from` up.
    fn wanted(&self, from: Height, limit: usize) -> Result<Vec<Wanted>, StoreError> {
        let first = from.get().max(self.acknowledged.height.get().saturating_add(1));
        let (headers, sizes) = (self.txn.open_table(HEADERS)?, self.txn.open_table(SIZES)?);
        let mut wanted = Vec::new();
        for (header, size) in headers.range(first..)?.zip(sizes.range(first..)?).take(limit) {
            let ((height, header), size) = (header?, size?.1);
            let hash = BlockHash(header.value().0);
            let at = BlockRef { height: tables::legal(height.value())?, hash };
            wanted.push(Wanted { at, size_hint: size.value() });
        }
        Ok(wanted)
    }

    /// Bodies from `start` up.
    pub(super) fn bodies(
        &self,
        start: Height,
        max_count: u32,
        max_bytes: u32,
    ) -> Result<Vec<Bytes>, StoreError> {
        let mut room = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let count = usize::try_from(max_count).unwrap_or(usize::MAX);
        let mut bodies: Vec<Bytes> = Vec::new();
        for entry in self.txn.open_table(BODIES)?.range(start.get()..)?.take(count) {
            let entry = entry?;
            let raw = entry.1.value().1;
            match room.checked_sub(raw.len()) {
                Some(rest) => room = rest,
                None if bodies.is_empty() => room = 0,
                None => break,
            }
            bodies.push(Bytes::copy_from_slice(raw));
        }
        Ok(bodies)
    }
}

/// Whether a body at this height may hold authorizing data that its header does not fix (ZIP 244).
///
/// By height rather than by content, so that committing need not walk the body again: where NU5 is active, or where
/// it may be.
fn auth_unverified(network: Network, height: Height) -> bool {
    network == Network::Regtest || network.is_active(Upgrade::Nu5, height.get())
}

/// Appends a run to what is acknowledged, if it continues it on the selected chain.
fn append(
    network: Network,
    tables: &mut Tables<'_>,
    bodies: &[Body],
) -> Result<Change<Option<BlockRef>>, StoreError> {
    let mut last = None;
    let mut next = tables::acknowledged(&tables.bodies)?.next();
    for body in bodies {
        let there = tables::header(&tables.headers, body.at.height)?.is_some_and(|row| row.at == body.at);
        if next != Some(body.at.height) || !there {
            return Ok(Change::Drop(None));
        }
        tables.push_body(body.at.height, auth_unverified(network, body.at.height), &body.raw)?;
        last = Some(body.at);
        next = body.at.height.next();
    }
    Ok(if last.is_some() { Change::Commit(last) } else { Change::Drop(None) })
}

impl BlockStore for Store {
    fn acknowledged(&self) -> BlockRef {
        self.published.get().acknowledged
    }

    fn missing(&self, from: Height, limit: usize, view: Fence) -> Missing {
        let now = self.published.get();
        if now.view.fence != view {
            return Missing::Stale;
        }
        match now.wanted(from, limit) {
            Ok(wanted) => Missing::Bodies(wanted),
            Err(error) => Missing::Unavailable { reason: self.noted(error).to_string() },
        }
    }

    fn identify(&self, raw: &[u8]) -> Result<BlockHash, String> {
        let network = self.rules.network;
        match raw.get(..network.header_bytes()) {
            Some(header) => Ok(BlockHash(sha256d(&[header]))),
            None => Err(format!(
                "{} bytes are less than a {network} header's {}",
                raw.len(),
                network.header_bytes()
            )),
        }
    }

    fn check(&self, at: BlockRef, raw: &Bytes) -> BodyVerdict {
        match check_body(self.rules.network, raw, at.height.get()) {
            Ok(facts) if facts.hash == at.hash.0 => BodyVerdict::Valid,
            Ok(facts) => BodyVerdict::Invalid {
                reason: format!("it is block {}, not {}", BlockHash(facts.hash), at.hash),
            },
            Err(reject) => match reject.blame() {
                Blame::Proven => BodyVerdict::Invalid { reason: reject.to_string() },
                Blame::Undesired | Blame::Local => BodyVerdict::Unsupported { reason: reject.to_string() },
            },
        }
    }

    fn commit(&self, bodies: Vec<Body>) -> Commit {
        match self.change(|tables| append(self.rules.network, tables, &bodies)) {
            Ok((Some(last), _)) => Commit::Committed(last),
            Ok((None, _)) => Commit::Stale,
            Err(error) => Commit::Unavailable { reason: self.noted(error).to_string() },
        }
    }

    fn read(&self, start: Height, max_count: u32, max_bytes: u32) -> Result<Vec<Bytes>, String> {
        self.ask(|now| now.bodies(start, max_count, max_bytes)).map_err(|error| error.to_string())
    }
}
