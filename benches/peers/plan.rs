//! How much is measured: a plan, and what the command line picks of it.
//!
//! `--only FIGURES/SYSTEMS/SERVICES/FLOWS` picks by the parts of a figure's name: several of a kind with commas between them,
//! all by `*`, or by leaving the rest out, as in `--only forward/penstock-fastlane,kube-proxy-nftables/10k/1k`. Systems that
//! are not picked are not started, and Services not made.

use anyhow::{Context, Result, bail};

use crate::{short, systems::Kind};

/// What there is to measure: the first parts of names.
const FIGURES: [&str; 9] = [
    "flowtable",
    "forward",
    "forward-v6",
    "lane",
    "tcp-rr",
    "tcp-rr-sockets",
    "first-packet",
    "after-idle",
    "change",
];

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// So many Services, with so many flows each.
    pub(crate) points: Vec<(usize, Vec<u64>)>,
    /// With the first numbers of Services and flows.
    rounds: usize,
    /// Of other numbers, and of what differs little between rounds.
    pub(crate) steady_rounds: usize,
    pub(crate) changes: usize,
    /// The systems that are compared.
    pub(crate) systems: Vec<Kind>,
    figures: Vec<&'static str>,
}

impl Plan {
    /// As the arguments say.
    pub(crate) fn of(arguments: &[String]) -> Result<Plan> {
        let mut plan = Plan::whole();
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                "--quick" => plan = plan.quick(),
                "--smoke" => plan = plan.smoke(),
                "--only" => {
                    let picked = arguments.next().context("--only FIGURES/SYSTEMS/SERVICES/FLOWS: what?")?;
                    plan.pick(picked)?;
                }
                other => {
                    bail!("{other} is not known: --quick, --smoke, --only FIGURES/SYSTEMS/SERVICES/FLOWS")
                }
            }
        }
        Ok(plan)
    }

    fn whole() -> Plan {
        let flows = [1, 1000, 100_000];
        Plan {
            points: [1, 1000, 10_000].map(|services| (services, flows.to_vec())).to_vec(),
            rounds: 3,
            steady_rounds: 3,
            changes: 7,
            systems: Kind::ALL.to_vec(),
            figures: FIGURES.to_vec(),
        }
    }

    /// What ends within eight minutes: without a single flow, 100,000 flows to 1000 Services, 10,000 Services, and TCP by
    /// sockets.
    fn quick(mut self) -> Plan {
        let points = vec![(1, vec![1000, 100_000]), (1000, vec![1000])];
        self.figures.retain(|figure| *figure != "tcp-rr-sockets");
        Plan { points, rounds: 2, steady_rounds: 1, changes: 2, ..self }
    }

    /// Enough to see that it works.
    fn smoke(self) -> Plan {
        Plan { points: vec![(1, vec![1000])], rounds: 1, steady_rounds: 1, changes: 2, ..self }
    }

    fn pick(&mut self, picked: &str) -> Result<()> {
        let parts: Vec<&str> = picked.split('/').collect();
        let [figures, systems, services, flows] =
            [0, 1, 2, 3].map(|place| Part(parts.get(place).copied().unwrap_or("*")));
        if parts.len() > 4 {
            bail!("--only {picked}: FIGURES/SYSTEMS/SERVICES/FLOWS, no more parts");
        }
        figures.keep(&mut self.figures, |figure| (*figure).to_owned())?;
        systems.keep(&mut self.systems, |kind| kind.name().to_owned())?;
        services.keep(&mut self.points, |(services, _)| short(*services as u64))?;
        let mut there: Vec<u64> = self.points.iter().flat_map(|(_, flows)| flows.clone()).collect();
        flows.keep(&mut there, |flows| short(*flows))?;
        for (_, flows) in &mut self.points {
            flows.retain(|flows| there.contains(flows));
        }
        self.points.retain(|(_, flows)| !flows.is_empty());
        Ok(())
    }

    /// Rounds at a point, so many after the first.
    pub(crate) fn rounds(&self, place: usize) -> usize {
        if place == 0 { self.rounds } else { self.steady_rounds }
    }

    /// Whether a figure is measured.
    pub(crate) fn has(&self, figure: &str) -> bool {
        self.figures.contains(&figure)
    }

    /// Whether any figure needs systems that run.
    pub(crate) fn has_systems(&self) -> bool {
        self.figures.iter().any(|figure| *figure != "flowtable")
    }
}

/// A part of what is picked.
struct Part<'a>(&'a str);

impl Part<'_> {
    /// Keeps what it names, each of which there must be.
    fn keep<T>(&self, all: &mut Vec<T>, name: impl Fn(&T) -> String) -> Result<()> {
        if self.0 == "*" {
            return Ok(());
        }
        let names: Vec<&str> = self.0.split(',').collect();
        if let Some(unknown) = names.iter().find(|wanted| !all.iter().any(|one| name(one) == **wanted)) {
            let there: Vec<String> = all.iter().map(&name).collect();
            bail!("--only: {unknown} is none of {}", there.join(", "));
        }
        all.retain(|one| names.contains(&name(one).as_str()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan> {
        Plan::of(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_picked_is_measured_and_nothing_else() {
        let plan = plan("--only forward/penstock-fastlane,kube-proxy-nftables/10k/1,1k").unwrap();
        assert_eq!(plan.points, [(10_000, vec![1, 1000])]);
        assert_eq!(plan.systems, [Kind::PenstockFastlane, Kind::KubeProxyNftables]);
        assert!(plan.has("forward") && !plan.has("tcp-rr") && plan.has_systems());
    }

    #[test]
    fn what_is_left_out_is_all() {
        let plan = plan("--quick --only tcp-rr/*/1k").unwrap();
        assert_eq!((plan.points.len(), plan.systems.len()), (1, Kind::ALL.len()));
        assert!(!self::plan("--only flowtable").unwrap().has_systems());
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        for (line, told) in [
            ("--only forwards", "forwards is none of flowtable, forward"),
            ("--only forward/kube-proxy", "none of l2fwd"),
            ("--quick --only */*/10k", "10k is none of 1, 1k"),
            ("--only a/b/c/d/e", "no more parts"),
            ("--only", "what?"),
            ("--fast", "--fast is not known"),
        ] {
            let error = plan(line).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
