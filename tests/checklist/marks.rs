//! Marks above tests: `// S-97`, `// S-97, S-98`, `// S-97–S-99`, with words after a colon or in brackets.

use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The crates of the workspace.
const CRATES: [&str; 5] = ["dataplane", "control", "pktgen", "benches", "tests"];

/// A test that a mark is above.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Marked {
    /// The test program, as Cargo names it: the crate, or the file of an integration test.
    pub(crate) program: String,
    /// Where in it: the modules that the file stands for.
    pub(crate) module: Vec<String>,
    /// The function.
    pub(crate) function: String,
    /// For people: `control/src/fault.rs:12`.
    pub(crate) place: String,
}

/// Every marked test by item.
pub(crate) fn find(root: &Path) -> Result<BTreeMap<u16, Vec<Marked>>> {
    let mut all: BTreeMap<u16, Vec<Marked>> = BTreeMap::new();
    for name in CRATES {
        let mut files = Vec::new();
        for folder in ["src", "tests"] {
            collect(&root.join(name).join(folder), &mut files)?;
        }
        for file in files {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let path = file.strip_prefix(root).unwrap_or(&file).to_owned();
            for (item, marked) in of_file(&path, &text) {
                all.entry(item).or_default().push(marked);
            }
        }
    }
    Ok(all)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The marks of one file, whose path is from the root of the workspace.
fn of_file(path: &Path, text: &str) -> Vec<(u16, Marked)> {
    let (program, module) = place(path);
    let mut marks = Vec::new();
    let mut above: Vec<u16> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(mark) = line.strip_prefix("// ").filter(|words| words.starts_with("S-")) {
            above.extend(items(mark));
        } else if let Some(function) = function(line) {
            let place = format!("{}:{}", path.display(), index + 1);
            marks.extend(above.drain(..).map(|item| {
                let (program, module) = (program.clone(), module.clone());
                (item, Marked { program, module, function: function.to_owned(), place: place.clone() })
            }));
        } else if !(line.starts_with("//") || line.starts_with('#')) {
            // A mark counts for the function right below it only.
            above.clear();
        }
    }
    marks
}

/// The items that a mark names.
fn items(mark: &str) -> Vec<u16> {
    let mut bare = String::new();
    let mut depth = 0;
    for c in mark.chars().take_while(|c| *c != ':') {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for part in bare.split(',') {
        let numbers: Vec<u16> =
            part.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [first, last] if first < last => all.extend(*first..=*last),
            several => all.extend(several),
        }
    }
    all
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")?;
    Some(&rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?])
}

/// The test program and the modules of a file.
fn place(path: &Path) -> (String, Vec<String>) {
    let mut parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let (folder, kind) = (parts.remove(0), parts.remove(0));
    if kind == "tests" {
        let program = parts.remove(0);
        return (program, parts);
    }
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    let program = if folder == "control" { "penstock".to_owned() } else { format!("penstock_{folder}") };
    (program, parts)
}

#[cfg(test)]
mod tests {
    use super::{place as place_of, *};

    #[test]
    fn marks_are_read_as_people_write_them() {
        assert_eq!(items("S-97"), [97]);
        assert_eq!(items("S-97, S-98"), [97, 98]);
        assert_eq!(items("S-97–S-99, S-102"), [97, 98, 99, 102]);
        assert_eq!(items("S-97-99"), [97, 98, 99]);
        assert_eq!(items("S-97..S-99"), [97, 98, 99]);
        assert_eq!(items("S-65: ready, as S-66 is not"), [65]);
        assert_eq!(items("S-18 (the first half of 2; more later), S-19"), [18, 19]);
    }

    #[test]
    fn a_mark_is_of_the_function_below() {
        let text = "
            // S-1: words
            /// More words.
            #[test]
            fn one() {}
            fn two() {}
            // S-2
            const NOTHING: u8 = 0;
            fn three() {}
            // S-3, S-4
            async fn four<F: Net>() {}
        ";
        let marks = of_file(Path::new("control/src/model/service/tests.rs"), text);
        let found: Vec<_> = marks.iter().map(|(item, marked)| (*item, marked.function.as_str())).collect();
        assert_eq!(found, [(1, "one"), (3, "four"), (4, "four")]);
        assert_eq!(marks[0].1.program, "penstock");
        assert_eq!(marks[0].1.module, ["model", "service", "tests"]);
        assert_eq!(marks[0].1.place, "control/src/model/service/tests.rs:5");
    }

    #[test]
    fn files_stand_for_modules() {
        let place = |path: &str| {
            let (program, module) = place_of(Path::new(path));
            (program, module.join("::"))
        };
        assert_eq!(place("dataplane/src/path/mod.rs"), ("penstock_dataplane".into(), "path".into()));
        assert_eq!(place("tests/tests/health.rs"), ("health".into(), String::new()));
        assert_eq!(place("tests/src/lab.rs"), ("penstock_tests".into(), "lab".into()));
    }
}
