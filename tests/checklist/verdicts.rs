//! What is met, what is met differently, and what is not.

use crate::{
    items::{DUE, is_due},
    marks::Marked,
    results::TestResult,
};
use std::{collections::BTreeMap, fmt};

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Different,
    Unmet,
}

/// Every item that is due, and a summary of those that are not.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    rows: Vec<Row<'a>>,
    /// Items that are not due: how many there are, and how many have tests that pass already.
    later: (usize, usize),
}

#[derive(Debug)]
struct Row<'a> {
    item: u16,
    text: &'a str,
    verdict: Verdict,
    reason: Option<&'a str>,
    tests: Vec<(&'a Marked, Outcome)>,
}

/// What became of a marked test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// The mark is above something that no test program ran.
    NotRun,
}

/// See the module.
pub(crate) fn judge<'a>(
    items: &'a BTreeMap<u16, String>,
    different: &'a BTreeMap<u16, String>,
    marks: &'a BTreeMap<u16, Vec<Marked>>,
    results: &[TestResult],
) -> Report<'a> {
    let row = |(item, text): (&u16, &'a String)| {
        let marked = marks.get(item).map(Vec::as_slice).unwrap_or_default();
        let tests: Vec<_> = marked.iter().map(|marked| (marked, outcome(marked, results))).collect();
        let reason = different.get(item).map(String::as_str);
        let pass = tests.iter().all(|(_, outcome)| *outcome == Outcome::Passed);
        let verdict = match reason {
            _ if !pass => Verdict::Unmet,
            Some(_) => Verdict::Different,
            None if tests.is_empty() => Verdict::Unmet,
            None => Verdict::Met,
        };
        Row { item: *item, text, verdict, reason, tests }
    };
    let (due, later): (Vec<_>, Vec<_>) = items.iter().map(row).partition(|row| is_due(row.item));
    let begun = later.iter().filter(|row| row.verdict == Verdict::Met).count();
    Report { rows: due, later: (later.len(), begun) }
}

/// A test that is written once for both families runs twice, and must pass twice.
fn outcome(marked: &Marked, results: &[TestResult]) -> Outcome {
    let mut of_it = results.iter().filter(|result| {
        let mut modules: Vec<&str> = result.name.split("::").collect();
        let function = modules.pop();
        result.program == marked.program
            && modules.len() >= marked.module.len()
            && modules.iter().zip(&marked.module).all(|(module, marked)| module == marked)
            && function == Some(&marked.function)
    });
    match of_it.next() {
        None => Outcome::NotRun,
        Some(first) if first.passed && of_it.all(|result| result.passed) => Outcome::Passed,
        Some(_) => Outcome::Failed,
    }
}

impl Report<'_> {
    /// Whether nothing is unmet.
    pub(crate) fn is_met(&self) -> bool {
        self.count(Verdict::Unmet) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let verdict = match row.verdict {
                Verdict::Met => "met",
                Verdict::Different => "different",
                Verdict::Unmet => "UNMET",
            };
            writeln!(f, "S-{:<4} {verdict:<10} {}", row.item, row.text)?;
            if let Some(reason) = row.reason {
                writeln!(f, "{:17}on purpose: {reason}", "")?;
            }
            for (marked, outcome) in &row.tests {
                let outcome = match outcome {
                    Outcome::Passed => "ok",
                    Outcome::Failed => "FAILED",
                    Outcome::NotRun => "NOT RUN",
                };
                writeln!(f, "{:17}{outcome:<8} {} ({})", "", marked.function, marked.place)?;
            }
            if row.tests.is_empty() {
                writeln!(f, "{:17}no test", "")?;
            }
        }
        let due: Vec<_> = DUE.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
        let (later, begun) = self.later;
        writeln!(
            f,
            "\n{later} items other than {} belong to later work (allocators, endpoint production, discovery, announcing); \
             {begun} of them have tests that pass already.",
            due.join(", ")
        )?;
        writeln!(
            f,
            "{} met, {} different, {} unmet",
            self.count(Verdict::Met),
            self.count(Verdict::Different),
            self.count(Verdict::Unmet)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(function: &str) -> Vec<Marked> {
        let (program, place) = ("penstock".to_owned(), "x.rs:1".to_owned());
        vec![Marked { program, module: vec!["a".to_owned()], function: function.to_owned(), place }]
    }

    fn result(name: &str, passed: bool) -> TestResult {
        TestResult { program: "penstock".to_owned(), name: name.to_owned(), passed }
    }

    #[test]
    fn verdicts_are_as_strict_as_they_claim() {
        let items = [1, 97, 98, 99, 100, 101, 102].map(|item| (item, "text".to_owned())).into();
        let different = [100, 101].map(|item| (item, "reason".to_owned())).into();
        let marks = [(1, "one"), (97, "both"), (98, "half"), (99, "elsewhere"), (101, "half")]
            .map(|(item, function)| (item, marked(function)))
            .into();
        let results = [
            result("a::one", true),
            result("a::v4::both", true),
            result("a::v6::both", true),
            result("a::v4::half", true),
            result("a::v6::half", false),
            result("b::elsewhere", true),
        ];
        let report = judge(&items, &different, &marks, &results);
        let verdicts: Vec<_> = report.rows.iter().map(|row| (row.item, row.verdict)).collect();
        assert_eq!(
            verdicts,
            [
                (97, Verdict::Met),
                (98, Verdict::Unmet),
                (99, Verdict::Unmet),
                (100, Verdict::Different),
                (101, Verdict::Unmet),
                (102, Verdict::Unmet),
            ]
        );
        assert!(!report.is_met());
        let text = report.to_string();
        assert!(text.ends_with("1 met, 1 different, 4 unmet\n"), "{text}");
        assert!(text.contains("NOT RUN  elsewhere") && text.contains("no test"), "{text}");
        assert!(text.contains("1 items other than") && text.contains("1 of them have tests"), "{text}");
    }
}
