//! The command line: what `penstock` takes, and which part of the library does it.
//!
//! Results go to standard output, as tables or with `-o json` as JSON; errors and the log go to standard error.
//! Exit codes: 0 done, 1 not (or, of `check`, something is wrong), 2 the command line itself.

mod args;
mod check;
mod doctor;
mod questions;
mod replay;

pub use args::{Cli, Command, OutputFormat};

use crate::{config::Config, demo, runtime};
use penstock_dataplane::xdp::detach_pinned;
use std::process::ExitCode;

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Run { config } => appliance(&config),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => questions::explain(&args),
        Command::Why(args) => questions::why(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Show { what } => questions::show(&what),
        Command::Doctor(args) => doctor::run(&args),
        Command::Detach { pin_path } => detach(&pin_path),
        Command::Demo(options) => demo::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say_error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn appliance(path: &std::path::Path) -> anyhow::Result<bool> {
    let config = Config::load(path)?;
    runtime::start_logging(&config.logging);
    runtime::run(config)?;
    Ok(true)
}

/// Says what was removed. Nothing is as good.
fn detach(folder: &std::path::Path) -> anyhow::Result<bool> {
    let removed = detach_pinned(folder)?;
    match removed.is_empty() {
        true => print(&format!("nothing is pinned at {}", folder.display())),
        false => print(&format!("removed from {}:\n  {}", folder.display(), removed.join("\n  "))),
    }
    Ok(true)
}

/// Prints a result. A reader that has gone, as `| head` does, is no error.
fn print(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn say_error(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "penstock: {text}");
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?);
    Ok(())
}
