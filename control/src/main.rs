//! `penstock`: see `penstock --help`.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    penstock::cli::run(penstock::cli::Cli::parse())
}
