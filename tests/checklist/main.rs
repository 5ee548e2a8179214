//! `make checklist`: which test proves which item of the checklist of Service behaviour, and whether it does.
//!
//! ```text
//! items.txt ──────────────┐
//! `// S-97` above tests ──┤ marks   ─┐
//! `cargo test`, its words ┘ results ─┴─ verdicts → a line an item and test, then `N met, N different, N unmet`
//! different.txt ────────────────────┘
//! ```
//!
//! An item is met if it has tests and all of them pass. One that `different.txt` names is met differently, on purpose, for
//! the reason given there; its tests must pass all the same. Everything else of what is due is unmet, and then the
//! program fails. Tests are run with `CI=true`, so that one that cannot run fails; `--output FILE` takes what an earlier
//! `cargo test` printed (`-` for standard input).

mod items;
mod marks;
mod results;
mod verdicts;

use anyhow::{Context, Result};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "checklist: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True if nothing is unmet.
fn run() -> Result<bool> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let here = root.join("tests/checklist");
    let read = |name: &str| {
        let path = here.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let items = items::read(&read("items.txt")?)?;
    let different = items::read_different(&read("different.txt")?)?;
    let marks = marks::find(&root)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let output = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => test(&root)?,
        ["--output", "-"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        ["--output", file] => fs::read_to_string(file).with_context(|| (*file).to_owned())?,
        _ => anyhow::bail!("usage: checklist [--output FILE]"),
    };
    let results = results::read(&output);
    anyhow::ensure!(!results.is_empty(), "no test was run: does the workspace build?");
    let report = verdicts::judge(&items, &different, &marks, &results);
    let mut out = std::io::stdout().lock();
    // A reader that has gone, as `| head` does, is no error.
    let _ = write!(out, "{report}");
    Ok(report.is_met())
}

/// Runs every test of the workspace, shows what it says on standard error, and returns it.
fn test(root: &Path) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // One pipe for both, so that the names of test programs stand before their tests.
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" test --workspace --no-fail-fast 2>&1"])
        .arg(cargo)
        .current_dir(root)
        .env("CI", "true")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
        let line = line?;
        let _ = writeln!(std::io::stderr(), "{line}");
        text += &line;
        text.push('\n');
    }
    // Failed tests are in the text.
    child.wait()?;
    Ok(text)
}
