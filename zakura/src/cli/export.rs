//! `zakura export`: writes raw blocks to files.

use std::{fs, io, path::Path};

use serde_json::json;
use zakura_block_sync::ports::BlockStore;
use zakura_header_sync::chain::Height;

use super::{Edge, Failure, args::ExportArgs};
use crate::store::{Store, StoreOptions};

/// Writes the blocks of a range of heights, each to `OUT/NETWORK-HEIGHT.block`, and prints how many.
///
/// # Errors
///
/// Wrong usage if the range is empty; failed work if a height has no body, a file cannot be written or a signal came.
pub fn execute(args: &ExportArgs, edge: &Edge) -> Result<(), Failure> {
    let (from, to) = (args.from, args.to);
    if from > to {
        return Err(Failure::usage(format!("--from {from} is above --to {to}: swap them")));
    }
    let store = Store::open_existing(&args.data_dir, args.network, StoreOptions::default())?;
    let top = store.acknowledged().height.get();
    if to > top {
        return Err(Failure::work(format!(
            "the {} store in {} has blocks up to height {top} only: choose --to {top} or less",
            args.network,
            args.data_dir.display()
        )));
    }
    let failed = |path: &Path, error: io::Error| {
        Failure::work(format!("cannot write {}: {error}: check --out and the disk", path.display()))
    };
    fs::create_dir_all(&args.out).map_err(|error| failed(&args.out, error))?;
    let bar = edge.output.bar("exporting", u64::from(to - from) + 1);
    let mut exported = 0_u32;
    for height in (from..=to).filter_map(Height::new) {
        if edge.stop.is_cancelled() {
            return Err(Failure::work(format!("interrupted before height {height}: run the command again")));
        }
        let bodies = store.read(height, 1, 0).map_err(Failure::work)?;
        let Some(raw) = bodies.first() else {
            return Err(Failure::work(format!("the store is damaged: it has no body at height {height}")));
        };
        let path = args.out.join(format!("{}-{:07}.block", args.network, height.get()));
        fs::write(&path, raw).map_err(|error| failed(&path, error))?;
        exported += 1;
        bar.step();
    }
    drop(bar);
    edge.output.line(
        &json!({ "exported": exported }),
        &format!("exported {exported} blocks to {}", args.out.display()),
    )
}
