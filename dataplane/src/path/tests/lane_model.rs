//! The fast lane against a model: flows come, change, move, idle and go in any order, while backends, ways, ports and
//! epochs change, tables are tiny, processes end and begin, and what control tells workers and classifier comes to them
//! at different times.
//!
//! After every packet: what the classifier sent on was of a flow that its worker has, translated as that says, to where it
//! goes; every packet is in its flow's account once, whichever lane it took; and nothing that a run of the classifier may be
//! reading is written before it has rested.

use super::super::world::*;
use crate::{
    lane::{Entry, FlowLane, PairId, Slots},
    path::Verdict,
    state::{Direction, Flow, FlowState, Millis, TcpState, Traffic, Tuple},
    table::{Link, NextHop, NextHopId, Transport},
    wire::{TcpFlags, V4, V6},
};
use proptest::prelude::*;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// Clients; every other one speaks UDP.
const CLIENTS: usize = 10;
const BACKENDS: usize = 3;
/// Pairs of slots, and room for keys: less than for all of them.
const PAIRS: usize = 8;
const KEYS: usize = 13;
/// How long what has ended is left as it is.
const REST: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
enum Step {
    /// TCP's handshake, or a question and an answer.
    Greet {
        client: usize,
    },
    /// Packets in turn, from the client first.
    Talk {
        client: usize,
        packets: usize,
    },
    /// One packet.
    Say {
        client: usize,
        reply: bool,
        flags: u8,
        long: bool,
    },
    /// A reset that its receiver would take, or not.
    Reset {
        client: usize,
        reply: bool,
        in_window: bool,
    },
    /// The client is behind another router.
    Move {
        client: usize,
        to: u8,
    },
    /// Many half-open connections, so that the table is full.
    Flood {
        from: u16,
    },
    /// Only these backends serve; the classifier is told now or later.
    Serve {
        backends: u8,
        tell: bool,
    },
    /// The way to a backend changes, or is lost.
    Route {
        backend: usize,
        to: Option<u8>,
        tell: bool,
    },
    /// The port of clients takes redirects or not.
    Usable {
        usable: bool,
    },
    Mtu {
        mtu: u16,
    },
    Flush,
    Tell,
    Wait {
        millis: u32,
    },
    Expire {
        millis: u32,
    },
    /// The process is killed, and another one begins; packets come before it knows any flow.
    Restart {
        packets: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        4 => client.clone().prop_map(|client| Step::Greet { client }),
        8 => (client.clone(), 1..14usize).prop_map(|(client, packets)| Step::Talk { client, packets }),
        4 => (client.clone(), any::<bool>(), 0..5u8, any::<bool>())
            .prop_map(|(client, reply, flags, long)| Step::Say { client, reply, flags, long }),
        2 => (client.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(client, reply, in_window)| Step::Reset { client, reply, in_window }),
        1 => (client, 0..4u8).prop_map(|(client, to)| Step::Move { client, to }),
        1 => (0..60_000u16).prop_map(|from| Step::Flood { from }),
        2 => (1..8u8, any::<bool>()).prop_map(|(backends, tell)| Step::Serve { backends, tell }),
        1 => (0..BACKENDS, prop::option::of(0..4u8), any::<bool>())
            .prop_map(|(backend, to, tell)| Step::Route { backend, to, tell }),
        1 => prop::bool::weighted(0.7).prop_map(|usable| Step::Usable { usable }),
        1 => prop_oneof![Just(1500u16), Just(1300), Just(1280)].prop_map(|mtu| Step::Mtu { mtu }),
        1 => Just(Step::Flush),
        2 => Just(Step::Tell),
        2 => (0..2500u32).prop_map(|millis| Step::Wait { millis }),
        1 => (0..130_000u32).prop_map(|millis| Step::Expire { millis }),
        1 => (0..30u8).prop_map(|packets| Step::Restart { packets }),
    ]
}

/// What is known of a flow: its account.
type Accounts<F> = HashMap<Tuple<F>, [Traffic; 2]>;

/// A slot as it was last seen, and until when it may be being read.
struct SlotSeen<F: Net> {
    entry: Option<Entry<F>>,
    live: bool,
    ended: Millis,
}

struct Model<F: Net> {
    world: World<F>,
    accounts: Accounts<F>,
    links: [u8; CLIENTS],
    /// By client and direction: what the last segment acknowledged.
    acks: [[u32; 2]; CLIENTS],
    /// Where backends serve, as the classifier was told.
    serving_told: HashSet<usize>,
    serving: HashSet<usize>,
    told: HashMap<usize, Option<(Link, u16)>>,
    slots: Vec<SlotSeen<F>>,
    last_hops: HashMap<u32, (Link, u16)>,
    /// When a pair that used a last hop ended.
    rested: HashMap<u32, Millis>,
    sent_on: u64,
}

impl<F: Net> Model<F> {
    fn new() -> Self {
        let mut world = World::<F>::with_lane_and(1, (PAIRS, KEYS), 3, |config| {
            (config.v4_flows, config.v6_flows) = (16, 16);
        });
        world.set_serving(&[0, 1, 2]);
        world.tell_lane();
        let all = HashSet::from([0, 1, 2]);
        let mut model = Self {
            world,
            accounts: HashMap::new(),
            links: [0; CLIENTS],
            acks: [[1; 2]; CLIENTS],
            serving_told: all.clone(),
            serving: all,
            told: HashMap::new(),
            slots: Vec::new(),
            last_hops: HashMap::new(),
            rested: HashMap::new(),
            sent_on: 0,
        };
        model.tell();
        model.slots =
            (0..2 * PAIRS).map(|_| SlotSeen { entry: None, live: false, ended: Millis(0) }).collect();
        model
    }

    fn tell(&mut self) {
        self.world.tell_lane();
        self.serving_told = self.serving.clone();
        let tables = F::tables(&self.world.snapshot);
        for backend in 0..BACKENDS {
            let NextHop { link, mtu, .. } = tables.next_hop(NextHopId(backend as u32));
            self.told.insert(backend, link.map(|link| (link, *mtu)));
        }
    }

    fn original(client: usize) -> Tuple<F> {
        Tuple {
            source: F::addr(Network::Clients, client as u32 + 1),
            destination: F::addr(Network::Vips, LB_IP),
            source_port: 40_000,
            destination_port: SERVICE_PORT,
            transport: if client.is_multiple_of(2) { Transport::Tcp } else { Transport::Udp },
        }
    }

    fn flow(&self, original: &Tuple<F>) -> Option<Flow<F>> {
        let flows = F::flows(&self.world.workers[0]);
        let found = flows.table.find(flows.table.hash(original), original)?;
        flows.get(found.id, F::tables(&self.world.snapshot))
    }

    fn client_link(&self, client: usize) -> Link {
        let mut link = Spec::<F>::new(Self::original(client), NO_FLAGS).link;
        link.destination.0[5] = 0x50 + self.links[client];
        link
    }

    /// A packet of a client, or of the backend of its flow, if it has one.
    fn packet(&mut self, client: usize, direction: Direction, flags: TcpFlags) -> Option<Spec<F>> {
        let original = Self::original(client);
        let mut packet = match direction {
            Direction::Forward => Spec::new(original, flags),
            Direction::Reply => Spec::new(self.flow(&original)?.reply, flags),
        };
        packet.link = match direction {
            Direction::Forward => self.client_link(client),
            Direction::Reply => backend_link(0),
        };
        if original.transport == Transport::Udp {
            packet.payload = b"words".to_vec();
        }
        if flags.ack() && original.transport == Transport::Tcp {
            let ack = &mut self.acks[client][direction as usize];
            *ack += 1000;
            packet.ack = *ack;
        }
        Some(packet)
    }

    fn send(&mut self, client: usize, direction: Direction, packet: &Spec<F>) -> Outcome {
        let original = Self::original(client);
        let before = self.flow(&original);
        let flows = F::flows(&self.world.workers[0]);
        let (has_strays, evicted) = (flows.lane.has_strays(), flows.evicted);
        let adopts = before.is_none() && has_strays;
        let bytes = packet.bytes();
        let outcome = self.world.send(packet.link.port, &bytes);
        let forwarded = matches!(outcome.verdict, Verdict::Forward(_) | Verdict::Split(..));
        self.sent_on += u64::from(forwarded);
        let after = self.flow(&original);
        if outcome.slot.is_some() {
            if adopts {
                // Of a flow that waited to be adopted, or was in the turn behind it: nobody has given it up.
                self.accounts.extend(after.map(|after| (original, after.traffic)));
                return outcome;
            }
            self.check_redirected(&outcome, before.as_ref(), direction);
        }
        let mut expected = before.map_or([Traffic::default(); 2], |flow| flow.traffic);
        if let (Some(before), Some(after)) = (&before, &after)
            && outcome.slot.is_none()
            && direction == Direction::Forward
            && after.traffic[1] == Traffic::default()
            && self.may_begin_anew(before, packet.flags)
        {
            expected = [Traffic::default(); 2];
        }
        if forwarded {
            expected[direction as usize].packets += 1;
            expected[direction as usize].bytes += ip_bytes::<F>(&bytes);
        }
        match after {
            // The packet was refused, and in the turn behind it the flow of the former process was adopted.
            Some(after) if adopts && !forwarded => {
                self.accounts.insert(original, after.traffic);
            }
            Some(after) => {
                assert_eq!(after.traffic, expected, "the account of {original} after {:?}", outcome.verdict);
                self.accounts.insert(original, expected);
            }
            None => {
                // The table is full, and a flow that was adopted in the turn behind it took its place.
                let gave_way = has_strays && F::flows(&self.world.workers[0]).evicted > evicted;
                assert!(!forwarded || gave_way, "forwarded without a flow");
                self.accounts.remove(&original);
            }
        }
        self.check();
        outcome
    }

    /// Whether this flow's next packet from its client may end it and begin another.
    fn may_begin_anew(&self, flow: &Flow<F>, flags: TcpFlags) -> bool {
        match flow.state.get() {
            FlowState::Tcp(state) => flags == SYN && state.reopens(),
            _ => !self.serving.contains(&Self::backend(flow)),
        }
    }

    fn backend(flow: &Flow<F>) -> usize {
        (0..BACKENDS).find(|number| backend_addr::<F>(*number) == flow.reply.source).unwrap()
    }

    /// What the classifier sent on is as the flow's worker would have it.
    fn check_redirected(&self, outcome: &Outcome, before: Option<&Flow<F>>, direction: Direction) {
        let flow = before.expect("it was of a flow that its worker has given up");
        assert!(matches!(flow.lane, FlowLane::Fast(_)), "it was of a flow in the other lane");
        assert!(matches!(flow.state.get(), FlowState::Tcp(TcpState::Established) | FlowState::UdpStream));
        let seen = outcome.seen();
        let backend = Self::backend(flow);
        match direction {
            Direction::Forward => {
                assert_eq!(seen.ip.tuple::<F>(), flow.reply.reversed());
                let (link, mtu) = self.told[&backend].expect("the classifier was told a way");
                assert_eq!((seen.to, seen.from, seen.port), (link.destination, link.source, link.port));
                assert!(seen.ip.header.len() + seen.ip.l4.len() <= usize::from(mtu));
            }
            Direction::Reply => {
                assert_eq!(seen.ip.tuple::<F>(), flow.original.reversed());
                let flows = F::flows(&self.world.workers[0]);
                let link = flows.last_hops.get(flow.last_hop).unwrap().link;
                assert_eq!((seen.to, seen.from, seen.port), (link.destination, link.source, link.port));
            }
        }
        if flow.original.transport == Transport::Udp {
            assert!(self.serving_told.contains(&backend), "its backend serves no more, and all were told");
        }
    }

    /// Nobody else's account has changed, and what is being read has not.
    fn check(&mut self) {
        let flows = F::flows(&self.world.workers[0]);
        let tables = F::tables(&self.world.snapshot);
        let listed: Accounts<F> =
            flows.list(0, usize::MAX, tables).map(|flow| (flow.original, flow.traffic)).collect();
        for (original, traffic) in &listed {
            if let Some(expected) = self.accounts.get(original) {
                assert_eq!(traffic, expected, "the account of {original}");
            }
        }
        // Those of the flood come and go.
        self.accounts.retain(|original, _| listed.contains_key(original));
        let counters = self.world.workers[0].counters();
        let lane = self.world.lane.as_ref().unwrap();
        assert_eq!(
            counters.forwarded + counters.split + lane.forwarded.packets,
            self.sent_on,
            "packets of both lanes"
        );
        let fast = flows.list(0, usize::MAX, tables).filter(|flow| matches!(flow.lane, FlowLane::Fast(_)));
        assert_eq!(fast.count() as u64, counters.lane.flows);
        assert!(counters.lane.packets <= lane.forwarded.packets);
        let keys = lane.keys();
        assert!(keys >= 2 * counters.lane.flows as usize && keys <= KEYS);
        self.check_rest();
    }

    fn check_rest(&mut self) {
        let now = self.world.now;
        let lane = self.world.lane.as_ref().unwrap();
        let slots = Slots::share(Arc::clone(&lane.classifier.slots), 0, 1);
        for pair in 0..PAIRS {
            let read = slots.read(PairId(pair as u32));
            for direction in [0, 1] {
                let seen = &mut self.slots[2 * pair + direction];
                match (&read, seen.live) {
                    (None, true) => {
                        (seen.live, seen.ended) = (false, now);
                        if let Some(entry) = &seen.entry {
                            self.rested.insert(entry.came_by.unwrap_or(entry.hop).0, now);
                        }
                    }
                    (None, false) => {}
                    (Some(entries), live) => {
                        let entry = entries[direction];
                        if let Some(before) = seen.entry
                            && (!live || (before.arrives, before.leaves) != (entry.arrives, entry.leaves))
                        {
                            assert!(!live && now.since(seen.ended) >= REST, "slot {pair} has not rested");
                        }
                        (seen.live, seen.entry) = (true, Some(entry));
                        let last = if direction == 0 { entry.came_by.unwrap() } else { entry.hop };
                        let way = lane.classifier.hops.get(last).expect("a last hop is known");
                        let before = self.last_hops.insert(last.0, way);
                        if before.is_some_and(|(link, _)| link != way.0) {
                            let ended = self.rested.get(&last.0).copied().unwrap_or_default();
                            assert!(now.since(ended) >= REST, "{last:?} has not rested");
                        }
                    }
                }
            }
        }
    }

    fn talk(&mut self, client: usize, direction: Direction, flags: TcpFlags) {
        if let Some(packet) = self.packet(client, direction, flags) {
            self.send(client, direction, &packet);
        }
    }

    fn publish(&mut self, tell: bool) {
        if tell {
            self.tell();
        }
    }

    fn apply(&mut self, step: &Step) {
        let (forward, reply) = (Direction::Forward, Direction::Reply);
        match *step {
            Step::Greet { client } => {
                self.talk(client, forward, SYN);
                self.talk(client, reply, SYN_ACK);
                self.talk(client, forward, ACK);
            }
            Step::Talk { client, packets } => {
                for number in 0..packets {
                    self.talk(client, if number.is_multiple_of(2) { forward } else { reply }, ACK);
                }
            }
            Step::Say { client, reply, flags, long } => {
                let direction = if reply { Direction::Reply } else { forward };
                let flags = [SYN, ACK, FIN_ACK, SYN_ACK, NO_FLAGS][usize::from(flags)];
                let Some(mut packet) = self.packet(client, direction, flags) else { return };
                if long {
                    packet.payload = vec![7; 1290];
                }
                self.send(client, direction, &packet);
            }
            Step::Reset { client, reply, in_window } => self.reset(client, reply, in_window),
            Step::Move { client, to } => self.links[client] = to,
            Step::Flood { from } => {
                for number in 0..20 {
                    let mut packet = Spec::new(Self::original(0), SYN);
                    packet.tuple.source = F::addr(Network::Clients, 100 + u32::from(from) + number);
                    packet.link.destination.0[4] = number as u8;
                    let outcome = self.world.send(packet.link.port, &packet.bytes());
                    self.sent_on += u64::from(matches!(outcome.verdict, Verdict::Forward(_)));
                    self.check();
                }
            }
            Step::Serve { backends, tell } => {
                let serving: Vec<_> = (0..BACKENDS).filter(|number| backends >> number & 1 == 1).collect();
                self.world.set_backends(&serving);
                self.world.set_serving(&serving);
                self.serving = serving.into_iter().collect();
                self.publish(tell);
            }
            Step::Route { backend, to, tell } => {
                self.world.tables(|tables| {
                    let mut next_hop = *tables.next_hop(NextHopId(backend as u32));
                    next_hop.link = to.map(|to| backend_link(backend + 100 * usize::from(to)));
                    tables.next_hops.set([(backend, next_hop)], &NextHop::UNRESOLVED);
                });
                self.publish(tell);
            }
            Step::Usable { usable } => {
                let lane = self.world.lane();
                lane.classifier.usable.set(CLIENT_PORT, usable);
                lane.flushes.set(lane.flushes.get() + 1);
                self.tell();
            }
            Step::Mtu { mtu } => self.world.tables(|tables| tables.port_mtus = [mtu, 1500].into()),
            Step::Flush => {
                let flushes = &self.world.lane().flushes;
                flushes.set(flushes.get() + 1);
                self.tell();
            }
            Step::Tell => self.tell(),
            Step::Restart { packets } => self.restart(packets),
            Step::Wait { millis } => self.world.wait(Duration::from_millis(millis.into())),
            Step::Expire { millis } => {
                self.world.wait_and_expire(Duration::from_millis(millis.into()));
                self.world.wait_and_expire(Duration::from_millis(1));
            }
        }
        self.check();
    }

    /// Flows that were in the lane are known again; others begin anew.
    fn restart(&mut self, packets: u8) {
        let (tables, mut promoted) = (F::tables(&self.world.snapshot), HashSet::new());
        for flow in F::flows(&self.world.workers[0]).list(0, usize::MAX, tables) {
            let is_served = self.serving.contains(&Self::backend(&flow));
            let way = tables.next_hop(NextHopId(Self::backend(&flow) as u32)).link;
            if matches!(flow.lane, FlowLane::Fast(_)) && is_served && way.is_some() {
                promoted.insert(flow.original);
            }
        }
        self.world.restart();
        self.accounts.clear();
        self.last_hops.clear();
        self.sent_on = 0;
        self.world.lane().forwarded = Traffic::default();
        for number in 0..packets {
            let client = usize::from(number) % CLIENTS;
            let mut packet = Spec::new(Self::original(client), ACK);
            packet.link = self.client_link(client);
            let outcome = self.world.classify(packet.link.port, &packet.bytes());
            self.sent_on += u64::from(outcome.is_some());
        }
        self.tell();
        // One turn adopts as many as there can be.
        self.world.wait_and_expire(Duration::from_millis(1));
        for original in promoted {
            assert!(self.flow(&original).is_some(), "{original} is known again");
        }
    }

    fn reset(&mut self, client: usize, reply: bool, in_window: bool) {
        let direction = if reply { Direction::Reply } else { Direction::Forward };
        let original = Self::original(client);
        let Some(mut packet) = self.packet(client, direction, RST) else { return };
        let acked = self.acks[client][direction.other() as usize];
        packet.seq = acked.wrapping_add(if in_window { 100 } else { 1 << 22 });
        let before = self.flow(&original);
        let outcome = self.send(client, direction, &packet);
        let Some(before) = before.filter(|_| original.transport == Transport::Tcp) else { return };
        let is_open = before.state.get() != FlowState::Tcp(TcpState::Close);
        let knows = before.acked[direction.other() as usize] != 0 && is_open;
        let after = self.flow(&original).map(|flow| flow.state.get());
        if knows && !in_window && !matches!(outcome.verdict, Verdict::Reply(..)) {
            assert!(matches!(outcome.verdict, Verdict::Drop(_)), "a reset out of the window: {outcome:?}");
            assert_eq!(after, Some(before.state.get()));
        } else if matches!(outcome.verdict, Verdict::Forward(_)) {
            assert_eq!(after, Some(FlowState::Tcp(TcpState::Close)));
        }
    }

    /// When all is quiet, everything that went by the lane has been counted.
    fn finish(mut self) -> u64 {
        for _ in 0..3 {
            self.world.wait_and_expire(Duration::from_millis(1100));
        }
        let lane = self.world.lane.as_ref().unwrap();
        let counters = self.world.workers[0].counters().lane;
        assert_eq!((counters.packets, counters.bytes), (lane.forwarded.packets, lane.forwarded.bytes));
        self.world.wait_and_expire(Duration::from_secs(100_000));
        for _ in 0..3 {
            self.world.wait_and_expire(Duration::from_secs(1));
        }
        let lane = self.world.lane.as_ref().unwrap();
        assert!(lane.keys() == 0, "no key is left behind");
        assert_eq!(self.world.workers[0].counters().lane.flows, 0);
        counters.packets
    }
}

fn run<F: Net>(steps: &[Step]) -> u64 {
    let mut model = Model::<F>::new();
    steps.iter().for_each(|step| model.apply(step));
    model.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_packet_is_lost_or_sent_astray_v4(steps in prop::collection::vec(step(), 1..120)) {
        run::<V4>(&steps);
    }

    #[test]
    fn no_packet_is_lost_or_sent_astray_v6(steps in prop::collection::vec(step(), 1..120)) {
        run::<V6>(&steps);
    }
}
