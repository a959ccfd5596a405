//! The same seed gives the same world, payload bytes included, in every process; another seed gives another one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use std::process::Command;
use zakura_testkit::sim::{Genesis, Mesh, first_difference};

/// What `zakura-sim` says about a world on a rough network: 1 % loss, jitter, reordering, duplicates.
fn in_a_process_of_its_own(seed: u64, nodes: u16) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zakura-sim"));
    command.args(["run", "--json", "--seconds=20"]);
    command.arg(format!("--seed={seed}")).arg(format!("--nodes={nodes}"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn two_processes_see_the_same_events_and_another_seed_sees_others() {
    for nodes in [2, 7] {
        let (first, second) = (in_a_process_of_its_own(7, nodes), in_a_process_of_its_own(7, nodes));
        let other = in_a_process_of_its_own(8, nodes);
        let trace = |world: &serde_json::Value| world["trace"].as_str().unwrap().to_owned();
        assert_eq!(trace(&first), trace(&second), "{nodes} nodes: run zakura-sim check-determinism");
        assert_ne!(trace(&first), trace(&other));
        for world in [&first, &other] {
            assert_eq!(world["nodes"], nodes);
            assert!(world["tip"].as_str().unwrap().starts_with("200 "), "{world}");
        }
        assert!(first["datagrams"].as_u64().unwrap() > 100, "{first}");
    }
}

#[test]
fn worlds_in_one_process_do_not_touch_each_other() {
    let mesh = Mesh { nodes: 5, degree: 4, blocks: 300, at_least: std::time::Duration::from_secs(30) };
    let live = |seed| {
        let genesis = Genesis { record: true, ..Genesis::rough(seed) };
        mesh.run(genesis).unwrap().account.trace
    };
    let alone = live(1);
    // Beside another world on another thread, and after a third one.
    let beside = zakura_transport::Spawner::new();
    let genesis = Genesis::rough(2);
    beside.thread("another world", move || drop(mesh.run(genesis))).unwrap();
    let again = live(1);
    if let Some(difference) = first_difference(&alone.record, &again.record) {
        panic!("the same seed parts here:\n{difference}");
    }
    assert_eq!(alone.hash, again.hash);
    assert!(alone.record.iter().any(|line| line.contains("dropped")), "nothing was lost");
}
