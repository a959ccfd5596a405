//! Why a store cannot be used, and what to do about it.

use std::{io, path::PathBuf};

use zakura_header_sync::chain::BlockRef;

use crate::zcash::Network;

/// Why a store did not open or could not answer. A refusal to open leaves the data directory as it was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error("data directory {} is in use by another process: stop it or use another --data-dir", .0.display())]
    InUse(PathBuf),
    /// There is no store of this network where one is needed.
    #[error("data directory {} has no {network} store: check --data-dir and --network, or import blocks first", .dir.display())]
    Absent {
        /// The data directory.
        dir: PathBuf,
        /// The network asked for.
        network: Network,
    },
    /// A later version of this program wrote the store.
    #[error(
        "store {} has format {found}, this program knows up to {known}: upgrade zakura or use another --data-dir",
        .path.display()
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest format known here.
        known: u64,
    },
    /// The file is no store, or is damaged beyond the database's own repair.
    #[error(
        "store {} is unreadable ({reason}): restore it from a copy, or move it away and sync again",
        .path.display()
    )]
    Unreadable {
        /// The store's file.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// The file holds another network's chain.
    #[error("store {} holds {found:?}, not {expected}: use the --network it was made for", .path.display())]
    WrongNetwork {
        /// The store's file.
        path: PathBuf,
        /// The network it names.
        found: String,
        /// The network asked for.
        expected: Network,
    },
    /// The file begins with another genesis block.
    #[error("store {} begins with another genesis block than {network}'s: use another --data-dir", .path.display())]
    WrongGenesis {
        /// The store's file.
        path: PathBuf,
        /// The network asked for.
        network: Network,
    },
    /// The stored chain does not pass through a checkpoint.
    #[error(
        "store {} does not pass through checkpoint {checkpoint}: move it away and sync again, or correct the checkpoints",
        .path.display()
    )]
    OffCheckpoint {
        /// The store's file.
        path: PathBuf,
        /// The checkpoint missed.
        checkpoint: BlockRef,
    },
    /// Proof-of-work was to be skipped where it has value.
    #[error("proof-of-work cannot be skipped on {0}: only regtest allows it")]
    NoPow(Network),
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The operating system refused.
    #[error("cannot open {}: {source}: check that the path exists and is yours", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file failed under way (the disk is full, or broken). What was committed before stays.
    #[error("store {} failed: {source}: free or check the disk, then start again", .path.display())]
    Failed {
        /// The store's file.
        path: PathBuf,
        /// What the database said.
        source: redb::Error,
    },
    /// Rows contradict each other. Callers get it with the file's name, as [`StoreError::Unreadable`].
    #[error("the store is damaged: {0}: restore it from a copy, or move it away and sync again")]
    Damaged(String),
    /// The database failed. Callers get it with the file's name, as [`StoreError::Failed`].
    #[error("the store failed: {0}: check the disk, then start again")]
    Database(#[source] redb::Error),
}

impl<E> From<E> for StoreError
where
    redb::Error: From<E>,
{
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}
