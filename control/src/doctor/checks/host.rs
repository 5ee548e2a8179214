//! The kernel, what this process may do, and memory.

use super::super::{Check, Machine, Tun};
use crate::config::Config;

/// A capability, its number in linux/capability.h, and what it is for.
struct Capability(&'static str, u32, &'static str);

/// All that the appliance uses. Locked memory is a matter of its own ([`memlock`]).
const NEEDED: [Capability; 4] = [
    Capability("CAP_NET_ADMIN", 12, "the classifier cannot be attached, nor neighbours be asked for"),
    Capability("CAP_NET_RAW", 13, "AF_XDP sockets cannot be opened, nor addresses be announced"),
    Capability("CAP_BPF", 39, "the classifier cannot be loaded"),
    Capability("CAP_PERFMON", 38, "the kernel's verifier refuses the classifier"),
];
/// These stand for all of them, or lift the limit of locked memory.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_RESOURCE: u32 = 24;

const HUGE_PAGE_BYTES: u64 = 2 << 20;

fn has(machine: &Machine, capability: u32) -> bool {
    machine.capabilities & (1 << capability) != 0
}

/// 5.9 has what is needed; what later ones add is speed.
pub(super) fn kernel(machine: &Machine) -> Check {
    let mut numbers = machine.kernel.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Check::warn("kernel", "its version cannot be read", "Linux 5.9 or newer is needed");
    };
    let finding = format!("Linux {}", machine.kernel);
    match (major, minor) {
        (..5, _) | (5, ..9) => Check::fail(
            "kernel",
            format!("{finding} has no XDP links, by which the classifier goes away with the appliance"),
            "use Linux 5.9 or newer; 5.16 is best",
        ),
        (5, ..16) => Check::warn(
            "kernel",
            format!("{finding} works; neighbours that the kernel keeps fresh by itself came with 5.16"),
            "use 5.16 or newer",
        ),
        _ => Check::pass("kernel", finding),
    }
}

pub(super) fn capabilities(machine: &Machine) -> Vec<Check> {
    let covers = |Capability(_, number, _): &Capability| {
        // Before they had names of their own, BPF's two were part of this one, and still are.
        has(machine, *number) || (*number > 37 && has(machine, CAP_SYS_ADMIN))
    };
    let missing: Vec<Check> = NEEDED
        .iter()
        .filter(|capability| !covers(capability))
        .map(|Capability(name, _, consequence)| {
            Check::fail(
                "capabilities",
                format!("{name} is missing: {consequence}"),
                "run as root, or add it: `securityContext.capabilities.add` of a container, \
                 `AmbientCapabilities` of a systemd unit",
            )
        })
        .collect();
    if missing.is_empty() {
        return vec![Check::pass("capabilities", "CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON")];
    }
    missing
}

/// Where classifier and fast lane stay.
pub(super) fn pins(config: &Config, machine: &Machine) -> Check {
    let path = config.pin_path.display();
    let mounted = machine.bpffs.iter().any(|mount| config.pin_path.starts_with(mount));
    match config.persist {
        false if machine.pinned && !machine.appliance => Check::warn(
            "pinPath",
            format!("{path} has what an appliance left that was to persist, and persist is false now"),
            format!("run: penstock detach --pin-path {path}"),
        ),
        false => Check::pass("pinPath", "nothing persists, so nothing is pinned"),
        true if !mounted => Check::fail(
            "pinPath",
            format!("persist is set, and {path} is on no BPF file system"),
            "run: mount -t bpf bpf /sys/fs/bpf; in a pod, mount the host's /sys/fs/bpf there",
        ),
        true => Check::pass("pinPath", format!("classifier and fast lane persist at {path}")),
    }
}

pub(super) fn tun(machine: &Machine) -> Check {
    let consequence = "packets cannot be given back to the kernel, so Services with externalTrafficPolicy Local \
                       are not served";
    match &machine.tun {
        Tun::Missing => Check::warn(
            "/dev/net/tun",
            format!("is missing: {consequence}"),
            "run: modprobe tun; in a container, mount the host's",
        ),
        Tun::Refused(error) => Check::warn(
            "/dev/net/tun",
            format!("cannot be opened ({error}): {consequence}"),
            "run: chmod 0666 /dev/net/tun, which is what udev makes it",
        ),
        Tun::Usable if !machine.sysctls_writable && machine.rp_filter_of_new == 1 => Check::warn(
            "/dev/net/tun",
            format!(
                "what is made of it would filter reverse paths strictly, and sysctls are read-only: {consequence}"
            ),
            "run on the node: sysctl -w net.ipv4.conf.default.rp_filter=2",
        ),
        Tun::Usable => Check::pass("/dev/net/tun", "can be opened"),
    }
}

/// All workers' packet memory is locked.
pub(super) fn memlock(config: &Config, machine: &Machine) -> Check {
    let umem = config.umem;
    let needed = u64::from(umem.frames) * u64::from(umem.frame_size) * config.workers.count as u64;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    match machine.memlock {
        None => Check::pass("locked memory", format!("{} MiB are needed; unlimited", mib(needed))),
        Some(_) if has(machine, CAP_IPC_LOCK) => Check::pass(
            "locked memory",
            format!("{} MiB are needed; CAP_IPC_LOCK lifts the limit", mib(needed)),
        ),
        Some(_) if has(machine, CAP_SYS_RESOURCE) => Check::pass(
            "locked memory",
            format!("{} MiB are needed; the limit is raised at the start", mib(needed)),
        ),
        Some(limit) if limit < needed => Check::fail(
            "locked memory",
            format!("packet memory takes {} MiB, and the limit is {} MiB", mib(needed), mib(limit)),
            "add CAP_IPC_LOCK, or raise the limit (`LimitMEMLOCK=infinity` of a systemd unit), or lower umem.frames",
        ),
        Some(limit) => {
            Check::pass("locked memory", format!("{} MiB are needed of {} MiB", mib(needed), mib(limit)))
        }
    }
}

pub(super) fn huge_pages(config: &Config, machine: &Machine) -> Option<Check> {
    let umem = config.umem;
    if !umem.huge_pages {
        return None;
    }
    let a_worker = u64::from(umem.frames) * u64::from(umem.frame_size);
    let needed = a_worker.div_ceil(HUGE_PAGE_BYTES) * config.workers.count as u64;
    let free = machine.huge_pages;
    Some(match free < needed {
        true => Check::fail(
            "huge pages",
            format!("umem.hugePages is set and {needed} pages of 2 MiB are needed, but {free} are free"),
            format!(
                "run: sysctl -w vm.nr_hugepages={needed}; in a pod, add `hugepages-2Mi: {}Mi` to its limits",
                needed * 2
            ),
        ),
        false => Check::pass("huge pages", format!("{needed} pages of 2 MiB are needed, {free} are free")),
    })
}
