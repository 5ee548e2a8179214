//! The two gateways, and the way of a set of objects through the test: put, ask, keep flows, change, ask again.

use anyhow::Result;

use crate::{
    arena::Arena,
    canary::Canary,
    case::{self, Case, Stored},
    differences,
    kept::{self, Survival},
    observe::{self, Compared, Flows, Question},
    probe::Probe,
};

/// Probes of each set of objects whose flows go on while the objects change, where no other number is wanted.
const KEPT: usize = 4;

/// The two gateways and what goes on between them.
pub struct Bench {
    pub arena: Arena,
    canary: Canary,
    flows: Flows,
    /// Probes of each set of objects whose flows go on while the objects change.
    pub kept: usize,
}

/// What is asked of a case, by its place among those served at once: of what is stored, before and after the change.
pub struct Plan<'p> {
    pub before: &'p dyn Fn(usize, &Stored) -> Vec<Probe>,
    pub after: &'p dyn Fn(usize, &Stored) -> Vec<Probe>,
    /// At least so many rounds of flows each.
    pub rounds: usize,
}

/// What a set of objects led to.
#[derive(Default)]
pub struct Outcomes {
    pub before: Stored,
    pub after: Stored,
    pub compared: Vec<Compared>,
    pub compared_after: Vec<Compared>,
    pub survivals: Vec<Survival>,
}

impl Bench {
    pub fn start(owner: &str) -> Result<Bench> {
        let arena = Arena::start(owner)?;
        case::install(arena.cluster.api())?;
        let canary = Canary::install(arena.cluster.api())?;
        Ok(Bench { arena, canary, flows: Flows::default(), kept: KEPT })
    }

    /// Puts `cases`, changes them, and compares what `plan` picks.
    pub fn run(&mut self, cases: &[Case], plan: &Plan<'_>) -> Result<Vec<Outcomes>> {
        let mut all: Vec<Outcomes> = cases.iter().map(|_| Outcomes::default()).collect();
        let before = case::put(cases, &mut self.arena, &mut self.canary)?;
        let compared = self.compare(&before, plan.before, plan.rounds)?;
        let kept = self.keep(cases, &compared)?;
        for compared in compared {
            all[compared.question.case].compared.push(compared);
        }
        for (outcomes, before) in all.iter_mut().zip(before) {
            (outcomes.before, outcomes.after) = (before.clone(), before);
        }
        if cases.iter().all(|case| case.changes.is_empty() && case.zones[0] == case.zones[1]) {
            return Ok(all);
        }
        let after = case::change(&mut cases.to_vec(), &mut self.arena, &mut self.canary)?;
        for compared in self.compare(&after, plan.after, plan.rounds)? {
            all[compared.question.case].compared_after.push(compared);
        }
        for survival in kept::compare(kept)? {
            all[survival.question.case].survivals.push(survival);
        }
        for (outcomes, after) in all.iter_mut().zip(after) {
            outcomes.after = after;
        }
        Ok(all)
    }

    fn compare(
        &mut self,
        stored: &[Stored],
        choose: &dyn Fn(usize, &Stored) -> Vec<Probe>,
        rounds: usize,
    ) -> Result<Vec<Compared>> {
        let mut questions = Vec::new();
        for (case, stored) in stored.iter().enumerate() {
            for probe in choose(case, stored) {
                let Some(destination) = probe.resolve(&stored.services) else { continue };
                let has_affinity = probe.has_affinity(&stored.services);
                questions.push(Question { case, probe, destination, has_affinity });
            }
        }
        let is_explained =
            |compared: &Compared| differences::explain(compared, &stored[compared.question.case]).is_some();
        observe::compare(&self.arena, &mut self.flows, questions, rounds, &is_explained)
    }

    fn keep(&mut self, cases: &[Case], compared: &[Compared]) -> Result<Vec<kept::Kept>> {
        let mut chosen = Vec::new();
        for case in 0..cases.len() {
            let of_case = compared.iter().filter(|compared| compared.question.case == case);
            chosen.extend(of_case.filter(|compared| !compared.kube.backends.is_empty()).take(self.kept));
        }
        kept::open(&self.arena, &mut self.flows, &chosen)
    }
}

impl Outcomes {
    /// Each with the objects as they were.
    pub fn all_compared(&self) -> impl Iterator<Item = (&Compared, &Stored)> {
        let before = self.compared.iter().map(|compared| (compared, &self.before));
        before.chain(self.compared_after.iter().map(|compared| (compared, &self.after)))
    }

    /// The numbers of the decided differences that showed.
    pub fn explained(&self) -> Vec<&'static str> {
        let differ = self.all_compared().filter(|(compared, _)| !compared.agree());
        let new = differ.filter_map(|(compared, stored)| differences::explain(compared, stored));
        let differ = self.survivals.iter().filter(|survival| !survival.agree());
        let kept = differ.filter_map(|survival| differences::explain_survival(survival, self));
        new.chain(kept).collect()
    }

    /// Disagreements without a reason: the probe, and both answers.
    pub fn unexplained(&self) -> Vec<(&Probe, String)> {
        let mut found = Vec::new();
        for (when, all, stored) in
            [("", &self.compared, &self.before), ("after the change, ", &self.compared_after, &self.after)]
        {
            for compared in all.iter().filter(|compared| !compared.agree()) {
                if differences::explain(compared, stored).is_none() {
                    found.push((&compared.question.probe, format!("{when}{compared}")));
                }
            }
        }
        for survival in self.survivals.iter().filter(|survival| !survival.agree()) {
            if differences::explain_survival(survival, self).is_none() {
                found.push((&survival.question.probe, survival.to_string()));
            }
        }
        found
    }
}
