//! Who may know whom.

use super::crates::Manifest;
use super::pattern::{file_fits, file_fits_any};
use super::{House, Offence};

/// The arrows of the house: each member (a folder pattern) and the members it may know. Tests and build scripts count.
const ARROWS: [(&str, &[&str]); 7] = [
    ("transport", &[]),
    ("header_sync", &["transport"]),
    ("block_sync", &["header_sync", "transport"]),
    ("discovery", &["transport"]),
    ("zakura/services/*", &["transport"]),
    ("zakura", &["transport", "header_sync", "block_sync", "discovery", "zakura/services/*"]),
    ("testkit", &["transport", "header_sync", "block_sync", "discovery", "zakura", "zakura/services/*"]),
];

/// Crates that stay behind `transport`'s door.
const QUIC: [&str; 5] = ["quinn", "quinn_proto", "quinn_udp", "rustls", "webpki"];

/// The one place that names them, so that tests can swap the socket and the clock.
const QUIC_HOME: &str = "transport/src/quic/**";

/// The raw peer of transport's own tests, and the hostile peer: they must share no code with what they test. And the raw arm
/// of the benches.
const RAW_PEERS: [&str; 3] =
    ["transport/tests/common/raw.rs", "testkit/src/hostile/**", "transport/benches/raw_quinn/plain.rs"];

/// Members that depend on these crates: the cellar for its door, the roof for the hostile peer.
const QUIC_MEMBERS: [&str; 2] = ["transport", "testkit"];

pub(super) fn manifests(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for member in &house.members {
        let Some(allowed) = arrows_of(&member.folder) else {
            let what = format!("`{}` has no place in the house", member.folder);
            offences.push(Offence::new(
                &member.path,
                1,
                what,
                "add its arrows to the architecture test, or drop it",
            ));
            continue;
        };
        for dependency in member.dependencies(&house.root) {
            let Some(target) = member_called(house, &dependency.package) else { continue };
            if !file_fits_any(allowed, &target.folder) {
                let what = format!("arrow {} -> {}", member.folder, target.folder);
                offences.push(Offence::new(&member.path, dependency.line, what, REMEDY));
            }
        }
    }
    offences
}

const REMEDY: &str = "arrows point down: move the code to the lower member or pass a port in";

pub(super) fn sources(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for source in &house.sources {
        let Some(home) = home_of(house, &source.path) else { continue };
        let allowed = arrows_of(&home.folder).unwrap_or_default();
        for mention in &source.facts.mentions {
            let Some(first) = mention.path.first() else { continue };
            if !mention.import && mention.path.len() == 1 {
                continue; // A local of that name.
            }
            let Some(target) = member_called(house, &first.replace('_', "-")) else { continue };
            if target.folder != home.folder && !file_fits_any(allowed, &target.folder) {
                let what = format!("arrow {} -> {}", home.folder, target.folder);
                offences.push(Offence::new(&source.path, mention.line, what, REMEDY));
            }
        }
    }
    offences
}

pub(super) fn quic_behind_its_door(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    let remedy = format!("only {QUIC_HOME} names it: use transport's own types");
    let is_outside = |path: &str| !file_fits(QUIC_HOME, path) && !file_fits_any(&RAW_PEERS, path);
    for source in house.sources.iter().filter(|source| is_outside(&source.path)) {
        for mention in &source.facts.mentions {
            let Some(first) = mention.path.first() else { continue };
            if QUIC.contains(&first.as_str()) && (mention.import || mention.path.len() > 1) {
                offences.push(Offence::new(
                    &source.path,
                    mention.line,
                    format!("`{first}` is named"),
                    &remedy,
                ));
            }
        }
    }
    for member in house.members.iter().filter(|member| !QUIC_MEMBERS.contains(&member.folder.as_str())) {
        for dependency in member.dependencies(&house.root) {
            if QUIC.contains(&dependency.package.replace('-', "_").as_str()) {
                let what = format!("dependency on `{}`", dependency.package);
                offences.push(Offence::new(&member.path, dependency.line, what, &remedy));
            }
        }
    }
    offences
}

/// Where everything public is our own or the standard library's (and `bytes`).
const OWN_FACE: &str = "transport/src/**";

/// Crates whose types stay behind that face: who uses ours needs none of them, and we may change one for another.
const BEHIND_THE_FACE: [&str; 7] =
    ["tokio", "quinn", "quinn_proto", "quinn_udp", "rustls", "parking_lot", "futures"];

/// No `pub` signature, field, variant, trait item, alias or re-export names a foreign type, by itself or by an import.
///
/// Known limits: what is `pub` in a private module counts although it may not be re-exported; what an `impl` of a trait or
/// a macro's inside names does not count, nor what an alias of our own hides.
pub(super) fn own_types_are_shown(house: &House) -> Vec<Offence> {
    let remedy = "wrap it in a type of ours, or make the item pub(crate)";
    let mut offences = Vec::new();
    for source in house.sources.iter().filter(|source| file_fits(OWN_FACE, &source.path)) {
        for mention in source.production_mentions().filter(|mention| mention.shown) {
            let Some(first) = mention.path.first() else { continue };
            if BEHIND_THE_FACE.contains(&first.as_str()) && (mention.import || mention.path.len() > 1) {
                let what = format!("a `pub` item shows `{}`", mention.path.join("::"));
                offences.push(Offence::new(&source.path, mention.line, what, remedy));
            }
        }
    }
    offences
}

/// The hostile peer, but for the stage on which a node of ours is its victim.
const HOSTILE: &str = "testkit/src/hostile/**";
const STAGE: &str = "testkit/src/hostile/stage.rs";

/// What the hostile peer shares no code with. It may mine with `zakura`, which speaks no protocol.
const PRODUCT: [&str; 4] =
    ["zakura_transport", "zakura_header_sync", "zakura_block_sync", "zakura_discovery"];

pub(super) fn hostile_stands_alone(house: &House) -> Vec<Offence> {
    let is_hostile = |path: &str| file_fits(HOSTILE, path) && !file_fits(STAGE, path);
    let remedy = "write it a second time from the wire specification: a fault on both ends would not be seen";
    let mut offences = Vec::new();
    for source in house.sources.iter().filter(|source| is_hostile(&source.path)) {
        let named = |first: &String| PRODUCT.contains(&first.as_str());
        let mentions = source.facts.mentions.iter();
        for mention in mentions.filter(|mention| mention.path.first().is_some_and(named)) {
            let what = format!("`{}` in the hostile peer", mention.path.join("::"));
            offences.push(Offence::new(&source.path, mention.line, what, remedy));
        }
    }
    offences
}

fn arrows_of(folder: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(member, _)| file_fits(member, folder)).map(|(_, allowed)| *allowed)
}

fn member_called<'h>(house: &'h House, package: &str) -> Option<&'h Manifest> {
    house.members.iter().find(|member| member.package() == Some(package))
}

/// The member a file belongs to: the innermost one, as members may be nested.
fn home_of<'h>(house: &'h House, path: &str) -> Option<&'h Manifest> {
    let around = house.members.iter().filter(|member| path.starts_with(&format!("{}/", member.folder)));
    around.max_by_key(|member| member.folder.len())
}
