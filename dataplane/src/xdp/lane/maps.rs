//! The lane's maps out of a loaded object, shared out to workers and control.

use super::{
    BpfKeys, Indexed, LaneControl, LaneSize, Layout,
    keys::key,
    size::{Bank, Placed},
    syscall,
};
use crate::{
    lane::{
        Flushes, Hop, Hops, Memory, Slot, SlotRef, Slots, UsablePorts, WorkerLane, clear_hops, end_slots,
        live_tuple,
    },
    wire::{V4, V6},
    xdp::{ClassifierError, maps::take_map},
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, xdp::DevMap},
    util::KernelVersion,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

/// Sizes the maps, and switches the lane's code on.
pub(in crate::xdp) fn configure(loader: &mut EbpfLoader<'_>, size: &LaneSize) {
    let has_coarse_clock = KernelVersion::current().is_ok_and(|found| found >= KernelVersion::new(5, 11, 0));
    loader
        .override_global("lane_is_on", &1u32, true)
        .override_global("has_coarse_clock", if has_coarse_clock { &1u32 } else { &0 }, true)
        .map_max_entries(V4::MAP, size.slots::<V4>())
        .map_max_entries(V6::MAP, size.slots::<V6>())
        .map_max_entries(V4::SLOTS, size.slots::<V4>())
        .map_max_entries(V6::SLOTS, size.slots::<V6>())
        .map_max_entries("lane_hops", size.hops());
}

/// The lane's maps as the loader has them.
pub(in crate::xdp) struct LoadedMaps {
    v4: FamilyMaps<V4>,
    v6: FamilyMaps<V6>,
    hops: Arc<Memory<Hop>>,
    epochs: Array<MapData, u32>,
    ports: DevMap<MapData>,
}

/// Those of one family.
struct FamilyMaps<F: Placed> {
    index: OwnedFd,
    slots: Arc<Memory<Slot<F>>>,
}

impl LoadedMaps {
    /// Takes them out of an object that was loaded with [`configure`].
    pub(in crate::xdp) fn take(object: &mut Ebpf, size: &LaneSize) -> Result<Self, ClassifierError> {
        let hops = mapped(object, "lane_hops", size.hops())?;
        Ok(Self {
            v4: FamilyMaps::take(object, size)?,
            v6: FamilyMaps::take(object, size)?,
            hops: Arc::new(hops),
            epochs: take_map(object, "lane_epochs")?,
            ports: take_map(object, "lane_ports")?,
        })
    }
}

impl LoadedMaps {
    /// Readies what an earlier process has left. Slots that point into the bank of hops which is ours from now on were
    /// left by a process that ended while it adopted them: nobody knows what they were to point to.
    fn take_over(&self, size: &LaneSize, bank: Bank) -> Result<(), ClassifierError> {
        let ours = size.bank(bank);
        let ended = end_slots(&self.v4.slots, &ours) + end_slots(&self.v6.slots, &ours);
        clear_hops(&self.hops, ours);
        let removed = self.v4.remove_dead_keys()? + self.v6.remove_dead_keys()?;
        tracing::info!(ended, removed, "the fast lane goes on with the flows of an earlier process");
        Ok(())
    }
}

impl<F: Placed> FamilyMaps<F> {
    /// Takes keys out of the index that no live slot is behind. How many.
    fn remove_dead_keys(&self) -> Result<usize, ClassifierError> {
        let failed = |source| ClassifierError::LaneMap { map: F::MAP, source };
        let wrong = |source| ClassifierError::Map { map: F::MAP, key: "reading".into(), source };
        let map = MapData::from_fd(self.index.try_clone().map_err(failed)?).map_err(wrong)?;
        let index: HashMap<_, F::Bytes, u64> =
            Map::from_map_data(map).and_then(TryFrom::try_from).map_err(wrong)?;
        let mut dead = Vec::new();
        for entry in index.iter() {
            let (bytes, slot) = entry.map_err(wrong)?;
            if live_tuple(&self.slots, SlotRef(slot))
                .is_none_or(|tuple| key(&tuple).as_ref() != bytes.as_ref())
            {
                dead.push(bytes);
            }
        }
        for bytes in &dead {
            syscall::delete(self.index.as_fd(), bytes).map_err(failed)?;
        }
        Ok(dead.len())
    }

    fn take(object: &mut Ebpf, size: &LaneSize) -> Result<Self, ClassifierError> {
        let index: HashMap<MapData, F::Bytes, u64> = take_map(object, F::MAP)?;
        let index = aya::maps::IterableMap::map(&index).fd().as_fd().try_clone_to_owned();
        let index = index.map_err(|source| ClassifierError::LaneMap { map: F::MAP, source })?;
        Ok(Self { index, slots: Arc::new(mapped(object, F::SLOTS, size.slots::<F>())?) })
    }
}

/// The rows of an array, in memory.
fn mapped<T: crate::lane::Shared>(
    object: &mut Ebpf,
    name: &'static str,
    rows: u32,
) -> Result<Memory<T>, ClassifierError> {
    let Some(Map::Array(map)) = object.take_map(name) else { return Err(ClassifierError::Missing(name)) };
    Memory::mapped(map.fd().as_fd(), rows as usize)
        .map_err(|source| ClassifierError::LaneMap { map: name, source })
}

/// The fast lane of a loaded classifier.
#[derive(Debug)]
pub struct LaneMaps {
    /// What control needs.
    pub control: LaneControl,
    /// Whether the slots are those of an earlier process, whose flows are to be adopted.
    pub adopted: bool,
    v4: Family<V4>,
    v6: Family<V6>,
    workers: u16,
    shared: Shared,
}

/// What control tells all workers.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    pub(super) usable: Arc<UsablePorts>,
    pub(super) flushes: Arc<Flushes>,
}

/// What workers need of one family.
#[derive(Debug)]
struct Family<F: Placed> {
    index: OwnedFd,
    slots: Arc<Memory<Slot<F>>>,
    hops: Hops,
}

impl LaneMaps {
    /// Shares maps out: those of a layout that goes on with what an earlier process has left, or new ones.
    pub(in crate::xdp) fn new(
        maps: LoadedMaps,
        size: &LaneSize,
        layout: Option<Layout>,
    ) -> Result<Self, ClassifierError> {
        let bank = layout.map_or(Bank::default(), |layout| layout.bank());
        if layout.is_some() {
            maps.take_over(size, bank)?;
        }
        let adopted = layout.is_some();
        let LoadedMaps { v4, v6, hops, epochs, ports } = maps;
        let shared = Shared::default();
        let v4 = Family::new(v4, &hops, size, bank);
        let v6 = Family::new(v6, &hops, size, bank);
        let control = LaneControl::new(epochs, ports, shared.clone(), v4.hops.clone(), v6.hops.clone())?;
        Ok(Self { control, adopted, v4, v6, workers: size.workers, shared })
    }

    /// A worker's share of the IPv4 lane.
    pub fn worker_v4(&self, worker: u16) -> io::Result<WorkerLane<V4>> {
        self.v4.worker(worker, self.workers, &self.shared)
    }

    /// A worker's share of the IPv6 lane.
    pub fn worker_v6(&self, worker: u16) -> io::Result<WorkerLane<V6>> {
        self.v6.worker(worker, self.workers, &self.shared)
    }
}

impl<F: Placed> Family<F> {
    fn new(maps: FamilyMaps<F>, hops: &Arc<Memory<Hop>>, size: &LaneSize, bank: Bank) -> Self {
        let start = size.first_hop::<F>(bank);
        let hops = Hops::new(Arc::clone(hops), start, size.workers.into(), size.next_hops);
        Self { index: maps.index, slots: maps.slots, hops }
    }

    fn worker(&self, worker: u16, workers: u16, shared: &Shared) -> io::Result<WorkerLane<F>> {
        Ok(WorkerLane {
            slots: Slots::share(Arc::clone(&self.slots), worker.into(), workers.into()),
            keys: Box::new(BpfKeys::<F>::new(self.index.try_clone()?)),
            hops: self.hops.clone(),
            usable: Arc::clone(&shared.usable),
            flushes: Arc::clone(&shared.flushes),
        })
    }
}
