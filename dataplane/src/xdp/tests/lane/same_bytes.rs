//! The kernel against userspace: flows that a [`Path`](crate::path::Path) has opened are promoted, and then every packet,
//! right or wrong, goes through both. What the lane takes leaves byte for byte as userspace sends it, and the same is counted;
//! what it does not take is as it was. And it takes everything that userspace forwards without changing the flow, with plain
//! headers and as many tags as it came with, so that nothing is slow without a reason.
//!
//! Packets are seeded: `SEED=n` gives others.

use super::bench::{LaneBench, Laned, REDIRECT, Ran, arrive_at};
use crate::{
    io::PortId,
    lane::{Entry, Epoch, Key, PairId, Seen},
    path::{Verdict, world::*},
    state::{Direction, Flow, FlowState, TcpState, Traffic, Tuple},
    table::{Link, Transport},
    wire::{TcpFlags, VlanTags},
    xdp::{Classifier, LaneSize},
};
use std::{collections::HashMap, time::Duration};

const CASES: usize = 10_000;
const FLOWS: usize = 48;
/// Tags of the ways to backends, by their number; clients have tags of their own.
const BACKEND_TAGS: [&[u16]; 3] = [&[], &[5], &[6, 7]];
const CLIENT_TAGS: [&[u16]; 5] = [&[], &[5], &[8], &[6, 7], &[9, 7]];
const BACKEND_MTUS: [u16; 3] = [1500, 1400, 1300];
const CLIENT_MTU: u16 = 1450;
/// A port that nothing comes from, but for packets that are to come by another way.
const OTHER_PORT: PortId = PortId(2);

both_families!(root_the_lane_makes_the_same_bytes_as_userspace);

fn root_the_lane_makes_the_same_bytes_as_userspace<F: Laned>() {
    let Some(mut pair) = Both::<F>::new() else { return };
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let (mut taken, mut kinds) = (0, HashMap::<Change, [usize; 2]>::new());
    for case in 0..CASES {
        let flow = random.below(FLOWS);
        let direction = if random.one_in(2) { Direction::Forward } else { Direction::Reply };
        let (packet, change) = pair.packet(&mut random, flow, direction);
        let is_taken =
            pair.compare(packet, flow, direction, &format!("case {case} of seed {seed}, {change:?}"));
        taken += usize::from(is_taken);
        kinds.entry(change).or_default()[usize::from(is_taken)] += 1;
    }
    eprintln!("{}: {taken} of {CASES} taken; not taken and taken by kind: {kinds:?}", F::NAME);
    assert!(taken > CASES / 3 && taken < CASES * 4 / 5, "{taken} of {CASES} are taken");
    for change in Change::ALL {
        assert!(kinds.contains_key(&change), "{change:?} did not occur");
    }
}

/// Numbers that look random and are the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// How a packet is unlike the plainest one of its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    None,
    Flags,
    Hops,
    Length,
    Padding,
    CutShort,
    TotalLength,
    UpperLength,
    Checksum,
    HeaderChecksum,
    AnyBit,
    Options,
    Fragment,
    Class,
    OtherWay,
    OtherTags,
}

impl Change {
    const ALL: [Change; 16] = [
        Self::None,
        Self::Flags,
        Self::Hops,
        Self::Length,
        Self::Padding,
        Self::CutShort,
        Self::TotalLength,
        Self::UpperLength,
        Self::Checksum,
        Self::HeaderChecksum,
        Self::AnyBit,
        Self::Options,
        Self::Fragment,
        Self::Class,
        Self::OtherWay,
        Self::OtherTags,
    ];
}

/// A frame, and the port it comes to.
struct Arrival {
    port: PortId,
    bytes: Vec<u8>,
}

/// A flow in userspace, and in the lane.
struct Promoted<F: Laned> {
    flow: Flow<F>,
    /// The way back to its client.
    way_back: Link,
    generation: u32,
    seen: [Seen; 2],
}

/// Both of them.
struct Both<F: Laned> {
    world: World<F>,
    bench: LaneBench<F>,
    flows: Vec<Promoted<F>>,
    by_tuple: HashMap<Tuple<F>, (usize, Direction)>,
    /// How many flows there have been.
    opened: u32,
    arrives_at: PortId,
}

impl<F: Laned> Both<F> {
    fn new() -> Option<Self> {
        if !crate::io::testing::root_or_skip() {
            return None;
        }
        let pairs = FLOWS as u32;
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
        both.bench.maps.control.publish(&Default::default(), &empty).unwrap();
        both.bench.maps.control.publish(&empty, &both.world.snapshot).unwrap();
        for place in 0..FLOWS {
            let (flow, way_back) = both.open();
            both.flows.push(Promoted { flow, way_back, generation: 0, seen: Default::default() });
            both.promote(place);
        }
        Some(both)
    }

    /// Opens a flow, as far as that it is steady.
    fn open(&mut self) -> (Flow<F>, Link) {
        loop {
            self.opened += 1;
            let number = self.opened;
            let pods = number % 3 == 0;
            let source = F::addr(if pods { Network::Pods } else { Network::Clients }, number % 60_000);
            let (destination, port) = match number % 5 {
                0 => (F::addr(Network::Node, NODE), NODE_PORT),
                1 => (F::addr(Network::Vips, CLUSTER_IP), SERVICE_PORT),
                2 => (F::addr(Network::Vips, EXTERNAL_IP), SERVICE_PORT),
                _ => (F::addr(Network::Vips, LB_IP), SERVICE_PORT),
            };
            let transport = if number % 2 == 0 { Transport::Tcp } else { Transport::Udp };
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
                if number % 16 == 0 || way_back.vlan.len() == way_out.vlan.len() {
                    return (flow, way_back);
                }
            }
        }
    }

    fn open_with(&mut self, original: Tuple<F>, vlan: VlanTags) -> Option<Flow<F>> {
        let mut sends = |tuple: Tuple<F>, flags: TcpFlags, link: Option<Link>| {
            let mut spec = Spec::new(tuple, flags);
            spec.link.vlan = vlan;
            spec.link = link.unwrap_or(spec.link);
            let outcome = self.world.send(spec.link.port, &spec.bytes());
            matches!(outcome.verdict, Verdict::Forward(_)).then_some(())
        };
        let is_tcp = original.transport == Transport::Tcp;
        sends(original, if is_tcp { TcpFlags::SYN } else { TcpFlags::default() }, None)?;
        let flow = self.world.flow(&original)?;
        let link = self.way_out(&flow);
        let mut sends = |tuple: Tuple<F>, flags: TcpFlags, link: Option<Link>| {
            let mut spec = Spec::new(tuple, flags);
            spec.link.vlan = vlan;
            spec.link = link.unwrap_or(spec.link);
            let outcome = self.world.send(spec.link.port, &spec.bytes());
            matches!(outcome.verdict, Verdict::Forward(_)).then_some(())
        };
        let flags = if is_tcp { TcpFlags::SYN | TcpFlags::ACK } else { TcpFlags::default() };
        sends(flow.reply, flags, Some(link))?;
        self.world.wait(Duration::from_secs(3));
        let mut spec = Spec::new(original, if is_tcp { TcpFlags::ACK } else { TcpFlags::default() });
        spec.link.vlan = vlan;
        self.world.send(spec.link.port, &spec.bytes());
        let flow = self.world.flow(&original)?;
        let expected = if is_tcp { FlowState::Tcp(TcpState::Established) } else { FlowState::UdpStream };
        assert_eq!(flow.state.get(), expected);
        Some(flow)
    }

    fn way_out(&self, flow: &Flow<F>) -> Link {
        F::tables(&self.world.snapshot).next_hop(flow.next_hop).link.unwrap()
    }

    /// Promotes the flow at a place, in the next generation.
    fn promote(&mut self, place: usize) {
        let promoted = &mut self.flows[place];
        promoted.generation += 1;
        promoted.seen = Default::default();
        let Promoted { flow, way_back, generation, .. } = promoted;
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
        let refs = lane.slots.write(PairId(place as u32), *generation, &entries);
        let keys = [0, 1].map(|side| Key { tuple: entries[side].arrives, slot: refs[side] });
        assert_eq!(lane.keys.insert(&keys), 2);
        for (side, direction) in [Direction::Forward, Direction::Reply].into_iter().enumerate() {
            self.by_tuple.insert(entries[side].arrives, (place, direction));
        }
    }

    /// Puts a new flow in the place of one that is not steady any longer.
    fn replace(&mut self, place: usize) {
        let Promoted { flow, .. } = &self.flows[place];
        let tuples = [flow.original, flow.reply];
        self.bench.lane.slots.end(PairId(place as u32));
        self.bench.lane.keys.remove(&tuples);
        self.by_tuple.retain(|tuple, _| !tuples.contains(tuple));
        let (flow, way_back) = self.open();
        (self.flows[place].flow, self.flows[place].way_back) = (flow, way_back);
        self.promote(place);
    }

    /// A packet of a flow, changed in one way.
    fn packet(&mut self, random: &mut Random, place: usize, direction: Direction) -> (Arrival, Change) {
        let Promoted { flow, way_back, .. } = &self.flows[place];
        let change = if random.one_in(2) { Change::None } else { random.of(&Change::ALL) };
        let tuple = direction.select(flow.original, flow.reply);
        let mut spec = Spec::new(tuple, TcpFlags::ACK);
        (spec.seq, spec.ack) = (random.next() as u32, random.next() as u32);
        if random.one_in(4) {
            spec.flags = spec.flags | random.of(&[TcpFlags::PSH, TcpFlags::URG]);
        }
        spec.link = direction.select(*way_back, self.way_out(flow));
        let most = random.of(&[0, 1, 40, 600, 1250]);
        spec.payload = (0..random.below(most + 1)).map(|_| random.next() as u8).collect();
        spec.no_checksum = F::ADDR_LEN == 4 && random.one_in(5);
        spec.dont_fragment = random.one_in(2);
        spec.hop_limit = random.of(&[2, 3, 64, 255]);
        let delta = flow.deltas[direction as usize].transport.bits().to_ne_bytes();
        match change {
            Change::Hops => spec.hop_limit = random.of(&[0, 1, 2]),
            // Up to and beyond each MTU.
            Change::Length => {
                let whole = random.of(&[1300, 1400, CLIENT_MTU.into(), 1500]) + random.below(5) - 2;
                let head = F::MIN_HEADER + if tuple.transport == Transport::Tcp { 20 } else { 8 };
                spec.payload = vec![0x5a; whole - head];
            }
            Change::OtherTags => spec.link.vlan = tags(random.of(&CLIENT_TAGS)),
            _ => {}
        }
        let mut port = spec.link.port;
        let mut bytes = spec.bytes();
        let ip = 14 + 4 * spec.link.vlan.len();
        let upper = ip + F::MIN_HEADER;
        let is_v4 = F::ADDR_LEN == 4;
        let is_tcp = tuple.transport == Transport::Tcp;
        match change {
            Change::None | Change::Hops | Change::Length | Change::OtherTags => {}
            Change::Flags if is_tcp => bytes[upper + 13] = random.next() as u8,
            Change::Flags => bytes[upper + 4 + random.below(2)] = random.next() as u8,
            Change::Padding => bytes.extend(vec![0xee; 1 + random.below(40)]),
            Change::CutShort => {
                let end = (bytes.len() - random.below(bytes.len().min(60))).max(14);
                bytes.truncate(end);
            }
            Change::TotalLength => {
                let at = ip + if is_v4 { 2 } else { 4 };
                let stated = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
                let other = match random.below(3) {
                    0 => random.next() as u16,
                    1 => stated.wrapping_sub(random.below(60) as u16),
                    _ => stated.wrapping_add(random.below(60) as u16),
                };
                bytes[at..at + 2].copy_from_slice(&other.to_be_bytes());
                bytes.extend(vec![0; random.below(60)]);
            }
            Change::UpperLength if is_tcp => bytes[upper + 12] = random.next() as u8,
            Change::UpperLength => {
                let stated = u16::from_be_bytes([bytes[upper + 4], bytes[upper + 5]]);
                let other = stated.wrapping_add(random.below(20) as u16).wrapping_sub(10);
                bytes[upper + 4..upper + 6].copy_from_slice(&other.to_be_bytes());
            }
            // Among them one from which zero is computed.
            Change::Checksum => {
                let any = (random.next() as u16).to_ne_bytes();
                let check = random.of(&[[0, 0], [0xff, 0xff], delta, any]);
                let at = upper + if is_tcp { 16 } else { 6 };
                bytes[at..at + 2].copy_from_slice(&check);
            }
            Change::HeaderChecksum if is_v4 => {
                let any = (random.next() as u16).to_ne_bytes();
                let check = random.of(&[[0, 0], [0xff, 0xff], any]);
                bytes[ip + 10..ip + 12].copy_from_slice(&check);
            }
            Change::HeaderChecksum => bytes[ip] = random.next() as u8,
            Change::AnyBit => {
                let bit = random.below(8 * bytes.len().min(upper + 20));
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Change::Options => {
                let extra: &[u8] = if is_v4 { &[1; 4] } else { &[bytes[ip + 6], 0, 1, 4, 0, 0, 0, 0] };
                bytes.splice(upper..upper, extra.to_vec());
                let at = ip + if is_v4 { 2 } else { 4 };
                let stated = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + extra.len() as u16;
                bytes[at..at + 2].copy_from_slice(&stated.to_be_bytes());
                match is_v4 {
                    true => bytes[ip] = 0x46,
                    false => bytes[ip + 6] = random.of(&[0, 60, 60, 43]),
                }
            }
            Change::Fragment if is_v4 => {
                let field = random.of(&[0x2000u16, 0x0001, 0x2001, 0x4000, 0x8000, 0x1fff]);
                bytes[ip + 6..ip + 8].copy_from_slice(&field.to_be_bytes());
            }
            Change::Fragment => {
                let field = random.of(&[0u16, 1, 8, 9]).to_be_bytes();
                let header = [bytes[ip + 6], 0, field[0], field[1], 0, 0, 0, random.next() as u8];
                bytes.splice(upper..upper, header);
                let stated = u16::from_be_bytes([bytes[ip + 4], bytes[ip + 5]]) + 8;
                bytes[ip + 4..ip + 6].copy_from_slice(&stated.to_be_bytes());
                bytes[ip + 6] = 44;
            }
            Change::Class => bytes[ip + 1] = random.next() as u8,
            Change::OtherWay if random.one_in(2) => port = OTHER_PORT,
            Change::OtherWay => bytes[random.below(12)] ^= 1 << random.below(8),
        }
        let is_broken = matches!(change, Change::HeaderChecksum | Change::CutShort | Change::AnyBit);
        let has_header = bytes.get(ip).is_some_and(|first| bytes.len() >= ip + usize::from(first & 15) * 4);
        if is_v4 && !is_broken && has_header {
            fix_ipv4(&mut bytes[ip..]);
        }
        (Arrival { port, bytes }, change)
    }

    /// Sends a packet through both. Whether the lane took it.
    fn compare(&mut self, arrival: Arrival, place: usize, direction: Direction, case: &str) -> bool {
        let Arrival { port, bytes } = arrival;
        // Some changes make it another flow's, or one of no promoted flow.
        let owner = self.owner(&bytes);
        let (place, direction) = owner.unwrap_or((place, direction));
        if port != self.arrives_at {
            arrive_at(&mut self.bench.classifier, port);
            self.arrives_at = port;
        }
        let ran = self.bench.run(&bytes);
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
            assert_eq!(ran, Ran { action: super::super::PASS, bytes: bytes.clone() }, "{case}: changed");
            let is_steady = owner.is_some() && is_same && matches!(outcome.verdict, Verdict::Forward(_));
            assert!(
                !(is_steady && self.is_for_the_lane(place, direction, port, &bytes)),
                "{case}: plain and steady, but not taken: {bytes:02x?}"
            );
        }
        self.check_counters(place, direction, flow, after, is_taken, case);
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
        before: Flow<F>,
        after: Option<Flow<F>>,
        is_taken: bool,
        case: &str,
    ) {
        let seen = self.bench.lane.slots.seen(PairId(place as u32));
        let mut expected = self.flows[place].seen;
        if let Some(after) = after.filter(|_| is_taken) {
            let side = direction as usize;
            let Traffic { packets, bytes } = after.traffic[side];
            let counted = &mut expected[side];
            counted.packets += (packets - before.traffic[side].packets) as u32;
            counted.bytes += bytes - before.traffic[side].bytes;
            counted.acked = after.acked[side];
        }
        let but_for_time = |seen: [Seen; 2]| seen.map(|seen| (seen.packets, seen.bytes));
        assert_eq!(but_for_time(seen), but_for_time(expected), "{case}: counters");
        if is_taken {
            assert_eq!(
                seen[direction as usize].acked, expected[direction as usize].acked,
                "{case}: acknowledged"
            );
        }
        self.flows[place].seen = seen;
    }

    /// What was taken goes to this port: without it in the map of ports it is not taken. Now and then.
    fn check_port(&mut self, bytes: &[u8], port: PortId, case: &str) {
        if bytes.len() % 16 != 0 {
            return;
        }
        let control = &mut self.bench.maps.control;
        control.set_port(port, None).unwrap();
        assert_ne!(self.bench.run(bytes).action, REDIRECT, "{case}: goes to another port than {port:?}");
        self.bench.maps.control.set_port(port, Some(super::super::LOOPBACK)).unwrap();
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
