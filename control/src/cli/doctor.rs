//! `penstock doctor`.

use super::{OutputFormat, args::DoctorArgs, print, print_json};
use crate::doctor::{Root, Verdict, examine};

/// True if nothing is wrong, or with `--init`, if nothing is in the way of a start.
pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<bool> {
    let report = examine(&args.config, &Root::machine());
    match args.output {
        OutputFormat::Table => print(&report.to_string()),
        OutputFormat::Json => print_json(&report)?,
    }
    let worst = report.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Pass);
    Ok(worst == Verdict::Pass || (args.init && worst == Verdict::Warn))
}
