//! The fast lane of the test world: what a frame meets before it comes to a worker.

use super::*;
use crate::{
    lane::{
        Entry, Epoch, Flushes, Hop, HopId, Hops, LaneSettings, Lanes, Memory, PairId, Slots, UsablePorts,
        WorkerLane,
        classifier::{Classifier, Index},
    },
    state::Traffic,
    wire::{Family, V4, V6},
};
use std::num::NonZeroU8;

/// The next hops that have places.
const NEXT_HOPS: u32 = 16;

/// See the module.
pub(crate) struct FastLane<F: Family> {
    pub(crate) classifier: Classifier<F>,
    pub(crate) flushes: Arc<Flushes>,
    settings: LaneSettings,
    /// Where this process's hops begin.
    first_hop: u32,
    hops: Arc<Memory<Hop>>,
    /// What the classifier has forwarded.
    pub(crate) forwarded: Traffic,
}

impl<F: Family> FastLane<F> {
    /// Readies what a process has left for the next one, as `xdp/lane/maps.rs` does: what would use hops that are to be its
    /// own ends, and keys that name nothing are taken out.
    fn take_over(&mut self, places: u32) {
        let ours = self.first_hop..self.first_hop + places;
        let classifier = &self.classifier;
        let slots = Slots::share(Arc::clone(&classifier.slots), 0, 1);
        let pairs = (0..slots.len() as u32).map(PairId);
        let is_dated = |entries: &[Entry<F>; 2]| entries.iter().any(|entry| ours.contains(&entry.hop.0));
        pairs
            .clone()
            .filter(|pair| slots.read(*pair).is_some_and(|(_, entries)| is_dated(&entries)))
            .for_each(|pair| slots.end(pair));
        ours.clone().for_each(|hop| classifier.hops.set(HopId(hop), None));
        let live: HashMap<_, _> = pairs
            .filter_map(|pair| Some((pair, slots.read(pair)?)))
            .flat_map(|(pair, (generation, entries))| {
                entries.map(|entry| entry.arrives).into_iter().zip(slots.refs(pair, generation))
            })
            .collect();
        classifier.index.lock().slots.retain(|tuple, slot| live.get(tuple) == Some(slot));
    }
}

/// A world's lane of one family, with so many pairs a worker, and keys.
fn lane_of<F: Family>(
    workers: u16,
    pairs: usize,
    keys: usize,
    usable: &Arc<UsablePorts>,
    hops: &Arc<Memory<Hop>>,
) -> Classifier<F> {
    Classifier {
        slots: Arc::new(Memory::private(2 * pairs * usize::from(workers))),
        hops: Hops::new(Arc::clone(hops), 0, u32::from(workers), NEXT_HOPS),
        index: Index::new(keys),
        usable: Arc::clone(usable),
        epochs: [Transport::Tcp, Transport::Udp].map(|transport| Epoch::new(0, transport, 0)),
    }
}

/// A worker's part of it.
pub(crate) fn share<F: Family>(
    lane: &Classifier<F>,
    (worker, workers): (usize, usize),
    flushes: &Arc<Flushes>,
) -> WorkerLane<F> {
    WorkerLane {
        slots: Slots::share(Arc::clone(&lane.slots), worker, workers),
        keys: Box::new(lane.index.clone()),
        hops: lane.hops.clone(),
        usable: Arc::clone(&lane.usable),
        flushes: Arc::clone(flushes),
    }
}

impl<F: Net> World<F> {
    /// The world of the module with a fast lane: so many pairs a worker, keys in all, and packets that make a flow busy.
    pub(crate) fn with_lane(workers: u16, pairs: usize, keys: usize, promote_after: u8) -> Self {
        Self::with_lane_and(workers, (pairs, keys), promote_after, |_| {})
    }

    /// The same with other settings.
    pub(crate) fn with_lane_and(
        workers: u16,
        (pairs, keys): (usize, usize),
        promote_after: u8,
        configure: impl Fn(&mut PathConfig),
    ) -> Self {
        let mut world = Self::with(workers, configure);
        let usable = Arc::new(UsablePorts::default());
        [CLIENT_PORT, BACKEND_PORT].iter().for_each(|port| usable.set(*port, true));
        // Twice: a process and the next one have their own.
        let hops = Arc::new(Memory::private(2 * Hops::places(u32::from(workers), NEXT_HOPS) as usize));
        let v4 = lane_of(workers, pairs, keys, &usable, &hops);
        let v6 = lane_of(workers, pairs, keys, &usable, &hops);
        let flushes = Arc::<Flushes>::default();
        let settings = LaneSettings { promote_after: NonZeroU8::new(promote_after).unwrap() };
        for (worker, path) in world.workers.iter_mut().enumerate() {
            let place = (worker, usize::from(workers));
            let (v4, v6) = (share(&v4, place, &flushes), share(&v6, place, &flushes));
            path.set_lanes(Lanes { v4, v6, settings: settings.clone() }, Duration::ZERO);
        }
        let classifier = F::classifier(v4, v6);
        world.lane = Some(FastLane {
            classifier,
            flushes,
            settings,
            first_hop: 0,
            hops,
            forwarded: Traffic::default(),
        });
        world.tell_lane();
        world
    }

    /// The process ends and begins again: the workers know nothing, and the lane goes on as it was. What has hops has new
    /// places for them.
    pub(crate) fn restart(&mut self) {
        let workers = self.workers.len();
        let places = Hops::places(workers as u32, NEXT_HOPS);
        let lane = self.lane.as_mut().expect("a world with a lane");
        lane.first_hop = if lane.first_hop == 0 { places } else { 0 };
        lane.classifier.hops = Hops::new(Arc::clone(&lane.hops), lane.first_hop, workers as u32, NEXT_HOPS);
        lane.take_over(places);
        let (usable, hops) = (&lane.classifier.usable, &lane.hops);
        let others = (
            lane_of::<V4>(workers as u16, 1, 1, usable, hops),
            lane_of::<V6>(workers as u16, 1, 1, usable, hops),
        );
        for (worker, path) in self.workers.iter_mut().enumerate() {
            let config = path.config().clone();
            *path = Path::new(config);
            let (place, flushes) = ((worker, workers), &lane.flushes);
            let mine = share(&lane.classifier, place, flushes);
            let others = (share(&others.0, place, flushes), share(&others.1, place, flushes));
            let (v4, v6) = F::with_other(mine, others);
            path.set_lanes(Lanes { v4, v6, settings: lane.settings.clone() }, Duration::ZERO);
        }
    }

    pub(crate) fn lane(&mut self) -> &mut FastLane<F> {
        self.lane.as_mut().expect("a world with a lane")
    }

    /// Does for the lane what control does when it publishes: next hops, and then epochs.
    pub(crate) fn tell_lane(&mut self) {
        let tables = F::tables(&self.snapshot);
        let Some(FastLane { classifier, flushes, .. }) = &mut self.lane else { return };
        for id in (0..NEXT_HOPS).map(NextHopId) {
            let next_hop = tables.next_hop(id);
            let way = next_hop.link.as_ref().map(|link| (link, next_hop.mtu));
            classifier.hops.set(classifier.hops.next(id).expect("it has a place"), way);
        }
        classifier.epochs = [Transport::Tcp, Transport::Udp]
            .map(|transport| Epoch::new(flushes.get(), transport, tables.udp_epoch));
    }

    /// Has the classifier look at a frame.
    pub(crate) fn classify(&mut self, port: PortId, frame: &[u8]) -> Option<Outcome> {
        let lane = self.lane.as_mut()?;
        let redirected = lane.classifier.run(port, frame, self.now)?;
        lane.forwarded.packets += 1;
        lane.forwarded.bytes += ip_bytes::<F>(&redirected.frame);
        Some(Outcome {
            verdict: Verdict::Forward(redirected.port),
            worker: self.arrive_at,
            frame: Some((redirected.port, redirected.frame)),
            pieces: Vec::new(),
            slot: Some(redirected.slot),
        })
    }
}

/// Bytes of the IP packet in a frame.
pub(crate) fn ip_bytes<F: Family>(frame: &[u8]) -> u64 {
    let ethernet = crate::wire::Ethernet::parse(frame).unwrap();
    u64::from(F::parse(ethernet.payload()).unwrap().total_len)
}

impl<F: Net> Talk<'_, F> {
    /// The packet went by the classifier.
    #[track_caller]
    pub(crate) fn fast(self) -> Self {
        assert!(self.outcome().slot.is_some(), "its worker had it");
        self
    }

    /// The packet went by its worker.
    #[track_caller]
    pub(crate) fn slow(self) -> Self {
        assert!(self.outcome().slot.is_none(), "the classifier had it");
        self
    }
}
