//! Manifests and the lock file, as the rules ask about them.

use toml::{Table, Value};

/// A `Cargo.toml`.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Relative to the house's root.
    pub(super) path: String,
    /// The folder it stands in, relative to the root; empty for the root itself.
    pub(super) folder: String,
    pub(super) table: Table,
    text: String,
}

/// One entry of a dependency table.
#[derive(Debug)]
pub(super) struct Dependency {
    /// The package, whatever name the manifest gives it.
    pub(super) package: String,
    pub(super) line: usize,
    /// Whether it is only there for tests.
    pub(super) dev: bool,
    /// Whether only a feature brings it in.
    pub(super) optional: bool,
}

/// A package of `Cargo.lock`.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) source: Option<String>,
    /// `name` or `name version` of each dependency.
    pub(super) dependencies: Vec<String>,
    pub(super) line: usize,
}

impl Manifest {
    /// Reads a manifest's text.
    ///
    /// # Errors
    /// What `toml` says about a text that is not TOML.
    pub(super) fn parse(path: String, text: String) -> Result<Self, toml::de::Error> {
        let table = text.parse()?;
        let folder = path.strip_suffix("Cargo.toml").unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self { path, folder, table, text })
    }

    /// The value at a dotted key.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The text at a dotted key; a `{ level = ... }` table counts as its level.
    pub(super) fn text_at(&self, key: &str) -> Option<&str> {
        let value = self.get(key)?;
        value.as_str().or_else(|| value.get("level")?.as_str())
    }

    /// The first line that starts with `start`, or 1.
    pub(super) fn line_of(&self, start: &str) -> usize {
        line_where(&self.text, |line| line.trim_start().starts_with(start))
    }

    /// The package's name.
    pub(super) fn package(&self) -> Option<&str> {
        self.text_at("package.name")
    }

    /// Every entry of every dependency table, target-specific ones included. `root` resolves `workspace = true`.
    pub(super) fn dependencies(&self, root: &Self) -> Vec<Dependency> {
        let targets = self.table.get("target").and_then(Value::as_table);
        let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
        let mut found = Vec::new();
        for table in tables.chain([&self.table]) {
            for (kind, dev) in
                [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
            {
                for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                    let package = renamed(value).or_else(|| root.workspace_package(key, value));
                    let package = package.unwrap_or(key).to_owned();
                    let optional = value.get("optional").and_then(Value::as_bool) == Some(true);
                    found.push(Dependency { package, line: self.line_of_key(key), dev, optional });
                }
            }
        }
        found
    }

    fn workspace_package(&self, key: &str, value: &Value) -> Option<&str> {
        value.get("workspace")?;
        renamed(self.table.get("workspace")?.get("dependencies")?.get(key)?)
    }

    fn line_of_key(&self, key: &str) -> usize {
        line_where(&self.text, |line| {
            let rest = line
                .trim_start()
                .strip_prefix(key)
                .or_else(|| line.trim_start().strip_prefix(&format!("\"{key}\"")));
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        })
    }
}

fn renamed(value: &Value) -> Option<&str> {
    value.get("package")?.as_str()
}

fn line_where(text: &str, wanted: impl Fn(&str) -> bool) -> usize {
    text.lines().position(wanted).map_or(1, |index| index + 1)
}

/// Reads the packages of a lock file, in its order.
///
/// # Errors
/// What `toml` says about a text that is not TOML.
pub(super) fn parse_lock(text: &str) -> Result<Vec<Locked>, toml::de::Error> {
    let table: Table = text.parse()?;
    let headers =
        text.lines().enumerate().filter(|(_, line)| line.trim() == "[[package]]").map(|(index, _)| index);
    let packages = table.get("package").and_then(Value::as_array).into_iter().flatten();
    Ok(packages.zip(headers).map(|(package, header)| locked(package, header + 2)).collect())
}

fn locked(package: &Value, line: usize) -> Locked {
    let text = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
    let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    Locked {
        name: text("name").unwrap_or_default(),
        version: text("version").unwrap_or_default(),
        source: text("source"),
        dependencies: dependencies.filter_map(Value::as_str).map(str::to_owned).collect(),
        line,
    }
}
