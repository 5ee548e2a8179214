//! A gateway with flows, and a ring of packets for them.
//!
//! One Service of TCP and UDP on one VIP with 100 backends, or many ([`Shape`]); every flow masqueraded from one SNAT
//! address. Flows are opened
//! through the path itself. The ring has [`RING`] frames of 2 KiB, as a UMEM has; a round fills all of them with
//! packets of flows drawn at random ([`Scene::refill`], not timed) and then processes them in batches of 64
//! ([`Scene::process`], timed). So packet memory is neither cold nor in the nearest cache when a batch comes to it.

use crate::{family::Numbered, packets};
use penstock_dataplane::{
    io::{BATCH, Frame, MemoryIo, PacketIo, PortId},
    path::{DropReason, Path, PathConfig},
    state::{Millis, Timeouts, Tuple},
    table::{
        Backend, BackendId, Endpoints, Link, NextHop, NextHopId, Ring, Service, ServiceId, ServiceName,
        Snapshot, Tables, Target, TrafficPolicy, Transport, VipKind,
    },
    wire::{EtherAddr, TcpFlags, VlanTags},
};
use std::{sync::Arc, time::Duration};

/// Frames in the ring.
pub const RING: usize = 2048;
/// Backends of the Service.
pub const BACKENDS: u32 = 100;

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Services, each on a VIP of its own.
    pub services: u32,
    /// Backends of each.
    pub backends: u32,
}

impl Shape {
    /// One Service.
    pub const ONE: Self = Self { services: 1, backends: BACKENDS };
}

const CLIENTS: u8 = 10;
const POOL: u8 = 11;
const BACKEND_NET: u8 = 12;
const VIPS: u8 = 13;

/// What a packet does to its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// TCP segments and UDP datagrams of flows known for three seconds, half and half, in both directions.
    Established,
    /// TCP SYNs of flows never seen.
    New,
}

/// See the module.
pub struct Scene<F: Numbered> {
    /// The worker.
    pub path: Path,
    /// Its time.
    pub now: Millis,
    snapshot: Snapshot,
    io: MemoryIo,
    frames: Vec<Frame>,
    /// Both tuples of every flow.
    tuples: Vec<(Tuple<F>, PortId)>,
    mix: Mix,
    shape: Shape,
    random: Random,
    next_client: u32,
}

impl<F: Numbered> Scene<F> {
    /// A gateway with `flows` flows and room for `capacity`.
    pub fn new(flows: usize, capacity: usize, mix: Mix) -> Self {
        Self::with(Shape::ONE, flows, capacity, mix)
    }

    /// The same with other Services.
    pub fn with(shape: Shape, flows: usize, capacity: usize, mix: Mix) -> Self {
        let mut config = PathConfig::single(1024..=65535);
        (config.v4_flows, config.v6_flows) = if F::ADDR_LEN == 4 { (capacity, 1) } else { (1, capacity) };
        config.seed = 7;
        let mut snapshot = Snapshot::default();
        fill(F::tables_mut(&mut snapshot), shape);
        let mut io = MemoryIo::new(2, RING);
        let frames = std::iter::from_fn(|| io.allocate()).collect();
        let mut scene = Self {
            path: Path::new(config),
            now: Millis(1000),
            snapshot,
            io,
            frames,
            tuples: Vec::new(),
            mix,
            shape,
            random: Random(1),
            next_client: 0,
        };
        scene.populate(flows);
        scene
    }

    /// Opens flows, where there are none yet.
    pub fn populate(&mut self, flows: usize) {
        self.open(flows);
        self.now = self.now.after(Timeouts::UDP_STREAM_AGE + Duration::from_secs(1));
        if self.mix == Mix::Established {
            self.establish();
        }
    }

    /// Lets every flow be answered, and then have one more packet: after that no packet changes its state.
    fn establish(&mut self) {
        for port in [PortId(1), PortId(0)] {
            let due: Vec<_> = self.tuples.iter().filter(|(_, from)| *from == port).copied().collect();
            self.process_one_each(&due);
        }
    }

    /// Has one packet of each of these tuples.
    fn process_one_each(&mut self, tuples: &[(Tuple<F>, PortId)]) {
        for tuples in tuples.chunks(RING) {
            for (frame, (tuple, port)) in self.frames.iter_mut().zip(tuples) {
                frame.set_port(*port);
                packets::write(frame, tuple, TcpFlags::ACK);
            }
            self.process_first(tuples.len());
        }
    }

    /// A packet of each of these comes to this port and is processed.
    pub fn send(&mut self, tuples: &[Tuple<F>], port: PortId) {
        let tuples: Vec<_> = tuples.iter().map(|tuple| (*tuple, port)).collect();
        self.process_one_each(&tuples);
    }

    /// The flows, as their clients send.
    pub fn clients(&self) -> Vec<Tuple<F>> {
        let from_clients = self.tuples.iter().filter(|(_, port)| *port == PortId(0));
        from_clients.map(|(tuple, _)| *tuple).collect()
    }

    /// By what packets are decided.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Does what a worker does for the fast lane behind a batch.
    pub fn work_lanes(&mut self) {
        self.path.work_lanes(&self.snapshot, self.now);
    }

    fn open(&mut self, flows: usize) {
        let udp_too = self.mix == Mix::Established;
        for start in (0..flows).step_by(RING) {
            let count = (flows - start).min(RING);
            for at in 0..count {
                let udp = udp_too && at % 2 == 1;
                let tuple = self.new_client(if udp { Transport::Udp } else { Transport::Tcp });
                let frame = &mut self.frames[at];
                frame.set_port(PortId(0));
                packets::write(frame, &tuple, TcpFlags::ACK);
            }
            self.process_first(count);
        }
        let table = &F::flows(&self.path).table;
        assert_eq!(table.len(), flows, "flows that were opened: {}", drops(&self.path));
        for flow in table.list(0, table.capacity()) {
            self.tuples.push((flow.original, PortId(0)));
            self.tuples.push((flow.reply, PortId(1)));
        }
        // Their order in memory must not be the order of the packets in any way.
        for at in (1..self.tuples.len()).rev() {
            self.tuples.swap(at, self.random.below(at as u32 + 1) as usize);
        }
    }

    fn new_client(&mut self, transport: Transport) -> Tuple<F> {
        let number = self.next_client;
        self.next_client += 1;
        Tuple {
            source: F::addr(CLIENTS, number / 4),
            destination: F::addr(VIPS, 1 + self.random.below(self.shape.services)),
            source_port: 30_000 + (number % 4) as u16,
            destination_port: 80,
            transport,
        }
    }

    /// Fills the ring with packets.
    pub fn refill(&mut self) {
        for at in 0..self.frames.len() {
            let (tuple, port, flags) = match self.mix {
                Mix::Established => {
                    let (tuple, port) = self.tuples[self.random.below(self.tuples.len() as u32) as usize];
                    (tuple, port, TcpFlags::ACK)
                }
                Mix::New => (self.new_client(Transport::Tcp), PortId(0), TcpFlags::SYN),
            };
            let frame = &mut self.frames[at];
            frame.set_port(port);
            packets::write(frame, &tuple, flags);
        }
    }

    /// Processes the ring: [`RING`] packets in batches of 64.
    pub fn process(&mut self) {
        self.process_first(RING);
    }

    fn process_first(&mut self, count: usize) {
        for batch in self.frames[..count].chunks_mut(BATCH) {
            std::hint::black_box(self.path.process(batch, &self.snapshot, self.now));
        }
    }

    /// Lets a day pass for all flows. From now on there are packets of at most `busy` of them only, which have one each at once;
    /// the time of all others is over.
    pub fn let_idle(&mut self, busy: usize) {
        self.now = self.now.after(Timeouts::default().tcp_established + Duration::from_secs(1));
        self.tuples.truncate(busy);
        self.process_one_each(&self.tuples.clone());
    }

    /// Processes one batch of the ring.
    pub fn process_batch(&mut self, number: usize) {
        if let Some(batch) = self.frames.chunks_mut(BATCH).nth(number) {
            std::hint::black_box(self.path.process(batch, &self.snapshot, self.now));
        }
    }

    /// Ends all half-open flows by letting their time pass.
    pub fn forget_new(&mut self) {
        self.now = self.now.after(Duration::from_secs(121));
        self.path.expire(self.now, usize::MAX, usize::MAX);
    }

    /// Panics unless every packet so far was forwarded: else it was something else that was measured.
    pub fn check(&self) {
        let counters = self.path.counters();
        assert_eq!(counters.received, counters.forwarded, "packets were dropped: {}", drops(&self.path));
    }
}

impl<F: Numbered> Drop for Scene<F> {
    fn drop(&mut self) {
        self.frames.drain(..).for_each(|frame| self.io.recycle(frame));
    }
}

fn drops(path: &Path) -> String {
    let counters = path.counters();
    let dropped = DropReason::ALL.iter().filter(|reason| counters.drops(**reason) > 0);
    dropped.map(|reason| format!("{} {} ", counters.drops(*reason), reason.name())).collect()
}

fn fill<F: Numbered>(tables: &mut Tables<F>, shape: Shape) {
    let vips = Arc::make_mut(&mut tables.vips);
    let mut services = Vec::new();
    for service in 0..shape.services {
        let vip = F::addr(VIPS, 1 + service);
        vips.addresses.insert(vip, VipKind::LoadBalancerIp);
        for transport in [Transport::Tcp, Transport::Udp] {
            let id = ServiceId(services.len() as u32);
            vips.tuples.insert(vip, transport, 80, Target { service: id, kind: VipKind::LoadBalancerIp });
            let ring = Ring::build(backends(shape.backends, id.0 * shape.backends)).expect("backends");
            let cluster = Endpoints::Ring(ring);
            services.push(Some(Service {
                id,
                name: Arc::new(ServiceName {
                    namespace: "default".into(),
                    name: format!("web-{service}"),
                    port_name: String::new(),
                    transport,
                }),
                local: cluster.clone(),
                cluster,
                internal_policy: TrafficPolicy::Cluster,
                external_policy: TrafficPolicy::Cluster,
                affinity: None,
                pins: Arc::default(),
                serving: None,
                source_ranges: None,
            }));
        }
    }
    tables.services = services.into_iter().collect();
    let hop = |number: u32| {
        let link = Link {
            port: PortId(1),
            source: EtherAddr([2, 0, 0, 0, 0xff, 1]),
            destination: EtherAddr([2, 0, 1, 0, 0, number as u8]),
            vlan: VlanTags::NONE,
        };
        NextHop { link: Some(link), source: None, mtu: 1500 }
    };
    tables.next_hops = (0..shape.backends).map(hop).collect();
    tables.snat_addresses = Arc::from([F::addr(POOL, 1)]);
}

/// `count` backends, numbered from `first_id` on.
pub fn backends<F: Numbered>(count: u32, first_id: u32) -> Vec<Backend<F>> {
    let backend = |number| Backend {
        id: BackendId(first_id + number),
        addr: F::addr(BACKEND_NET, number + 1),
        port: 8080,
        next_hop: NextHopId(number),
    };
    (0..count).map(backend).collect()
}

/// A generator that costs a multiplication, for drawing flows (xorshift64*).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    #[inline]
    pub fn below(&mut self, end: u32) -> u32 {
        (((self.draw() >> 32) * u64::from(end)) >> 32) as u32
    }
}
