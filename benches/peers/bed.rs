//! A test bed: generator, gateway and sink, each in a namespace, on a line.
//!
//! ```text
//!  generator gN ──── cN gateway bN ──── kN sink
//!  10.1.0.2    10.1.0.1     10.2.0.1    10.2.0.2, and for the gateway also 10.2.0.11 … .14
//!  fd00:1::2   fd00:1::1    fd00:2::1   fd00:2::2 and …::11 … ::14
//! ```
//! The gateway's packets are received by kernel threads (threaded NAPI) on processor 1, where its other threads are too,
//! and the generator has processor 0: so a gateway has one core for all that it does. The sink drops in the softirq of
//! whoever sends to it, which costs all systems the same. Interfaces have numbers because kernel threads are known by their
//! names alone. The sink answers no ARP while it drops everything: its addresses are permanent neighbours.

use std::{fs, net::Ipv4Addr, process::Command};

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use penstock::netns::{Namespace, Owner, VethOptions, create_veth};

use crate::{say, way::Way};

/// Where the generator runs.
pub(crate) const TESTER_CORE: usize = 0;
/// Where the gateway runs.
pub(crate) const GATEWAY_CORE: usize = 1;
/// The addresses behind which Services are.
pub(crate) const BACKENDS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 2, 0, 11),
    Ipv4Addr::new(10, 2, 0, 12),
    Ipv4Addr::new(10, 2, 0, 13),
    Ipv4Addr::new(10, 2, 0, 14),
];
/// The generator's own address.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// Where clients are not, for the local detector to tell.
pub(crate) const CLUSTER_CIDRS: [&str; 2] = ["10.2.0.0/16", "fd00:2::/64"];

/// A bed.
pub(crate) struct Bed {
    pub(crate) generator: Namespace,
    pub(crate) gateway: Namespace,
    pub(crate) sink: Namespace,
    number: u8,
}

impl Bed {
    /// Builds bed `number`.
    pub(crate) fn build(owner: &Owner, number: u8) -> Result<Bed> {
        let namespace = |role: &str| Namespace::create(owner, &format!("{role}{number}"));
        let bed =
            Bed { generator: namespace("gen")?, gateway: namespace("gw")?, sink: namespace("sink")?, number };
        let veth = VethOptions { queues: 1, mtu: 1500 };
        let (generator, client, backend, sink) = (bed.name('g'), bed.name('c'), bed.name('b'), bed.name('k'));
        create_veth((&bed.generator, &generator, bed.mac(1)), (&bed.gateway, &client, bed.mac(2)), veth)?;
        create_veth((&bed.gateway, &backend, bed.mac(3)), (&bed.sink, &sink, bed.mac(4)), veth)?;
        bed.generator.ip(&format!("addr add {CLIENT}/16 dev {generator}"))?;
        bed.gateway.ip(&format!("addr add 10.1.0.1/16 dev {client}"))?;
        bed.gateway.ip(&format!("addr add 10.2.0.1/16 dev {backend}"))?;
        bed.sink.ip(&format!("addr add 10.2.0.2/16 dev {sink}"))?;
        for (namespace, interface, address) in [
            (&bed.generator, &generator, "fd00:1::2"),
            (&bed.gateway, &client, "fd00:1::1"),
            (&bed.gateway, &backend, "fd00:2::1"),
            (&bed.sink, &sink, "fd00:2::2"),
        ] {
            namespace.ip(&format!("addr add {address}/64 dev {interface} nodad"))?;
        }
        let mac = bed.mac(4).map(|byte| format!("{byte:02x}")).join(":");
        for (way, next) in [(Way::V4, "10.2.0.2"), (Way::V6, "fd00:2::2")] {
            let backends = way.backends().map(|address| address.to_string());
            for address in backends.iter().map(String::as_str).chain([next]) {
                bed.gateway.ip(&format!("neigh add {address} lladdr {mac} dev {backend} nud permanent"))?;
            }
        }
        // What is answered by programs is the sink's: for them Services are reached by way of the gateway.
        for address in BACKENDS {
            bed.sink.ip(&format!("addr add {address}/16 dev {sink}"))?;
        }
        bed.generator.ip("route add 10.96.0.0/12 via 10.1.0.1")?;
        // NAPI, which takes redirected frames, is on with GRO; the gateway's polls are then threads of the kernel.
        bed.sink.run(&["ethtool", "-K", &sink, "gro", "on"])?;
        bed.generator.run(&["ethtool", "-K", &generator, "gro", "on"])?;
        for interface in [&client, &backend] {
            bed.gateway.run(&["ethtool", "-K", interface, "gro", "on"])?;
            poll_on(&bed.gateway, interface, GATEWAY_CORE)?;
        }
        Ok(bed)
    }

    /// Lets generator and sink receive on the generator's processor, by threads of the kernel, as long as the value is kept.
    pub(crate) fn ends_have_a_core(&self) -> Result<Threads<'_>> {
        let threads = Threads(self);
        poll_on(&self.generator, &self.name('g'), TESTER_CORE)?;
        poll_on(&self.sink, &self.name('k'), TESTER_CORE)?;
        Ok(threads)
    }

    /// The interface of a kind: g, c, b or k.
    pub(crate) fn name(&self, kind: char) -> String {
        format!("{kind}{}", self.number)
    }

    /// The MAC of an end: 1 the generator's, 2 and 3 the gateway's, 4 the sink's.
    pub(crate) fn mac(&self, end: u8) -> [u8; 6] {
        [0x02, 0x70, 0x65, 0x6e, self.number, end]
    }
}

/// See [`Bed::ends_have_a_core`].
pub(crate) struct Threads<'a>(&'a Bed);

impl Drop for Threads<'_> {
    fn drop(&mut self) {
        for (namespace, kind) in [(&self.0.generator, 'g'), (&self.0.sink, 'k')] {
            if let Err(error) = set_threaded(namespace, &self.0.name(kind), false) {
                say(&format!("  {error:#}"));
            }
        }
    }
}

/// Has an interface's packets received by a thread of the kernel on this processor.
fn poll_on(namespace: &Namespace, interface: &str, core: usize) -> Result<()> {
    set_threaded(namespace, interface, true)?;
    pin(&format!("napi/{interface}-"), core)
}

fn set_threaded(namespace: &Namespace, interface: &str, on: bool) -> Result<()> {
    let line = format!("echo {} > /sys/class/net/{interface}/threaded", u8::from(on));
    namespace.run(&["sh", "-c", &line]).with_context(|| format!("{interface}: threaded NAPI"))?;
    Ok(())
}

/// Lets a process go before others: the machine may not be ours alone. Whoever takes part is given the same, the systems
/// because they inherit it.
pub(crate) fn prefer(process: i32) -> Result<()> {
    let mut command = Command::new("renice");
    command.args(["-n", "-20", "-p", &process.to_string()]);
    penstock::netns::run(command).context("cannot raise a priority")?;
    Ok(())
}

/// Keeps this thread on a processor.
pub(crate) fn stay_on(core: usize) -> Result<()> {
    pin_one(0, core).with_context(|| format!("cannot be on processor {core}"))
}

fn pin_one(thread: i32, core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(thread), &cores)?)
}

/// Pins the kernel's threads whose names begin so.
fn pin(prefix: &str, core: usize) -> Result<()> {
    let mut found = false;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(prefix) {
            pin_one(id, core).with_context(|| format!("cannot pin {name}"))?;
            prefer(id)?;
            found = true;
        }
    }
    found
        .then_some(())
        .with_context(|| format!("the kernel has no thread {prefix}…: threaded NAPI is missing"))
}
