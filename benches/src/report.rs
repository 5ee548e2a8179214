//! The report: `target/bench/report.json` for machines, a table for people.

use crate::machine;
use serde_json::{Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Results, as they come.
#[derive(Debug, Default)]
pub struct Report {
    results: Vec<Result>,
}

/// Marks in the README.
const README_START: &str = "<!-- report -->";
const README_END: &str = "<!-- end of report -->";

#[derive(Debug)]
struct Result {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    params: Value,
}

impl Report {
    /// Adds a figure, with what it was measured under.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, params: Value) {
        self.results.push(Result { name: name.into(), value, unit, target: None, params });
    }

    /// The same with what it should not exceed.
    pub fn add_target(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: f64,
        mut params: Value,
    ) {
        params["target"] = json!(target);
        self.results.push(Result { name: name.into(), value, unit, target: Some(target), params });
    }

    /// Writes the report and returns where to.
    pub fn write(&self) -> io::Result<PathBuf> {
        let results: Vec<Value> = self.results.iter().map(Result::to_json).collect();
        let report =
            json!({ "machine": machine::machine(), "commit": machine::commit(), "results": results });
        let directory = target().join("bench");
        fs::create_dir_all(&directory)?;
        let file = directory.join("report.json");
        fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
        Ok(file)
    }

    /// Puts the table into `benches/README.md`, between its marks.
    pub fn write_readme(&self) -> io::Result<()> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let text = fs::read_to_string(&file)?;
        let (Some(start), Some(end)) = (text.find(README_START), text.find(README_END)) else {
            return Err(io::Error::other(format!(
                "no {README_START} and {README_END} in {}",
                file.display()
            )));
        };
        let (start, machine) = (start + README_START.len(), machine::machine());
        let field = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
        let mut table = format!(
            "\n\n{}; {}; {}; commit {}.\n\n| figure | value | best | unit | target |\n|---|---:|---:|---|---:|\n",
            field("cpu"),
            field("rustc"),
            field("date"),
            machine::commit()
        );
        for Result { name, value, unit, target, params } in &self.results {
            let target = match target {
                Some(target) if value > target => format!("{target}, missed"),
                Some(target) => format!("{target}"),
                None => String::new(),
            };
            let best = params["best"].as_f64().map_or_else(String::new, |best| format!("{best:.1}"));
            table += &format!("| `{name}` | {value:.1} | {best} | {unit} | {target} |\n");
        }
        fs::write(&file, format!("{}{table}\n{}", &text[..start], &text[end..]))
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = format!("{}, commit {}\n", machine::cpu(), machine::commit());
        text +=
            &format!("{:<28} {:>12} {:<7} {:>9}  {}\n", "what", "value", "unit", "target", "measured with");
        for result in &self.results {
            let target = match result.target {
                Some(target) if result.value > target => format!("{target} !"),
                Some(target) => format!("{target}  "),
                None => String::new(),
            };
            let params: Vec<String> = result
                .params
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| *name != "target")
                .map(|(name, value)| format!("{name} {}", value.to_string().trim_matches('"')))
                .collect();
            text += &format!(
                "{:<28} {:>12.2} {:<7} {:>9}  {}\n",
                result.name,
                result.value,
                result.unit,
                target,
                params.join(", ")
            );
        }
        text
    }
}

impl Result {
    fn to_json(&self) -> Value {
        json!({ "name": self.name, "value": self.value, "unit": self.unit, "params": self.params })
    }
}

/// The workspace's target folder.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
}
