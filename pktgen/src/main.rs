//! `penstock-pktgen`: sends packets on one interface, and tells what became of them.

mod cli;

use std::{io::Write, process::ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(cli::log_filter()).init();
    match cli::run(cli::Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "penstock-pktgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
