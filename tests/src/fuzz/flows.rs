//! Any operations on a flow table, held against a map by two keys.

use super::input::Input;
use penstock_dataplane::{
    lane::FlowLane,
    state::{
        Deltas, Direction, Flow, FlowState, FlowTable, Found, LastHopId, Millis, SctpState, TcpState,
        Timeouts, Traffic, Tuple,
    },
    table::{BackendId, NextHopId, ServiceId, Transport},
    wire::{Family, V4, V6},
};
use std::{collections::HashMap, net::IpAddr, time::Duration};

const STATES: [FlowState; 8] = [
    FlowState::Tcp(TcpState::SynSent),
    FlowState::Tcp(TcpState::Established),
    FlowState::Tcp(TcpState::TimeWait),
    FlowState::Tcp(TcpState::Close),
    FlowState::Sctp(SctpState::CookieWait),
    FlowState::UdpUnreplied,
    FlowState::UdpReplied,
    FlowState::UdpStream,
];

/// A worker's hand goes round every second.
const MOST_UNSWEPT: Duration = Duration::from_hours(240);

/// The first bytes say which family, how large and how seeded.
pub fn flows(data: &[u8]) {
    let mut input = Input::new(data);
    let (family, capacity, seed) =
        (input.byte(), usize::from(input.byte()) % 96 + 1, u64::from(input.byte()));
    let start = Millis(u32::from(input.word()) << 16);
    if family & 1 == 0 {
        Pair::<V4>::new(capacity, seed, start).run(&mut input);
    } else {
        Pair::<V6>::new(capacity, seed, start).run(&mut input);
    }
}

struct Pair<F: Family> {
    table: FlowTable<F>,
    model: HashMap<Tuple<F>, Flow<F>>,
    timeouts: Timeouts,
    now: Millis,
    unswept: Duration,
}

impl<F: Family> Pair<F> {
    fn new(capacity: usize, seed: u64, now: Millis) -> Self {
        let (table, model) = (FlowTable::new(capacity, seed), HashMap::new());
        Self { table, model, timeouts: Timeouts::default(), now, unswept: Duration::ZERO }
    }

    fn run(mut self, input: &mut Input<'_>) {
        while !input.is_empty() {
            let (what, which) = (input.byte(), input.byte());
            let state = STATES[usize::from(what >> 3) % STATES.len()];
            match what & 7 {
                0 | 1 => self.insert(flow(which, state, self.now)),
                2 => self.remove(which, what & 8 != 0),
                3 => self.touch(which, None),
                4 => self.touch(which, Some(state)),
                5 => self.wait(Duration::from_millis(u64::from(which) << (what >> 3).min(20))),
                6 => self.sweep(usize::from(which), usize::from(what >> 3)),
                _ => self.evict(),
            }
            self.compare(which);
        }
        self.sweep(self.table.capacity(), usize::MAX);
        let overlooked = self.model.values().find(|flow| self.is_over(flow));
        assert_eq!(overlooked, None, "overlooked by a whole sweep");
        assert_eq!(self.table.list(0, self.table.capacity()).count(), self.model.len());
        for which in 0..=u8::MAX {
            self.compare(which);
        }
    }

    /// Lets time pass; not more of it without a sweep than the clock, which wraps, can tell.
    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.unswept += time;
        if self.unswept > MOST_UNSWEPT {
            self.sweep(self.table.capacity(), usize::MAX);
            self.unswept = Duration::ZERO;
        }
    }

    fn is_over(&self, flow: &Flow<F>) -> bool {
        self.now.since(flow.last_seen) >= self.timeouts.of(flow.state.get())
    }

    fn insert(&mut self, new: Flow<F>) {
        if self.model.contains_key(&new.original) {
            return;
        }
        let is_full = self.model.len() == self.table.capacity();
        let id = self.table.insert(new, self.table.hashes(&new.original, &new.reply), &self.timeouts);
        assert_eq!(id.is_none(), is_full, "it refuses only when it is full");
        if id.is_some() {
            self.model.insert(new.original, new);
        }
    }

    fn remove(&mut self, which: u8, by_reply: bool) {
        let Some(gone) = self.model.remove(&key(which)) else { return };
        let tuple = if by_reply { gone.reply } else { gone.original };
        let found = self.table.find(self.table.hash(&tuple), &tuple);
        let Some(found) = found else { panic!("{tuple:?} is not found") };
        assert_eq!(self.table.remove(found.id), Some(gone));
        assert_eq!(self.table.remove(found.id), None, "once");
    }

    fn touch(&mut self, which: u8, state: Option<FlowState>) {
        let key = key(which);
        let Some(modelled) = self.model.get_mut(&key) else { return };
        modelled.last_seen = self.now;
        modelled.state = state.map_or(modelled.state, Into::into);
        let found = self.table.find(self.table.hash(&key), &key);
        let Some(found) = found else { panic!("{key:?} is not found") };
        assert!(self.table.holds(found.entry(), &key), "{found:?} does not name {key:?}");
        let Some(flow) = self.table.record_mut(found.id) else { panic!("{found:?} is no flow") };
        flow.last_seen = self.now;
        if let Some(state) = state {
            self.table.set_state(found.id, state, self.now, &self.timeouts);
        }
    }

    fn sweep(&mut self, examine: usize, most: usize) {
        let mut gone = Vec::new();
        self.table.sweep(self.now, &self.timeouts, examine, most, |_| None, |_, flow| gone.push(flow));
        assert!(gone.len() <= most.min(examine));
        for flow in gone {
            assert!(self.is_over(&flow), "{flow:?} went too early");
            assert_eq!(self.model.remove(&flow.original), Some(flow));
        }
    }

    fn evict(&mut self) {
        let rank = self.table.evict().map(|(_, flow)| {
            assert_eq!(self.model.remove(&flow.original), Some(flow));
            flow.eviction_rank()
        });
        // Of a table that one eviction sees whole, the best one goes.
        if self.table.capacity() <= 64 {
            let best = self.model.values().filter_map(Flow::eviction_rank).min();
            match rank {
                Some(rank) => assert!(best.is_none_or(|best| rank.is_some_and(|rank| rank <= best))),
                None => assert_eq!(best, None, "one might have gone"),
            }
        }
    }

    fn compare(&self, which: u8) {
        assert_eq!(self.table.len(), self.model.len());
        let key = key(which);
        let hash = self.table.hash(&key);
        let found = self.table.find(hash, &key);
        let likely = self.table.prefetch_flow(hash);
        assert!(!self.table.holds(likely, &key) || found.map(Found::entry) == Some(likely));
        let modelled = self.model.get(&key);
        assert_eq!(found.and_then(|found| self.table.get(found.id)).as_ref(), modelled);
        let Some(modelled) = modelled else { return };
        let back = self.table.find(self.table.hash(&modelled.reply), &modelled.reply);
        assert_eq!(back.map(|back| back.direction), Some(Direction::Reply), "found by its reply too");
        assert_eq!(back.map(|back| back.id), found.map(|found| found.id));
    }
}

fn address<F: Family>(number: u8) -> F::Addr {
    let v6 = std::net::Ipv6Addr::new(0xfd00, 0, 0, u16::from(number), 0, 0, 0, u16::from(number));
    let both = [IpAddr::from([10, 0, 0, number]), IpAddr::V6(v6)];
    both.into_iter().find_map(F::from_ip).unwrap_or(F::UNSPECIFIED)
}

fn key<F: Family>(which: u8) -> Tuple<F> {
    Tuple {
        source: address::<F>(which / 2),
        destination: address::<F>(200),
        source_port: 5,
        destination_port: 80,
        transport: if which & 1 == 0 { Transport::Tcp } else { Transport::Udp },
    }
}

fn flow<F: Family>(which: u8, state: FlowState, now: Millis) -> Flow<F> {
    let original = key(which);
    let reply = Tuple {
        source: address::<F>(201),
        destination: address::<F>(202),
        source_port: 8080,
        destination_port: 61_000 + u16::from(which),
        transport: original.transport,
    };
    Flow {
        original,
        reply,
        state: state.into(),
        deltas: [Deltas::default(); 2],
        next_hop: NextHopId(0),
        backend: BackendId(0),
        service: ServiceId(0),
        udp_epoch: 0,
        last_hop: LastHopId::default(),
        acked: [0; 2],
        created: now,
        last_seen: now,
        traffic: [Traffic::default(); 2],
        lane: FlowLane::default(),
    }
}
