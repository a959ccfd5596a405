//! A disk in memory under a store's database, with the faults that a test wants.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use redb::StorageBackend;

/// What a disk writes at once: a cut leaves a sector old or new, and nothing in between.
const SECTOR: usize = 512;

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing can be written or synced.
    Broken,
    /// There is no room for any more writes; what is there can be synced.
    Full,
    /// Nothing can be read.
    Unreadable,
}

/// A disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    /// What reads see.
    now: Vec<u8>,
    /// What a cut leaves for sure.
    durable: Vec<u8>,
    /// What was done since the last sync.
    unsynced: Vec<Change>,
    /// Writes, resizes and syncs so far.
    operations: u64,
    fault: Option<(u64, Fault)>,
}

#[derive(Debug)]
enum Change {
    Resize(usize),
    Write(usize, Vec<u8>),
}

impl Disk {
    /// From the `operation`-th write, resize or sync on, the disk fails.
    pub fn fail_from(&self, operation: u64, fault: Fault) {
        self.0.lock().fault = Some((operation, fault));
    }

    /// How many writes, resizes and syncs there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// What a power cut leaves: everything that was synced, and of each later write all, nothing or some sectors.
    #[must_use]
    pub fn cut(&self, rng: &mut ChaCha8Rng) -> Self {
        let platter = self.0.lock();
        let mut left = platter.durable.clone();
        for change in &platter.unsynced {
            match (rng.next_u64() % 3, change) {
                (0, _) => {}
                (1, Change::Write(at, bytes)) => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if rng.next_u64().is_multiple_of(2) {
                            put(&mut left, at.saturating_add(index.saturating_mul(SECTOR)), sector);
                        }
                    }
                }
                (_, change) => apply(&mut left, change),
            }
        }
        drop(platter);
        Self(Arc::new(Mutex::new(Platter { durable: left.clone(), now: left, ..Platter::default() })))
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Resize(length) => bytes.resize(*length, 0),
        Change::Write(at, data) => put(bytes, *at, data),
    }
}

/// Writes, and fills with zeros up to there if need be.
fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at.saturating_add(data.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(at..end) {
        place.copy_from_slice(data);
    }
}

impl Platter {
    fn fault(&self) -> Option<Fault> {
        self.fault.and_then(|(from, fault)| (self.operations > from).then_some(fault))
    }

    /// Counts an operation, and lets it fail if it is time.
    fn operate(&mut self, takes_room: bool) -> io::Result<()> {
        self.operations = self.operations.saturating_add(1);
        match self.fault() {
            Some(Fault::Broken) => Err(io::Error::other("the disk is broken")),
            Some(Fault::Full) if takes_room => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.unsynced.push(change);
    }
}

fn place(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(io::Error::other)
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        u64::try_from(self.0.lock().now.len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock();
        if platter.fault() == Some(Fault::Unreadable) {
            return Err(io::Error::other("a sector cannot be read"));
        }
        let at = place(offset)?;
        let found = platter.now.get(at..at.saturating_add(out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut platter, len) = (self.0.lock(), place(len)?);
        let grows = len > platter.now.len();
        platter.operate(grows)?;
        platter.change(Change::Resize(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.operate(false)?;
        let changes = std::mem::take(&mut platter.unsynced);
        changes.iter().for_each(|change| apply(&mut platter.durable, change));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut platter, at) = (self.0.lock(), place(offset)?);
        platter.operate(true)?;
        platter.change(Change::Write(at, data.to_vec()));
        Ok(())
    }
}

impl std::fmt::Debug for Platter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platter")
            .field("bytes", &self.now.len())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
