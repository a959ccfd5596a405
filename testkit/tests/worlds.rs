//! Pure worlds: whatever goes wrong, every invariant holds, and whoever can arrive does.
//!
//! A world that fails names its seed; `zakura-sim replay SEED` and `zakura-sim shrink SEED` show it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::ops::Range;
use zakura_testkit::worlds::{Narrow, Plan, Rung, Size, Summary, WALL_LIMIT, run, sweep};

/// Enough for faults, odd peers and liars to meet.
const SMALL: Size = Size { rung: Rung::Toy, peers: 20, heights: 300, newcomers: 2, faults: 6 };

/// What has to happen somewhere, or the worlds show nothing (I-X2).
const SOMETIMES: [&str; 69] = [
    "connected",
    "fault: cut",
    "fault: heal",
    "fault: split",
    "fault: rejoin",
    "fault: crash",
    "fault: doom",
    "fault: leave",
    "fault: start",
    "fault: wedge",
    "fault: unwedge",
    "fault: bandwidth",
    "fault: slow work",
    "fault: slow store",
    "fault: store error",
    "fault: clock jump",
    "fault: reorg",
    "torn: header store",
    "torn: body commit",
    "habit: Slow",
    "habit: Lossy",
    "habit: Pruned",
    "habit: Forked",
    "habit: Restarting",
    "habit: Ailing",
    "habit: Churning",
    "habit: Early",
    "habit: Late",
    "habit: Forger",
    "habit: Braggart",
    "habit: Trespasser",
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
    "convicted: Trespasser",
    "convicted: Tamperer",
    "convicted: Babbler",
    "convicted: Pusher",
    "convicted: Cutter",
    "exit: violation answer.unasked",
    "exit: violation header.rules",
    "exit: violation headers.link",
    "exit: violation Headers.headers",
    "exit: violation body does not match its header",
    "exit: violation block-sync message",
    "exit: violation message type",
    "exit: violation message.length",
    "says: bodies: AtTip",
    "says: bodies: NoPeers",
    "says: bodies: NoUsefulPeers",
    "says: bodies: WaitingForBody of a peer",
    "says: bodies: WaitingForBody of nobody",
    "says: bodies: Verifying",
    "says: bodies: WaitingForStore",
    "says: bodies: WaitingForStore that failed",
    "says: bodies alarm: the store cannot commit: the disk is full",
    "says: headers: a tip is followed",
    "says: headers: headers of a tip are staged",
    "says: headers: segments are fetched",
    "says: headers: segments wait for the store",
    "says: headers held up: the disk is full",
    "says: headers held up: a header is more than two hours ahead of local time: check the clock",
];

/// What has to happen even in a few worlds.
const EVEN_IN_FEW: [&str; 8] = [
    "connected",
    "fault: crash",
    "fault: doom",
    "fault: clock jump",
    "fault: reorg",
    "torn: body commit",
    "exit: violation header.rules",
    "says: bodies: AtTip",
];

fn told(summary: &Summary) -> String {
    let breaches = summary.broken.iter().map(|(seed, report)| format!("seed {seed}: {:?}", report.breaches));
    let others = format!("panicked: {:?}, stuck: {:?}", summary.panicked, summary.stuck);
    breaches.chain([others]).collect::<Vec<_>>().join("\n")
}

/// Runs worlds twice: they hold every invariant, they are the same both times, and `wanted` has been seen.
fn hold_twice_the_same(seeds: Range<u64>, size: Size, wanted: &[&str]) -> Summary {
    let live = |threads| sweep(seeds.clone(), size, &Narrow::default(), threads, WALL_LIMIT).unwrap();
    let (summary, again) = (live(2), live(1));
    assert!(summary.is_good(), "{}", told(&summary));
    assert_eq!(summary.missing(wanted), [""; 0], "of {:#?}", summary.seen);
    for (seed, digest) in &summary.digests {
        assert_eq!(again.digests.get(seed), Some(digest), "seed {seed} is another world the second time");
    }
    let mut digests: Vec<_> = summary.digests.values().collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), summary.digests.len(), "another seed is another world");
    summary
}

#[test]
fn two_hundred_worlds_hold_every_invariant_twice_the_same() {
    let summary = hold_twice_the_same(0..200, SMALL, &SOMETIMES);
    assert_eq!(summary.unchecked(), [""; 0], "these had nothing to look at in any world");
}

#[test]
fn so_do_worlds_whose_blocks_weigh_as_on_mainnet() {
    let size = Size { rung: Rung::Mainnet, peers: 10, heights: 120, ..SMALL };
    hold_twice_the_same(0..20, size, &EVEN_IN_FEW);
}

#[test]
fn so_do_worlds_of_proven_blocks_in_the_store_that_ships() {
    let size = Size { rung: Rung::Regtest, peers: 10, heights: 60, newcomers: 1, ..SMALL };
    hold_twice_the_same(0..20, size, &EVEN_IN_FEW);
}

/// A seed found that a tip which the store puts off kept the true one out, with one place for tips. (In header sync's own
/// tests: `a_tip_that_the_store_puts_off_keeps_no_other_out`.)
#[test]
fn an_early_tip_keeps_nobody_from_the_true_one() {
    let early = Narrow { faults: Some("none".parse().unwrap()), peers: None, hurry: 0 };
    let mut worlds = 0;
    for seed in 0..60 {
        let mut plan = Plan::draw(seed, Size { heights: 40, newcomers: 0, ..SMALL }).narrowed(&early);
        plan.config.0.max_targets = 1;
        let report = run(plan);
        assert!(report.breaches.is_empty(), "seed {seed}: {:?}", report.breaches);
        worlds += u32::from(report.seen.keys().any(|seen| seen.contains("two hours ahead")));
    }
    assert!(worlds > 10, "only {worlds} worlds had an early tip");
}
