//! Is hostile to a node, one act at a time, and says what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    zakura_testkit::hostile_cli::main()
}
