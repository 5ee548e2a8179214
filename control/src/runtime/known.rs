//! What the appliance last took in, for whoever asks after it (`penstock why`).

use crate::{
    config,
    fault::Problem,
    objects::{ObjectKey, Objects},
};
use std::collections::BTreeMap;

/// Objects, and what is wrong with them and with the tables that were made of them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The node's name.
    pub node_name: String,
    /// The classes of LoadBalancer Services that are ours; `None`: nobody's addresses are assigned here.
    pub cluster: Option<config::Kubernetes>,
    /// The objects.
    pub objects: Objects,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Who announces the addresses of each LoadBalancer Service; empty where nothing is announced.
    pub announced: BTreeMap<ObjectKey, Announced>,
}

/// Who announces the addresses of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The node; `None`: nobody.
    pub owner: Option<String>,
    /// Why this one, or why nobody.
    pub because: String,
}

impl Known {
    /// Whether a LoadBalancer Service of this class gets its addresses from us.
    pub fn is_ours(&self, class: Option<&str>) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.is_ours(class))
    }
}
