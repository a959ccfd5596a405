//! What cargo is told, and what it locked.

use std::collections::BTreeSet;

use super::crates::{Locked, Manifest};
use super::{House, Offence};

/// What every member says, or inherits from the workspace.
const MEMBER_SETTINGS: [(&str, &str); 2] = [("edition", "2024"), ("rust-version", "1.90")];

/// What the workspace's manifest says. A supervised routine turns a panic into a value, which needs unwinding.
const WORKSPACE_SETTINGS: [(&str, &str); 3] = [
    ("workspace.lints.rust.unsafe_code", "forbid"),
    ("profile.dev.panic", "unwind"),
    ("profile.release.panic", "unwind"),
];

/// Members that nobody ships.
const UNSHIPPED: [&str; 1] = ["testkit"];

const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// The oldest version each of these may have: below it lies a published vulnerability.
const FLOORS: [(&str, [u64; 3]); 9] = [
    ("quinn-proto", [0, 11, 19]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
    ("ring", [0, 17, 12]),
    ("bytes", [1, 11, 1]),
    ("tokio", [1, 44, 2]),
    ("lru", [0, 18, 2]),
    ("crossbeam-channel", [0, 5, 15]),
    ("time", [0, 3, 47]),
];

/// Packages (or families, with a `-` at the end) that never enter: correctness is proved on the real blocks, and one TLS
/// stack is enough.
const REFUSED: [&str; 7] =
    ["zebra-", "openssl", "openssl-", "native-tls", "serde_cbor", "bincode", "rustls-pemfile"];

/// Two versions of one of these do not understand each other's types.
const SINGLE: [&str; 5] = ["quinn", "quinn-proto", "rustls", "tokio", "bytes"];

/// The only place packages come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The members an embedder builds in any case.
const CORE: [&str; 4] = ["transport", "header_sync", "block_sync", "discovery"];

/// Every crate is code that runs with the node's keys; more than this is more than anybody reviews.
const CORE_CRATES: usize = 130;

/// What a core member's dependency brings in only under a feature that is off unless an embedder asks for it. The lock file
/// lists it with the rest; a build without the feature has none of it.
const BY_FEATURE: [&str; 1] = ["qlog"];

pub(super) fn member_manifests(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for member in &house.members {
        if member.get("lints.workspace").and_then(toml::Value::as_bool) != Some(true) {
            let what = "the workspace's lints are not taken over";
            offences.push(Offence::new(
                &member.path,
                member.line_of("[lints]"),
                what,
                "add `[lints] workspace = true`",
            ));
        }
        for (key, wanted) in MEMBER_SETTINGS {
            let own = member.text_at(&format!("package.{key}"));
            let inherited = member.get(&format!("package.{key}.workspace")).is_some();
            let inherited =
                if inherited { house.root.text_at(&format!("workspace.package.{key}")) } else { None };
            if own.or(inherited) != Some(wanted) {
                let what = format!("{key} is not {wanted}");
                let remedy = format!("write `{key}.workspace = true`, and {wanted} in the workspace");
                offences.push(Offence::new(&member.path, member.line_of(key), what, remedy));
            }
        }
    }
    offences
}

pub(super) fn workspace_manifest(house: &House) -> Vec<Offence> {
    let root = &house.root;
    let mut offences = Vec::new();
    for (key, wanted) in WORKSPACE_SETTINGS {
        if root.text_at(key) != Some(wanted) {
            offences.push(Offence::new(
                &root.path,
                1,
                format!("{key} is not {wanted}"),
                format!("set it to \"{wanted}\""),
            ));
        }
    }
    let checked = |key: &str| root.get(key).and_then(toml::Value::as_bool) == Some(true);
    for member in house.members.iter().filter(|member| !UNSHIPPED.contains(&member.folder.as_str())) {
        let package = member.package().unwrap_or_default();
        let own = format!("profile.release.package.{package}.overflow-checks");
        if !checked(&own) && !checked("profile.release.overflow-checks") {
            let what = format!("arithmetic of {package} wraps in release");
            offences.push(Offence::new(&root.path, 1, what, format!("set `{own} = true`")));
        }
    }
    offences
}

pub(super) fn licences(house: &House) -> Vec<Offence> {
    let missing = LICENCES.iter().filter(|name| !house.top.contains(**name));
    missing
        .map(|name| Offence::new("Cargo.toml", 1, format!("{name} is missing"), "add the licence's text"))
        .collect()
}

pub(super) fn lock_floors(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for package in &house.lock {
        let Some((_, floor)) = FLOORS.iter().find(|(name, _)| *name == package.name) else { continue };
        if version(&package.version).is_none_or(|version| version < *floor) {
            let [major, minor, patch] = floor;
            let remedy =
                format!("run cargo update: {major}.{minor}.{patch} closes a published vulnerability");
            offences.push(locked_offence(package, "below its floor", remedy));
        }
    }
    offences
}

pub(super) fn lock_origins(house: &House) -> Vec<Offence> {
    let mut offences = Vec::new();
    for package in &house.lock {
        let refused = REFUSED
            .iter()
            .any(|name| package.name == *name || name.ends_with('-') && package.name.starts_with(name));
        if refused {
            offences.push(locked_offence(package, "refused", "do without it"));
        }
        if package.source.as_deref().is_some_and(|source| source != REGISTRY) {
            offences.push(locked_offence(
                package,
                "not from the crates registry",
                "depend on a published version",
            ));
        }
    }
    offences
}

pub(super) fn lock_single_versions(house: &House) -> Vec<Offence> {
    let mut seen = BTreeSet::new();
    let single = house.lock.iter().filter(|package| SINGLE.contains(&package.name.as_str()));
    let twice = single.filter(|package| !seen.insert(package.name.as_str()));
    twice.map(|package| locked_offence(package, "there twice", "settle on one version of it")).collect()
}

/// Counts the crates the core needs: everything reachable in the lock file from the core members' normal and build
/// dependencies, themselves included, for all platforms, without what only a feature of theirs brings in. It is an upper
/// bound of what any one platform builds by default, and needs no cargo to compute.
pub(super) fn core_crate_budget(house: &House) -> Vec<Offence> {
    let needed = core_crates(house);
    if needed <= CORE_CRATES {
        return Vec::new();
    }
    let what = format!("the core needs {needed} crates, the budget is {CORE_CRATES}");
    vec![Offence::new("Cargo.lock", 1, what, "drop a dependency or one of its features")]
}

fn core_crates(house: &House) -> usize {
    let core = house.members.iter().filter(|member| CORE.contains(&member.folder.as_str()));
    let mut waiting: Vec<&Locked> = core.flat_map(|member| normal_dependencies(house, member)).collect();
    let mut needed = BTreeSet::new();
    while let Some(package) = waiting.pop() {
        if BY_FEATURE.contains(&package.name.as_str()) {
            continue;
        }
        if needed.insert((&package.name, &package.version)) && package.source.is_some() {
            waiting.extend(package.dependencies.iter().filter_map(|entry| find(house, entry)));
        }
    }
    needed.len()
}

/// A member's own dependencies. The lock file mixes a member's tests in, so its manifest says which are normal.
fn normal_dependencies<'h>(house: &'h House, member: &Manifest) -> Vec<&'h Locked> {
    let own = house.lock.iter().filter(|package| member.package() == Some(&package.name));
    let normal: BTreeSet<String> = member
        .dependencies(&house.root)
        .into_iter()
        .filter(|dependency| !dependency.dev && !dependency.optional)
        .map(|dependency| dependency.package)
        .collect();
    let entries = own.clone().flat_map(|package| package.dependencies.iter());
    let needed =
        entries.filter_map(|entry| find(house, entry)).filter(|package| normal.contains(&package.name));
    own.chain(needed).collect()
}

/// The package that `name`, `name version` or `name version (source)` means.
fn find<'h>(house: &'h House, entry: &str) -> Option<&'h Locked> {
    let mut parts = entry.split(' ');
    let (name, version) = (parts.next()?, parts.next());
    house
        .lock
        .iter()
        .find(|package| package.name == name && version.is_none_or(|version| package.version == version))
}

fn locked_offence(package: &Locked, what: &str, remedy: impl Into<String>) -> Offence {
    Offence::new(
        "Cargo.lock",
        package.line,
        format!("{} {} is {what}", package.name, package.version),
        remedy,
    )
}

/// The numbers of a version, without what follows `-` or `+`.
fn version(text: &str) -> Option<[u64; 3]> {
    let numbers = text.split(['-', '+']).next()?;
    let numbers: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}
