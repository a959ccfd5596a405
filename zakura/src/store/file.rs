//! Opening and creating the database file, and refusing one that is not ours.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, StorageBackend, StorageError,
    TableError, WriteTransaction,
};
use zakura_header_sync::chain::{BlockHash, BlockRef, Height, Work};

use super::{
    StoreError,
    tables::{COMMITS, FLOOR, META, REORGS, Row, Tables},
};
use crate::zcash::{Header, Network};

/// The format written here. Raise it whenever a table or row changes its meaning.
const FORMAT: u64 = 1;

/// A database and what may be done with it.
pub(super) enum Backing {
    /// The only process that has it open.
    Write(Database),
    /// One of the processes that read it; the file stays byte for byte as it is.
    Read(ReadOnlyDatabase),
}

/// Where a network's store lies in a data directory.
pub(super) fn path(dir: &Path, network: Network) -> PathBuf {
    dir.join("store").join(format!("{network}.redb"))
}

/// Opens a store on a backend of the caller's own, and creates it if there is none. `path` names it in errors.
pub(super) fn on(
    backend: impl StorageBackend,
    path: &Path,
    network: Network,
    cache_bytes: usize,
) -> Result<Backing, StoreError> {
    let database = guarded(path, || builder(cache_bytes).create_with_backend(backend))
        .map_err(|refused| refused.name(path))?;
    settle(database, path, network)
}

/// Opens a store for writing, and creates it if there is none.
///
/// A file of a later version, of another network or of another kind is left byte for byte as it is, which opening it
/// for writing would not do: so it is read first. Only a file that was not closed (its process was killed) must be
/// opened for writing, and repaired, before it can be read at all.
pub(super) fn open(dir: &Path, network: Network, cache_bytes: usize) -> Result<Backing, StoreError> {
    let path = path(dir, network);
    if !is_there(&path)? {
        return create(dir, &path, network, cache_bytes);
    }
    match guarded(&path, || builder(cache_bytes).open_read_only(&path)) {
        Ok(database) => look(&path, || expect_ours(&database, &path, network))?,
        Err(Refused::Unclosed) => {}
        Err(Refused::For(error)) => return Err(error),
    }
    let database =
        guarded(&path, || builder(cache_bytes).open(&path)).map_err(|refused| refused.name(&path))?;
    let opened = settle(database, &path, network)?;
    // A kill at the end of a creation leaves the store a second name. It must not outlive the first one.
    match fs::remove_file(draft(&path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io { path, source }),
        Ok(()) | Err(_) => Ok(opened),
    }
}

/// What a store is called while it is being created.
fn draft(path: &Path) -> PathBuf {
    path.with_extension("draft")
}

/// Creates a store. It gets its name when it is whole and durable, so a kill at any moment before leaves no store, and a
/// draft that the next start replaces.
fn create(dir: &Path, path: &Path, network: Network, cache_bytes: usize) -> Result<Backing, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(dir);
    fs::create_dir_all(folder).map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
    let draft = draft(path);
    let begin = || guarded(path, || builder(cache_bytes).create(&draft));
    let database = match begin() {
        // Whoever began it is gone: the file of a living process is locked.
        Err(Refused::For(StoreError::Unreadable { .. })) => {
            fs::remove_file(&draft).map_err(io)?;
            begin()
        }
        begun => begun,
    };
    let opened = settle(database.map_err(|refused| refused.name(path))?, path, network)?;
    // An empty file is what an operator may have touched; no store is ever replaced.
    if fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        fs::remove_file(path).map_err(io)?;
    }
    fs::hard_link(&draft, path).and_then(|()| fs::remove_file(&draft)).map_err(io)?;
    [folder, dir].into_iter().try_for_each(sync_folder)?;
    Ok(opened)
}

/// Sees to it that the names in a directory outlast a power failure.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::Io { path: folder.to_owned(), source })
}

/// Begins a store in an empty database, or sees that a database is one of ours.
fn settle(database: Database, path: &Path, network: Network) -> Result<Backing, StoreError> {
    look(path, || match is_empty(&database)? {
        true => found(&database, network),
        false => expect_ours(&database, path, network),
    })?;
    Ok(Backing::Write(database))
}

/// Opens a store that must be there, for reading if that is possible: see [`open`].
pub(super) fn open_existing(dir: &Path, network: Network, cache_bytes: usize) -> Result<Backing, StoreError> {
    let path = path(dir, network);
    if !is_there(&path)? {
        return Err(StoreError::Absent { dir: dir.to_owned(), network });
    }
    match guarded(&path, || builder(cache_bytes).open_read_only(&path)) {
        Ok(database) => {
            look(&path, || expect_ours(&database, &path, network))?;
            Ok(Backing::Read(database))
        }
        Err(Refused::Unclosed) => open(dir, network, cache_bytes),
        Err(Refused::For(error)) => Err(error),
    }
}

/// Begins a change that is durable when it is committed, and that spares the next start a walk through the whole file
/// if this process is killed. (Such a commit syncs twice: first what it wrote, then which state is the last.)
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    Ok(txn)
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Whether a store is at a path. An empty file is none.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
    }
}

/// Why a file did not open.
enum Refused {
    /// It needs a repair, which reading does not do.
    Unclosed,
    /// For good.
    For(StoreError),
}

impl Refused {
    fn name(self, path: &Path) -> StoreError {
        match self {
            Self::Unclosed => StoreError::Unreadable {
                path: path.to_owned(),
                reason: "its repair was broken off".to_owned(),
            },
            Self::For(error) => error,
        }
    }
}

/// Opens a file. The database trusts a file that was closed and panics where one was altered since: that is the
/// file's fault, and a value here.
fn guarded<D>(path: &Path, open: impl FnOnce() -> Result<D, DatabaseError>) -> Result<D, Refused> {
    let unreadable = |reason: String| StoreError::Unreadable { path: path.to_owned(), reason };
    let opened = catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(StorageError::Corrupted("a page is damaged".to_owned()).into()));
    opened.map_err(|error| match error {
        DatabaseError::RepairAborted => Refused::Unclosed,
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            let dir = path.parent().and_then(Path::parent).unwrap_or(path);
            Refused::For(StoreError::InUse(dir.to_owned()))
        }
        DatabaseError::Storage(StorageError::Io(source))
            if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            Refused::For(StoreError::Io { path: path.to_owned(), source })
        }
        other => Refused::For(unreadable(other.to_string())),
    })
}

/// Runs the first reads of a store that has just opened, and turns whatever is wrong there into a word about the file.
pub(super) fn look<T>(path: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let unreadable = |reason: String| Err(StoreError::Unreadable { path: path.to_owned(), reason });
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Err(StoreError::Damaged(reason))) => unreadable(reason),
        Ok(Err(StoreError::Database(redb::Error::Io(source)))) => {
            Err(StoreError::Io { path: path.to_owned(), source })
        }
        Ok(Err(StoreError::Database(error))) => unreadable(error.to_string()),
        Ok(looked) => looked,
        Err(_) => unreadable("a page is damaged".to_owned()),
    }
}

/// Whether nothing was ever committed: its process was killed while it created it.
fn is_empty(database: &Database) -> Result<bool, StoreError> {
    Ok(database.begin_read()?.list_tables()?.next().is_none())
}

/// Writes what every store begins with.
fn found(database: &Database, network: Network) -> Result<(), StoreError> {
    let raw = network.genesis();
    let (header, length) = Header::decode_prefix(network, raw)
        .map_err(|error| StoreError::Damaged(format!("the built-in genesis block: {error}")))?;
    let work = header.target().map_or(Work::ZERO, |target| Work::from_le_bytes(target.work()));
    let at = BlockRef { height: Height::GENESIS, hash: BlockHash(network.genesis_hash()) };
    let txn = begin(database)?;
    {
        let mut meta = txn.open_table(META)?;
        meta.insert("format", FORMAT.to_le_bytes().as_slice())?;
        meta.insert("network", network.name().as_bytes())?;
        meta.insert("genesis", at.hash.0.as_slice())?;
        let mut tables = Tables::open(&txn)?;
        for name in [FLOOR, COMMITS, REORGS] {
            tables.state.insert(name, 0)?;
        }
        tables.push_header(&Row { at, work, raw: raw.get(..length).unwrap_or(raw).into() }, 0)?;
        tables.push_body(at.height, false, raw)?;
    }
    txn.commit()?;
    Ok(())
}

/// Checks that a store is of a format known here and of this network.
fn expect_ours(database: &impl ReadableDatabase, path: &Path, network: Network) -> Result<(), StoreError> {
    let path = || path.to_owned();
    let meta = match database.begin_read()?.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => {
            let reason = "it is another program's database".to_owned();
            return Err(StoreError::Unreadable { path: path(), reason });
        }
    };
    let field = |name: &str| -> Result<Vec<u8>, StoreError> {
        Ok(meta.get(name)?.map(|found| found.value().to_vec()).unwrap_or_default())
    };
    let format = field("format")?.try_into().map_or(0, u64::from_le_bytes);
    if format > FORMAT {
        return Err(StoreError::Newer { path: path(), found: format, known: FORMAT });
    }
    if format < FORMAT {
        let reason = format!("format {format} was never written by a released version");
        return Err(StoreError::Unreadable { path: path(), reason });
    }
    let name = String::from_utf8_lossy(&field("network")?).into_owned();
    if name != network.name() {
        return Err(StoreError::WrongNetwork { path: path(), found: name, expected: network });
    }
    if field("genesis")? != network.genesis_hash() {
        return Err(StoreError::WrongGenesis { path: path(), network });
    }
    Ok(())
}
