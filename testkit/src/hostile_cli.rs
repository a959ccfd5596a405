//! The command line of the hostile peer: `zakura-hostile list|run|flood`.
//!
//! Exit codes: 0 every act came out as it should, 1 one did not, 2 wrong usage.

use crate::hostile::{Act, Flood, Name, Verdict, Victim, catalog, flood, json, perform, perform_on, table};
use clap::{Args, Parser, Subcommand};
use futures::{StreamExt, stream};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};
use zakura::zcash::Network;

/// Acts at once against a node of our own: each has its own node, and most of them wait.
const JOBS: usize = 4;

/// Hostile peers for nodes that speak the protocol
#[derive(Debug, Parser)]
#[command(name = "zakura-hostile", version, arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    /// Print one JSON object in the table's place
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every act: its name, the rule that it breaks, what it does, what is to come of it
    List(Wanted),
    /// Run acts against a node in this process, or against a target
    Run(RunArgs),
    /// Flood a node on this machine from many loopback addresses, and say how much of it was let in
    Flood(FloodArgs),
}

/// Which acts.
#[derive(Debug, Args)]
struct Wanted {
    /// Acts whose name contains one of these; all if absent
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    wanted: Wanted,
    /// A node to be hostile to; a fresh one in this process for each act if absent
    #[arg(long, value_name = "ID@IP:PORT")]
    target: Option<Name>,
    /// The target's network: mainnet, testnet or regtest
    #[arg(long, default_value = "regtest")]
    network: Network,
    /// Chooses the identities: a target remembers those of a run for a while
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Args)]
struct FloodArgs {
    /// The node, which has to listen on loopback
    #[arg(long, value_name = "ID@IP:PORT")]
    target: Name,
    /// Its network: mainnet, testnet or regtest
    #[arg(long, default_value = "regtest")]
    network: Network,
    /// What each source does
    #[arg(long, value_enum, default_value_t = Flood::All)]
    kind: Flood,
    /// Addresses to come from, 127.1.0.1 and on
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    sources: u16,
    /// For how long
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Whoever cannot be told sees the exit code.
            drop(usage.print());
            return if usage.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::List(wanted) => say(&list(&wanted.acts(), cli.json), true),
        Command::Run(run) => {
            let acts = run.wanted.acts();
            if acts.is_empty() {
                drop(writeln!(io::stderr(), "error: no act has such a name: see `zakura-hostile list`"));
                return ExitCode::from(2);
            }
            let Some(runtime) = runtime() else { return ExitCode::FAILURE };
            let verdicts = runtime.block_on(run.perform(&acts));
            let text = if cli.json { json(&verdicts) } else { table(&verdicts) };
            say(text.trim_end(), verdicts.iter().all(Verdict::passed))
        }
        Command::Flood(args) => {
            let Some(runtime) = runtime() else { return ExitCode::FAILURE };
            let victim = victim(args.target, args.network);
            let during = Duration::from_secs(args.seconds);
            match runtime.block_on(flood(victim, args.kind, args.sources, during)) {
                Ok(flooded) if cli.json => say(&serde_json::json!(flooded).to_string(), true),
                Ok(flooded) => say(&flooded.to_string(), true),
                Err(trouble) => {
                    drop(writeln!(io::stderr(), "error: {trouble}"));
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn runtime() -> Option<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Runtime::new().ok();
    if runtime.is_none() {
        drop(writeln!(io::stderr(), "error: no threads for the runtime: raise the process's limit"));
    }
    runtime
}

fn victim(name: Name, network: Network) -> Victim {
    Victim { name, network: network.wire_id(), genesis: network.genesis_hash() }
}

impl Wanted {
    fn acts(&self) -> Vec<Act> {
        let named =
            |act: &Act| self.names.is_empty() || self.names.iter().any(|name| act.name.contains(name));
        catalog().into_iter().filter(named).collect()
    }
}

impl RunArgs {
    async fn perform(&self, acts: &[Act]) -> Vec<Verdict> {
        let Some(name) = self.target else {
            return stream::iter(acts).map(perform).buffered(JOBS).collect().await;
        };
        let victim = victim(name, self.network);
        // One after the other: what comes of one must not be taken for another's.
        stream::iter(acts).then(|act| perform_on(act, victim, self.seed)).collect().await
    }
}

fn list(acts: &[Act], as_json: bool) -> String {
    if as_json {
        let acts = acts.iter().map(|act| {
            serde_json::json!({
                "name": act.name, "breaks": act.breaks, "what": act.what, "expected": act.expected.to_string(),
            })
        });
        return serde_json::Value::from_iter(acts).to_string();
    }
    let line = |act: &Act| format!("{:36} {:14} {:62} {}", act.name, act.breaks, act.what, act.expected);
    acts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn say(text: &str, good: bool) -> ExitCode {
    let said = writeln!(io::stdout().lock(), "{text}").is_ok();
    if said && good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
