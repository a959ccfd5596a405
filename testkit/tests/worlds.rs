//! Pure worlds: whatever goes wrong, every invariant holds, and whoever can arrive does.
//!
//! A world that fails names its seed; `zakura-sim replay SEED` and `zakura-sim shrink SEED` show it.

use zakura_testkit::worlds::{Size, Summary, sweep};

/// Enough for faults, odd peers and liars to meet.
const SMALL: Size = Size { peers: 20, heights: 300, newcomers: 2, faults: 6 };

/// What has to happen somewhere, or the worlds show nothing (I-X2).
const SOMETIMES: [&str; 30] = [
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
    "exit: violation answer.unasked",
    "exit: violation header.rules",
    "exit: violation headers.link",
    "exit: violation body does not match its header",
    "exit: violation message.length",
    "connected",
];

fn told(summary: &Summary) -> String {
    let breaches = summary.broken.iter().map(|(seed, report)| format!("seed {seed}: {:?}", report.breaches));
    breaches.collect::<Vec<_>>().join("\n")
}

#[test]
fn two_hundred_worlds_hold_every_invariant_twice_the_same() {
    let summary = sweep(0..200, SMALL, 2).unwrap();
    assert!(summary.broken.is_empty(), "{}", told(&summary));
    assert_eq!(summary.missing(&SOMETIMES), [""; 0], "of {:#?}", summary.seen);
    let again = sweep(0..200, SMALL, 1).unwrap();
    for (seed, digest) in &summary.digests {
        assert_eq!(again.digests.get(seed), Some(digest), "seed {seed} is another world the second time");
    }
    assert_ne!(summary.digests.get(&0), summary.digests.get(&1));
}
