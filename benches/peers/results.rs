//! target/bench/peers.json, and the table with ratios and what is missed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use penstock_benches::machine;
use serde_json::{Value, json};

use crate::say;

/// What ours should be of the bare forwarder, and of kube-proxy's iptables mode.
const TARGETS: [(&str, f64); 2] = [("l2fwd", 0.95), ("kube-proxy-iptables", 1.2)];

/// Results, as they come.
#[derive(Debug, Default)]
pub(crate) struct Results {
    results: Vec<(String, f64, &'static str, Value)>,
    notes: Vec<String>,
}

impl Results {
    /// Adds a figure, with what it was measured under.
    pub(crate) fn add(&mut self, name: String, value: f64, unit: &'static str, params: Value) {
        say(&format!("    {name}: {value:.2} {unit}"));
        self.results.push((name, value, unit, params));
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Writes all, and returns where to.
    pub(crate) fn write(&self) -> io::Result<PathBuf> {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|(name, value, unit, params)| {
                let mut params = params.clone();
                for (other, ratio) in self.ratios(name, *value) {
                    params[format!("of_{other}")] = json!(ratio);
                }
                json!({"name": name, "value": value, "unit": unit, "params": params})
            })
            .collect();
        let report = json!({
            "machine": machine::machine(), "commit": machine::commit(), "results": results, "notes": self.notes,
        });
        fs::create_dir_all(folder())?;
        let file = folder().join("peers.json");
        fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
        Ok(file)
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}, commit {}\n", machine::cpu(), machine::commit());
        text += &format!("{:<44} {:>10} {:<5} {:>6}  {}\n", "what", "value", "unit", "cores", "ratios");
        let mut missed = false;
        for (name, value, unit, params) in &self.results {
            let cores = params["cpu_cores"].as_f64().map(|cores| format!("{cores:.2}")).unwrap_or_default();
            let ratios: Vec<String> = self
                .ratios(name, *value)
                .into_iter()
                .map(|(other, ratio)| {
                    let target = TARGETS.iter().find(|(name, target)| *name == other && ratio < *target);
                    missed |= target.is_some();
                    let mark = target.map(|(_, target)| format!(" (target {target} !)")).unwrap_or_default();
                    format!("{ratio:.2} × {other}{mark}")
                })
                .collect();
            let line = format!("{name:<44} {value:>10.2} {unit:<5} {cores:>6}  {}", ratios.join(", "));
            text += &(line.trim_end().to_owned() + "\n");
        }
        if missed {
            text += "! missed. What bounds it here: a veth has no zero-copy, so that every packet that leaves through an AF_XDP\n  \
                socket costs an skb and a softirq, whatever is done to it before: compare l2fwd, which does nothing to it.\n";
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }

    /// Of our own forwarding: its ratios to the others' at the same point.
    fn ratios(&self, name: &str, value: f64) -> Vec<(String, f64)> {
        let Some(point) = name.strip_prefix("forward/penstock/") else { return Vec::new() };
        let others = self.results.iter().filter_map(|(other, theirs, ..)| {
            let system = other.strip_prefix("forward/")?.strip_suffix(point)?.strip_suffix('/')?;
            (system != "penstock" && *theirs > 0.0)
                .then(|| (system.to_owned(), (value / theirs * 1000.0).round() / 1000.0))
        });
        others.collect()
    }
}

/// Where results are written to.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
        .join("bench")
}
