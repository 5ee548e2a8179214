//! The end of the demonstration: what was counted, and whether it is as it must be.

use std::{collections::BTreeMap, fmt::Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{
    Appliance, Modes,
    requests::{Load, Phase, Tally},
    spread::uneven,
};

/// The change in the middle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Backends before.
    pub before: Vec<String>,
    /// Backends after.
    pub after: Vec<String>,
    /// The one that left.
    pub removed: String,
    /// The one that joined.
    pub added: String,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether everything held.
    pub ok: bool,
    /// What did not, in words.
    pub faults: Vec<String>,
    /// Requests that were to be sent.
    pub requests: u64,
    /// Those answered.
    pub answered: u64,
    /// Those that failed.
    pub failed: u64,
    /// How long it took.
    pub seconds: f64,
    /// The change in the middle.
    pub change: Change,
    /// Answers by backend and address.
    pub backends: BTreeMap<String, BTreeMap<String, u64>>,
    /// Answers by backend to requests that began after the change.
    pub after_change: BTreeMap<String, u64>,
    /// Failures by address.
    pub failures: BTreeMap<String, u64>,
    /// How the gateway's interfaces were driven.
    pub modes: Vec<Modes>,
    /// Packets that each of the gateway's workers received.
    pub received_by_worker: Vec<u64>,
}

const ALL: [Phase; 3] = [Phase::Before, Phase::During, Phase::After];

impl Report {
    /// Counts and judges.
    pub fn new(load: &Load, tally: &Tally, change: Change, seconds: f64) -> Report {
        let mut names: Vec<String> = change.before.clone();
        names.extend(change.after.iter().filter(|name| !change.before.contains(name)).cloned());
        let targets = load.targets();
        let by_target = |name: &str| {
            let count = |(index, target): (usize, &super::requests::Target)| {
                (target.label(), tally.count(index, &ALL, name))
            };
            targets.iter().enumerate().map(count).collect()
        };
        let after =
            |name: &str| (0..targets.len()).map(|index| tally.count(index, &[Phase::After], name)).sum();
        let failures = |(index, target): (usize, &super::requests::Target)| {
            (target.label(), tally.failures.get(&index).copied().unwrap_or(0))
        };
        let faults = judge(load, tally, &change);
        Report {
            ok: faults.is_empty(),
            faults,
            requests: load.total(),
            answered: tally.answered(),
            failed: tally.failed(),
            seconds,
            backends: names.iter().map(|name| (name.clone(), by_target(name))).collect(),
            after_change: names.iter().map(|name| (name.clone(), after(name))).collect(),
            failures: targets.iter().enumerate().map(failures).collect(),
            change,
            modes: Vec::new(),
            received_by_worker: Vec::new(),
        }
    }

    /// Adds what the appliance says of itself.
    pub fn add_appliance(&mut self, appliance: &Appliance) -> anyhow::Result<()> {
        self.modes = appliance.modes()?;
        self.received_by_worker = appliance.received_by_worker()?;
        Ok(())
    }

    /// Adds something that went wrong.
    pub fn add_fault(&mut self, fault: String) {
        self.ok = false;
        self.faults.push(fault);
    }

    /// For people.
    pub fn table(&self) -> String {
        let labels: Vec<&String> = self.failures.keys().collect();
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let mut header = vec!["requests".to_owned()];
        header.extend(labels.iter().map(|label| label.replace(' ', "\n")));
        header.extend(["all".to_owned(), "after the\nchange".to_owned()]);
        table.set_header(header);
        for (name, counts) in &self.backends {
            let note = match name {
                name if *name == self.change.removed => " (left)",
                name if *name == self.change.added => " (joined)",
                _ => "",
            };
            let mut row = vec![format!("{name}{note}")];
            row.extend(labels.iter().map(|label| counts[*label].to_string()));
            row.push(counts.values().sum::<u64>().to_string());
            row.push(self.after_change[name].to_string());
            table.add_row(row);
        }
        let mut row = vec!["errors".to_owned()];
        row.extend(self.failures.values().map(u64::to_string));
        row.extend([self.failed.to_string(), String::new()]);
        table.add_row(row);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = format!("{table}\n");
        for Modes { interface, xdp, bind } in &self.modes {
            let _ = writeln!(text, "{interface}: XDP {xdp}, AF_XDP {bind}");
        }
        for (worker, packets) in self.received_by_worker.iter().enumerate() {
            let _ = writeln!(text, "worker {worker}: {packets} packets received");
        }
        let _ = writeln!(
            text,
            "{} of {} requests answered in {:.1} s; {} left and {} joined halfway",
            self.answered, self.requests, self.seconds, self.change.removed, self.change.added
        );
        if self.ok {
            text += "The spread is even to within five standard deviations, before the change and after it.\nOK\n";
        }
        for fault in &self.faults {
            let _ = writeln!(text, "FAULT: {fault}");
        }
        text
    }
}

/// What is not as it must be.
fn judge(load: &Load, tally: &Tally, change: &Change) -> Vec<String> {
    let mut faults = Vec::new();
    if tally.failed() > 0 {
        faults.push(format!("{} requests failed, such as: {}", tally.failed(), tally.messages.join("; ")));
    }
    let ended = tally.answered() + tally.failed();
    if ended != load.total() {
        faults.push(format!("{} requests were never sent", load.total() - ended));
    }
    for ((target, phase), counts) in &tally.answers {
        let known = match phase {
            Phase::Before => &change.before,
            Phase::After => &change.after,
            Phase::During => continue,
        };
        let label = load.targets()[*target].label();
        let when = if *phase == Phase::Before { "before" } else { "after" };
        for (name, count) in counts.iter().filter(|(name, _)| !known.contains(name)) {
            faults.push(format!("{label}: {count} requests {when} the change were answered by {name}"));
        }
        let counts: Vec<u64> = known.iter().map(|name| counts.get(name).copied().unwrap_or(0)).collect();
        for fault in uneven(&counts) {
            faults.push(format!(
                "{label}: {} answered {} requests {when} the change, and not {:.0} ± {:.0}",
                known[fault.index], counts[fault.index], fault.expected, fault.tolerance
            ));
        }
    }
    let of_added: u64 =
        (0..load.targets().len()).map(|index| tally.count(index, &[Phase::After], &change.added)).sum();
    if of_added == 0 {
        faults.push(format!("{} joined and was never asked", change.added));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{super::requests::Target, *};

    fn change() -> Change {
        let names = |numbers: &[u8]| numbers.iter().map(|number| format!("backend-{number}")).collect();
        Change {
            before: names(&[1, 2, 3]),
            after: names(&[1, 3, 4]),
            removed: "backend-2".to_owned(),
            added: "backend-4".to_owned(),
        }
    }

    fn load() -> Load {
        Load::new(vec![Target { kind: "ClusterIP", address: "10.96.0.10:80".parse().unwrap() }], 600)
    }

    fn tally(before: [u64; 4], after: [u64; 4]) -> Tally {
        let counts = |counts: [u64; 4]| {
            let named =
                counts.into_iter().enumerate().map(|(index, n)| (format!("backend-{}", index + 1), n));
            named.filter(|(_, count)| *count > 0).collect()
        };
        let answers = [((0, Phase::Before), counts(before)), ((0, Phase::After), counts(after))];
        Tally { answers: answers.into(), ..Tally::default() }
    }

    fn report(tally: &Tally) -> Report {
        Report::new(&load(), tally, change(), 1.0)
    }

    #[test]
    fn a_good_run_is_good() {
        let report = report(&tally([100, 110, 90, 0], [95, 0, 105, 100]));
        assert!(report.ok, "{:?}", report.faults);
        assert!(report.table().contains("backend-4 (joined)"), "{}", report.table());
        assert_eq!(report.after_change["backend-4"], 100);
    }

    #[test]
    fn each_fault_is_told() {
        for (tally, expected) in [
            (tally([100, 100, 100, 0], [95, 1, 104, 100]), "answered by backend-2"),
            (tally([100, 100, 100, 0], [150, 0, 150, 0]), "never asked"),
            (tally([300, 0, 0, 0], [100, 0, 100, 100]), "and not 100"),
            (tally([100, 100, 100, 0], [100, 0, 100, 99]), "1 requests were never sent"),
        ] {
            let report = report(&tally);
            assert!(!report.ok);
            assert!(report.faults.iter().any(|fault| fault.contains(expected)), "{:?}", report.faults);
        }
        let mut failed = tally([100, 100, 100, 0], [100, 0, 100, 99]);
        failed.failures.insert(0, 1);
        failed.messages.push("ClusterIP IPv4: reset".to_owned());
        let report = report(&failed);
        assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
        assert!(report.table().contains("FAULT: 1 requests failed, such as: ClusterIP IPv4: reset"));
    }
}
