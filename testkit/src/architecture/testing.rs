//! Tests stay beside the code, all of them run, and every silenced lint says why.

use super::facts::Attribute;
use super::{House, Offence};

pub(super) fn cfg_test_on_tests(house: &House) -> Vec<Offence> {
    let remedy = "only the closing `#[cfg(test)] mod tests { .. }` knows of tests; inject what differs";
    attributes(house, "conditional on `test`", remedy, |attribute| {
        let plain = attribute.name == "cfg" && attribute.words == ["test"] && attribute.on_tests;
        ["cfg", "cfg_attr"].contains(&attribute.name.as_str()) && has(attribute, "test") && !plain
    })
}

pub(super) fn no_ignored_test(house: &House) -> Vec<Offence> {
    attributes(house, "an ignored test", "make it quick and sure, or delete it", |attribute| {
        attribute.name == "ignore" || attribute.name == "cfg_attr" && has(attribute, "ignore")
    })
}

pub(super) fn reasons(house: &House) -> Vec<Offence> {
    attributes(house, "a silenced lint without its reason", "add `reason = \"...\"`", |attribute| {
        ["allow", "expect"].contains(&attribute.name.as_str()) && !has(attribute, "reason")
    })
}

fn has(attribute: &Attribute, word: &str) -> bool {
    attribute.words.iter().any(|found| found == word)
}

fn attributes(house: &House, what: &str, remedy: &str, wrong: impl Fn(&Attribute) -> bool) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in &house.sources {
        let found = source.facts.attributes.iter().filter(|attribute| wrong(attribute));
        offences.extend(found.map(|attribute| Offence::new(&source.path, attribute.line, what, remedy)));
    }
    offences
}
