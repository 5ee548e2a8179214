//! target/bench/peers.json, and the table with ratios and what is missed.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use penstock_benches::machine;
use serde_json::{Value, json};

use crate::{rounded, say};

/// What ours should be of others, at least: by figure, our system, the other, and flows where it depends on them.
const TARGETS: [(&str, &str, &str, Option<&str>, f64); 6] = [
    ("forward", "penstock", "l2fwd", None, 0.95),
    ("forward", "penstock", "kube-proxy-iptables", None, 1.2),
    ("forward", FAST_LANE, KUBE_PROXY, Some("1k"), 6.0),
    ("forward", FAST_LANE, KUBE_PROXY, Some("100k"), 5.0),
    ("forward", FAST_LANE, "xdp-redirect", None, 0.8),
    ("tcp-rr", FAST_LANE, KUBE_PROXY, None, 1.2),
];
const FAST_LANE: &str = "penstock-fastlane";
/// kube-proxy in its better mode.
const KUBE_PROXY: &str = "kube-proxy";
/// Processor time a packet of the fast lane, of that of kube-proxy in its better mode, at most.
const CPU_TARGET: f64 = 0.25;

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

    /// The same with what it should not exceed.
    pub(crate) fn add_target(
        &mut self,
        name: String,
        value: f64,
        unit: &'static str,
        target: f64,
        mut params: Value,
    ) {
        params["target"] = json!(target);
        self.add(name, value, unit, params);
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
                for ratio in self.ratios(name) {
                    params[format!("{}_of_{}", ratio.what, ratio.other)] = json!(ratio.value);
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
        text += &format!(
            "{:<44} {:>10} {:<5} {:>6} {:>7}  {}\n",
            "what", "value", "unit", "cores", "ns cpu", "ratios"
        );
        let mut missed = false;
        for (name, value, unit, params) in &self.results {
            let number = |key: &str, digits| {
                params[key].as_f64().map(|number| format!("{number:.digits$}")).unwrap_or_default()
            };
            let mut ratios: Vec<String> = self.ratios(name).iter().map(Ratio::to_string).collect();
            ratios.extend(params["target"].as_f64().map(|target| match *value > target {
                true => format!("(target {target} !)"),
                false => format!("(target {target})"),
            }));
            if let (Some(p50), Some(p99)) = (params["p50_us"].as_f64(), params["p99_us"].as_f64()) {
                ratios.push(format!("answers in {p50:.0} µs, p99 {p99:.0}"));
            }
            ratios.extend(params["bound"].as_str().map(|bound| format!("bound by {bound}")));
            missed |= self
                .ratios(name)
                .iter()
                .any(|ratio| ratio.is_missed() && name.starts_with("forward/penstock/"));
            let (cores, cpu) = (number("cpu_cores", 2), number("cpu_ns_per_packet", 0));
            let line =
                format!("{name:<44} {value:>10.2} {unit:<5} {cores:>6} {cpu:>7}  {}", ratios.join(", "));
            text += &(line.trim_end().to_owned() + "\n");
        }
        if missed {
            text += "! missed. What bounds penstock without its fast lane here: a veth has no zero-copy, so that every packet that leaves\n  \
                through an AF_XDP socket costs an skb and a softirq, whatever is done to it before: compare l2fwd, which does\n  \
                nothing to it.\n";
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }

    fn find(&self, name: &str) -> Option<(f64, f64)> {
        let (_, value, _, params) = self.results.iter().find(|(other, ..)| other == name)?;
        Some((*value, params["cpu_ns_per_packet"].as_f64().unwrap_or_default()))
            .filter(|(value, _)| *value > 0.0)
    }

    /// Of a figure of ours: its ratios to the others' at the same point.
    fn ratios(&self, name: &str) -> Vec<Ratio> {
        let mut parts = name.splitn(3, '/');
        let (
            Some(figure @ ("forward" | "forward-v6" | "tcp-rr" | "tcp-rr-sockets")),
            Some(system),
            Some(point),
        ) = (parts.next(), parts.next(), parts.next())
        else {
            return Vec::new();
        };
        let Some((ours, cpu)) = self.find(name).filter(|_| system.starts_with("penstock")) else {
            return Vec::new();
        };
        let at = |other: &str| self.find(&format!("{figure}/{other}/{point}"));
        let proxies: Vec<_> =
            ["kube-proxy-iptables", "kube-proxy-nftables"].into_iter().filter_map(at).collect();
        let better = proxies.iter().copied().max_by(|one, other| one.0.total_cmp(&other.0));
        let cheaper = proxies.iter().map(|(_, cpu)| *cpu).filter(|cpu| *cpu > 0.0).min_by(f64::total_cmp);
        let flows = point.rsplit('/').next();
        let others = [
            ("l2fwd", at("l2fwd")),
            ("xdp-redirect", at("xdp-redirect")),
            ("kernel-forward", at("kernel-forward")),
            ("kube-proxy-iptables", at("kube-proxy-iptables")),
            ("kube-proxy-nftables", at("kube-proxy-nftables")),
            (KUBE_PROXY, better),
        ];
        let target = |other: &str| {
            TARGETS
                .iter()
                .find(|(of, who, whom, only, _)| {
                    (*of, *who, *whom) == (figure, system, other) && (only.is_none() || *only == flows)
                })
                .map(|(.., target)| *target)
        };
        let speed = others.into_iter().filter_map(|(other, theirs)| {
            Some(Ratio {
                what: "rate",
                other,
                value: rounded(ours / theirs?.0),
                least: target(other),
                most: None,
            })
        });
        let cost = cheaper.filter(|_| cpu > 0.0).map(|cheaper| {
            let most = ((figure, system) == ("forward", FAST_LANE)).then_some(CPU_TARGET);
            Ratio { what: "cpu", other: KUBE_PROXY, value: rounded(cpu / cheaper), least: None, most }
        });
        speed.chain(cost).collect()
    }
}

/// Ours of theirs.
#[derive(Debug)]
struct Ratio {
    what: &'static str,
    other: &'static str,
    value: f64,
    least: Option<f64>,
    most: Option<f64>,
}

impl Ratio {
    fn is_missed(&self) -> bool {
        self.least.is_some_and(|least| self.value < least) || self.most.is_some_and(|most| self.value > most)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ratio { what, other, value, .. } = self;
        let what = if *what == "rate" { "" } else { what };
        write!(f, "{value:.2} × {other}{}{what}", if what.is_empty() { "" } else { " " })?;
        match self.least.or(self.most) {
            Some(target) if self.is_missed() => write!(f, " (target {target} !)"),
            Some(target) => write!(f, " (target {target})"),
            None => Ok(()),
        }
    }
}

/// Where results are written to.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from)
        .join("bench")
}
