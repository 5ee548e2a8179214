//! `penstock check`: what would be published, and all that is wrong, without touching the machine.
//!
//! Given a configuration file, it is checked together with the manifests it names. Given a folder of manifests or
//! one manifest, the configuration is the default one; the node is then the only Node of the manifests, or else the
//! one with this machine's name. Addresses are those of the configuration's interfaces, or else of the Node object.

use super::{OutputFormat, args::CheckArgs, print, print_json};
use crate::{
    api::{render, views},
    compile::{Candidate, Compiler, Environment, PortView},
    config::{self, Config, ConfigError, Source},
    fault::{Origin, Problem, Severity},
    manifests,
    model::{IpFamily, Model},
    objects::Objects,
    routes::View,
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// Everything there is to say.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// The node that was assumed; empty: none.
    node_name: String,
    /// As `show services` lists them.
    services: Value,
    endpoints: Vec<Endpoint>,
    problems: Vec<Problem>,
}

/// An endpoint of a Service port.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    service: String,
    port: String,
    family: IpFamily,
    #[serde(flatten)]
    candidate: Candidate,
}

/// True if nothing is wrong.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<bool> {
    let report = check(&args.path)?;
    match args.output {
        OutputFormat::Table => print(&table(&report)),
        OutputFormat::Json => print_json(&report)?,
    }
    Ok(report.problems.is_empty())
}

fn check(path: &Path) -> anyhow::Result<Report> {
    if !is_config(path)? {
        let objects = manifests::read(path)?;
        let config = Config::from_yaml(
            "interfaces: [{name: any}]",
            "the default configuration",
            &node_name(&objects),
        )?;
        return Ok(compile(&config, &objects));
    }
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(ConfigError::Invalid { file, faults }) => {
            let origin = Some(Origin { file, document: 1 });
            let problem =
                |fault| Problem { severity: Severity::Error, origin: origin.clone(), object: None, fault };
            return Ok(Report { problems: faults.into_iter().map(problem).collect(), ..Report::default() });
        }
        Err(error) => return Err(error.into()),
    };
    let objects = match &config.source {
        Source::Manifests(folder) => manifests::read(&folder.path)?,
        // What the cluster has is not asked for: nothing but the file is checked.
        Source::Kubernetes(_) => Objects::default(),
    };
    Ok(compile(&config, &objects))
}

/// A file is a configuration unless its first document names a kind.
fn is_config(path: &Path) -> anyhow::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{}: cannot be read: {error}", path.display()))?;
    Ok(!text.lines().any(|line| line.starts_with("kind:") || line.trim_start().starts_with("\"kind\":")))
}

fn node_name(objects: &Objects) -> String {
    match objects.nodes.keys().collect::<Vec<_>>().as_slice() {
        [only] => only.name.clone(),
        _ => config::hostname(),
    }
}

fn compile(config: &Config, objects: &Objects) -> Report {
    let mut model = Model::default();
    let mut problems = objects.problems.clone();
    problems.extend(model.update(objects));
    let mut compiler = Compiler::new();
    let mut environment = Environment::of(config, &View::default());
    environment.node_addresses = addresses(config);
    let compiled = compiler.compile(&model, &environment);
    problems.extend(compiled.problems);
    Report {
        node_name: config.node_name.clone(),
        services: views::services(&compiled.snapshot),
        endpoints: compiler.ports().flat_map(endpoints).collect(),
        problems,
    }
}

fn addresses(config: &Config) -> BTreeSet<std::net::IpAddr> {
    config.interfaces.iter().flat_map(|interface| &interface.addresses).map(|net| net.addr()).collect()
}

fn endpoints(port: PortView<'_>) -> impl Iterator<Item = Endpoint> {
    let PortView { family, service, port, candidates, .. } = port;
    candidates.into_iter().map(move |candidate| Endpoint {
        service: service.key.to_string(),
        port: match port.name.as_str() {
            "" => port.transport.to_string(),
            name => format!("{name}/{}", port.transport),
        },
        family,
        candidate,
    })
}

fn table(report: &Report) -> String {
    let mut parts = Vec::new();
    if report.services["services"].as_array().is_some_and(|services| !services.is_empty()) {
        let node = match report.node_name.as_str() {
            "" => "no node".to_owned(),
            name => format!("node {name}"),
        };
        parts.push(format!("What would be published on {node}:"));
        parts.push(render::services(&report.services));
    } else {
        parts.push("No Service would be published.".to_owned());
    }
    if !report.endpoints.is_empty() {
        parts.push(render::endpoints(&serde_json::to_value(&report.endpoints).unwrap_or_default()));
    }
    for (severity, title) in [(Severity::Error, "Errors"), (Severity::Warning, "Warnings")] {
        let found: Vec<_> = report.problems.iter().filter(|problem| problem.severity == severity).collect();
        if !found.is_empty() {
            let lines: Vec<_> = found.iter().map(|problem| format!("  {problem}")).collect();
            parts.push(format!("{title} ({}):\n{}", found.len(), lines.join("\n")));
        }
    }
    if report.problems.is_empty() {
        parts.push("Nothing is wrong.".to_owned());
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests;
