//! The store itself: one file, one writer at a time, any number of readers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{StorageBackend, backends::InMemoryBackend};
use zakura_header_sync::chain::BlockRef;
use zakura_transport::routine::{Published as Watched, Publisher, publish};

use super::{
    StoreError,
    checkpoints::Checkpoints,
    file::{self, Backing},
    rules::Rules,
    snapshot::{Published, Snapshot},
    tables::{COMMITS, Tables},
    wall_clock::{SystemClock, WallClock},
};
use crate::zcash::Network;

/// Memory the database may use for pages, bytes.
///
/// The hot set of a syncing node is the end of each table, a few MiB; bodies are read in order and cached by the
/// operating system. The database's own default of 1 GiB is more than the whole node may use.
pub const CACHE_BYTES: usize = 64 << 20;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Blocks known to be on the chain, in any order; the network's own if none are given.
    pub checkpoints: Option<Vec<BlockRef>>,
    /// Skip proof-of-work and target checks. Regtest only, where other nodes' chains are mined without.
    pub no_pow: bool,
    /// Memory for cached pages, bytes.
    pub cache_bytes: usize,
    /// The clock for the rule about headers from the future.
    pub clock: Arc<dyn WallClock>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { checkpoints: None, no_pow: false, cache_bytes: CACHE_BYTES, clock: Arc::new(SystemClock) }
    }
}

/// Headers and bodies of the selected chain of one network, with the rules that choose it.
///
/// Every change is atomic, and durable when the method that makes it returns. Readers see one committed state each.
/// Dropping the store closes the file; a killed process loses nothing that was reported. Once the file fails, it stays
/// failed: see [`Store::failure`].
pub struct Store {
    pub(super) rules: Rules,
    pub(super) published: Published,
    backing: Backing,
    path: PathBuf,
    failure: (Publisher<Option<Failure>>, Watched<Option<Failure>>),
}

/// Why a store answers no more: its file and what is wrong, in one line.
pub type Failure = Arc<str>;

/// What a change comes to.
pub(super) enum Change<T> {
    /// Nothing is written.
    Drop(T),
    /// Everything is.
    Commit(T),
}

impl Store {
    /// Opens the store of a network in a data directory, and creates it with its genesis block if it is not there.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; the data directory is then as it was.
    pub fn open(dir: &Path, network: Network, options: StoreOptions) -> Result<Self, StoreError> {
        let rules = rules(network, &options)?;
        Self::over(file::open(dir, network, options.cache_bytes)?, rules, &file::path(dir, network))
    }

    /// Opens a store that must be there, to read it: several processes may, and the file is not touched. (Unless its
    /// process was killed: then it is repaired first.)
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; [`StoreError::Absent`] if there is none.
    pub fn open_existing(dir: &Path, network: Network, options: StoreOptions) -> Result<Self, StoreError> {
        let rules = rules(network, &options)?;
        Self::over(file::open_existing(dir, network, options.cache_bytes)?, rules, &file::path(dir, network))
    }

    /// A store in memory with nothing but the genesis block in it. It ends with its last owner.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn in_memory(network: Network, options: StoreOptions) -> Result<Self, StoreError> {
        Self::on(InMemoryBackend::new(), network, options)
    }

    /// A store on a backend of a test's own, with the faults that the test wants; named "in memory" in errors.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    #[cfg(feature = "simulation")]
    pub fn on_backend(
        backend: impl StorageBackend,
        network: Network,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Self::on(backend, network, options)
    }

    fn on(backend: impl StorageBackend, network: Network, options: StoreOptions) -> Result<Self, StoreError> {
        let (rules, path) = (rules(network, &options)?, Path::new("in memory"));
        Self::over(file::on(backend, path, network, options.cache_bytes)?, rules, path)
    }

    /// Tells when the file fails under way (the disk is full, or broken), and why; none as long as it works.
    ///
    /// The database takes no change after a failed one, because nobody knows how much of that reached the disk. So there
    /// is nothing to try again here: whoever owns the store stops, and the next start finds what was committed.
    #[must_use]
    pub fn failure(&self) -> Watched<Option<Failure>> {
        self.failure.1.clone()
    }

    /// Names the file in an error of the file, and tells of it.
    pub(super) fn noted(&self, error: StoreError) -> StoreError {
        let path = self.path.clone();
        let named = match error {
            StoreError::Database(source) => StoreError::Failed { path, source },
            StoreError::Damaged(reason) => StoreError::Unreadable { path, reason },
            other => return other,
        };
        if self.failure.1.get().is_none() {
            tracing::error!(%named, "the store failed");
            self.failure.0.set(Some(named.to_string().into()));
        }
        named
    }

    /// Reads the current state.
    pub(super) fn ask<T>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&self.published.get()).map_err(|error| self.noted(error))
    }

    /// The network whose chain this is.
    #[must_use]
    pub fn network(&self) -> Network {
        self.rules.network
    }

    fn over(backing: Backing, rules: Rules, path: &Path) -> Result<Self, StoreError> {
        let first = file::look(path, || {
            let first = match &backing {
                Backing::Write(database) => Snapshot::take(database)?,
                Backing::Read(database) => Snapshot::take(database)?,
            };
            first.check()?;
            Ok(first)
        })?;
        if let Some(checkpoint) = rules.checkpoints.last_up_to(first.view.tip.height)
            && first.block_at(checkpoint.height)? != Some(checkpoint)
        {
            return Err(StoreError::OffCheckpoint { path: path.to_owned(), checkpoint });
        }
        let path = path.to_owned();
        Ok(Self { rules, published: Published::new(first), backing, path, failure: publish(None) })
    }

    /// Makes one change: atomic, durable and published when this returns. An error drops it.
    ///
    /// Writers take turns, so `apply` finds the state that the one before it left.
    pub(super) fn change<T, E: From<StoreError>>(
        &self,
        apply: impl FnOnce(&mut Tables<'_>) -> Result<Change<T>, E>,
    ) -> Result<(T, Arc<Snapshot>), E> {
        let Backing::Write(database) = &self.backing else { return Err(StoreError::ReadOnly.into()) };
        let txn = file::begin(database)?;
        let mut tables = Tables::open(&txn)?;
        match apply(&mut tables)? {
            Change::Drop(answer) => Ok((answer, self.published.get())),
            Change::Commit(answer) => {
                tables.bump(COMMITS)?;
                drop(tables);
                txn.commit().map_err(StoreError::from)?;
                Ok((answer, self.published.replace(Snapshot::take(database)?)))
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let now = self.published.get();
        f.debug_struct("Store")
            .field("network", &self.rules.network)
            .field("view", &now.view)
            .field("acknowledged", &now.acknowledged)
            .finish_non_exhaustive()
    }
}

fn rules(network: Network, options: &StoreOptions) -> Result<Rules, StoreError> {
    if options.no_pow && network != Network::Regtest {
        return Err(StoreError::NoPow(network));
    }
    let checkpoints =
        options.checkpoints.clone().map_or_else(|| Checkpoints::built_in(network), Checkpoints::new);
    Ok(Rules { network, no_pow: options.no_pow, checkpoints, clock: options.clock.clone() })
}
