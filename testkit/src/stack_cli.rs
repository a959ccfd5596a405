//! The commands of `zakura-sim` about plans on real nodes.

use crate::{
    stack::{live, sweep},
    worlds::Plan,
    worlds_cli::{SizeArgs, json, table, told},
};
use clap::Args;
use std::{fs, path::PathBuf};

/// Worlds at a time at most: each has the memory of all its nodes.
const THREADS: usize = 2;

/// Lives plans on real nodes and says how often what happened.
#[derive(Debug, Args)]
pub struct StackArgs {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Only this seed, with its last events.
    #[arg(long, conflicts_with_all = ["from", "seeds", "json"])]
    seed: Option<u64>,
    /// Write every event of that seed to this file.
    #[arg(long, requires = "seed")]
    events: Option<PathBuf>,
    /// Worlds at a time, two at most.
    #[arg(long, default_value_t = THREADS)]
    threads: usize,
    #[command(flatten)]
    size: SizeArgs,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// The arguments with which another process lives the same plan.
#[must_use]
pub fn arguments(seed: u64, size: SizeArgs) -> Vec<String> {
    let line = format!("stack --seed {seed} {}", crate::worlds_cli::arguments(size.size()));
    line.split_whitespace().map(str::to_owned).collect()
}

impl StackArgs {
    /// Lives one plan or many.
    ///
    /// # Errors
    ///
    /// The same text, if an invariant did not hold; what the operating system says of a file or a thread.
    pub fn run(&self) -> Result<String, String> {
        if let Some(seed) = self.seed {
            return self.replay(seed);
        }
        let seeds = self.from..self.from.saturating_add(self.seeds);
        let summary =
            sweep(seeds, self.size.size(), self.threads.min(THREADS)).map_err(|error| error.to_string())?;
        let replay = |seed| format!("zakura-sim {}", arguments(seed, self.size).join(" "));
        let text = if self.json { json(&summary, replay) } else { table(&summary, replay) };
        if summary.is_good() { Ok(text) } else { Err(text) }
    }

    fn replay(&self, seed: u64) -> Result<String, String> {
        let plan = Plan::draw(seed, self.size.size());
        let lived = live(plan.clone(), self.events.is_some());
        if let Some(path) = &self.events {
            let text = lived.account.trace.record.join("\n");
            fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let (time, cost) =
            (lived.account.virtual_time.as_secs_f64(), lived.account.processor_time.as_secs_f64());
        let text = format!(
            "{}{} datagrams, {time:.1} virtual s in {cost:.2} processor s",
            told(&plan, &lived.report),
            lived.account.traffic.sent
        );
        if lived.report.breaches.is_empty() { Ok(text) } else { Err(text) }
    }
}
