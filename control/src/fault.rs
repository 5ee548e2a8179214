//! What is wrong with a field, and with an object.
//!
//! Every check of configuration and of Kubernetes objects collects [`Fault`]s and goes on, so that one run tells all
//! there is to tell. Paths and messages follow the grammar of the Kubernetes API server
//! (`spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive`), so that tools and people that know
//! the one know the other. A [`Problem`] is a fault with the place it was found at.

use crate::objects::Subject;
use serde::Serialize;
use std::fmt;

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The field, as `spec.ports[0].port`; empty for the object as a whole.
    pub path: String,
    /// What is wrong with it, with its value where it has one, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Faults being collected.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A fault in the words of the caller.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { path: path.into(), message: message.into() });
    }

    /// `path: value: message`, as configuration is reported.
    pub fn value(&mut self, path: impl Into<String>, value: impl fmt::Display, message: impl fmt::Display) {
        self.add(path, format!("{value}: {message}"));
    }

    /// `Required value[: detail]`.
    pub fn required(&mut self, path: impl Into<String>, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        self.add(path, format!("Required value{colon}{detail}"));
    }

    /// `Invalid value: <value>: <detail>`; strings are quoted, numbers are not.
    pub fn invalid(&mut self, path: impl Into<String>, value: impl Serialize, detail: impl fmt::Display) {
        self.add(path, format!("Invalid value: {}: {detail}", json(&value)));
    }

    /// `Unsupported value: <value>: supported values: …`, in the order given.
    pub fn unsupported(&mut self, path: impl Into<String>, value: &str, supported: &[&str]) {
        let list: Vec<_> = supported.iter().map(json).collect();
        self.add(path, format!("Unsupported value: {}: supported values: {}", json(&value), list.join(", ")));
    }

    /// `Forbidden: <detail>`.
    pub fn forbidden(&mut self, path: impl Into<String>, detail: &str) {
        self.add(path, format!("Forbidden: {detail}"));
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(&mut self, path: impl Into<String>, value: impl Serialize) {
        self.add(path, format!("Duplicate value: {}", json(&value)));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is wrong with exactly this field.
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|fault| fault.path == path)
    }

    /// What was collected, in the order it was found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

impl Extend<Fault> for Faults {
    fn extend<T: IntoIterator<Item = Fault>>(&mut self, faults: T) {
        self.0.extend(faults);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "?".into())
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object is not used; its last good version stays, if there was one.
    Error,
    /// The object is used, but not all of it, or not as its author may think.
    Warning,
}

/// Where an object was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The file, as a path or a name within its folder.
    pub file: String,
    /// Which of its YAML documents, from 1.
    pub document: usize,
}

/// A fault, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The place, if the object came from a file.
    pub origin: Option<Origin>,
    /// The object, if it could be told.
    pub object: Option<Subject>,
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Origin { file, document }) = &self.origin {
            write!(f, "{file}: document {document}: ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        write!(f, "{}", self.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::ObjectKey;

    #[test]
    fn messages_follow_the_grammar_of_the_api_server() {
        let mut faults = Faults::default();
        faults.required("spec.ports", "");
        faults.invalid("spec.ports[0].port", 0, "must be between 1 and 65535, inclusive");
        faults.unsupported("spec.type", "Cluster", &["ClusterIP", "NodePort"]);
        faults.duplicate("spec.ports[1].name", "http");
        let text: Vec<_> = faults.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "spec.ports: Required value",
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.type: Unsupported value: \"Cluster\": supported values: \"ClusterIP\", \"NodePort\"",
                "spec.ports[1].name: Duplicate value: \"http\"",
            ]
        );
    }

    #[test]
    fn a_problem_names_its_place() {
        let problem = Problem {
            severity: Severity::Error,
            origin: Some(Origin { file: "web.yaml".into(), document: 2 }),
            object: Some(Subject::service(&ObjectKey::new("default", "web"))),
            fault: Fault { path: "spec.ports".into(), message: "Required value".into() },
        };
        assert_eq!(
            problem.to_string(),
            "web.yaml: document 2: Service default/web: spec.ports: Required value"
        );
    }
}
