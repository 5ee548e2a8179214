//! Questions that only a worker can answer, because only it knows its flows.
//!
//! A question looks at a bounded number of flows, so that packets never wait for it longer than some microseconds;
//! whoever wants all of them asks again from where the last answer ended.

use crate::{
    lane::{FlowLane, WhyNot},
    path::Path,
    state::{Flow, Flows, Millis, Traffic, Tuple},
    table::{ServiceId, Snapshot, Tables, Transport},
    wire::{Family, V4, V6},
};
use crossbeam::channel::Sender;
use hashbrown::HashSet;
use serde::Serialize;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Flows looked at for one answer.
const PAGE: usize = 1024;

/// A question.
#[derive(Debug)]
pub enum Query {
    /// The flows from a place on that pass a filter. The answer names the place to go on from, if there is more.
    Flows {
        /// Where to begin; 0 at first.
        from: usize,
        /// Which ones.
        filter: FlowFilter,
        /// Where to put them.
        answer: Sender<(Vec<FlowRecord>, Option<usize>)>,
    },
    /// Which of these the flows from a place on use. The answer names the place to go on from, if there is more.
    Uses {
        /// Where to begin; 0 at first.
        from: usize,
        /// What is looked for.
        sought: Arc<Uses>,
        /// Where to put what was found.
        answer: Sender<(Uses, Option<usize>)>,
    },
    /// The IPv4 flow that packets with this tuple belong to.
    FindV4(Tuple<V4>, Sender<Option<Flow<V4>>>),
    /// The IPv6 flow that packets with this tuple belong to.
    FindV6(Tuple<V6>, Sender<Option<Flow<V6>>>),
}

/// Which flows to list. Empty fields let all pass.
#[derive(Debug, Clone, Default)]
pub struct FlowFilter {
    /// Flows of this client address.
    pub client: Option<IpAddr>,
    /// Flows to this backend address.
    pub backend: Option<IpAddr>,
}

/// What flows use: of their destinations and backends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Addresses of backends.
    pub backends: HashSet<IpAddr>,
    /// Destination addresses.
    pub vips: HashSet<IpAddr>,
    /// Destination ports.
    pub ports: HashSet<(Transport, u16)>,
    /// Ports of backends.
    pub backend_ports: HashSet<(Transport, u16)>,
}

/// A flow, for people.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowRecord {
    /// Protocol.
    pub transport: Transport,
    /// Who asks.
    pub client: SocketAddr,
    /// What it asked.
    pub vip: SocketAddr,
    /// Who answers.
    pub backend: SocketAddr,
    /// The source the backend sees.
    pub source: SocketAddr,
    /// The state.
    pub state: String,
    /// The number of the Service port it was opened for.
    pub service: ServiceId,
    /// Since when, in milliseconds.
    pub age_ms: u64,
    /// Since its last packet, in milliseconds.
    pub idle_ms: u64,
    /// From the client.
    pub forward: Traffic,
    /// From the backend.
    pub reply: Traffic,
    /// The lane it goes by.
    #[serde(flatten)]
    pub lane: LaneRecord,
}

/// A flow's lane, for people.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "lane", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LaneRecord {
    /// Its worker's.
    User {
        /// Why not the fast one.
        why_not_fast: WhyNot,
    },
    /// The classifier's.
    Fast {
        /// What of `forward` went by it since the flow was promoted.
        fast_forward: Traffic,
        /// The same of `reply`.
        fast_reply: Traffic,
    },
}

impl Query {
    /// Answers. An asker that has gone is no error.
    pub(super) fn answer(self, path: &Path, snapshot: &Snapshot, now: Millis) {
        match self {
            Self::Flows { from, filter, answer } => {
                let _ = answer.send(page(path, snapshot, from, &filter, now));
            }
            Self::Uses { from, sought, answer } => {
                let _ = answer.send(uses(path, from, &sought));
            }
            Self::FindV4(tuple, answer) => {
                let _ = answer.send(find(path.flows_v4(), &snapshot.v4, &tuple));
            }
            Self::FindV6(tuple, answer) => {
                let _ = answer.send(find(path.flows_v6(), &snapshot.v6, &tuple));
            }
        }
    }
}

fn find<F: Family>(flows: &Flows<F>, tables: &Tables<F>, tuple: &Tuple<F>) -> Option<Flow<F>> {
    let found = flows.table.find(flows.table.hash(tuple), tuple)?;
    flows.get(found.id, tables)
}

/// Where a page begins. IPv4 flows have the places from 0 on, IPv6 flows those behind them.
enum Page {
    V4(usize),
    V6(usize),
}

impl Page {
    /// The page at a place, and where the next one begins, if there is one. Places that never held a flow are left out:
    /// an idle worker takes its time for every page.
    fn at(from: usize, path: &Path) -> (Self, Option<usize>) {
        let (v4, v6) = (&path.flows_v4().table, &path.flows_v6().table);
        let to = from.saturating_add(PAGE);
        match from.checked_sub(v4.capacity()) {
            None if to < v4.reached() => (Self::V4(from), Some(to)),
            None => (Self::V4(from), (v6.reached() > 0).then_some(v4.capacity())),
            Some(place) => (Self::V6(place), (place + PAGE < v6.reached()).then_some(to)),
        }
    }
}

fn page(
    path: &Path,
    snapshot: &Snapshot,
    from: usize,
    filter: &FlowFilter,
    now: Millis,
) -> (Vec<FlowRecord>, Option<usize>) {
    let (page, next) = Page::at(from, path);
    let (v4, v6) = (path.flows_v4(), path.flows_v6());
    let mut records: Vec<_> = match page {
        Page::V4(place) => v4.list(place, PAGE, &snapshot.v4).map(|flow| record(&flow, now)).collect(),
        Page::V6(place) => v6.list(place, PAGE, &snapshot.v6).map(|flow| record(&flow, now)).collect(),
    };
    records.retain(|record| filter.passes(record));
    (records, next)
}

fn uses(path: &Path, from: usize, sought: &Uses) -> (Uses, Option<usize>) {
    let (page, next) = Page::at(from, path);
    let mut found = Uses::default();
    match page {
        Page::V4(place) => path.flows_v4().table.list(place, PAGE).for_each(|flow| found.note(&flow, sought)),
        Page::V6(place) => path.flows_v6().table.list(place, PAGE).for_each(|flow| found.note(&flow, sought)),
    }
    (found, next)
}

impl Uses {
    fn note<F: Family>(&mut self, flow: &Flow<F>, sought: &Uses) {
        let backend = F::to_ip(flow.reply.source);
        if sought.backends.contains(&backend) {
            self.backends.insert(backend);
        }
        let Tuple { destination, destination_port, transport, .. } = flow.original;
        let vip = F::to_ip(destination);
        if sought.vips.contains(&vip) {
            self.vips.insert(vip);
        }
        if sought.ports.contains(&(transport, destination_port)) {
            self.ports.insert((transport, destination_port));
        }
        let backend_port = (transport, flow.reply.source_port);
        if sought.backend_ports.contains(&backend_port) {
            self.backend_ports.insert(backend_port);
        }
    }
}

impl FlowFilter {
    fn passes(&self, record: &FlowRecord) -> bool {
        self.client.is_none_or(|client| client == record.client.ip())
            && self.backend.is_none_or(|backend| backend == record.backend.ip())
    }
}

fn record<F: Family>(flow: &Flow<F>, now: Millis) -> FlowRecord {
    let address = |addr, port| SocketAddr::new(F::to_ip(addr), port);
    FlowRecord {
        transport: flow.original.transport,
        client: address(flow.original.source, flow.original.source_port),
        vip: address(flow.original.destination, flow.original.destination_port),
        backend: address(flow.reply.source, flow.reply.source_port),
        source: address(flow.reply.destination, flow.reply.destination_port),
        state: flow.state.get().to_string(),
        service: flow.service,
        age_ms: now.since(flow.created).as_millis() as u64,
        idle_ms: now.since(flow.last_seen).as_millis() as u64,
        forward: flow.traffic[0],
        reply: flow.traffic[1],
        lane: match flow.lane {
            FlowLane::User(why_not_fast) => LaneRecord::User { why_not_fast },
            FlowLane::Fast([fast_forward, fast_reply]) => LaneRecord::Fast { fast_forward, fast_reply },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathConfig;

    #[test]
    fn an_empty_table_is_one_page_however_large() {
        let path = Path::new(PathConfig::single(61_000..=65_535));
        assert!(path.flows_v4().table.capacity() > PAGE);
        let (records, next) = page(&path, &Snapshot::default(), 0, &FlowFilter::default(), Millis::default());
        assert!(records.is_empty());
        assert_eq!(next, None);
        assert_eq!(uses(&path, 0, &Uses::default()).1, None);
    }
}
