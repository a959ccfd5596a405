//! `zakura import`: checks and appends raw blocks, all of them or none.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::Serialize;
use zakura_header_sync::{
    chain::{BlockHash, BlockRef},
    ports::HeaderChain,
};

use super::{Edge, Failure, Tip, args::ImportArgs};
use crate::{
    store::{Store, StoreError, StoreOptions},
    zcash::MAX_BLOCK_BYTES,
};

/// Checks the files against the store, appends them, and prints the tip and how many were new.
///
/// The files are read twice: first beside the store, so that a bad one leaves it untouched to the byte, then into it
/// in one durable change.
///
/// # Errors
///
/// The first file at fault and what is wrong with it; or the store failed, or a signal came.
pub fn execute(args: &ImportArgs, edge: &Edge) -> Result<(), Failure> {
    let (imported, tip) = match Store::open_existing(&args.data_dir, args.network, StoreOptions::default()) {
        Ok(store) => {
            let (new, proved) = check(&store, args, edge)?;
            let tip = store.view().tip;
            // Readers exclude the writer.
            drop(store);
            if new == 0 { (0, tip) } else { append(&proved, args, edge)? }
        }
        Err(StoreError::Absent { .. }) => {
            let empty = Store::in_memory(args.network, StoreOptions::default())?;
            let (_, proved) = check(&empty, args, edge)?;
            append(&proved, args, edge)?
        }
        Err(error) => return Err(error.into()),
    };
    let text = format!("imported {imported} blocks; the tip is block {tip}");
    edge.output.line(&Imported { tip: tip.into(), imported }, &text)
}

/// What `import` answers.
#[derive(Serialize)]
struct Imported {
    #[serde(flatten)]
    tip: Tip,
    imported: u32,
}

/// Judges all files beside the store: how many are new, and whose proof-of-work holds.
fn check(store: &Store, args: &ImportArgs, edge: &Edge) -> Result<(usize, BTreeSet<BlockHash>), Failure> {
    let bar = edge.output.bar("checking", args.files.len() as u64);
    let mut trial = store.trial()?;
    let mut new = 0;
    for file in &args.files {
        new += usize::from(push(file, edge, |raw| trial.push(raw))?.new);
        bar.step();
    }
    Ok((new, trial.into_proved()))
}

fn append(proved: &BTreeSet<BlockHash>, args: &ImportArgs, edge: &Edge) -> Result<(u32, BlockRef), Failure> {
    let store = Store::open(&args.data_dir, args.network, StoreOptions::default())?;
    let bar = edge.output.bar("storing", args.files.len() as u64);
    store.append(proved, |appender| {
        args.files.iter().try_for_each(|file| {
            bar.step();
            push(file, edge, |raw| appender.push(raw)).map(drop)
        })
    })
}

/// Reads a file and hands it on; a failure names the file.
fn push<T, E: Into<Failure>>(
    file: &Path,
    edge: &Edge,
    take: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, Failure> {
    if edge.stop.is_cancelled() {
        return Err(Failure::work("interrupted, nothing was imported: run the command again"));
    }
    let raw = read(file).map_err(|error| {
        Failure::work(format!("cannot read block file {}: {error}: check the path", file.display()))
    })?;
    if raw.len() > MAX_BLOCK_BYTES {
        return Err(Failure::work(format!(
            "block file {} has more than {MAX_BLOCK_BYTES} bytes, which no block has: give one raw block a file",
            file.display()
        )));
    }
    take(&raw).map_err(|error| Failure::work(format!("block file {}: {}", file.display(), error.into())))
}

/// Reads a file, and of one that is too large to be a block only as much as shows it.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    File::open(file)?.take(MAX_BLOCK_BYTES as u64 + 1).read_to_end(&mut raw)?;
    Ok(raw)
}
