//! The judges. Each file is about one part of the machine; the order is that of the report.

mod host;
mod cores;
mod sysctls;
mod interfaces;
mod offloads;
mod lane;
mod control;
mod api_server;

use super::{Check, Machine};
use crate::config::Config;

/// What can be said of a machine for which nothing is configured.
pub(super) fn of_any_machine(machine: &Machine) -> Vec<Check> {
    let mut checks = vec![host::kernel(machine)];
    checks.extend(host::capabilities(machine));
    checks.push(host::tun(machine));
    checks
}

/// What can be said of the machine as a gateway.
pub(super) fn of_machine(config: &Config, machine: &Machine) -> Vec<Check> {
    let mut checks = of_any_machine(machine);
    checks.push(host::pins(config, machine));
    checks.push(host::memlock(config, machine));
    checks.extend(host::huge_pages(config, machine));
    checks.extend(cores::check(config, machine));
    checks.extend(sysctls::check(config, machine));
    for (port, interface) in config.interfaces.iter().enumerate() {
        checks.extend(interfaces::check(config, port, interface, machine));
        if let Some(link) = machine.links.get(&interface.name) {
            checks.extend(offloads::check(interface, link));
        }
    }
    checks.extend(lane::check(config, machine));
    checks
}

/// What stands between the appliance and those who ask it, or whom it asks.
pub(super) fn of_control(config: &Config, machine: &Machine) -> Vec<Check> {
    let mut checks = control::check(config, machine);
    checks.extend(api_server::check(config));
    checks
}
