//! The differential test: kube-proxy is the oracle.
//!
//! * Job: find what Penstock does otherwise than kube-proxy (nftables mode) with the same objects.
//! * In: a real API server, so that defaulting, validation and allocation are real; Services and EndpointSlices,
//!   written by hand or random; the Nodes are fixed.
//! * How: kube-proxy watches the API server; Penstock reads the same objects, as the API server gives them, from its
//!   folder of manifests. Clients and backends are the same, in two worlds. Each probe is put to both: who may serve
//!   it, whether the source is kept, whether it is rejected or dropped.
//! * Out: for each disagreement its seed, the probe, both answers, and the objects, made as few as can be.
//! * Replay: `make differential N=1 SEED=…` with the seed that a set of objects is reported with.
//! * Limits: TCP and UDP, new flows only. A rejection by RST and one by ICMP count as the same. What differs by
//!   decision is in `tests/differential/DIFFERENCES.md`.

#![expect(unreachable_pub, reason = "the modules of one program")]

mod arena;
mod case;
mod differences;
mod generate;
mod observe;
mod probe;
mod random;
mod responder;
mod shrink;
mod tries;
mod by_hand;

use std::{
    collections::BTreeMap,
    io::Write,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use penstock_tests::require_cluster;

use arena::Arena;
use case::{Canary, Case, Stored};
use observe::{Compared, Flows};
use probe::Probe;
use random::Random;

/// Probes of each random set of objects.
const PROBES: usize = 20;

/// Sets of objects where `PENSTOCK_DIFFERENTIAL_N` does not say.
const SETS: u64 = 20;

/// Disagreements that are made smaller; the rest are reported as they are.
const SHRUNK: usize = 4;

/// Trials to make one smaller.
const SHRINKING_TRIALS: usize = 40;

/// The two gateways and what goes on between them.
struct Bench {
    arena: Arena,
    canary: Canary,
    flows: Flows,
}

/// What a set of objects led to.
struct Outcomes {
    stored: Stored,
    compared: Vec<Compared>,
}

impl Bench {
    fn start(owner: &str) -> Result<Bench> {
        let arena = Arena::start(owner)?;
        let canary = Canary::install(arena.cluster.api())?;
        Ok(Bench { arena, canary, flows: Flows::default() })
    }

    /// Puts `case` and compares what `choose` picks of it, in `rounds` of flows at least.
    fn run(
        &mut self,
        case: &Case,
        rounds: usize,
        choose: impl FnOnce(&Stored) -> Vec<Probe>,
    ) -> Result<Outcomes> {
        let stored = case.put(&mut self.arena, &mut self.canary)?;
        let probes = choose(&stored).into_iter().filter_map(|probe| {
            let destination = probe.resolve(&stored.services)?;
            let has_affinity = stored.services.iter().any(|service| {
                service["metadata"]["name"] == probe.service.as_str()
                    && service["spec"]["sessionAffinity"] == "ClientIP"
            });
            Some((probe, destination, has_affinity))
        });
        let compared = observe::compare(&self.arena, &mut self.flows, probes.collect(), rounds)?;
        Ok(Outcomes { stored, compared })
    }

    /// The smallest case in which `probe` still disagrees.
    fn shrink(&mut self, case: Case, probe: &Probe) -> Case {
        shrink::shrink(case, SHRINKING_TRIALS, |case| {
            let result = self.run(case, observe::FEW, |_| vec![probe.clone()]);
            result.is_ok_and(|result| !result.unexplained().is_empty())
        })
    }
}

impl Outcomes {
    fn unexplained(&self) -> Vec<&Compared> {
        let differ = self.compared.iter().filter(|compared| !compared.agree());
        differ.filter(|compared| differences::explain(compared, &self.stored.services).is_none()).collect()
    }
}

fn describe(compared: &Compared) -> String {
    let Compared { probe, destination, kube, penstock, .. } = compared;
    format!(
        "{probe} ({:?} {}):\n  kube-proxy: {kube}\n  penstock:   {penstock}",
        destination.protocol, destination.address
    )
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn random_objects_are_served_as_kube_proxy_serves_them() {
    require_cluster!();
    let sets = number_from("PENSTOCK_DIFFERENTIAL_N").unwrap_or(SETS);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let first = number_from("PENSTOCK_DIFFERENTIAL_SEED").unwrap_or(clock);
    say(&format!("differential: {sets} sets of objects from seed {first}"));
    let mut bench = Bench::start("psk-diff").unwrap();
    let started = Instant::now();
    let (mut probes, mut refused, mut faults) = (0, 0, Vec::new());
    let mut explained = BTreeMap::<&str, usize>::new();
    for seed in first..first + sets {
        let case = generate::case(seed);
        let choose = |stored: &Stored| {
            let mut all = Probe::all(&stored.services, &mut Random::new(!seed));
            all.truncate(PROBES);
            all
        };
        let result =
            bench.run(&case, observe::FEW, choose).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        probes += result.compared.len();
        refused += result.stored.refused.len();
        for compared in result.compared.iter().filter(|compared| !compared.agree()) {
            if let Some(number) = differences::explain(compared, &result.stored.services) {
                *explained.entry(number).or_default() += 1;
            }
        }
        let unexplained = result.unexplained();
        if let Some(first) = unexplained.first() {
            let all: Vec<String> = unexplained.iter().map(|compared| describe(compared)).collect();
            let case = if faults.len() < SHRUNK { bench.shrink(case, &first.probe) } else { case };
            let fault =
                format!("seed {seed}: {}\nwith, for the first of them,\n{}", all.join("\n"), case.text());
            say(&fault);
            faults.push(fault);
        }
    }
    say(&format!(
        "differential: {sets} sets from seed {first}, {probes} probes, {} sets with disagreements, \
         differences that are listed {explained:?}, {refused} objects refused, {:.2} s a set",
        faults.len(),
        started.elapsed().as_secs_f64() / sets.max(1) as f64,
    ));
    assert!(faults.is_empty(), "{} sets of objects are served otherwise than by kube-proxy", faults.len());
}
