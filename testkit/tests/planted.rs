//! The planted bugs fit the house of today. Whether each is caught, `zakura-sim planted` says: it builds them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own house has failed")]

use std::path::Path;
use zakura_testkit::planted::{Catalogue, Caught, applies};

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn catalogue() -> Catalogue {
    Catalogue::load(house()).unwrap()
}

#[test]
fn every_bug_is_listed_once_is_about_a_threat_and_changes_what_ships() {
    assert_eq!(catalogue().faults().unwrap(), [""; 0]);
}

#[test]
fn every_patch_applies_to_the_house_of_today() {
    let catalogue = catalogue();
    let stale = catalogue.bugs.iter().filter_map(|bug| {
        let why = applies(house(), &catalogue.patch(bug)).err()?;
        Some(format!("{}: {why}", bug.name))
    });
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "make these anew for what they patch:\n{}", stale.join("\n"));
}

#[test]
fn there_are_enough_and_most_need_no_more_than_pure_worlds() {
    let bugs = catalogue().bugs;
    let by_worlds = |caught: &Caught| matches!(caught, Caught::Worlds { awaits: None, .. });
    let worlds = bugs.iter().filter(|bug| by_worlds(&bug.caught)).count();
    let tests = bugs.iter().filter(|bug| matches!(bug.caught, Caught::Test { .. })).count();
    assert!(worlds + tests >= 18, "{worlds} by worlds and {tests} by tests");
    assert!(worlds >= 13, "{worlds} by worlds");
    assert!(tests >= 2, "{tests} by tests");
}
