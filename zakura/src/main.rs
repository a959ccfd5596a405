//! The stand-alone node's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    zakura::cli::main()
}
