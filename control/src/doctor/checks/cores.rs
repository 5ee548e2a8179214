//! Packet threads and the processors they are to run on.

use super::super::{
    Check, Link, Machine,
    processors::{self, list},
};
use crate::config::Config;
use penstock_dataplane::worker::Idle;
use std::collections::BTreeSet;

pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Check> {
    let mut checks = processors_of(config, machine);
    for (name, link) in &machine.links {
        checks.extend(memory_node(name, link, &config.workers.cores, machine));
        checks.extend(busy_poll(name, link, config.workers.idle));
    }
    checks
}

fn processors_of(config: &Config, machine: &Machine) -> Vec<Check> {
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
        false if workers.idle(&machine.isolated) != Idle::Adaptive => Check::warn(
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

/// Packets that cross between memory nodes cost more.
fn memory_node(name: &str, link: &Link, cores: &[usize], machine: &Machine) -> Option<Check> {
    let (far, near) = processors::distant(cores, link.node, &machine.nodes)?;
    Some(Check::warn(
        name,
        format!("is on another memory node than the workers on processors {}", list(&far)),
        format!("set workers.cores to some of {}", list(near)),
    ))
}

/// Without these settings interrupts come between the polls.
fn busy_poll(name: &str, link: &Link, idle: Option<Idle>) -> Option<Check> {
    if idle != Some(Idle::BusyPoll) {
        return None;
    }
    Some(match link.defers_interrupts {
        true => Check::pass(name, "its interrupts stay off between two busy polls"),
        false => Check::warn(
            name,
            "workers.idle is busyPoll, but its interrupts are not put off and come between the polls",
            format!(
                "run: echo 2 > /sys/class/net/{name}/napi_defer_hard_irqs; echo 200000 > \
                 /sys/class/net/{name}/gro_flush_timeout"
            ),
        ),
    })
}
