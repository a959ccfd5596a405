//! The whole workspace in memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::crates::{Locked, Manifest, parse_lock};
use super::pattern::file_fits;
use super::source::Source;

/// Everything the rules look at, read once.
#[derive(Debug)]
pub struct House {
    /// Names of what stands at the top, dot files excepted.
    pub(super) top: BTreeSet<String>,
    /// Every Rust file, fixtures excepted.
    pub(super) sources: Vec<Source>,
    /// Every file that is text: its path and what it says.
    pub(super) texts: Vec<(String, String)>,
    /// The workspace's own manifest.
    pub(super) root: Manifest,
    /// The members' manifests.
    pub(super) members: Vec<Manifest>,
    /// The packages of the lock file.
    pub(super) lock: Vec<Locked>,
}

/// Why a house could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HouseError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}; check that it exists and may be read")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A source file is not Rust.
    #[error("{path}: {source}; make it compile first")]
    NotRust {
        /// The file.
        path: String,
        /// What the parser said.
        source: syn::Error,
    },
    /// A manifest or lock file is not TOML.
    #[error("{path}: {source}; make cargo accept it first")]
    NotToml {
        /// The file.
        path: String,
        /// What the parser said.
        source: toml::de::Error,
    },
}

/// Folders that are not the project's: build output and version control.
const FOREIGN: [&str; 2] = ["target", ".git"];

/// Planted trees of the architecture test are data, not sources.
const FIXTURES: &str = "testkit/tests/fixtures/**";

impl House {
    /// Reads the workspace at `root`.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not what its name promises.
    pub fn load(root: &Path) -> Result<Self, HouseError> {
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort();
        let mut texts = Vec::new();
        for path in files {
            let full = root.join(&path);
            let bytes = fs::read(&full).map_err(|source| HouseError::Unreadable { path: full, source })?;
            texts.extend(String::from_utf8(bytes).ok().map(|text| (path, text)));
        }
        let sources = texts.iter().filter(|(path, _)| path.ends_with(".rs") && !file_fits(FIXTURES, path));
        let sources = sources
            .map(|(path, text)| {
                Source::parse(path.clone(), text)
                    .map_err(|source| HouseError::NotRust { path: path.clone(), source })
            })
            .collect::<Result<_, _>>()?;
        let root_manifest = manifest(&texts, "Cargo.toml")?;
        let members = member_manifests(&root_manifest, &texts)?;
        let lock = parse_lock(text_of(&texts, "Cargo.lock"))
            .map_err(|source| HouseError::NotToml { path: "Cargo.lock".to_owned(), source })?;
        Ok(Self { top: top(root)?, sources, texts, root: root_manifest, members, lock })
    }
}

fn top(root: &Path) -> Result<BTreeSet<String>, HouseError> {
    let names = entries(root)?.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, HouseError> {
    let unreadable = |source| HouseError::Unreadable { path: folder.to_owned(), source };
    fs::read_dir(folder).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), HouseError> {
    for entry in entries(folder)? {
        let path = entry.path();
        let kind =
            entry.file_type().map_err(|source| HouseError::Unreadable { path: path.clone(), source })?;
        if FOREIGN.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_file() {
            let parts = path.strip_prefix(root).unwrap_or(&path).iter().map(|part| part.to_string_lossy());
            files.push(parts.collect::<Vec<_>>().join("/"));
        }
    }
    Ok(())
}

fn text_of<'a>(texts: &'a [(String, String)], wanted: &str) -> &'a str {
    texts.iter().find(|(path, _)| path == wanted).map_or("", |(_, text)| text)
}

fn manifest(texts: &[(String, String)], path: &str) -> Result<Manifest, HouseError> {
    Manifest::parse(path.to_owned(), text_of(texts, path).to_owned())
        .map_err(|source| HouseError::NotToml { path: path.to_owned(), source })
}

/// The members' manifests; a member may be a pattern such as `zakura/services/*`.
fn member_manifests(root: &Manifest, texts: &[(String, String)]) -> Result<Vec<Manifest>, HouseError> {
    let members = root.get("workspace.members").and_then(toml::Value::as_array).into_iter().flatten();
    let patterns: Vec<_> =
        members.filter_map(|member| Some(format!("{}/Cargo.toml", member.as_str()?))).collect();
    let paths = texts.iter().map(|(path, _)| path);
    let paths = paths.filter(|path| patterns.iter().any(|pattern| file_fits(pattern, path)));
    paths.map(|path| manifest(texts, path)).collect()
}
