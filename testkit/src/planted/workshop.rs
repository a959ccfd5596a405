//! A copy of the sources in which bugs are planted, and a build folder of its own beside it.
//!
//! Both stay from run to run under the target folder: cargo knows a member by where it lies below its workspace, so a second
//! workspace that shared the house's build folder would leave patched crates there for the house to take as its own. What
//! is built already is copied over at the first time, so that no dependency is built twice.

use super::child::{self, Ended};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// What cargo keeps of a profile and can be taken along. Not what rustc keeps of its own: it starts anew in another folder.
const BUILT: [&str; 3] = [".fingerprint", "build", "deps"];

/// How long git may take.
const GIT: Duration = Duration::from_secs(60);

/// The copy. Only one run has it at a time.
#[derive(Debug)]
pub struct Workshop {
    house: PathBuf,
    place: PathBuf,
    _lock: File,
}

impl Workshop {
    /// Opens the workshop of a house below `target`, the folder in which builds lie. `built` is the folder of a `dev`
    /// build of the house, from which dependencies are taken if nothing was built in the workshop yet.
    ///
    /// # Errors
    ///
    /// If another run has it, or files cannot be read or written.
    pub fn open(house: &Path, target: &Path, built: Option<&Path>) -> Result<Self, String> {
        let place = target.join("planted");
        let told = |error: io::Error| format!("{}: {error}", place.display());
        fs::create_dir_all(&place).map_err(told)?;
        let lock = File::create(place.join("lock")).map_err(told)?;
        if lock.try_lock().is_err() {
            return Err(format!("{} is in use: another run is under way", place.display()));
        }
        let house = house.canonicalize().map_err(|error| format!("{}: {error}", house.display()))?;
        let workshop = Self { house, place: place.clone(), _lock: lock };
        match built.filter(|built| !workshop.target().exists() && built.join("deps").is_dir()) {
            // A file's age tells cargo whether it was built since.
            Some(built) => {
                workshop.take_over(built).map_err(told)?;
                workshop.refresh_with(keep_age)?;
            }
            None => workshop.refresh()?,
        }
        Ok(workshop)
    }

    fn sources(&self) -> PathBuf {
        self.place.join("sources")
    }

    fn target(&self) -> PathBuf {
        self.place.join("build")
    }

    /// A program of the copy.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.target().join("debug").join(name));
        command.current_dir(self.sources());
        command
    }

    /// Runs a program.
    pub(super) fn run(&self, command: &mut Command, limit: Duration) -> Result<Ended, String> {
        child::run(command, limit, &self.place)
    }

    /// Runs cargo on the copy. No network, and the versions of the lock file.
    pub(super) fn cargo(&self, arguments: &[&str], limit: Duration) -> Result<Ended, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(self.sources());
        command.env("CARGO_TARGET_DIR", self.target()).env("CARGO_NET_OFFLINE", "true");
        self.run(&mut command, limit)
    }

    /// Makes the copy equal to the house, and whatever was planted is gone.
    ///
    /// # Errors
    ///
    /// If files cannot be read or written.
    pub fn refresh(&self) -> Result<(), String> {
        self.refresh_with(|_, _| Ok(()))
    }

    /// Plants a patch.
    ///
    /// # Errors
    ///
    /// If it does not apply to the house of today.
    pub fn plant(&self, patch: &Path) -> Result<(), String> {
        self.refresh()?;
        apply(&self.sources(), patch, &[])
    }

    fn refresh_with(&self, then: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<(), String> {
        let wanted = files(&self.house)?;
        let sources = self.sources();
        let told = |error: io::Error| format!("{}: {error}", sources.display());
        fs::create_dir_all(&sources).map_err(told)?;
        for gone in below(&sources).map_err(told)?.difference(&wanted) {
            fs::remove_file(sources.join(gone)).map_err(told)?;
        }
        for file in &wanted {
            let (from, to) = (self.house.join(file), sources.join(file));
            let text = fs::read(&from).map_err(told)?;
            if fs::read(&to).is_ok_and(|there| there == text) {
                continue;
            }
            to.parent().map_or(Ok(()), fs::create_dir_all).map_err(told)?;
            fs::write(&to, text).map_err(told)?;
            then(&from, &to).map_err(told)?;
        }
        Ok(())
    }

    /// Takes over what is built, but no programs: they are the bulk of it, and are linked anew anyway.
    fn take_over(&self, built: &Path) -> io::Result<()> {
        let to = self.target().join("debug");
        for part in BUILT.into_iter().filter(|part| built.join(part).is_dir()) {
            for file in below(&built.join(part))? {
                let (from, to) = (built.join(part).join(&file), to.join(part).join(&file));
                if part == "deps" && to.extension().is_none() {
                    continue;
                }
                to.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::copy(&from, &to)?;
                keep_age(&from, &to)?;
            }
        }
        Ok(())
    }
}

fn keep_age(from: &Path, to: &Path) -> io::Result<()> {
    let age = fs::metadata(from)?.modified()?;
    File::options().append(true).open(to)?.set_modified(age)
}

/// Applies a patch to what lies in `folder`, whatever repository that lies in.
fn apply(folder: &Path, patch: &Path, more: &[&str]) -> Result<(), String> {
    let scratch = tempfile::tempdir().map_err(|error| format!("no folder for git's words: {error}"))?;
    let mut git = Command::new("git");
    git.arg("apply").args(more).arg(patch).current_dir(folder);
    if let Some(above) = folder.parent() {
        git.env("GIT_CEILING_DIRECTORIES", above);
    }
    let ended = child::run(&mut git, GIT, scratch.path())?;
    if ended.worked() { Ok(()) } else { Err(format!("the patch does not apply: {}", ended.tail())) }
}

/// Whether a patch applies to the house as it is.
///
/// # Errors
///
/// Why it does not.
pub fn applies(house: &Path, patch: &Path) -> Result<(), String> {
    apply(house, patch, &["--check"])
}

/// The files of a house: what git knows, and what is new and not ignored.
fn files(house: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(listed).current_dir(house).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git lists no files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(names.filter(|name| house.join(name).is_file()).collect())
}

/// Every file below a folder, by its path from there.
fn below(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(folder.join(&next))? {
            let entry = entry?;
            let path = next.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house of one file, below a repository of its own, and a patch for it.
    fn house() -> (tempfile::TempDir, PathBuf) {
        let house = tempfile::tempdir().unwrap();
        let at = house.path();
        assert!(Command::new("git").args(["init", "-q"]).current_dir(at).status().unwrap().success());
        fs::create_dir(at.join("src")).unwrap();
        fs::write(at.join("src/a"), "one\ntwo\nthree\n").unwrap();
        fs::write(at.join(".gitignore"), "/target\n").unwrap();
        let patch = at.join("target/a.patch");
        fs::create_dir(at.join("target")).unwrap();
        fs::write(&patch, "--- a/src/a\n+++ b/src/a\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n").unwrap();
        (house, patch)
    }

    #[test]
    fn a_patch_changes_the_copy_and_the_next_look_takes_it_away() {
        let (house, patch) = house();
        let workshop = Workshop::open(house.path(), &house.path().join("target"), None).unwrap();
        let copy = || fs::read_to_string(workshop.sources().join("src/a")).unwrap();
        assert_eq!(applies(house.path(), &patch), Ok(()));
        workshop.plant(&patch).unwrap();
        assert_eq!(copy(), "one\n2\nthree\n");
        workshop.plant(&patch).unwrap();
        workshop.refresh().unwrap();
        assert_eq!(copy(), "one\ntwo\nthree\n");
        assert_eq!(fs::read_to_string(house.path().join("src/a")).unwrap(), copy());

        fs::write(house.path().join("src/a"), "one\nzwei\nthree\n").unwrap();
        assert!(applies(house.path(), &patch).is_err());
        assert!(workshop.plant(&patch).unwrap_err().contains("does not apply"));
        fs::rename(house.path().join("src/a"), house.path().join("src/b")).unwrap();
        workshop.refresh().unwrap();
        assert!(!workshop.sources().join("src/a").exists() && workshop.sources().join("src/b").exists());
    }

    #[test]
    fn what_is_built_comes_along_with_its_age_and_without_programs() {
        let (house, patch) = house();
        let (target, built) = (house.path().join("target"), house.path().join("target/debug"));
        fs::create_dir_all(built.join("deps")).unwrap();
        for file in ["liba.rlib", "a-program"] {
            fs::write(built.join("deps").join(file), "built").unwrap();
        }
        let age = fs::metadata(house.path().join("src/a")).unwrap().modified().unwrap();
        let workshop = Workshop::open(house.path(), &target, Some(&built)).unwrap();
        let modified = |file: &Path| fs::metadata(file).unwrap().modified().unwrap();
        let deps = workshop.target().join("debug/deps");
        assert_eq!(modified(&deps.join("liba.rlib")), modified(&built.join("deps/liba.rlib")));
        assert!(!deps.join("a-program").exists());
        assert_eq!(modified(&workshop.sources().join("src/a")), age);
        // What is planted, and what comes back after it, is newer than what was built of it.
        workshop.plant(&patch).unwrap();
        assert!(modified(&workshop.sources().join("src/a")) > age);
        workshop.refresh().unwrap();
        assert!(modified(&workshop.sources().join("src/a")) > age);
    }

    #[test]
    fn a_workshop_has_one_master_at_a_time() {
        let (house, _) = house();
        let open = || Workshop::open(house.path(), &house.path().join("target"), None);
        let first = open().unwrap();
        assert!(open().unwrap_err().contains("in use"));
        drop(first);
        drop(open().unwrap());
    }
}
