//! A world that does not end by itself is ended, and what is said then is enough to live it again.

#![expect(clippy::panic, reason = "a test fails by panicking, in its own functions too")]

use std::time::Duration;
use zakura::store::Store;
use zakura_testkit::sim::{FailedRun, Failure, Genesis, Limits, World, WorldError, run};
use zakura_transport::Identity;

fn fails(limits: Limits, scenario: impl AsyncFnOnce(&mut World<Store>) + Send + 'static) -> FailedRun {
    let genesis = Genesis { limits, ..Genesis::rough(42) };
    let ended = run(genesis, async move |world: &mut World<Store>| {
        scenario(world).await;
        Ok::<(), WorldError>(())
    });
    match ended {
        Ok(_) => panic!("it came to an end"),
        Err(failed) => *failed,
    }
}

#[test]
fn the_virtual_time_ends_a_world_that_waits_for_ever() {
    let limits = Limits { virtual_time: Duration::from_secs(7_200), ..Limits::default() };
    let failed = fails(limits, async |_: &mut World<Store>| std::future::pending().await);
    assert_eq!(failed.failure, Failure::VirtualTime);
    assert_eq!(failed.account.virtual_time.as_secs(), 7_200);
}

#[test]
fn tasks_that_wake_each_other_for_ever_are_a_livelock() {
    let limits = Limits { standstill: Duration::from_millis(300), ..Limits::default() };
    let failed = fails(limits, async |_: &mut World<Store>| {
        loop {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(failed.failure, Failure::Livelock);
}

#[test]
fn randomness_of_the_operating_system_is_not_for_worlds() {
    let before = Identity::generate().map(|identity| identity.peer_id());
    let failed = fails(Limits::default(), async move |_: &mut World<Store>| {
        drop(before);
        drop(Identity::generate());
    });
    assert_eq!(failed.failure, Failure::Entropy(1));
}

#[test]
fn a_panic_is_told_with_its_seed_and_the_last_events() {
    let failed = fails(Limits::default(), async |world: &mut World<Store>| {
        world.switch().say(None, "the last thing".to_owned());
        panic!("as ordered");
    });
    let text = failed.to_string();
    assert!(text.contains("world: the last thing"), "{text}");
    assert!(text.contains("seed 42") && text.ends_with("panicked: as ordered"), "{text}");
}
