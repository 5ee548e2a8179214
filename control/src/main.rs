//! `penstock`: see `penstock --help`.

use clap::Parser;
use penstock::allocator::Jemalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    penstock::cli::run(penstock::cli::Cli::parse())
}
