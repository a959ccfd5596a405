//! Plans on real nodes: what pure worlds hold, QUIC, TLS, routines and reactors hold too, and the same seed lives twice.
//!
//! A seed that fails is lived again by `zakura-sim stack --seed SEED --peers 7 --heights 100`, and pure by
//! `zakura-sim replay SEED` with the same size.

use std::process::Command;
use zakura_testkit::{
    stack::sweep,
    worlds::{Rung, Size, Summary},
};

/// Enough for faults, odd peers and liars to meet.
const SMALL: Size = Size { rung: Rung::Toy, peers: 7, heights: 100, newcomers: 2, faults: 6 };

/// Seeds that together show all of [`SOMETIMES`].
const SEEDS: u64 = 160;

/// Of them, seeds that are lived twice.
const TWICE: u64 = 30;

/// What has to happen somewhere, or the worlds show nothing (I-X2).
const SOMETIMES: [&str; 36] = [
    "connected",
    "pairs that agree",
    "looked at rest",
    "stopped with nothing left",
    "fault: cut",
    "fault: heal",
    "fault: crash",
    "fault: start",
    "fault: bandwidth",
    "fault: slow work",
    "fault: store error",
    "fault: reorg",
    "habit: Late",
    "habit: Forger",
    "habit: Tamperer",
    "habit: Mute",
    "habit: Inventor",
    "habit: Flapper",
    "habit: Babbler",
    "habit: Pusher",
    "habit: Cutter",
    "habit: Beggar",
    "convicted: Forger",
    "convicted: Braggart",
    "convicted: Tamperer",
    "convicted: Babbler",
    "convicted: Pusher",
    "convicted: Cutter",
    "violation: answer.unasked",
    "violation: body does not match its header",
    "lost: reset",
    "lost: duplicate",
    "not reached: timeout",
    "datagram dropped: Cut",
    "datagram dropped: Down",
    "datagram dropped: Lost",
];

fn told(summary: &Summary) -> String {
    let breaches = summary.broken.iter().map(|(seed, report)| format!("seed {seed}: {:?}", report.breaches));
    breaches.collect::<Vec<_>>().join("\n")
}

#[test]
fn plans_hold_every_invariant_on_real_nodes_and_repeat() {
    let summary = sweep(0..SEEDS, SMALL, 2).unwrap();
    assert!(summary.broken.is_empty(), "{}", told(&summary));
    assert_eq!(summary.missing(&SOMETIMES), [""; 0], "of {:#?}", summary.seen);
    let again = sweep(0..TWICE, SMALL, 1).unwrap();
    for (seed, digest) in &again.digests {
        assert_eq!(summary.digests.get(seed), Some(digest), "seed {seed} is another world the second time");
    }
    assert_ne!(summary.digests.get(&0), summary.digests.get(&1));
}

#[test]
fn two_processes_live_a_plan_alike_to_the_last_byte() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zakura-sim"));
    command.args(["check-determinism", "--plan", "--seed=7", "--peers=7", "--heights=100"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
