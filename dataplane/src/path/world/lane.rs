//! The fast lane of the test world: what a frame meets before it comes to a worker.

use super::*;
use crate::{
    lane::{
        BUCKET_ENTRIES, Epoch, Flushes, Hop, Hops, Index, LaneSettings, Lanes, MOST_SLOTS, Memory, SlotId,
        Slots, UsablePorts, WorkerLane, classifier::Classifier, clear_hops, end_slots,
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
    /// Entries of the index that are nobody's, so that there is no room for more than is wanted.
    strangers: u16,
    /// What the classifier has forwarded.
    pub(crate) forwarded: Traffic,
}

impl<F: Family> FastLane<F> {
    /// How many keys are in the index.
    pub(crate) fn keys(&self) -> usize {
        self.classifier.index.len() - usize::from(self.strangers)
    }

    fn put_strangers_in(&self) {
        for number in 0..self.strangers {
            let tuple = Tuple::<F> {
                source: F::UNSPECIFIED,
                destination: F::UNSPECIFIED,
                source_port: number,
                destination_port: 0,
                transport: Transport::Tcp,
            };
            assert!(self.classifier.index.insert(&tuple, SlotId(MOST_SLOTS - 1 - u32::from(number))));
        }
    }

    /// Readies what a process has left for the next one, as `xdp/lane/maps.rs` does.
    fn take_over(&self, places: u32) {
        let ours = self.first_hop..self.first_hop + places;
        end_slots(&self.classifier.slots, &ours);
        clear_hops(&self.hops, ours);
        self.classifier.index.take_over(&self.classifier.slots);
        self.put_strangers_in();
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
        // Of few keys, one bucket.
        index: Index::private(if keys < BUCKET_ENTRIES { 1 } else { keys as u32 }),
        usable: Arc::clone(usable),
        notices: Arc::new(Memory::private(1)),
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
        index: lane.index.clone(),
        notices: Arc::clone(&lane.notices),
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
            strangers: (BUCKET_ENTRIES - keys.min(BUCKET_ENTRIES)) as u16,
            forwarded: Traffic::default(),
        });
        world.lane().put_strangers_in();
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
        for transport in [Transport::Tcp, Transport::Udp] {
            let epoch = Epoch::new(flushes.get(), transport, tables.udp_epoch);
            classifier.notices[0].set_epoch(F::ADDR_LEN == 16, transport, epoch);
        }
    }

    /// Has the classifier look at a frame.
    pub(crate) fn classify(&mut self, port: PortId, frame: &[u8]) -> Option<Outcome> {
        let lane = self.lane.as_mut()?;
        let redirected = lane.classifier.run(port, frame)?;
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
