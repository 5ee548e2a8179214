//! Service accounts: their tokens, what they are granted, and what they did with it.
//!
//! * In: RBAC objects and tokens of the API server; its audit log, which has every request of a service account.
//! * Out: a kubeconfig for a service account; [`Permission`]s granted, used and refused, to be compared.
//! * Limits: a rule's `resourceNames`, and `nonResourceURLs`, are not told apart; aggregated ClusterRoles are read as
//!   they stand.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Cluster;

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceAccount {
    /// Service account `name` of `namespace`.
    pub fn new(namespace: &str, name: &str) -> ServiceAccount {
        ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// A verb on a resource, in one namespace or in all (and for what has no namespace).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `get`, `list`, `watch`, `create`, …
    pub verb: String,
    /// The API group, `""` the core one.
    pub group: String,
    /// The resource, as `services/status` if it is a subresource.
    pub resource: String,
    /// Where; `None`: everywhere.
    pub namespace: Option<String>,
}

impl Permission {
    /// Whether a grant of `self` is what `used` needed.
    pub fn covers(&self, used: &Permission) -> bool {
        let is = |granted: &str, used: &str| granted == "*" || granted == used;
        is(&self.verb, &used.verb)
            && is(&self.group, &used.group)
            && is(&self.resource, &used.resource)
            && (self.namespace.is_none() || self.namespace == used.namespace)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

/// What a service account asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// And was let do.
    pub used: BTreeSet<Permission>,
    /// And was refused.
    pub forbidden: BTreeSet<Permission>,
}

impl Cluster {
    /// A kubeconfig like `kubeconfig` (of [`Cluster::join`]) with a token of `account`.
    pub fn kubeconfig_as(&self, kubeconfig: &Path, account: &ServiceAccount) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", &account.name, "--namespace", &account.namespace])?;
        let text = fs::read_to_string(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
        let mut config: Value = serde_json::from_str(&text)?;
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let file = kubeconfig.with_extension(format!("{}.{}.kubeconfig", account.namespace, account.name));
        fs::write(&file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// How much there is in the audit log now, for [`Cluster::audit`].
    pub fn audit_mark(&self) -> usize {
        fs::metadata(self.audit_log()).map_or(0, |data| usize::try_from(data.len()).unwrap_or(0))
    }

    /// What `account` asked for since `mark`; 0 is the beginning of the cluster.
    pub fn audit(&self, account: &ServiceAccount, mark: usize) -> Result<Audit> {
        let log = fs::read(self.audit_log()).context("cannot read the audit log")?;
        let log = String::from_utf8_lossy(log.get(mark..).unwrap_or_default());
        let user = account.user();
        let mut audit = Audit::default();
        for line in log.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["user"]["username"].as_str() != Some(&user) || event["objectRef"].is_null() {
                continue;
            }
            let permission = asked(&event);
            let is_refused = event["annotations"]["authorization.k8s.io/decision"] == "forbid"
                || event["responseStatus"]["code"] == 403;
            if is_refused {
                audit.forbidden.insert(permission)
            } else {
                audit.used.insert(permission)
            };
        }
        Ok(audit)
    }

    /// What the roles that are bound to `account` by name grant it.
    pub fn granted(&self, account: &ServiceAccount) -> Result<BTreeSet<Permission>> {
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let mut granted = BTreeSet::new();
        for kind in ["clusterrolebindings", "rolebindings"] {
            for binding in items(&self.api().get(&format!("{rbac}/{kind}"))?) {
                if !items_of(&binding["subjects"]).iter().any(|subject| is_about(subject, account)) {
                    continue;
                }
                let namespace = binding["metadata"]["namespace"].as_str();
                let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
                let path = match (binding["roleRef"]["kind"].as_str(), namespace) {
                    (Some("Role"), Some(namespace)) => format!("{rbac}/namespaces/{namespace}/roles/{role}"),
                    _ => format!("{rbac}/clusterroles/{role}"),
                };
                for rule in items_of(&self.api().get(&path)?["rules"]) {
                    granted.extend(permissions(&rule, namespace));
                }
            }
        }
        Ok(granted)
    }
}

/// What an event of the audit log is about.
fn asked(event: &Value) -> Permission {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let mut resource = text(&object["resource"]);
    if let Some(subresource) = object["subresource"].as_str() {
        resource = format!("{resource}/{subresource}");
    }
    Permission {
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource,
        namespace: object["namespace"].as_str().map(str::to_owned),
    }
}

fn is_about(subject: &Value, account: &ServiceAccount) -> bool {
    subject["kind"] == "ServiceAccount"
        && subject["name"] == account.name.as_str()
        && subject["namespace"] == account.namespace.as_str()
}

/// Every combination of a rule's words.
fn permissions(rule: &Value, namespace: Option<&str>) -> Vec<Permission> {
    let words = |name: &str| -> Vec<String> {
        items_of(&rule[name]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            for verb in words("verbs") {
                let (group, resource) = (group.clone(), resource.clone());
                all.push(Permission { verb, group, resource, namespace: namespace.map(str::to_owned) });
            }
        }
    }
    all
}

fn items(list: &Value) -> Vec<Value> {
    items_of(&list["items"])
}

fn items_of(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}
