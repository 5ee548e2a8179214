//! The fast lane: is there to be one, which interfaces are in it, and is there memory for it?

use super::super::{Check, Link, Machine, drivers};
use crate::{
    config::{self, Config, XdpMode},
    lane::{Expected, Facts, Obstacle, Way, expect, judge},
};

const SUBJECT: &str = "fast lane";

pub(super) fn check(config: &Config, machine: &Machine) -> Vec<Check> {
    let there = || {
        let link = |interface: &'_ config::Interface| machine.links.get(&interface.name);
        config.interfaces.iter().filter_map(move |interface| Some((interface, link(interface)?)))
    };
    let expected = there().map(|(interface, link)| Expected {
        interface,
        features: link.features,
        driver: link.driver.as_deref(),
    });
    let decision = expect(config.fast_lane.mode, expected);
    if !decision.is_on() {
        return vec![Check::pass(SUBJECT, format!("none: {decision}"))];
    }
    let mut checks = vec![memory(config, machine, &decision.to_string())];
    checks.extend(there().map(|(interface, link)| of_interface(interface, link)));
    checks
}

fn memory(config: &Config, machine: &Machine, why: &str) -> Check {
    let bytes = config.fast_lane.bytes(config.workers.count);
    let needed = format!("{} MiB for {} flows a worker", bytes >> 20, config.fast_lane.flows);
    match machine.memory {
        Some(memory) if bytes > memory => Check::fail(
            SUBJECT,
            format!("takes {needed}, and {} MiB can be had", memory >> 20),
            "lower fastLane.flows, or set fastLane: off",
        ),
        _ => Check::pass(SUBJECT, format!("{why}: {needed}")),
    }
}

fn of_interface(interface: &config::Interface, link: &Link) -> Check {
    let name = &interface.name;
    let driver = link.driver.as_deref();
    let native = match link.xdp {
        Some(program) => !program.generic,
        None => interface.mode != XdpMode::Generic && drivers::has_native_xdp(driver.unwrap_or("unknown")),
    };
    let facts = Facts { native: Some(native), attached: link.xdp.is_some(), features: link.features, driver };
    match judge(&facts) {
        Way::Works => Check::pass(name, "is in the fast lane"),
        Way::Assumed => Check::pass(name, "is in the fast lane, as far as its driver is known"),
        // Said of the interface already.
        Way::Not(obstacle @ Obstacle::Generic) => {
            Check::pass(name, format!("is not in the fast lane: {obstacle}"))
        }
        Way::Not(obstacle) => {
            Check::warn(name, format!("is not in the fast lane: {obstacle}"), obstacle.remedy(name))
        }
    }
}
