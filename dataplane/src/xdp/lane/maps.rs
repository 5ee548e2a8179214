//! The lane's maps out of a loaded object, shared out to workers and control.

use super::{
    LaneControl, LaneSize, Layout,
    size::{Bank, Placed},
};
use crate::{
    lane::{
        Flushes, HashSecret, Hop, Hops, Index, IndexKeeper, Memory, Notices, Slot, Slots, UsablePorts,
        WorkerLane, clear_hops, end_slots,
    },
    wire::{Family as _, V4, V6},
    xdp::{ClassifierError, maps::take_map},
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, xdp::DevMap},
};
use std::{os::fd::AsFd, sync::Arc};

/// Sizes the maps, tells the hash's secret, and switches the lane's code on.
pub(in crate::xdp) fn configure<'a>(loader: &mut EbpfLoader<'a>, size: &LaneSize, secret: &'a HashSecret) {
    loader
        .override_global("lane_is_on", &1u32, true)
        .override_global("lane_hash_keys", &secret.keys, true)
        .override_global("lane_hash_multiplier", &secret.multiplier, true)
        .map_max_entries(V4::INDEX, size.buckets::<V4>())
        .map_max_entries(V6::INDEX, size.buckets::<V6>())
        .map_max_entries(V4::SLOTS, size.slots::<V4>())
        .map_max_entries(V6::SLOTS, size.slots::<V6>())
        .map_max_entries("lane_hops", size.hops());
}

/// The lane's maps as the loader has them.
pub(in crate::xdp) struct LoadedMaps {
    v4: FamilyMaps<V4>,
    v6: FamilyMaps<V6>,
    hops: Arc<Memory<Hop>>,
    notices: Arc<Memory<Notices>>,
    ports: DevMap<MapData>,
}

/// Those of one family.
struct FamilyMaps<F: Placed> {
    index: Index,
    slots: Arc<Memory<Slot<F>>>,
}

impl LoadedMaps {
    /// Takes them out of an object that was loaded with [`configure`], by this size and secret.
    pub(in crate::xdp) fn take(
        object: &mut Ebpf,
        size: &LaneSize,
        secret: &HashSecret,
    ) -> Result<Self, ClassifierError> {
        let notices = mapped(object, "lane_notices", 1)?;
        Ok(Self {
            v4: FamilyMaps::take(object, size, &notices, secret)?,
            v6: FamilyMaps::take(object, size, &notices, secret)?,
            hops: mapped(object, "lane_hops", size.hops())?,
            notices,
            ports: take_map(object, "lane_ports")?,
        })
    }
}

impl LoadedMaps {
    /// Readies what an earlier process has left. Slots that point into the bank of hops which is ours from now on were
    /// left by a process that ended while it adopted them: nobody knows what they were to point to.
    fn take_over(&self, size: &LaneSize, bank: Bank) {
        let ours = size.bank(bank);
        let ended = end_slots(&self.v4.slots, &ours) + end_slots(&self.v6.slots, &ours);
        clear_hops(&self.hops, ours);
        let removed = self.v4.index.take_over(&self.v4.slots) + self.v6.index.take_over(&self.v6.slots);
        tracing::info!(ended, removed, "the fast lane goes on with the flows of an earlier process");
    }
}

impl<F: Placed> FamilyMaps<F> {
    fn take(
        object: &mut Ebpf,
        size: &LaneSize,
        notices: &Arc<Memory<Notices>>,
        secret: &HashSecret,
    ) -> Result<Self, ClassifierError> {
        let buckets = mapped(object, F::INDEX, size.buckets::<F>())?;
        Ok(Self {
            index: Index::new(buckets, Arc::clone(notices), F::ADDR_LEN == V6::ADDR_LEN, *secret),
            slots: mapped(object, F::SLOTS, size.slots::<F>())?,
        })
    }
}

/// The rows of an array, in memory.
fn mapped<T: crate::lane::Shared>(
    object: &mut Ebpf,
    name: &'static str,
    rows: u32,
) -> Result<Arc<Memory<T>>, ClassifierError> {
    let Some(Map::Array(map)) = object.take_map(name) else { return Err(ClassifierError::Missing(name)) };
    Memory::mapped(map.fd().as_fd(), rows as usize)
        .map(Arc::new)
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
    index: Index,
    notices: Arc<Memory<Notices>>,
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
            maps.take_over(size, bank);
        }
        let adopted = layout.is_some();
        let LoadedMaps { v4, v6, hops, notices, ports } = maps;
        let shared = Shared::default();
        let v4 = Family::new(v4, &hops, &notices, size, bank);
        let v6 = Family::new(v6, &hops, &notices, size, bank);
        let keepers = (v4.keeper(), v6.keeper());
        let hops = [v4.hops.clone(), v6.hops.clone()];
        let control = LaneControl::new(notices, ports, shared.clone(), hops, keepers)?;
        Ok(Self { control, adopted, v4, v6, workers: size.workers, shared })
    }

    /// A worker's share of the IPv4 lane.
    pub fn worker_v4(&self, worker: u16) -> WorkerLane<V4> {
        self.v4.worker(worker, self.workers, &self.shared)
    }

    /// A worker's share of the IPv6 lane.
    pub fn worker_v6(&self, worker: u16) -> WorkerLane<V6> {
        self.v6.worker(worker, self.workers, &self.shared)
    }
}

impl<F: Placed> Family<F> {
    fn new(
        maps: FamilyMaps<F>,
        hops: &Arc<Memory<Hop>>,
        notices: &Arc<Memory<Notices>>,
        size: &LaneSize,
        bank: Bank,
    ) -> Self {
        let start = size.first_hop::<F>(bank);
        let hops = Hops::new(Arc::clone(hops), start, size.workers.into(), size.next_hops);
        Self { index: maps.index, notices: Arc::clone(notices), slots: maps.slots, hops }
    }

    fn keeper(&self) -> IndexKeeper<F> {
        IndexKeeper::new(self.index.clone(), Arc::clone(&self.slots))
    }

    fn worker(&self, worker: u16, workers: u16, shared: &Shared) -> WorkerLane<F> {
        WorkerLane {
            slots: Slots::share(Arc::clone(&self.slots), worker.into(), workers.into()),
            index: self.index.clone(),
            notices: Arc::clone(&self.notices),
            hops: self.hops.clone(),
            usable: Arc::clone(&shared.usable),
            flushes: Arc::clone(&shared.flushes),
        }
    }
}
