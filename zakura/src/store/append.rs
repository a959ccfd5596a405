//! Whole blocks, judged by every rule there is here and appended together or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use zakura_header_sync::chain::{BlockHash, BlockRef, Height, Work};

use super::{
    StoreError,
    accept::raise_floor,
    durable::{Change, Store},
    rules::{Refusal, Rules},
    snapshot::Snapshot,
    tables::{self, HEADERS, Row, Tables},
};
use crate::zcash::{BodyReject, Header, HeaderError, LOOKBACK, Network, Past, PowReject, check_body};

/// Why a block is not appended. The message ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockReject {
    /// The bytes do not begin with a header of this network.
    #[error("{0}: the file is truncated, damaged or no {1} block; get it again, or check --network")]
    Header(HeaderError, Network),
    /// It is another network's genesis block, or the one after it.
    #[error("this is a block of {found}, the store is for {network}: use --network {found} for it")]
    OtherNetwork {
        /// Whose it is.
        found: Network,
        /// The store's network.
        network: Network,
    },
    /// Nobody here knows its parent.
    #[error(
        "the block does not link: its parent {parent} is unknown, the tip is block {tip}: add the blocks between, lowest first"
    )]
    Unlinked {
        /// The parent.
        parent: BlockHash,
        /// Where the chain ends.
        tip: BlockRef,
    },
    /// Its parent is on the chain, but is not its end.
    #[error(
        "the block does not link: its parent is block {parent}, below the tip {tip}, and branches are not appended: leave it out, or use another --data-dir"
    )]
    Branch {
        /// The parent.
        parent: BlockRef,
        /// Where the chain ends.
        tip: BlockRef,
    },
    /// Bodies are missing between what is there and this block.
    #[error(
        "block {at} would leave a gap: bodies are there up to height {bodies} only: add the blocks between first, or let `zakura run` fetch them"
    )]
    Gap {
        /// The block.
        at: BlockRef,
        /// The highest height with a body.
        bodies: Height,
    },
    /// The proof-of-work does not hold.
    #[error(
        "block {at} has bad proof-of-work: {reject}: the file is damaged or forged; get it from another source"
    )]
    Pow {
        /// The block.
        at: BlockRef,
        /// What is wrong.
        reject: PowReject,
    },
    /// A contextual rule or a checkpoint is broken.
    #[error("block {at} breaks a rule: {reason}: get the chain from another source")]
    Rule {
        /// The block.
        at: BlockRef,
        /// Which.
        reason: String,
    },
    /// The body is not the header's.
    #[error("block {at} has a bad body: {reject}: the file is truncated, damaged or forged; get it again")]
    Body {
        /// The block.
        at: BlockRef,
        /// What is wrong.
        reject: BodyReject,
    },
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The block is at fault.
    #[error(transparent)]
    Block(#[from] BlockReject),
    /// The store is.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A good block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Which it is.
    pub at: BlockRef,
    /// Whether it was not there before.
    pub new: bool,
}

/// What a good block adds.
enum Adds {
    Nothing,
    Body { auth_unverified: bool },
    All { row: Row, auth_unverified: bool },
}

/// Judges blocks one after another as if those before had been appended.
struct Judge<'s> {
    rules: &'s Rules,
    tip: BlockRef,
    work: Work,
    bodies: Height,
    past: Vec<Past>,
    fresh: BTreeMap<BlockHash, Height>,
}

impl<'s> Judge<'s> {
    fn at_tip(rules: &'s Rules, tip: &Row, bodies: Height, past: Vec<Past>) -> Self {
        Self { rules, tip: tip.at, work: tip.work, bodies, past, fresh: BTreeMap::new() }
    }

    fn judge(
        &mut self,
        raw: &[u8],
        proved: bool,
        stored: impl Fn(&BlockHash) -> Result<Option<Height>, StoreError>,
    ) -> Result<(BlockRef, Adds), AppendError> {
        let network = self.rules.network;
        let (header, length) =
            Header::decode_prefix(network, raw).map_err(|error| BlockReject::Header(error, network))?;
        let header_raw = raw.get(..length).unwrap_or(raw);
        let hash = BlockHash(header.hash());
        let find = |hash: &BlockHash| match self.fresh.get(hash) {
            Some(height) => Ok(Some(*height)),
            None => stored(hash),
        };

        if let Some(height) = find(&hash)? {
            let at = BlockRef { height, hash };
            if self.bodies.next().is_some_and(|next| height > next) {
                return Err(BlockReject::Gap { at, bodies: self.bodies }.into());
            }
            let auth_unverified = self.check_body(at, raw)?;
            if height <= self.bodies {
                return Ok((at, Adds::Nothing));
            }
            self.bodies = height;
            return Ok((at, Adds::Body { auth_unverified }));
        }

        let Some(height) = self.tip.height.next().filter(|_| header.prev == self.tip.hash.0) else {
            let parent = BlockHash(header.prev);
            let known = find(&parent)?.map(|height| BlockRef { height, hash: parent });
            return Err(self.unlinked(hash, parent, known).into());
        };
        let at = BlockRef { height, hash };
        if self.bodies != self.tip.height {
            return Err(BlockReject::Gap { at, bodies: self.bodies }.into());
        }
        if !proved {
            self.rules.prove(&header).map_err(|reject| BlockReject::Pow { at, reject })?;
        }
        let candidate = self
            .rules
            .candidate(height, Bytes::copy_from_slice(header_raw))
            .map_err(|error| BlockReject::Rule { at, reason: error.to_string() })?;
        self.rules
            .place(&candidate, &self.past)
            .map_err(|refusal: Refusal| BlockReject::Rule { at, reason: refusal.to_string() })?;
        let auth_unverified = self.check_body(at, raw)?;

        (self.tip, self.bodies) = (at, height);
        self.work = self.work.saturating_add(candidate.work);
        if self.past.len() >= LOOKBACK {
            self.past.remove(0);
        }
        self.past.push(Past { time: candidate.header.time, bits: candidate.header.bits });
        self.fresh.insert(hash, height);
        Ok((at, Adds::All { row: Row { at, work: self.work, raw: candidate.raw }, auth_unverified }))
    }

    fn check_body(&self, at: BlockRef, raw: &[u8]) -> Result<bool, BlockReject> {
        match check_body(self.rules.network, raw, at.height.get()) {
            Ok(facts) => Ok(facts.auth_unverified),
            Err(reject) => Err(BlockReject::Body { at, reject }),
        }
    }

    fn unlinked(&self, hash: BlockHash, parent: BlockHash, known: Option<BlockRef>) -> BlockReject {
        let network = self.rules.network;
        let starts = |other: &Network| [hash.0, parent.0].contains(&other.genesis_hash());
        if let Some(found) = Network::ALL.into_iter().find(|other| *other != network && starts(other)) {
            return BlockReject::OtherNetwork { found, network };
        }
        match known {
            Some(parent) => BlockReject::Branch { parent, tip: self.tip },
            None => BlockReject::Unlinked { parent, tip: self.tip },
        }
    }
}

/// Judges blocks without storing any: what [`Store::append`] would say to them.
pub struct Trial<'s> {
    judge: Judge<'s>,
    snapshot: Arc<Snapshot>,
    proved: BTreeSet<BlockHash>,
}

impl Trial<'_> {
    /// Judges the next block.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; a refused block changes nothing.
    pub fn push(&mut self, raw: &[u8]) -> Result<Appended, AppendError> {
        let (at, adds) = self.judge.judge(raw, false, |hash| self.snapshot.find(hash))?;
        self.proved.insert(at.hash);
        Ok(Appended { at, new: !matches!(adds, Adds::Nothing) })
    }

    /// The blocks that passed; their proof-of-work need not be checked again.
    #[must_use]
    pub fn into_proved(self) -> BTreeSet<BlockHash> {
        self.proved
    }
}

/// Appends blocks within one change.
pub struct Appender<'a, 't> {
    judge: Judge<'a>,
    tables: &'a mut Tables<'t>,
    proved: &'a BTreeSet<BlockHash>,
    added: u32,
}

impl Appender<'_, '_> {
    /// Judges the next block and appends it if it is not there yet.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. Give it back from [`Store::append`]'s closure to drop the whole change.
    pub fn push(&mut self, raw: &[u8]) -> Result<Appended, AppendError> {
        let proved = identity(self.judge.rules, raw).is_some_and(|hash| self.proved.contains(&hash));
        let heights = &self.tables.heights;
        let (at, adds) = self.judge.judge(raw, proved, |hash| tables::height_of(heights, hash))?;
        let auth_unverified = match adds {
            Adds::Nothing => return Ok(Appended { at, new: false }),
            Adds::Body { auth_unverified } => auth_unverified,
            Adds::All { row, auth_unverified } => {
                self.tables.push_header(&row, 0)?;
                auth_unverified
            }
        };
        self.tables.push_body(at.height, auth_unverified, raw)?;
        self.added = self.added.saturating_add(1);
        Ok(Appended { at, new: true })
    }
}

fn identity(rules: &Rules, raw: &[u8]) -> Option<BlockHash> {
    raw.get(..rules.network.header_bytes()).map(|header| BlockHash(crate::zcash::hash::sha256d(&[header])))
}

impl Store {
    /// Begins to judge blocks that shall continue the chain, without storing them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn trial(&self) -> Result<Trial<'_>, StoreError> {
        let snapshot = self.published.get();
        let headers = snapshot.txn.open_table(HEADERS)?;
        let tip = tables::tip(&headers)?;
        let past = tables::past(self.rules.network, &headers, tip.at.height)?;
        let judge = Judge::at_tip(&self.rules, &tip, snapshot.acknowledged.height, past);
        Ok(Trial { judge, snapshot, proved: BTreeSet::new() })
    }

    /// Appends the blocks that `feed` pushes, all in one durable change or, if it fails, none. The proof-of-work of
    /// blocks in `proved` is not checked again. Returns how many were new, and the tip.
    ///
    /// # Errors
    ///
    /// What `feed` returns, or the store's own.
    pub fn append<E: From<AppendError>>(
        &self,
        proved: &BTreeSet<BlockHash>,
        feed: impl FnOnce(&mut Appender<'_, '_>) -> Result<(), E>,
    ) -> Result<(u32, BlockRef), E> {
        let appended = self.change(|tables| {
            let tip = tables::tip(&tables.headers)?;
            let past = tables::past(self.rules.network, &tables.headers, tip.at.height)?;
            let bodies = tables::acknowledged(&tables.bodies)?;
            let judge = Judge::at_tip(&self.rules, &tip, bodies, past);
            let mut appender = Appender { judge, tables, proved, added: 0 };
            feed(&mut appender).map_err(Failed::Feed)?;
            let added = appender.added;
            raise_floor(&self.rules, tables)?;
            Ok::<_, Failed<E>>(if added == 0 { Change::Drop(0) } else { Change::Commit(added) })
        });
        match appended {
            Ok((added, now)) => Ok((added, now.view.tip)),
            Err(Failed::Feed(error)) => Err(error),
            Err(Failed::Store(error)) => Err(AppendError::from(self.noted(error)).into()),
        }
    }
}

/// Who broke an append off.
enum Failed<E> {
    Feed(E),
    Store(StoreError),
}

impl<E> From<StoreError> for Failed<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
