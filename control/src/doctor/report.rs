//! What was found, for people and for programs.

use serde::Serialize;
use std::fmt;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// It works, but loses packets or speed.
    Warn,
    /// `penstock run` would not start.
    Fail,
}

impl Verdict {
    /// As it is printed: what needs attention stands out without colours.
    fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How it went.
    pub verdict: Verdict,
    /// What it is about: an interface, a sysctl, a field of the configuration.
    pub subject: String,
    /// What was found, and what follows from it.
    pub finding: String,
    /// What to do, unless it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// All is well.
    pub fn pass(subject: impl Into<String>, finding: impl Into<String>) -> Self {
        Self { verdict: Verdict::Pass, subject: subject.into(), finding: finding.into(), remedy: None }
    }

    /// It could be better.
    pub fn warn(subject: impl Into<String>, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, remedy: Some(remedy.into()), ..Self::pass(subject, finding) }
    }

    /// It will not do.
    pub fn fail(subject: impl Into<String>, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(subject, finding, remedy) }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of the start.
    pub checks: Vec<Check>,
}

impl Report {
    /// How many went so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.subject.len()).max().unwrap_or(0);
        for Check { verdict, subject, finding, remedy } in &self.checks {
            writeln!(f, "{}  {subject:width$}  {finding}", verdict.word())?;
            if let Some(remedy) = remedy {
                writeln!(f, "      {:width$}  -> {remedy}", "")?;
            }
        }
        let count = |verdict| self.count(verdict);
        write!(
            f,
            "{} passed, {} warnings, {} failures",
            count(Verdict::Pass),
            count(Verdict::Warn),
            count(Verdict::Fail)
        )
    }
}
