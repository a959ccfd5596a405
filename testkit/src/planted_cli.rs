//! The command of `zakura-sim` about planted bugs.

use crate::planted::{Bug, Catalogue, Caught, Limits, Workshop, head, rotation, run};
use clap::Args;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Plants one bug after another in a copy of the sources, and says what caught each.
#[derive(Debug, Args)]
pub struct PlantedArgs {
    /// Only these.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Only so many of those that pure worlds catch, others on every commit.
    #[arg(long, value_name = "COUNT", conflicts_with = "only")]
    rotate: Option<usize>,
    /// What chooses them; the commit if absent.
    #[arg(long, value_name = "WORD", requires = "rotate")]
    of: Option<String>,
    /// Worlds at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seconds that one build or one test may take.
    #[arg(long, default_value_t = 900)]
    patience: u64,
    /// Where the sources are; where this program was built from if absent.
    #[arg(long, value_name = "FOLDER")]
    house: Option<PathBuf>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl PlantedArgs {
    /// Tries them.
    ///
    /// # Errors
    ///
    /// The same report, if a bug escaped or could not be tried; or why nothing was tried.
    pub fn run(&self) -> Result<String, String> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let house =
            self.house.as_deref().or(built_from).ok_or("the sources are nowhere: name them by --house")?;
        let catalogue = Catalogue::load(house)?;
        let faults = catalogue.faults()?;
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        let bugs = self.chosen(house, &catalogue)?;
        let program =
            std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let built = program.parent().ok_or("this program lies in no folder")?;
        let target = built.parent().ok_or("this program lies in no build folder")?;
        // Only a `dev` build can be taken along: that is what the copy is built as, for its overflow checks.
        let workshop = Workshop::open(house, target, Some(built).filter(|built| built.ends_with("debug")))?;
        let patience = Duration::from_secs(self.patience);
        let limits = Limits {
            threads: self.threads,
            build: patience,
            sweep: Duration::from_secs(300),
            test: patience,
        };
        let report = run(&workshop, &catalogue, &bugs, limits, |outcome| {
            // Whoever does not listen to progress still gets the report.
            drop(writeln!(io::stderr(), "{}", outcome.line()));
        })?;
        let text = if self.json { report.json() } else { report.table() };
        if report.is_good() { Ok(text) } else { Err(text) }
    }

    fn chosen<'c>(&self, house: &Path, catalogue: &'c Catalogue) -> Result<Vec<&'c Bug>, String> {
        if let Some(count) = self.rotate {
            let word = self.of.clone().map_or_else(|| head(house), Ok)?;
            let turns: Vec<_> = catalogue.bugs.iter().filter(|bug| has_turns(bug)).collect();
            let names: Vec<_> = turns.iter().map(|bug| bug.name.as_str()).collect();
            let places = rotation(&names, count, &word);
            return Ok(places.iter().filter_map(|place| turns.get(*place).copied()).collect());
        }
        let unknown = self.only.iter().find(|name| catalogue.bugs.iter().all(|bug| bug.name != **name));
        if let Some(name) = unknown {
            return Err(format!("there is no bug called {name}"));
        }
        let is_chosen = |bug: &&Bug| self.only.is_empty() || self.only.contains(&bug.name);
        Ok(catalogue.bugs.iter().filter(is_chosen).collect())
    }
}

/// Whether it is tried in turn: what a named test catches costs minutes, and the test itself runs on every commit.
const fn has_turns(bug: &Bug) -> bool {
    matches!(bug.caught, Caught::Worlds { awaits: None, .. })
}
