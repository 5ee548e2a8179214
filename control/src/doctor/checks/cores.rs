//! Packet threads and the processors they are to run on.

use super::super::{Check, Machine};
use crate::config::{Config, Idle};
use std::collections::BTreeSet;

pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Check> {
    let workers = &config.workers;
    let online = machine.online.len();
    if workers.cores.is_empty() {
        return vec![match online > 0 && workers.count >= online {
            true => Check::warn(
                "cores",
                format!(
                    "{} workers for {online} processors leave none to the control plane and the kernel",
                    workers.count
                ),
                format!("set workers.count to {} or less", (online - 1).max(1)),
            ),
            false => {
                Check::pass("cores", format!("{} workers, not pinned, on {online} processors", workers.count))
            }
        }];
    }
    let mut checks = Vec::new();
    let wanted: BTreeSet<usize> = workers.cores.iter().copied().collect();
    let list = |cores: &BTreeSet<usize>| cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let missing: BTreeSet<usize> = wanted.difference(&machine.online).copied().collect();
    if !missing.is_empty() {
        checks.push(Check::fail(
            "cores",
            format!("workers.cores names {}, but processors {} run", list(&missing), list(&machine.online)),
            "name processors that run, or leave workers.cores out",
        ));
        return checks;
    }
    let shared: BTreeSet<usize> = wanted.difference(&machine.isolated).copied().collect();
    checks.push(match shared.is_empty() {
        true => Check::pass("cores", format!("workers are pinned to {}, which are isolated", list(&wanted))),
        false if workers.idle == Idle::Busy => Check::warn(
            "cores",
            format!("workers that poll without pause share {} with everything else", list(&shared)),
            format!("boot with isolcpus={0} nohz_full={0}, or give the kubelet reserved CPUs", list(&wanted)),
        ),
        false => {
            Check::pass("cores", format!("workers are pinned to {}, which others use too", list(&wanted)))
        }
    });
    if machine.irqbalance {
        checks.push(Check::warn(
            "irqbalance",
            "it may move interrupts onto the workers' cores",
            format!("set IRQBALANCE_BANNED_CPULIST={} in its configuration", list(&wanted)),
        ));
    }
    checks
}
