//! What takes memory and cores: `workers`, `ring`, `umem`, `tables`.

use super::{
    super::{
        raw,
        settings::{Interface, Queues, Ring, TableSizes, Umem, Workers},
    },
    check::{number, word},
};
use crate::fault::Faults;
use penstock_dataplane::worker::Idle;

/// More workers than any NIC has queues for.
const MOST_WORKERS: u64 = 64;
/// Flows whose table fits the memory of a large machine.
const MOST_FLOWS: u64 = 1 << 28;

pub(super) fn workers(raw: raw::Workers, faults: &mut Faults) -> Workers {
    const IDLE: [(&str, Idle); 3] =
        [("busy", Idle::Busy), ("adaptive", Idle::Adaptive), ("busyPoll", Idle::BusyPoll)];
    let mut cores: Vec<usize> = Vec::new();
    for (index, core) in raw.cores.unwrap_or_default().into_iter().enumerate() {
        let path = format!("workers.cores[{index}]");
        let core = match core {
            Some(core) => {
                number(&path, Some(core), 0..=4095, 0, "see `lscpu -e` for the cores there are", faults)
            }
            None if faults.has(&path) => continue,
            None => {
                faults.value(&path, "null", "must be the number of a core");
                continue;
            }
        } as usize;
        if cores.contains(&core) {
            faults.value(&path, core, "is another worker's core already");
        }
        cores.push(core);
    }
    let default = if cores.is_empty() { 1 } else { cores.len() as u64 };
    let given = raw.count.is_some();
    let count = number("workers.count", raw.count, 1..=MOST_WORKERS, default, "", faults) as usize;
    if given && !cores.is_empty() && cores.len() != count {
        faults.value(
            "workers.cores",
            format!("{cores:?}"),
            format!("must name one core for each of {count} workers; leave it out to let them run anywhere"),
        );
    }
    let idle = raw.idle.map(|given| word("workers.idle", Some(given), &IDLE, Idle::Adaptive, faults));
    Workers { count, cores, idle }
}

pub(super) fn ring(raw: raw::Ring, faults: &mut Faults) -> Ring {
    let mut size = |path: &str, given: Option<u64>| {
        let size = number(path, given, 64..=65536, 2048, "", faults);
        if !size.is_power_of_two() {
            let (below, above) = (size.next_power_of_two() / 2, size.next_power_of_two());
            faults.value(path, size, format!("must be a power of two, as {below} or {above}"));
        }
        size as u32
    };
    Ring { rx: size("ring.rx", raw.rx), tx: size("ring.tx", raw.tx) }
}

pub(super) fn umem(
    raw: raw::Umem,
    ring: Ring,
    interfaces: &[Interface],
    workers: &Workers,
    faults: &mut Faults,
) -> Umem {
    let frame_size = match raw.frame_size {
        None => 2048,
        Some(size @ (2048 | 4096)) => size as u32,
        Some(size) => {
            faults.value("umem.frameSize", size, "must be 2048 or 4096: the kernel takes no other sizes");
            4096
        }
    };
    let needed = frames_needed(ring, interfaces, workers);
    let default = needed.next_power_of_two().max(16384);
    let frames = number("umem.frames", raw.frames, 256..=1 << 22, default, "", faults);
    if frames < needed {
        faults.value(
            "umem.frames",
            frames,
            format!("must be at least {needed} to fill the rings of a worker's sockets; or make ring.rx and ring.tx smaller"),
        );
    }
    Umem { frames: frames as u32, frame_size, huge_pages: raw.huge_pages.unwrap_or(false) }
}

/// Frames that fill every ring of one worker. An interface with all its queues counts as one queue a worker: how
/// many there are is not known before it is opened.
fn frames_needed(ring: Ring, interfaces: &[Interface], workers: &Workers) -> u64 {
    let sockets: u64 = interfaces
        .iter()
        .map(|interface| match interface.queues {
            Queues::All => 1,
            Queues::Range { count, .. } => u64::from(count).div_ceil(workers.count.max(1) as u64),
        })
        .sum();
    sockets * (u64::from(ring.rx) + u64::from(ring.tx))
}

pub(super) fn tables(raw: raw::Tables, faults: &mut Faults) -> TableSizes {
    let mut size =
        |path: &str, given, default| number(path, given, 1024..=MOST_FLOWS, default, "", faults) as usize;
    TableSizes {
        ipv4_flows: size("tables.ipv4Flows", raw.ipv4_flows, 1 << 20),
        ipv6_flows: size("tables.ipv6Flows", raw.ipv6_flows, 1 << 18),
        affinity: size("tables.affinity", raw.affinity, 1 << 18),
    }
}
