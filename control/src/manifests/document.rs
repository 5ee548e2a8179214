//! One file's text to objects.
//!
//! The text is cut at `---` lines before it is parsed, so that a fault in one document leaves the others readable
//! and line numbers are those of the file.

use super::unknown::unknown_fields;
use crate::{
    fault::{Fault, Severity},
    metallb::{IpAddressPool, L2Advertisement},
    model::ReadSlice,
    objects::{ObjectKey, ObjectKind, Subject},
};
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;

/// An object of a kind that matters.
#[derive(Debug, Clone)]
pub(super) enum Manifest {
    Service(Arc<Service>),
    Slice(Arc<ReadSlice>),
    Node(Arc<Node>),
    Namespace(Arc<Namespace>),
    Pool(Arc<IpAddressPool>),
    Advertisement(Arc<L2Advertisement>),
}

/// A fault and where in the file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) document: usize,
    /// The object, if it could be told.
    pub(super) identity: Option<Subject>,
    pub(super) fault: Fault,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Objects with the number of their document.
    pub(super) objects: Vec<(usize, Subject, Manifest)>,
    pub(super) findings: Vec<Finding>,
    /// Whether some of the text could not be parsed at all: anything may be missing from `objects`.
    pub(super) broken: bool,
    /// Kinds nobody asked for.
    pub(super) ignored: Vec<String>,
}

/// Reads a file's text.
pub(super) fn read(text: &str) -> Contents {
    let mut contents = Contents::default();
    for (index, (first_line, part)) in split(text).enumerate() {
        let document = index + 1;
        match parse(first_line, part) {
            Ok(Value::Null) => {}
            Ok(tree) => contents.take(document, "", tree, None),
            Err(message) => {
                contents.broken = true;
                contents.error(document, None, "", format!("not valid YAML: {message}"));
            }
        }
    }
    contents
}

/// The documents, each with the number of lines before it.
fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut starts = vec![(0, 0)];
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            match starts.as_mut_slice() {
                // Nothing but comments so far: the marker opens the first document rather than a second.
                [first] if is_blank(&text[..offset]) => *first = (offset, number),
                _ => starts.push((offset, number)),
            }
        }
        offset += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|(offset, _)| *offset).chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(move |((from, line), to)| (line, &text[from..to]))
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    })
}

fn parse(first_line: usize, text: &str) -> Result<Value, String> {
    // Blank lines ahead make the parser's line numbers those of the file.
    let padded = "\n".repeat(first_line) + text;
    let mut tree: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&padded).map_err(|error| error.to_string())?;
    tree.apply_merge().map_err(|error| error.to_string())?;
    serde_json::to_value(tree).map_err(|error| error.to_string())
}

impl Contents {
    /// Takes in one object, or the items of a list.
    fn take(&mut self, document: usize, prefix: &str, mut tree: Value, list: Option<(&str, &str)>) {
        let word = |field: &str| tree.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (mut api_version, mut kind) = (word("apiVersion"), word("kind"));
        if let (Some((list_version, item_kind)), true) = (list, kind.is_empty()) {
            (api_version, kind) = (list_version.to_owned(), item_kind.to_owned());
        }
        if !tree.is_object() || kind.is_empty() {
            let message = "no Kubernetes object: apiVersion and kind are needed";
            return self.error(document, None, prefix, message.to_owned());
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind.as_str()) {
            ("", "Service") => self.object(document, prefix, ObjectKind::Service, tree, |service| {
                Manifest::Service(Arc::new(service))
            }),
            ("", "Node") => {
                self.object(document, prefix, ObjectKind::Node, tree, |node| Manifest::Node(Arc::new(node)))
            }
            ("", "Namespace") => self.object(document, prefix, ObjectKind::Namespace, tree, |namespace| {
                Manifest::Namespace(Arc::new(namespace))
            }),
            ("metallb.io", "IPAddressPool") => {
                self.object(document, prefix, ObjectKind::IpAddressPool, tree, |pool| {
                    Manifest::Pool(Arc::new(pool))
                });
            }
            ("metallb.io", "L2Advertisement") => {
                self.object(document, prefix, ObjectKind::L2Advertisement, tree, |advertisement| {
                    Manifest::Advertisement(Arc::new(advertisement))
                });
            }
            ("discovery.k8s.io", "EndpointSlice") => {
                self.object(document, prefix, ObjectKind::EndpointSlice, tree, slice);
            }
            (_, list) if list.ends_with("List") && tree.get("items").is_some_and(Value::is_array) => {
                let item_kind = list.strip_suffix("List").unwrap_or_default();
                let items = tree.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
                for (index, item) in items.into_iter().flatten().enumerate() {
                    self.take(
                        document,
                        &join(prefix, &format!("items[{index}]")),
                        item,
                        Some((&api_version, item_kind)),
                    );
                }
            }
            _ => self.ignored.push(format!("{api_version} {kind}")),
        }
    }

    fn object<T: DeserializeOwned + Serialize>(
        &mut self,
        document: usize,
        prefix: &str,
        kind: ObjectKind,
        mut tree: Value,
        wrap: fn(T) -> Manifest,
    ) {
        let api_version = kind.api_version();
        let metadata = |field: &str| tree.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let namespace = match kind {
            ObjectKind::Node | ObjectKind::Namespace => "",
            _ => metadata("namespace").filter(|namespace| !namespace.is_empty()).unwrap_or("default"),
        };
        let Some(name) = metadata("name").filter(|name| !name.is_empty()) else {
            return self.error(
                document,
                None,
                &join(prefix, "metadata.name"),
                format!("Required value: of a {}", kind.name()),
            );
        };
        let identity = Subject { kind, key: ObjectKey::new(namespace, name) };
        let given = tree.get("apiVersion").and_then(Value::as_str).unwrap_or(api_version);
        if given != api_version {
            let message = format!("Unsupported value: {given:?}: supported values: {api_version:?}");
            return self.error(document, Some(identity), &join(prefix, "apiVersion"), message);
        }
        // Items of a typed list may do without.
        tree["apiVersion"] = api_version.into();
        tree["kind"] = kind.name().into();
        let read: Result<T, _> = serde_path_to_error::deserialize(&tree);
        match read {
            Err(error) => {
                let path = error.path().to_string();
                let path = join(prefix, if path == "." { "" } else { &path });
                self.error(document, Some(identity), &path, error.inner().to_string());
            }
            Ok(object) => {
                for path in unknown_fields(&tree, &object) {
                    let fault = Fault {
                        path: join(prefix, &path),
                        message: "unknown field; it has no effect".into(),
                    };
                    let identity = Some(identity.clone());
                    self.findings.push(Finding { severity: Severity::Warning, document, identity, fault });
                }
                self.objects.push((document, identity, wrap(object)));
            }
        }
    }

    fn error(&mut self, document: usize, identity: Option<Subject>, path: &str, message: String) {
        let fault = Fault { path: path.to_owned(), message };
        self.findings.push(Finding { severity: Severity::Error, document, identity, fault });
    }
}

/// The API server gives a port without a name the empty one (§2.1); whoever reads slices relies on it.
fn slice(mut slice: EndpointSlice) -> Manifest {
    for port in slice.ports.iter_mut().flatten() {
        port.name.get_or_insert_default();
    }
    Manifest::Slice(Arc::new(slice.into()))
}

/// A path within a path.
fn join(prefix: &str, path: &str) -> String {
    let dot = if prefix.is_empty() || path.is_empty() { "" } else { "." };
    format!("{prefix}{dot}{path}")
}
