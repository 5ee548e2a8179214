//! What `cargo test` said of each test.

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestResult {
    /// Its program: the crate, or the file of an integration test.
    pub(crate) program: String,
    /// `module::module::function`.
    pub(crate) name: String,
    /// Whether it passed.
    pub(crate) passed: bool,
}

/// Reads `Running … (target/debug/deps/PROGRAM-hash)` and `test NAME ... ok`. A test that is ignored did not pass; one
/// whose `ok` got lost among its own words did, unless it is among the failures.
pub(crate) fn read(output: &str) -> Vec<TestResult> {
    let mut results: Vec<TestResult> = Vec::new();
    let mut program = String::new();
    for line in output.lines() {
        let line = line.trim_start();
        if let Some(running) = line.strip_prefix("Running ") {
            program = running.rsplit_once('(').map_or("", |(_, path)| path).to_owned();
            program = program.rsplit('/').next().unwrap_or_default().trim_end_matches(')').to_owned();
            program = program.rsplit_once('-').map_or(program.clone(), |(name, _)| name.to_owned());
        } else if line.starts_with("Doc-tests ") {
            program.clear();
        } else if let Some((name, result)) =
            line.strip_prefix("test ").and_then(|test| test.split_once(" ... "))
            && !program.is_empty()
        {
            let passed = !(result.starts_with("FAILED") || result.starts_with("ignored"));
            results.push(TestResult { program: program.clone(), name: name.to_owned(), passed });
        } else if let Some(failed) = results.iter_mut().find(|r| r.program == program && r.name == line) {
            // The list of failures at the end of a program's tests.
            failed.passed = false;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_results_are_told_apart() {
        let output = "
     Running unittests src/lib.rs (target/debug/deps/penstock_dataplane-0123abcd)
running 3 tests
test path::tests::v4::one ... ok
test path::tests::v6::one ... FAILED
test path::two ... ignored, needs a card
     Running tests/clean_up.rs (/somewhere/deps/clean_up-ffff)
test netns_three ... SKIPPED: words of the test
ok
test netns_four ... words of the test
failures:
    netns_four
   Doc-tests penstock
test control/src/lib.rs - (line 3) ... ok
";
        let results = read(output);
        let told: Vec<_> = results.iter().map(|r| (r.program.as_str(), r.name.as_str(), r.passed)).collect();
        assert_eq!(
            told,
            [
                ("penstock_dataplane", "path::tests::v4::one", true),
                ("penstock_dataplane", "path::tests::v6::one", false),
                ("penstock_dataplane", "path::two", false),
                ("clean_up", "netns_three", true),
                ("clean_up", "netns_four", false),
            ]
        );
    }
}
