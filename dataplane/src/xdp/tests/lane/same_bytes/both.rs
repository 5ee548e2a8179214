//! A worker's flows, promoted in a classifier, and packets that go through both.

use super::{
    super::{
        super::{LOOPBACK, PASS},
        bench::{LaneBench, Laned, REDIRECT, Ran, arrive_at, write},
    },
    packets::{Arrival, Change, Random, packet},
};
use crate::{
    io::{PortId, testing::root_or_skip},
    lane::{Entry, Epoch, PairId, Seen},
    path::{Verdict, world::*},
    state::{Direction, Flow, FlowState, TcpState, Traffic, Tuple},
    table::{Link, Transport},
    wire::{TcpFlags, VlanTags},
    xdp::{Classifier, LaneSize},
};
use std::{collections::HashMap, time::Duration};

/// How many flows there are at a time.
pub(super) const FLOWS: usize = 48;
/// Tags of the ways to backends, by their number; clients have tags of their own.
const BACKEND_TAGS: [&[u16]; 3] = [&[], &[5], &[6, 7]];
pub(super) const CLIENT_TAGS: [&[u16]; 5] = [&[], &[5], &[8], &[6, 7], &[9, 7]];
const BACKEND_MTUS: [u16; 3] = [1500, 1400, 1300];
pub(super) const CLIENT_MTU: u16 = 1450;

/// A flow in userspace, and in the lane.
struct Promoted<F: Laned> {
    flow: Flow<F>,
    /// The way back to its client.
    way_back: Link,
    seen: [Seen; 2],
}

/// Both of them.
pub(super) struct Both<F: Laned> {
    world: World<F>,
    bench: LaneBench<F>,
    flows: Vec<Promoted<F>>,
    by_tuple: HashMap<Tuple<F>, (usize, Direction)>,
    /// How many flows there have been.
    opened: u32,
    arrives_at: PortId,
}

impl<F: Laned> Both<F> {
    pub(super) fn new() -> Option<Self> {
        if !root_or_skip() {
            return None;
        }
        // Of an index with room for many more, no bucket is ever full: each of these is in the lane.
        let pairs = 16 * FLOWS as u32;
        let size = LaneSize {
            workers: 1,
            v4_pairs: pairs,
            v6_pairs: pairs,
            next_hops: 16,
            pin: None,
            fingerprint: 0,
        };
        let (classifier, maps) = Classifier::load_with_lane(&size).unwrap();
        let bench = LaneBench::of(classifier, maps, 0);
        let mut world = World::<F>::new();
        let empty = world.snapshot.clone();
        world.tables(|tables| {
            for (number, hop) in tables.next_hops.iter_mut().enumerate() {
                hop.mtu = BACKEND_MTUS[number % BACKEND_MTUS.len()];
                hop.link.as_mut().unwrap().vlan = tags(BACKEND_TAGS[number % BACKEND_TAGS.len()]);
            }
            tables.port_mtus = [CLIENT_MTU; 3].into();
            tables.udp_epoch = 3;
        });
        let mut both = Self {
            world,
            bench,
            flows: Vec::new(),
            by_tuple: HashMap::new(),
            opened: 0,
            arrives_at: CLIENT_PORT,
        };
        // What is in the tables from the start is not written by a change of them.
        let control = &mut both.bench.maps.control;
        control.publish_next_hops(&Default::default(), &empty);
        control.publish_next_hops(&empty, &both.world.snapshot);
        control.publish_epochs(&both.world.snapshot);
        for place in 0..FLOWS {
            let (flow, way_back) = both.open();
            both.flows.push(Promoted { flow, way_back, seen: Default::default() });
            both.promote(place);
        }
        Some(both)
    }

    /// Opens a flow, as far as that it is steady.
    fn open(&mut self) -> (Flow<F>, Link) {
        loop {
            self.opened += 1;
            let number = self.opened;
            let pods = number.is_multiple_of(3);
            let source = F::addr(if pods { Network::Pods } else { Network::Clients }, number % 60_000);
            let (destination, port) = match number % 5 {
                0 => (F::addr(Network::Node, NODE), NODE_PORT),
                1 => (F::addr(Network::Vips, CLUSTER_IP), SERVICE_PORT),
                2 => (F::addr(Network::Vips, EXTERNAL_IP), SERVICE_PORT),
                _ => (F::addr(Network::Vips, LB_IP), SERVICE_PORT),
            };
            let transport = if number.is_multiple_of(2) { Transport::Tcp } else { Transport::Udp };
            let tuple = Tuple {
                source,
                destination,
                source_port: 20_000 + (number.wrapping_mul(7919) % 40_000) as u16,
                destination_port: port,
                transport,
            };
            if let Some(flow) =
                self.open_with(tuple, tags(CLIENT_TAGS[number as usize / 2 % CLIENT_TAGS.len()]))
            {
                let last_hops = &F::flows(&self.world.workers[0]).last_hops;
                let way_back = last_hops.get(flow.last_hop).unwrap().link;
                // All but every sixteenth keep the number of their tags.
                let way_out = self.way_out(&flow);
                if number.is_multiple_of(16) || way_back.vlan.len() == way_out.vlan.len() {
                    return (flow, way_back);
                }
            }
        }
    }

    /// Opens the flow of this tuple from a client with these tags; `None` where the Service refuses it.
    fn open_with(&mut self, original: Tuple<F>, vlan: VlanTags) -> Option<Flow<F>> {
        let is_tcp = original.transport == Transport::Tcp;
        let flags = |flags: TcpFlags| if is_tcp { flags } else { TcpFlags::default() };
        let mut question = Spec::new(original, flags(TcpFlags::SYN));
        question.link.vlan = vlan;
        self.send(&question)?;
        let flow = self.world.flow(&original)?;
        let mut answer = Spec::new(flow.reply, flags(TcpFlags::SYN | TcpFlags::ACK));
        answer.link = self.way_out(&flow);
        self.send(&answer)?;
        self.world.wait(Duration::from_secs(3));
        question.flags = flags(TcpFlags::ACK);
        self.send(&question)?;
        let flow = self.world.flow(&original)?;
        let expected = if is_tcp { FlowState::Tcp(TcpState::Established) } else { FlowState::UdpStream };
        assert_eq!(flow.state.get(), expected);
        Some(flow)
    }

    fn send(&mut self, spec: &Spec<F>) -> Option<()> {
        let outcome = self.world.send(spec.link.port, &spec.bytes());
        matches!(outcome.verdict, Verdict::Forward(_)).then_some(())
    }

    fn way_out(&self, flow: &Flow<F>) -> Link {
        F::tables(&self.world.snapshot).next_hop(flow.next_hop).link.unwrap()
    }

    /// Promotes the flow at a place.
    fn promote(&mut self, place: usize) {
        let Promoted { flow, way_back, seen } = &mut self.flows[place];
        let lane = &mut self.bench.lane;
        let back = lane.hops.last(0, flow.last_hop);
        lane.hops.set(back, Some((&*way_back, CLIENT_MTU)));
        let epoch = Epoch::new(lane.flushes.get(), flow.original.transport, flow.udp_epoch);
        let entry = |direction: Direction| {
            let (arrives, other) = match direction {
                Direction::Forward => (flow.original, flow.reply),
                Direction::Reply => (flow.reply, flow.original),
            };
            Entry {
                arrives,
                leaves: other.reversed(),
                deltas: flow.deltas[direction as usize],
                hop: direction.select(lane.hops.next(flow.next_hop).unwrap(), back),
                came_by: direction.select(Some(back), None),
                epoch,
                acked: flow.acked[direction as usize],
            }
        };
        let entries = [entry(Direction::Forward), entry(Direction::Reply)];
        write(lane, PairId(place as u32), &entries);
        *seen = lane.slots.seen(PairId(place as u32));
        for (side, direction) in [Direction::Forward, Direction::Reply].into_iter().enumerate() {
            self.by_tuple.insert(entries[side].arrives, (place, direction));
        }
    }

    /// Puts a new flow in the place of one that is not steady any longer.
    fn replace(&mut self, place: usize) {
        let Promoted { flow, .. } = &self.flows[place];
        let tuples = [flow.original, flow.reply];
        let pair = PairId(place as u32);
        self.bench.lane.slots.end(pair);
        for (tuple, slot) in tuples.iter().zip(self.bench.lane.slots.ids(pair)) {
            self.bench.lane.index.remove(tuple, slot);
        }
        self.by_tuple.retain(|tuple, _| !tuples.contains(tuple));
        let (flow, way_back) = self.open();
        (self.flows[place].flow, self.flows[place].way_back) = (flow, way_back);
        self.promote(place);
    }

    /// A packet of the flow at a place, changed in one way.
    pub(super) fn packet(
        &self,
        random: &mut Random,
        place: usize,
        direction: Direction,
    ) -> (Arrival, Change) {
        let Promoted { flow, way_back, .. } = &self.flows[place];
        packet(random, flow, direction, direction.select(*way_back, self.way_out(flow)))
    }

    /// Sends a packet through both. Whether the lane took it.
    pub(super) fn compare(
        &mut self,
        arrival: Arrival,
        place: usize,
        direction: Direction,
        case: &str,
    ) -> bool {
        let Arrival { port, bytes } = arrival;
        // Some changes make it another flow's, or one of no promoted flow.
        let owner = self.owner(&bytes);
        let (place, direction) = owner.unwrap_or((place, direction));
        if port != self.arrives_at {
            arrive_at(&self.bench.lane, port);
            self.arrives_at = port;
        }
        let ran = self.bench.run(&bytes);
        let before = self.world.flow(&self.flows[place].flow.original);
        let outcome = self.world.send_unchecked(&[(port, bytes.clone())]).remove(0);
        let flow = self.flows[place].flow;
        let after = self.world.flow(&flow.original);
        let is_same = after.is_some_and(|after| but_for_counters(&after) == but_for_counters(&flow));
        let is_taken = ran.action == REDIRECT;
        if is_taken {
            let (to, sent) =
                outcome.frame.unwrap_or_else(|| panic!("{case}: {:?}, but taken", outcome.verdict));
            assert_eq!(outcome.verdict, Verdict::Forward(to), "{case}");
            assert_eq!(ran.bytes, sent, "{case}: other bytes");
            assert!(is_same, "{case}: the flow has changed to {after:?}");
            self.check_port(&bytes, to, case);
        } else {
            assert_eq!(ran, Ran { action: PASS, bytes: bytes.clone() }, "{case}: changed");
            let is_steady = owner.is_some() && is_same && matches!(outcome.verdict, Verdict::Forward(_));
            assert!(
                !(is_steady && self.is_for_the_lane(place, direction, port, &bytes)),
                "{case}: plain and steady, but not taken: {bytes:02x?}"
            );
        }
        self.check_counters(place, direction, before.filter(|_| is_taken).zip(after), case);
        if is_same {
            self.flows[place].flow = after.unwrap();
        } else {
            self.replace(place);
        }
        is_taken
    }

    /// Whose packet this is by its plain headers, if it has them.
    fn owner(&self, bytes: &[u8]) -> Option<(usize, Direction)> {
        let ip = plain_header::<F>(bytes)?;
        let at = |at: usize, len: usize| bytes.get(ip + at..ip + at + len);
        let first = if F::ADDR_LEN == 4 { 12 } else { 8 };
        let port =
            |number: usize| Some(u16::from_be_bytes(at(F::MIN_HEADER + 2 * number, 2)?.try_into().ok()?));
        let tuple = Tuple {
            source: F::from_octets(at(first, F::ADDR_LEN)?)?,
            destination: F::from_octets(at(first + F::ADDR_LEN, F::ADDR_LEN)?)?,
            source_port: port(0)?,
            destination_port: port(1)?,
            transport: if protocol::<F>(bytes, ip) == 6 { Transport::Tcp } else { Transport::Udp },
        };
        self.by_tuple.get(&tuple).copied()
    }

    /// Whether a packet that userspace forwards without a change of its flow must be taken.
    fn is_for_the_lane(&self, place: usize, direction: Direction, port: PortId, bytes: &[u8]) -> bool {
        let Promoted { flow, way_back, .. } = &self.flows[place];
        let Some(ip) = plain_header::<F>(bytes) else { return false };
        let way_out = self.way_out(flow);
        let tags = (ip - 14) / 4;
        let leaves_by = direction.select(way_out, *way_back);
        let came_by = [&way_back.source.0[..], &way_back.destination.0].concat();
        let is_way_back = port == way_back.port && bytes[..12] == came_by && {
            let expected: Vec<u8> = way_back
                .vlan
                .iter()
                .flat_map(|tag| [tag.tpid.0.to_be_bytes(), tag.tci.to_be_bytes()].concat())
                .collect();
            bytes[12..ip - 2] == expected
        };
        let is_tcp = protocol::<F>(bytes, ip) == 6;
        let flags = bytes.get(ip + F::MIN_HEADER + 13).copied().unwrap_or(0);
        tags == leaves_by.vlan.len()
            && (direction == Direction::Reply || is_way_back)
            && (!is_tcp || flags & 0b1_0111 == 0b1_0000)
    }

    /// The lane has counted what userspace has.
    fn check_counters(
        &mut self,
        place: usize,
        direction: Direction,
        taken: Option<(Flow<F>, Flow<F>)>,
        case: &str,
    ) {
        let seen = self.bench.lane.slots.seen(PairId(place as u32));
        let expected = &mut self.flows[place].seen;
        // A fragment that was held until now, and belongs to the same flow, is counted in userspace alone.
        if let Some((before, after)) = taken.filter(|_| self.world.late.is_empty()) {
            let side = direction as usize;
            let Traffic { packets, bytes } = after.traffic[side];
            let counted = &mut expected[side];
            counted.packets += (packets - before.traffic[side].packets) as u32;
            counted.bytes += bytes - before.traffic[side].bytes;
            let but_for_time = |seen: &[Seen; 2]| seen.map(|seen| (seen.packets, seen.bytes));
            assert_eq!(but_for_time(&seen), but_for_time(expected), "{case}: counters");
            assert_eq!(seen[side].acked, after.acked[side], "{case}: acknowledged");
        } else if taken.is_none() {
            assert_eq!(seen, *expected, "{case}: counted, but not taken");
        }
        *expected = seen;
    }

    /// What was taken goes to this port: without it in the map of ports it is not taken. Now and then.
    fn check_port(&mut self, bytes: &[u8], port: PortId, case: &str) {
        if !bytes.len().is_multiple_of(16) {
            return;
        }
        let control = &mut self.bench.maps.control;
        control.set_port(port, None).unwrap();
        assert_ne!(self.bench.run(bytes).action, REDIRECT, "{case}: goes to another port than {port:?}");
        self.bench.maps.control.set_port(port, Some(LOOPBACK)).unwrap();
    }
}

/// A flow but for what every packet changes.
fn but_for_counters<F: Laned>(flow: &Flow<F>) -> Flow<F> {
    Flow { acked: [0; 2], last_seen: Default::default(), traffic: Default::default(), ..*flow }
}

/// Where the IP header is, if it is one without options, extension headers and fragments, and behind at most two tags.
fn plain_header<F: Laned>(bytes: &[u8]) -> Option<usize> {
    let be16 = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut ip = 14;
    while matches!(be16(ip - 2)?, 0x8100 | 0x88a8) {
        ip += 4;
    }
    let header = bytes.get(ip..ip + F::MIN_HEADER)?;
    let is_plain = match F::ADDR_LEN {
        4 => be16(ip - 2)? == 0x0800 && header[0] == 0x45 && be16(ip + 6)? & 0x3fff == 0,
        _ => be16(ip - 2)? == 0x86dd && header[0] >> 4 == 6,
    };
    (is_plain && ip <= 22 && matches!(protocol::<F>(bytes, ip), 6 | 17)).then_some(ip)
}

fn protocol<F: Laned>(bytes: &[u8], ip: usize) -> u8 {
    bytes[ip + if F::ADDR_LEN == 4 { 9 } else { 6 }]
}
