//! What is told at the end: JSON for machines, a table for people.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::{
    measure::LatencySummary,
    request::Answers,
    search::Found,
    spec::Spec,
    trial::{Arrived, Outcome},
};

/// Bits of a frame on the wire beside its own: preamble, start delimiter, gap; and the check sequence, which the kernel
/// does not count.
const WIRE_BYTES: f64 = 20.0 + 4.0;

/// A report: titles and values, in groups.
#[derive(Debug, Clone)]
pub struct Report {
    json: Value,
    rows: Vec<(String, String)>,
}

impl Report {
    /// As JSON.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// As a table.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (title, value) in &self.rows {
            table.add_row([title, value]);
        }
        table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn row(&mut self, title: &str, value: impl Into<String>) {
        self.rows.push((title.to_owned(), value.into()));
    }
}

/// Of a run.
pub fn of_run(spec: &Spec, outcome: &Outcome) -> Report {
    let rate = outcome.offered_per_second();
    let bits = if outcome.offered() == 0 {
        0.0
    } else {
        (outcome.bytes as f64 / outcome.offered() as f64 + WIRE_BYTES) * 8.0 * rate
    };
    let mut json = json!({
        "interface": spec.interface, "sender": format!("{:?}", spec.sender), "offered": outcome.offered(),
        "sent": outcome.sent, "refused": outcome.refused, "seconds": outcome.seconds, "packetsPerSecond": rate,
        "wireBitsPerSecond": bits, "keptPace": outcome.kept_pace(spec), "interrupted": outcome.interrupted,
        "series": outcome.series,
    });
    let mut report = Report { json: Value::Null, rows: Vec::new() };
    report.row("offered", format!("{} packets in {:.3} s", grouped(outcome.offered()), outcome.seconds));
    report.row("rate", format!("{} packets/s, {:.3} Gbit/s on the wire", grouped(rate as u64), bits / 1e9));
    if outcome.refused > 0 {
        report.row("refused", format!("{} by the interface's own queue", grouped(outcome.refused)));
    }
    if !outcome.kept_pace(spec) {
        report.row("pace", "not kept: this is as fast as this sender goes here");
    }
    if let Some(received) = &outcome.received {
        let Arrived { arrivals, latency, missed, .. } = received;
        let error = latency_error(outcome, received);
        json["received"] = json!({
            "packets": received.packets, "lost": received.lost, "loss": outcome.loss(), "arrivals": arrivals,
            "notLookedAt": missed, "sample": spec.sample, "latency": latency, "latencyError": error,
        });
        let loss = format!("{} ({:.4} %)", grouped(received.lost), outcome.loss() * 100.0);
        report.row("received", format!("{} packets", grouped(received.packets)));
        report.row("lost", loss);
        if spec.sample == 1 {
            let order = format!(
                "{} reordered, {} duplicated, {} corrupt",
                grouped(arrivals.reordered),
                grouped(arrivals.duplicated),
                grouped(arrivals.corrupt)
            );
            report.row("order", order);
        }
        if *missed > 0 {
            report.row(
                "not looked at",
                format!("{}: the receiver was too slow (--sample 64 helps)", grouped(*missed)),
            );
        }
        if latency.count > 0 {
            report.row("latency", latency_line(latency));
            report.row("its error", error);
        }
    }
    if outcome.interrupted {
        report.row("ended", "early, by a signal");
    }
    report.json = json;
    report
}

/// Of a search.
pub fn of_search(spec: &Spec, found: &Found, last_good: Option<&Outcome>) -> Report {
    let mut report = Report {
        json: json!({
            "interface": spec.interface, "noDropRate": found.rate, "isLowerBound": found.is_lower_bound,
            "trialSeconds": spec.bound.duration.as_secs_f64(), "trials": found.trials,
            "latency": last_good.and_then(|outcome| outcome.received.as_ref()).map(|received| received.latency),
        }),
        rows: Vec::new(),
    };
    for trial in &found.trials {
        let line = format!("{} offered, {:.4} % lost", grouped(trial.offered as u64), trial.loss * 100.0);
        report.row(&format!("trial at {}", grouped(trial.asked as u64)), line);
    }
    let more = if found.is_lower_bound { " or more: nothing faster was tried" } else { "" };
    report.row("no-drop rate", format!("{} packets/s{more}", grouped(found.rate as u64)));
    if let Some(received) =
        last_good.and_then(|outcome| outcome.received.as_ref()).filter(|one| one.latency.count > 0)
    {
        report.row("latency there", latency_line(&received.latency));
    }
    report
}

/// Of TCP connections.
pub fn of_requests(interface: &str, answers: &Answers) -> Report {
    let mut json = serde_json::to_value(answers).unwrap_or_default();
    json["interface"] = interface.into();
    let mut report = Report { json, rows: Vec::new() };
    let rate = if answers.seconds > 0.0 { answers.answered as f64 / answers.seconds } else { 0.0 };
    report.row("connections", format!("{} in {:.3} s", grouped(answers.begun), answers.seconds));
    report.row("answered", format!("{}, {rate:.0} a second", grouped(answers.answered)));
    for (why, count) in &answers.failures {
        report.row("failed", format!("{} {why}", grouped(*count)));
    }
    if answers.answered > 0 {
        report.row("to connect", latency_line(&answers.connect));
        report.row("to the end", latency_line(&answers.answer));
    }
    if answers.interrupted {
        report.row("ended", "early, by a signal");
    }
    report
}

fn latency_line(latency: &LatencySummary) -> String {
    let LatencySummary { p50_us, p90_us, p99_us, p999_us, p9999_us, max_us, .. } = latency;
    format!(
        "p50 {p50_us:.1}  p90 {p90_us:.1}  p99 {p99_us:.1}  p99.9 {p999_us:.1}  p99.99 {p9999_us:.1}  max {max_us:.1} µs"
    )
}

/// What the figures of latency may be wrong by.
fn latency_error(outcome: &Outcome, received: &Arrived) -> String {
    let (p50, p99) = outcome.late_us;
    let arrival = match received.is_stamped {
        true => "times of arrival are the kernel's",
        false => "times of arrival are those of reading, the reader's waking up included",
    };
    format!(
        "too long by up to {p50:.1} µs (median), {p99:.1} µs (p99), the time from a mark to the interface; ±0.1 % of 3 digits; {arrival}"
    )
}

/// 1234567 becomes 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure::ArrivalCounts, search::Trial, spec::RawSpec};

    fn spec() -> Spec {
        let yaml = "{interface: eth0, destinationMac: '02:00:00:00:00:02', duration: 1, rate: 1000,
            traffic: [{source: 10.0.0.1, destination: 10.0.0.2, destinationPorts: 9}]}";
        RawSpec::parse(yaml).unwrap().try_into().unwrap()
    }

    #[test]
    fn a_run_is_told_for_people_and_machines() {
        let latency = LatencySummary { count: 900, p50_us: 12.0, max_us: 99.0, ..LatencySummary::default() };
        let arrivals = ArrivalCounts { arrived: 900, reordered: 2, ..ArrivalCounts::default() };
        let received = Arrived { packets: 900, lost: 100, arrivals, latency, missed: 0, is_stamped: true };
        let outcome = Outcome {
            sent: 990,
            refused: 10,
            bytes: 60_000,
            seconds: 1.0,
            received: Some(received),
            series: Vec::new(),
            late_us: (1.0, 2.0),
            interrupted: true,
        };
        let report = of_run(&spec(), &outcome);
        let table = report.table();
        for part in [
            "1,000 packets in 1.000 s",
            "100 (10.0000 %)",
            "2 reordered",
            "p50 12.0",
            "kernel's",
            "by a signal",
        ] {
            assert!(table.contains(part), "{part}: {table}");
        }
        assert_eq!(report.json()["received"]["loss"], 0.1);
        assert_eq!(report.json()["keptPace"], true);
        // 84 bytes on the wire.
        assert_eq!(report.json()["wireBitsPerSecond"], 672_000.0);
    }

    #[test]
    fn a_search_is_told() {
        let trials = vec![Trial { asked: 1e6, offered: 1e6, loss: 0.25 }];
        let report = of_search(&spec(), &Found { rate: 512_000.0, is_lower_bound: false, trials }, None);
        assert!(report.table().contains("512,000 packets/s") && report.table().contains("25.0000 % lost"));
    }
}
