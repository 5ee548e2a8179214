//! The files below `deploy/`, and the programs that turn them into objects.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use penstock::netns;
use penstock_tests::cluster::Programs;
use serde::Deserialize;
use serde_json::Value;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A path of the repository.
pub(crate) fn path(of: &str) -> PathBuf {
    Path::new(REPOSITORY).join(of)
}

/// A file of the repository.
pub(crate) fn text(of: &str) -> String {
    fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

/// The documents of a YAML text, empty ones left out.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error}:\n{yaml}")))
        .filter(|document| !document.is_null())
        .collect()
}

/// What `kubectl kustomize` makes of a folder below `deploy/kustomize`.
pub(crate) fn kustomize(folder: &str) -> Vec<Value> {
    let mut command = Command::new(Programs::find().unwrap().kubectl);
    command.arg("kustomize").arg(path("deploy/kustomize").join(folder));
    documents(&netns::run(command).unwrap())
}

/// Helm, or `None`, aloud, where it is not built; where `CI=true` that is a failure.
pub(crate) fn helm() -> Option<PathBuf> {
    let program = path("target/cluster/helm");
    if program.is_file() {
        return Some(program);
    }
    let obstacle = "target/cluster/helm is not built: run `make cluster-binaries`";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true, so no test may be skipped: {obstacle}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {obstacle}");
    None
}

/// `helm template` with these values, definitions included.
pub(crate) fn chart(helm: &Path, values: &str) -> Vec<Value> {
    let mut command = Command::new(helm);
    command.args(["template", "penstock"]).arg(path("deploy/helm/penstock"));
    command.args(["--namespace", "penstock-system", "--include-crds", "--set", values]);
    documents(&netns::run(command).unwrap())
}

/// The only object of a kind and name.
pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found =
        objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let object = found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(found.next().is_none(), "there are two {kind} {name}");
    object
}
