//! Random objects, ten sets of them at a time.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use penstock_tests::require_cluster;

use crate::{
    bench::{Bench, Outcomes, Plan},
    case::{Case, SLOTS, Stored},
    generate, observe,
    probe::Probe,
    random::Random,
    say, shrink,
};

/// Probes of each random set of objects, before its change and after.
const PROBES: [usize; 2] = [14, 6];

/// Sets of objects where `PENSTOCK_DIFFERENTIAL_N` does not say.
const SETS: u64 = 20;

/// Disagreements that are made smaller; the rest are reported as they are.
const SHRUNK: usize = 4;

/// Trials to make one smaller.
const SHRINKING_TRIALS: usize = 40;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// `count` of the questions that the objects give rise to.
fn some(count: usize, random: &mut Random, stored: &Stored) -> Vec<Probe> {
    let mut all = Probe::all(&stored.services, random);
    all.truncate(count);
    all
}

/// The smallest case in which `probe` still disagrees, if it does when the case is alone.
fn shrink(bench: &mut Bench, case: Case, probe: &Probe) -> Case {
    let ask = |_: usize, _: &Stored| vec![probe.clone()];
    let plan = Plan { before: &ask, after: &ask, rounds: observe::FEW };
    shrink::shrink(case, SHRINKING_TRIALS, |case| {
        let outcomes = bench.run(std::slice::from_ref(case), &plan);
        outcomes.is_ok_and(|outcomes| outcomes.iter().any(|outcomes| !outcomes.unexplained().is_empty()))
    })
}

#[derive(Default)]
struct Tally {
    probes: usize,
    served: usize,
    flows_kept: usize,
    refused: usize,
    explained: BTreeMap<&'static str, usize>,
    faults: Vec<String>,
}

impl Tally {
    fn add(&mut self, outcomes: &Outcomes) {
        self.probes += outcomes.all_compared().count();
        self.served += outcomes.all_compared().filter(|(seen, _)| !seen.kube.backends.is_empty()).count();
        self.flows_kept += outcomes.survivals.len();
        self.refused += outcomes.before.refused.len() + outcomes.after.refused.len();
        for number in outcomes.explained() {
            *self.explained.entry(number).or_default() += 1;
        }
    }
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
    let mut tally = Tally::default();
    let seeds: Vec<u64> = (first..first + sets).collect();
    // Those of one chunk share what they have by tens.
    for chunk in seeds.chunk_by(|a, b| a / SLOTS as u64 == b / SLOTS as u64) {
        let cases: Vec<Case> =
            chunk.iter().enumerate().map(|(slot, seed)| generate::case(*seed, slot)).collect();
        let before = |case: usize, stored: &Stored| some(PROBES[0], &mut Random::new(!chunk[case]), stored);
        let after =
            |case: usize, stored: &Stored| some(PROBES[1], &mut Random::new(!chunk[case] ^ 1), stored);
        let plan = Plan { before: &before, after: &after, rounds: observe::FEW };
        let all = bench.run(&cases, &plan).unwrap_or_else(|error| panic!("seeds {chunk:?}: {error:#}"));
        for ((seed, case), outcomes) in chunk.iter().zip(cases).zip(&all) {
            tally.add(outcomes);
            let unexplained = outcomes.unexplained();
            let Some((probe, _)) = unexplained.first() else { continue };
            let texts: Vec<&str> = unexplained.iter().map(|(_, text)| text.as_str()).collect();
            let case = if tally.faults.len() < SHRUNK { shrink(&mut bench, case, probe) } else { case };
            let fault =
                format!("seed {seed}: {}\nwith, for the first of them,\n{}", texts.join("\n"), case.text());
            say(&fault);
            tally.faults.push(fault);
        }
    }
    let Tally { probes, served, flows_kept, refused, explained, faults } = tally;
    say(&format!(
        "differential: {sets} sets from seed {first}, {probes} probes ({served} served), established flows of {flows_kept}, {} sets \
         with disagreements, differences that are listed {explained:?}, {refused} objects refused, {:.2} s a set",
        faults.len(),
        started.elapsed().as_secs_f64() / sets.max(1) as f64,
    ));
    assert!(faults.is_empty(), "{} sets of objects are served otherwise than by kube-proxy", faults.len());
}
