//! The flow table against a plain map, in any order of operations, tiny capacities included.

use crate::{
    lane::FlowLane,
    state::{
        Deltas, Direction, Flow, FlowId, FlowState, FlowTable, Found, LastHopId, Millis, TcpState, Timeouts,
        Traffic, Tuple,
    },
    table::{BackendId, NextHopId, ServiceId, Transport},
    wire::{Family, V4, V6},
};
use proptest::prelude::*;
use std::{collections::HashMap, net::Ipv6Addr, time::Duration};

trait Numbered: Family {
    fn numbered(number: u16) -> Self::Addr;
}

impl Numbered for V4 {
    fn numbered(number: u16) -> Self::Addr {
        (0x0a00_0000 + u32::from(number)).into()
    }
}

impl Numbered for V6 {
    fn numbered(number: u16) -> Self::Addr {
        Ipv6Addr::new(0xfd00, 0, 0, number, 0, 0, 0, number)
    }
}

const STATES: [FlowState; 8] = [
    FlowState::Tcp(TcpState::SynSent),
    FlowState::Tcp(TcpState::Established),
    FlowState::Tcp(TcpState::TimeWait),
    FlowState::Tcp(TcpState::Close),
    FlowState::Tcp(TcpState::FinWait),
    FlowState::UdpUnreplied,
    FlowState::UdpReplied,
    FlowState::UdpStream,
];

fn flow<F: Numbered>(client: u16, state: FlowState, now: Millis) -> Flow<F> {
    let transport = if matches!(state, FlowState::Tcp(_)) { Transport::Tcp } else { Transport::Udp };
    let original = Tuple {
        source: F::numbered(client),
        destination: F::numbered(1000),
        source_port: 5,
        destination_port: 80,
        transport,
    };
    let reply = Tuple {
        source: F::numbered(2000),
        destination: F::numbered(3000),
        source_port: 8080,
        destination_port: 61_000 + client * 2 + u16::from(transport == Transport::Udp),
        transport,
    };
    Flow {
        original,
        reply,
        state: state.into(),
        deltas: [Deltas::default(); 2],
        next_hop: NextHopId(0),
        backend: BackendId(0),
        service: ServiceId(0),
        acked: [0; 2],
        udp_epoch: 0,
        last_hop: LastHopId::default(),
        created: now,
        last_seen: now,
        traffic: [Traffic::default(); 2],
        lane: FlowLane::default(),
    }
}

fn insert<F: Family>(table: &mut FlowTable<F>, flow: Flow<F>, timeouts: &Timeouts) -> Option<FlowId> {
    table.insert(flow, table.hashes(&flow.original, &flow.reply), timeouts)
}

#[derive(Debug, Clone)]
enum Step {
    Insert { client: u16, state: usize },
    Remove { client: u16, udp: bool, by_reply: bool },
    Touch { client: u16, udp: bool },
    SetState { client: u16, udp: bool, state: usize },
    Wait { millis: u32 },
    Sweep { examine: usize, most: usize },
    Evict,
}

fn step() -> impl Strategy<Value = Step> {
    let (client, state) = (0..24u16, 0..STATES.len());
    prop_oneof![
        4 => (client.clone(), state.clone()).prop_map(|(client, state)| Step::Insert { client, state }),
        2 => (client.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(client, udp, by_reply)| Step::Remove { client, udp, by_reply }),
        2 => (client.clone(), any::<bool>()).prop_map(|(client, udp)| Step::Touch { client, udp }),
        2 => (client, any::<bool>(), state)
            .prop_map(|(client, udp, state)| Step::SetState { client, udp, state }),
        1 => (0..200_000u32).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Wait { millis: 86_400_000 }),
        1 => (0..40usize, 0..10usize).prop_map(|(examine, most)| Step::Sweep { examine, most }),
        1 => Just(Step::Evict),
    ]
}

struct Pair<F: Family> {
    table: FlowTable<F>,
    model: HashMap<Tuple<F>, Flow<F>>,
    timeouts: Timeouts,
    now: Millis,
}

impl<F: Numbered> Pair<F> {
    fn key(client: u16, udp: bool) -> Tuple<F> {
        let state = if udp { FlowState::UdpStream } else { FlowState::Tcp(TcpState::None) };
        flow::<F>(client, state, Millis::default()).original
    }

    fn expired(&self, flow: &Flow<F>) -> bool {
        self.now.since(flow.last_seen) >= self.timeouts.of(flow.state.get())
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Insert { client, state } => self.insert(flow(client, STATES[state], self.now)),
            Step::Remove { client, udp, by_reply } => {
                let key = Self::key(client, udp);
                let Some(modelled) = self.model.remove(&key) else { return };
                let tuple = if by_reply { modelled.reply } else { modelled.original };
                let found = self.table.find(self.table.hash(&tuple), &tuple).expect("it is there");
                assert_eq!(self.table.remove(found.id), Some(modelled));
                assert_eq!(self.table.remove(found.id), None, "once");
            }
            Step::Touch { client, udp } => {
                let key = Self::key(client, udp);
                let Some(modelled) = self.model.get_mut(&key) else { return };
                modelled.last_seen = self.now;
                let found = self.table.find(self.table.hash(&key), &key).expect("it is there");
                self.table.record_mut(found.id).expect("it is there").last_seen = self.now;
            }
            Step::SetState { client, udp, state } => {
                let key = Self::key(client, udp);
                let Some(modelled) = self.model.get_mut(&key) else { return };
                (modelled.last_seen, modelled.state) = (self.now, STATES[state].into());
                let found = self.table.find(self.table.hash(&key), &key).expect("it is there");
                self.table.record_mut(found.id).expect("it is there").last_seen = self.now;
                self.table.set_state(found.id, STATES[state], self.now, &self.timeouts);
            }
            Step::Wait { millis } => self.now = self.now.after(Duration::from_millis(millis.into())),
            Step::Sweep { examine, most } => self.sweep(examine, most),
            Step::Evict => self.evict(),
        }
    }

    fn insert(&mut self, new: Flow<F>) {
        if self.model.contains_key(&new.original) {
            return;
        }
        let full = self.model.len() == self.table.capacity();
        let id = insert(&mut self.table, new, &self.timeouts);
        assert_eq!(id.is_none(), full, "it refuses only when it is full");
        if let Some(id) = id {
            assert_eq!(self.table.get(id), Some(new));
            self.model.insert(new.original, new);
        }
    }

    fn sweep(&mut self, examine: usize, most: usize) {
        let mut gone = Vec::new();
        self.table.sweep(self.now, &self.timeouts, examine, most, |_| None, |_, flow| gone.push(flow));
        assert!(gone.len() <= most.min(examine));
        for flow in gone {
            assert!(self.expired(&flow), "{flow:?} went too early");
            assert_eq!(self.model.remove(&flow.original), Some(flow));
        }
    }

    fn evict(&mut self) {
        let best = self.model.values().filter_map(Flow::eviction_rank).min();
        let evicted = self.table.evict().map(|(_, flow)| flow);
        assert_eq!(evicted.as_ref().and_then(Flow::eviction_rank), best, "the one that may go first");
        if let Some(flow) = evicted {
            assert_eq!(self.model.remove(&flow.original), Some(flow));
        }
    }

    fn compare(&self) {
        assert_eq!(self.table.len(), self.model.len());
        assert_eq!(self.table.is_empty(), self.model.is_empty());
        for client in 0..24 {
            for udp in [false, true] {
                let key = Self::key(client, udp);
                let hash = self.table.hash(&key);
                let found = self.table.find(hash, &key);
                let likely = self.table.prefetch_flow(hash);
                assert!(!self.table.holds(likely, &key) || found.map(Found::entry) == Some(likely));
                assert!(found.is_none_or(|found| self.table.holds(found.entry(), &key)));
                let modelled = self.model.get(&key);
                assert_eq!(found.and_then(|found| self.table.get(found.id)).as_ref(), modelled);
                assert!(found.is_none_or(|found| found.direction == Direction::Forward));
                let Some(modelled) = modelled else { continue };
                let back = self.table.find(self.table.hash(&modelled.reply), &modelled.reply);
                let back = back.expect("found by its reply too");
                assert_eq!((Some(back.id), back.direction), (found.map(|found| found.id), Direction::Reply));
            }
        }
        let listed = self.table.list(0, self.table.capacity()).count();
        assert_eq!(listed, self.model.len());
    }
}

fn agrees<F: Numbered>(capacity: usize, seed: u64, start: u32, steps: &[Step]) {
    let table = FlowTable::new(capacity, seed);
    let mut pair =
        Pair::<F> { table, model: HashMap::new(), timeouts: Timeouts::default(), now: Millis(start) };
    for step in steps {
        pair.apply(step);
        pair.compare();
    }
    // One whole turn of the hand finds all that is over, whatever happened before.
    pair.sweep(capacity, usize::MAX);
    let left = pair.model.values().find(|flow| pair.expired(flow));
    assert_eq!(left, None, "overlooked by a whole sweep");
    pair.compare();
}

proptest! {
    #[test]
    fn a_flow_table_is_a_map_by_two_keys(
        capacity in prop_oneof![1..=4usize, 5..=48usize],
        seed: u64,
        start: u32,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        agrees::<V4>(capacity, seed, start, &steps);
        agrees::<V6>(capacity, seed, start, &steps);
    }
}

/// A full table of many flows, all of whose keys must be found, and none that was taken out.
#[test]
fn a_full_table_finds_everything() {
    let mut table = FlowTable::<V4>::new(20_000, 7);
    let make = |number: u32| {
        let mut flow = flow::<V4>(0, FlowState::UdpStream, Millis(0));
        flow.original.source = number.into();
        flow.reply.destination = (number + 1_000_000).into();
        flow
    };
    for number in 0..20_000 {
        assert!(insert(&mut table, make(number), &Timeouts::default()).is_some(), "flow {number}");
    }
    assert!(insert(&mut table, make(20_000), &Timeouts::default()).is_none(), "full");
    for number in (0..20_000).step_by(2) {
        let tuple = make(number).reply;
        let found = table.find(table.hash(&tuple), &tuple).expect("found by its reply");
        table.remove(found.id);
    }
    for number in 0..20_000 {
        let tuple = make(number).original;
        assert_eq!(table.find(table.hash(&tuple), &tuple).is_some(), number % 2 == 1);
    }
    for number in 20_000..30_000 {
        assert!(insert(&mut table, make(number), &Timeouts::default()).is_some(), "flow {number}");
    }
    assert_eq!(table.len(), 20_000);
}
