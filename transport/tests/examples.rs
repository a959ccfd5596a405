//! The examples do what they say, and stay short enough to be read.

use std::{fs, path::Path};

#[path = "../examples/mempool_digest/main.rs"]
mod mempool_digest;
#[path = "../examples/tx_lookup/main.rs"]
mod tx_lookup;

/// Lines that one file of an example may have, blank ones and comments included.
const LONGEST: usize = 120;

#[test]
fn two_nodes_tell_each_other_digests_and_a_third_is_shown_the_door() {
    mempool_digest::main().unwrap();
}

#[test]
fn two_nodes_look_transactions_up_and_a_third_is_shown_the_door() {
    tx_lookup::main().unwrap();
}

#[test]
fn an_example_is_read_at_a_glance() {
    let mut files = 0;
    for example in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        for file in fs::read_dir(example.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= LONGEST, "{} has {lines} lines, {LONGEST} at most", path.display());
            files += 1;
        }
    }
    assert!(files >= 4, "the examples are elsewhere");
}
