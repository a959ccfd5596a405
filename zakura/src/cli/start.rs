//! From the command line to a command, and from its end to an exit code.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, error::ErrorKind};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use zakura_transport::Cancel;

use super::{
    Failure, Output,
    args::{Cli, Command},
    export, id, import, localnet, mine, run,
};

/// The exit code of a process that a second signal ended at once.
const INTERRUPTED: i32 = 130;

/// What every command gets: where to answer, when to stop, and a runtime.
#[derive(Debug)]
pub struct Edge {
    /// Where to answer.
    pub output: Output,
    /// Cancelled by SIGINT or SIGTERM: the command then has five seconds to stop cleanly.
    pub stop: Cancel,
    /// For commands that have something to wait for.
    pub runtime: Runtime,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error, Output::new(env::args_os().any(|arg| arg == "--json"))),
    };
    let output = Output::new(cli.json);
    ended(output, edge(output).and_then(|edge| dispatch(&cli.command, &edge)))
}

fn dispatch(command: &Command, edge: &Edge) -> Result<(), Failure> {
    match command {
        Command::Localnet(args) => localnet::execute(args, edge),
        Command::Mine(args) => mine::execute(args, edge),
        Command::Import(args) => import::execute(args, edge),
        Command::Export(args) => export::execute(args, edge),
        Command::Id(args) => id::execute(args, edge),
        Command::Run(args) => run::execute(args, edge),
    }
}

fn ended(output: Output, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn edge(output: Output) -> Result<Edge, Failure> {
    let failed = |error: io::Error| {
        Failure::work(format!("the process cannot start its threads: {error}: check its limits (ulimit -a)"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let stop = Cancel::new();
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    let asked = stop.clone();
    runtime.spawn(async move {
        let mut either = async || {
            tokio::select! {
                biased;
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        either().await;
        asked.cancel();
        // Who asks twice does not want to wait; what was committed is safe at every moment.
        either().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(Edge { output, stop, runtime })
}

/// Prints help where it was asked for, or says on one line what is wrong with the command line.
fn explain(error: &clap::Error, output: Output) -> ExitCode {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let printed = io::stdout().write_all(text.as_bytes());
            ended(output, printed.map_err(Failure::work))
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = io::stderr().write_all(text.as_bytes());
            ended(output, Err(Failure::usage("no command was given: choose one of these")))
        }
        _ => {
            let says = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
            let lines: Vec<_> = text.lines().take_while(says).collect();
            let what = Failure::usage(lines.join("\n").trim_start_matches("error: ")).to_string();
            ended(output, Err(Failure::usage(format!("{what} (see zakura --help)"))))
        }
    }
}
