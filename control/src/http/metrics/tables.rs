//! What came of the objects, after each sync.

use crate::{
    compile::{Compiler, Tally},
    fault::{Problem, Severity},
};

/// Numbers of all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableFacts {
    /// IPv4.
    pub v4: Tally,
    /// IPv6.
    pub v6: Tally,
    /// Objects' errors: their last good version is served, if there was one.
    pub errors: u64,
    /// Objects' warnings.
    pub warnings: u64,
}

impl TableFacts {
    /// Of what is compiled, and what is wrong.
    pub fn of<'p>(compiler: &Compiler, problems: impl IntoIterator<Item = &'p Problem>) -> Self {
        let [v4, v6] = compiler.tallies();
        let mut facts = Self { v4, v6, errors: 0, warnings: 0 };
        for problem in problems {
            match problem.severity {
                Severity::Error => facts.errors += 1,
                Severity::Warning => facts.warnings += 1,
            }
        }
        facts
    }
}
