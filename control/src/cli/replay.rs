//! `penstock replay`.

use super::{OutputFormat, args::ReplayArgs, print, print_json, say_error};
use crate::replay::{self, Outcome, Replay};
use penstock_dataplane::path::{DropReason, ReplyKind};

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<bool> {
    let outcome = replay::run(&Replay {
        input: args.input.clone(),
        output: args.write.clone(),
        manifests: args.manifests.clone(),
        config: args.config.clone(),
    })?;
    outcome.problems.iter().for_each(|problem| say_error(&problem.to_string()));
    match args.output {
        OutputFormat::Table => print(&table(&outcome)),
        OutputFormat::Json => print_json(&outcome)?,
    }
    Ok(true)
}

fn table(outcome: &Outcome) -> String {
    let (counters, summary) = (&outcome.counters, &outcome.summary);
    let mut lines =
        vec![format!("{:>10}  read", summary.received), format!("{:>10}  forwarded", counters.forwarded)];
    let mut count = |packets: u64, what: &str, why: &str| {
        if packets > 0 {
            lines.push(format!("{packets:>10}  {what}{why}"));
        }
    };
    for kind in ReplyKind::ALL {
        count(counters.replied[*kind as usize], "answered: ", kind.name());
    }
    for reason in DropReason::ALL {
        count(counters.drops(*reason), "dropped: ", reason.name());
    }
    count(summary.sliced, "left out: the capture has only their first bytes", "");
    count(summary.too_long, "left out: longer than a frame", "");
    if summary.input_was_cut {
        lines.push("            the input ends within a packet".to_owned());
    }
    lines.join("\n")
}
