//! Both families together.

use super::{
    changes::{Captured, Changes},
    environment::{Environment, Settings},
    family::{FamilyTables, Shared},
    record::Candidate,
    tally::Tally,
};
use crate::{
    fault::{Fault, Problem, Severity},
    model::{IpFamily, Model, Service, ServicePort},
};
use imbl::OrdSet;
use penstock_dataplane::{
    table::{ServiceId, Snapshot},
    wire::{V4, V6},
};
use std::net::IpAddr;

/// What came of a compilation.
#[derive(Debug)]
pub struct Compiled {
    /// To be published.
    pub snapshot: Snapshot,
    /// What is other than in the one before.
    pub changes: Changes,
    /// For the classifier.
    pub captured: Captured,
    /// What is not served as its author may expect.
    pub problems: Vec<Problem>,
}

/// Compiles again and again, with as much work as the change asks for.
///
/// After a snapshot is published its generation is told by [`Self::published`], and when workers have moved on, by
/// [`Self::release`], so that numbers can be given again.
#[derive(Debug, Default)]
pub struct Compiler {
    pub(super) v4: FamilyTables<V4>,
    pub(super) v6: FamilyTables<V6>,
    pub(super) shared: Shared,
}

/// A Service port as it was compiled last, with all its endpoints: for people who ask why.
#[derive(Debug, Clone)]
pub struct PortView<'c> {
    /// The family.
    pub family: IpFamily,
    /// Its number in that family's table.
    pub id: ServiceId,
    /// The Service.
    pub service: &'c Service,
    /// The port.
    pub port: &'c ServicePort,
    /// Its endpoints, in order of address and port.
    pub candidates: Vec<Candidate>,
}

impl Compiler {
    /// A compiler that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the model as it is now, so that [`Self::targets`] are those of the next compilation.
    pub fn take(&mut self, model: &Model, settings: &Settings) {
        self.v4.take(model, settings, &mut self.shared);
        self.v6.take(model, settings, &mut self.shared);
    }

    /// Compiles what the model and the environment are now.
    pub fn compile(&mut self, model: &Model, environment: &Environment) -> Compiled {
        let v4 = self.v4.compile(model, environment, &mut self.shared);
        let v6 = self.v6.compile(model, environment, &mut self.shared);
        self.shared.problems.extend(unknown_node(model, &environment.settings.node_name));
        let mut captured = self.shared.captured.clone();
        self.v4.captured(&mut captured);
        self.v6.captured(&mut captured);
        captured.backends = self.shared.addresses.seeing_clients(environment.settings.masquerade_all).clone();
        Compiled {
            snapshot: Snapshot { v4, v6 },
            changes: std::mem::take(&mut self.shared.changes),
            captured,
            problems: std::mem::take(&mut self.shared.problems),
        }
    }

    /// The last compilation is published as this generation.
    pub fn published(&mut self, generation: u64) {
        self.v4.published(generation);
        self.v6.published(generation);
        self.shared.backends.published(generation);
    }

    /// No worker works with a generation before this one any more: numbers that were gone by then can be given again.
    pub fn release(&mut self, oldest_in_use: u64) {
        self.v4.release(oldest_in_use);
        self.v6.release(oldest_in_use);
        self.shared.backends.release(oldest_in_use);
    }

    /// The addresses to which ways are wanted: those of backends, and of gone backends that flows may still use.
    pub fn targets(&self) -> OrdSet<IpAddr> {
        self.shared.addresses.wanted().clone()
    }

    /// Counts of what is compiled, by family.
    pub fn tallies(&self) -> [Tally; 2] {
        [self.v4.tally, self.v6.tally]
    }

    /// Every Service port of both families.
    pub fn ports(&self) -> impl Iterator<Item = PortView<'_>> {
        self.v4.views(&self.shared).chain(self.v6.views(&self.shared))
    }
}

/// A node name that no Node has, where there are Nodes: most likely mistyped.
fn unknown_node(model: &Model, name: &str) -> Option<Problem> {
    let known: Vec<_> = model.node_names().take(5).collect();
    if name.is_empty() || known.is_empty() || model.node(name).is_some() {
        return None;
    }
    let message = format!(
        "{name:?}: there is no such Node (but {}), so its zone and addresses are not known; if the name is wrong, no \
         endpoint counts as local",
        known.join(", ")
    );
    let fault = Fault { path: "nodeName".into(), message };
    Some(Problem { severity: Severity::Warning, origin: None, object: None, fault })
}
