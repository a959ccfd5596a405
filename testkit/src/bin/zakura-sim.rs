//! `zakura-sim`: lives worlds from seeds and says what they were.

use clap::{Args, Parser, Subcommand};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};
use zakura_testkit::{
    accuracy_cli::ProbeCommand,
    planted_cli::PlantedArgs,
    sim::{Finished, Genesis, Mesh, MeshReport, PathShape, first_difference},
    stack_cli::{StackArgs, arguments},
    worlds_cli::{InvariantsArgs, ReplayArgs, ShrinkArgs, SizeArgs, SweepArgs},
};

/// Worlds from a seed: real nodes in virtual time, or their pure parts by the thousand.
#[derive(Debug, Parser)]
#[command(name = "zakura-sim")]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lives one world.
    Run(Run),
    /// Lives one world, or one plan, in two processes and compares them event by event.
    CheckDeterminism(Twice),
    /// Lives plans on real nodes and says how often what happened.
    Stack(StackArgs),
    /// Runs many pure worlds and says how often what happened.
    Sweep(SweepArgs),
    /// Lists what is checked in pure worlds, and what is not and why.
    Invariants(InvariantsArgs),
    /// Runs one pure world again and tells its last events.
    Replay(ReplayArgs),
    /// Makes a pure world that fails smaller.
    Shrink(ShrinkArgs),
    /// Measures a line, in the model or through the kernel.
    #[command(subcommand)]
    Probe(ProbeCommand),
    /// Plants bugs, and says what caught each.
    Planted(PlantedArgs),
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    world: World,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
    /// Write every event to this file.
    #[arg(long)]
    events: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Twice {
    #[command(flatten)]
    world: World,
    /// The plan of the seed in place of a mesh.
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    size: SizeArgs,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct World {
    /// Everything random grows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Nodes; the first has the chain.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    nodes: u16,
    /// Connections of each node, about.
    #[arg(long, default_value_t = 8)]
    degree: u16,
    /// Blocks of the chain.
    #[arg(long, default_value_t = 200)]
    blocks: u32,
    /// Virtual seconds that the world lasts at least.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// 25 ms on every path and nothing else: no loss, jitter, reordering, duplicates.
    #[arg(long)]
    clean: bool,
}

impl World {
    fn live(&self, record: bool) -> Result<Finished<MeshReport>, String> {
        let mut genesis = Genesis { record, ..Genesis::rough(self.seed) };
        if self.clean {
            genesis.usual_path = PathShape::clean(Duration::from_millis(25));
        }
        let (nodes, degree, blocks) = (self.nodes, self.degree, self.blocks);
        let mesh = Mesh { nodes, degree, blocks, at_least: Duration::from_secs(self.seconds) };
        mesh.run(genesis).map_err(|failed| failed.to_string())
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["run".to_owned()];
        for (name, value) in [
            ("seed", self.seed),
            ("nodes", self.nodes.into()),
            ("degree", self.degree.into()),
            ("blocks", self.blocks.into()),
            ("seconds", self.seconds),
        ] {
            arguments.push(format!("--{name}={value}"));
        }
        arguments.extend(self.clean.then(|| "--clean".to_owned()));
        arguments
    }
}

impl Run {
    fn run(&self) -> Result<String, String> {
        let finished = self.world.live(self.events.is_some())?;
        if let Some(path) = &self.events {
            let text = finished.account.trace.record.join("\n");
            fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(self.report(&finished))
    }

    fn report(&self, finished: &Finished<MeshReport>) -> String {
        let (account, value) = (&finished.account, &finished.value);
        let (virtual_time, cpu) = (account.virtual_time.as_secs_f64(), account.processor_time.as_secs_f64());
        let speed = if cpu > 0.0 { virtual_time / cpu } else { 0.0 };
        let (resident, empty) = value.resident;
        let per_node = resident.saturating_sub(empty) / u64::from(self.world.nodes.max(1));
        if !self.json {
            return format!(
                "seed {}: {} nodes at block {} after {:?}\ntrace {} ({} events, {} datagrams)\n\
                 {virtual_time:.3} virtual s in {cpu:.3} processor s: {speed:.1} a second; \
                 {} KiB a node",
                self.world.seed,
                self.world.nodes,
                value.tip.height,
                value.synced_after,
                account.trace.hash,
                account.trace.count,
                account.traffic.sent,
                per_node / 1024,
            );
        }
        let drops: Vec<_> =
            account.traffic.drops.iter().map(|(reason, count)| (format!("{reason:?}"), *count)).collect();
        serde_json::json!({
            "seed": self.world.seed,
            "nodes": self.world.nodes,
            "connection_ends": value.connection_ends,
            "tip": value.tip.to_string(),
            "synced_after_s": value.synced_after.as_secs_f64(),
            "trace": account.trace.hash,
            "events": account.trace.count,
            "datagrams": account.traffic.sent,
            "drops": drops.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "virtual_s": virtual_time,
            "processor_s": cpu,
            "virtual_s_per_processor_s": speed,
            "resident_bytes": resident,
            "resident_bytes_per_node": per_node,
        })
        .to_string()
    }
}

/// The events of a world that another process lived.
fn elsewhere(arguments: &[String], path: &Path) -> Result<Vec<String>, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut command = Command::new(program);
    command.args(arguments).arg("--events").arg(path);
    let output = command.output().map_err(|error| format!("cannot start this program again: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn check_determinism(twice: &Twice) -> Result<String, String> {
    let Twice { world, plan, size, json } = twice;
    let arguments = if *plan { arguments(world.seed, *size) } else { world.arguments() };
    let folder = tempfile::tempdir().map_err(|error| format!("no folder for events: {error}"))?;
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let (first, second) = (elsewhere(&arguments, &a)?, elsewhere(&arguments, &b)?);
    let (seed, events, difference) = (world.seed, first.len(), first_difference(&first, &second));
    let text = match (&difference, json) {
        (_, true) => {
            let difference = difference.as_ref().map(ToString::to_string);
            serde_json::json!({ "seed": seed, "events": events, "difference": difference }).to_string()
        }
        (None, false) => format!("seed {seed}: {events} events, twice the same"),
        (Some(difference), false) => format!("two processes differ:\n{difference}"),
    };
    if difference.is_none() { Ok(text) } else { Err(text) }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        What::Run(run) => run.run(),
        What::CheckDeterminism(twice) => check_determinism(&twice),
        What::Stack(stack) => stack.run(),
        What::Sweep(sweep) => sweep.run(),
        What::Invariants(args) => args.run(),
        What::Replay(replay) => replay.run(),
        What::Shrink(shrink) => shrink.run(),
        What::Probe(probe) => probe.run(),
        What::Planted(planted) => planted.run(),
    };
    let (written, code) = match result {
        Ok(text) => (writeln!(io::stdout(), "{text}"), ExitCode::SUCCESS),
        // Whoever asked for an object reads it, whatever it says.
        Err(text) if text.starts_with('{') => (writeln!(io::stdout(), "{text}"), ExitCode::FAILURE),
        Err(text) => (writeln!(io::stderr(), "{text}"), ExitCode::FAILURE),
    };
    if written.is_ok() { code } else { ExitCode::FAILURE }
}
