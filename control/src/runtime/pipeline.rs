//! From objects to tables: all of the work of a change that needs no kernel, so that it can be measured as it is.
//!
//! In: objects, then what the machine is like. Out: tables to publish, the classifier's state, what is wrong, and what
//! metrics and load balancers are told. Cost: that of what has changed; the rest is shared with the time before.

use super::classifier::Target;
use crate::{
    compile::{Changes, Compiler, Environment, Lingering},
    config::Config,
    fault::Problem,
    http::{NodePortHealth, TableFacts, node_port_health},
    model::{IpFamily, Model, Node},
    objects::{ObjectKey, Objects},
    routes::View,
};
use imbl::OrdSet;
use penstock_dataplane::{table::Snapshot, xdp::ClassifierState};
use std::{collections::BTreeMap, net::IpAddr};

/// See the module.
#[derive(Debug, Default)]
pub struct Pipeline {
    model: Model,
    compiler: Compiler,
    target: Target,
}

/// What came of it.
#[derive(Debug)]
pub struct Made<'p> {
    /// To be published.
    pub snapshot: Snapshot,
    /// What is other than in the one before.
    pub changes: Changes,
    /// What is not served as its author may expect.
    pub problems: Vec<Problem>,
    /// What the classifier is to know.
    pub classifier: &'p ClassifierState,
}

impl Pipeline {
    /// Takes in objects. Returns what is wrong with them, but for what their source has found.
    pub fn take(&mut self, config: &Config, objects: &Objects) -> Vec<Problem> {
        let problems = self.model.update(objects);
        self.compiler.take(&self.model, &config.into());
        problems
    }

    /// The addresses to which ways are wanted.
    pub fn targets(&self) -> OrdSet<IpAddr> {
        self.compiler.targets()
    }

    /// Makes tables of the objects that were taken in. `gives_back`: what backends send that is no answer of a Service can be
    /// given back to the kernel.
    pub fn make(
        &mut self,
        config: &Config,
        environment: &Environment,
        view: &View,
        gives_back: bool,
    ) -> Made<'_> {
        let compiled = self.compiler.compile(&self.model, environment);
        let classifier = self.target.update(config, compiled.captured, view, gives_back);
        let (snapshot, changes, problems) = (compiled.snapshot, compiled.changes, compiled.problems);
        Made { snapshot, changes, problems, classifier }
    }

    /// What was made last is published as this generation.
    pub fn published(&mut self, generation: u64) {
        self.compiler.published(generation);
    }

    /// No worker works with a generation before this one any more.
    pub(super) fn release(&mut self, oldest_in_use: u64) {
        self.compiler.release(oldest_in_use);
    }

    /// What only flows may still want.
    pub(super) fn lingering(&self) -> Lingering {
        self.compiler.lingering()
    }

    /// Lets go what no flow uses.
    pub(super) fn forget(&mut self, unused: &Lingering) {
        self.compiler.forget(unused);
    }

    /// This node, if it is known.
    pub(super) fn node(&self, config: &Config) -> Option<&Node> {
        self.model.node(&config.node_name).map(AsRef::as_ref)
    }

    /// What load balancers are told that ask after local endpoints.
    pub fn health(&self, config: &Config) -> BTreeMap<(ObjectKey, IpFamily), NodePortHealth> {
        node_port_health(&self.model, &config.node_name)
    }

    /// What metrics show.
    pub fn facts<'p>(&self, problems: impl IntoIterator<Item = &'p Problem>) -> TableFacts {
        TableFacts::of(&self.compiler, problems)
    }
}
