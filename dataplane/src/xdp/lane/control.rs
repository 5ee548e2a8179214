//! What control tells the lane: next hops, epochs, and where redirects work.
//!
//! In: snapshots as they are published, and what is found out about interfaces. Out: writes to memory for hops and epochs, a
//! system call for each port that changes. Costs what has changed.

use super::{
    maps::Shared,
    redirects::{RedirectCounts, Redirects},
    syscall,
};
use crate::{
    io::PortId,
    lane::{Epoch, Hops, IndexKeeper, Memory, Notices, UsablePorts},
    table::{NextHopId, Snapshot, Tables, Transport},
    wire::{Family, V4, V6},
    xdp::ClassifierError,
};
use aya::maps::{IterableMap, MapData, xdp::DevMap};
use std::{collections::BTreeMap, fmt, os::fd::AsFd, sync::Arc};

/// See the module.
pub struct LaneControl {
    /// IPv4's table of hops.
    pub hops_v4: Hops,
    /// IPv6's table of hops.
    pub hops_v6: Hops,
    notices: Arc<Memory<Notices>>,
    shared: Shared,
    ports: DevMap<MapData>,
    redirects: Option<Redirects>,
    keepers: (IndexKeeper<V4>, IndexKeeper<V6>),
}

const PROTOCOLS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

impl LaneControl {
    pub(super) fn new(
        notices: Arc<Memory<Notices>>,
        ports: DevMap<MapData>,
        shared: Shared,
        [hops_v4, hops_v6]: [Hops; 2],
        keepers: (IndexKeeper<V4>, IndexKeeper<V6>),
    ) -> Result<Self, ClassifierError> {
        // TCP's changes with flushes alone.
        shared.flushes.set(notices[0].epoch(false, Transport::Tcp).flushes());
        let info = ports.map().info().map_err(|source| map_error("lane_ports", 0, source))?;
        let redirects = Redirects::start(info.id());
        Ok(Self { hops_v4, hops_v6, notices, shared, ports, redirects, keepers })
    }

    /// Takes over next hops that differ between two snapshots. To be called before the new one is published.
    pub fn publish_next_hops(&self, old: &Snapshot, new: &Snapshot) {
        write_next_hops(&self.hops_v4, &old.v4, &new.v4);
        write_next_hops(&self.hops_v6, &old.v6, &new.v6);
    }

    /// Takes over a snapshot's epochs. To be called before it is published, so that no UDP flow is forwarded by the lane that a
    /// worker has not looked at since its endpoints changed; but flows of a former process are served until they are
    /// adopted only while its epochs are in force.
    pub fn publish_epochs(&self, new: &Snapshot) {
        self.write_epochs([new.v4.udp_epoch, new.v6.udp_epoch]);
    }

    /// Makes every slot of the lane worthless at once: flows come to their workers, which promote them again.
    pub fn flush(&self) {
        self.shared.flushes.set((self.shared.flushes.get() + 1) % Epoch::FLUSHES);
        self.write_epochs([false, true].map(|v6| self.epoch(v6, Transport::Udp).udp_epoch()));
    }

    /// The epoch in force.
    pub fn epoch(&self, v6: bool, transport: Transport) -> Epoch {
        self.notices[0].epoch(v6, transport)
    }

    /// Sees to it that promoted flows find room. To be called some times a second.
    pub fn tend(&mut self) {
        self.keepers.0.tend();
        self.keepers.1.tend();
    }

    /// Where promoted flows may go, as workers see it.
    pub fn usable(&self) -> &UsablePorts {
        &self.shared.usable
    }

    /// Puts another epoch of a family and protocol in force.
    pub fn set_epoch(&self, v6: bool, transport: Transport, epoch: Epoch) {
        self.notices[0].set_epoch(v6, transport, epoch);
    }

    fn write_epochs(&self, udp: [u16; 2]) {
        for (v6, udp) in [false, true].into_iter().zip(udp) {
            for transport in PROTOCOLS {
                self.set_epoch(v6, transport, Epoch::new(self.shared.flushes.get(), transport, udp));
            }
        }
    }

    /// Says by which interface packets to a port are redirected; or that redirects to it do not work, and all that goes
    /// there is the workers'. The interface must be one of this thread's network namespace.
    pub fn set_port(&mut self, port: PortId, ifindex: Option<u32>) -> Result<(), ClassifierError> {
        let key = u32::from(port.0);
        match ifindex {
            Some(ifindex) => {
                self.ports.set(key, ifindex, None, 0).map_err(|error| ClassifierError::LanePort {
                    port,
                    ifindex,
                    source: Box::new(error),
                })?;
            }
            None => match syscall::delete(self.ports.map().fd().as_fd(), key) {
                Err(source) if source.raw_os_error() != Some(libc::ENOENT) => {
                    return Err(ClassifierError::LaneMap { map: "lane_ports", source });
                }
                _ => (),
            },
        }
        if let Some(redirects) = &mut self.redirects {
            redirects.watch(port, ifindex).map_err(|source| map_error("redirects", port.0.into(), source))?;
        }
        self.notices[0].set_interface(port, ifindex);
        self.shared.usable.set(port, ifindex.is_some());
        Ok(())
    }

    /// What became of packets that were redirected, by port, since [`set_port`](Self::set_port) named its interface. `None`:
    /// the kernel does not say.
    pub fn redirects(&self) -> Result<Option<BTreeMap<PortId, RedirectCounts>>, ClassifierError> {
        let counts = self.redirects.as_ref().map(Redirects::counts).transpose();
        counts.map_err(|source| map_error("redirects", 0, source))
    }
}

impl fmt::Debug for LaneControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneControl").field("notices", &self.notices[0]).finish_non_exhaustive()
    }
}

/// Ways that a snapshot has and the one before had not, and those that it has no longer.
fn write_next_hops<F: Family>(hops: &Hops, old: &Tables<F>, new: &Tables<F>) {
    for (number, row) in new.next_hops.changed_since(&old.next_hops) {
        if let Some(place) = hops.next(NextHopId(number as u32)) {
            let way = row.and_then(|next_hop| Some((next_hop.link.as_ref()?, next_hop.mtu)));
            hops.set(place, way);
        }
    }
}

fn map_error(map: &'static str, key: usize, source: aya::maps::MapError) -> ClassifierError {
    ClassifierError::Map { map, key: key.to_string(), source }
}
