//! What the appliance last took in, for whoever asks after it (`penstock why`).

use crate::{config::Ours, fault::Problem, l2::Plan, objects::Objects};
use std::{collections::BTreeSet, sync::Arc};

/// Objects, and what is wrong with them and with the tables that were made of them.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The node's name.
    pub node_name: String,
    /// The LoadBalancer Services that are ours; `None`: nobody's addresses are assigned here.
    pub ours: Option<Ours>,
    /// The objects.
    pub objects: Objects,
    /// What is wrong, by who found it: the source and the model, the compiler, this node, who plans announcements.
    pub problems: [Arc<[Problem]>; 4],
    /// The gateways that are seen to be alive, this one among them; none where nothing is announced.
    pub gateways: Arc<BTreeSet<String>>,
    /// Who announces what; empty where nothing is announced.
    pub plan: Arc<Plan>,
}

impl Known {
    /// Whether a LoadBalancer Service of this class gets its addresses from us.
    pub fn is_ours(&self, class: Option<&str>) -> bool {
        self.ours.as_ref().is_some_and(|ours| ours.takes(class))
    }
}
