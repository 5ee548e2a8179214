//! What an election must know of each node: its labels, and whether it is to be left out (§5.6).

use crate::{
    model::differences,
    objects::{Kind, ObjectKey},
    selector::Labels,
};
use k8s_openapi::api::core::v1::Node;
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The label of nodes that load balancers must leave alone, whatever its value.
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Why a live gateway must not announce anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Excluded {
    /// It has the label.
    Label,
    /// Its network is not set up.
    NetworkUnavailable,
    /// There is no Node of its name, where there are Nodes.
    Unknown,
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label => write!(f, "it has the label {EXCLUDE}"),
            Self::NetworkUnavailable => f.write_str("its condition NetworkUnavailable is True"),
            Self::Unknown => f.write_str("there is no Node of that name"),
        }
    }
}

#[derive(Debug)]
struct Entry {
    raw: Arc<Node>,
    excluded: Option<Excluded>,
}

/// The nodes, followed as they change.
#[derive(Debug, Default)]
pub(super) struct Nodes(BTreeMap<ObjectKey, Entry>);

static NO_LABELS: Labels = Labels::new();

impl Nodes {
    /// Takes in the objects. Whether anything changed that matters here: a kubelet writes its Node all the time.
    pub(super) fn update(&mut self, objects: &Kind<Node>) -> bool {
        let (gone, stale) =
            differences(&self.0, objects.iter(), |entry, object| Arc::ptr_eq(&entry.raw, &object.value));
        let mut changed = !gone.is_empty();
        for key in gone {
            self.0.remove(&key);
        }
        for (key, object) in stale {
            let entry = Entry { raw: Arc::clone(&object.value), excluded: excluded(&object.value) };
            let labels = |entry: &Entry| entry.raw.metadata.labels.clone().unwrap_or_default();
            changed |= self
                .0
                .get(key)
                .is_none_or(|old| old.excluded != entry.excluded || labels(old) != labels(&entry));
            self.0.insert(key.clone(), entry);
        }
        changed
    }

    /// The labels of a node. A source without Nodes, as a folder of manifests may be, has gateways without labels.
    pub(super) fn labels(&self, name: &str) -> &Labels {
        let entry = self.0.get(&ObjectKey::new("", name));
        entry.and_then(|entry| entry.raw.metadata.labels.as_ref()).unwrap_or(&NO_LABELS)
    }

    /// Whether a node must not announce.
    pub(super) fn excluded(&self, name: &str) -> Option<Excluded> {
        match self.0.get(&ObjectKey::new("", name)) {
            Some(entry) => entry.excluded,
            None => (!self.0.is_empty()).then_some(Excluded::Unknown),
        }
    }
}

fn excluded(node: &Node) -> Option<Excluded> {
    if node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDE)) {
        return Some(Excluded::Label);
    }
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let down =
        conditions.any(|condition| condition.type_ == "NetworkUnavailable" && condition.status == "True");
    down.then_some(Excluded::NetworkUnavailable)
}
