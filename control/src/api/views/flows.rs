//! `penstock show flows`: asked of each worker, a page at a time.

use crate::{api::FlowsRequest, runtime::Appliance};
use penstock_dataplane::{
    table::{ServiceId, Snapshot, Tables},
    wire::Family,
    worker::{FlowFilter, FlowRecord, Query, WorkerHandle},
};
use serde::Serialize;
use std::time::{Duration, Instant};

/// How long a worker may take for a page, and all of them for everything: less than a client waits.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_WITH_ALL: Duration = Duration::from_secs(8);
/// How long to wait for room among a worker's questions.
const PAUSE: Duration = Duration::from_micros(500);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlowsView {
    flows: Vec<FlowView>,
    /// Whether there are more than the limit.
    more: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FlowView {
    worker: usize,
    /// The Service port, if it still exists.
    service_name: Option<String>,
    #[serde(flatten)]
    record: FlowRecord,
}

pub(super) fn view(
    appliance: &Appliance,
    snapshot: &Snapshot,
    request: &FlowsRequest,
) -> Result<FlowsView, String> {
    let begun = Instant::now();
    let mut flows = Vec::new();
    for (worker, owner) in appliance.workers.iter().enumerate() {
        let mut from = Some(0);
        while let Some(place) = from.filter(|_| flows.len() <= request.limit) {
            if begun.elapsed() > PATIENCE_WITH_ALL {
                return Err(format!(
                    "the workers are too busy to list all flows within {} s; ask for fewer (--limit)",
                    PATIENCE_WITH_ALL.as_secs()
                ));
            }
            let (records, next) = page(&owner.handle, place, request).ok_or_else(|| {
                format!("worker {worker} does not answer; `penstock show workers` tells if it lives")
            })?;
            flows.extend(records.into_iter().map(|record| {
                let service_name = name_of(snapshot, &record);
                FlowView { worker, service_name, record }
            }));
            from = next;
        }
    }
    let more = flows.len() > request.limit;
    flows.truncate(request.limit);
    Ok(FlowsView { flows, more })
}

fn page(
    worker: &WorkerHandle,
    from: usize,
    request: &FlowsRequest,
) -> Option<(Vec<FlowRecord>, Option<usize>)> {
    let (answer, answered) = crossbeam::channel::bounded(1);
    let filter = FlowFilter { client: request.client, backend: request.backend };
    let asked = Instant::now();
    while !worker.ask(Query::Flows { from, filter: filter.clone(), answer: answer.clone() }) {
        // Others are asking too.
        if asked.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
    answered.recv_timeout(PATIENCE).ok()
}

fn name_of(snapshot: &Snapshot, record: &FlowRecord) -> Option<String> {
    fn find<F: Family>(tables: &Tables<F>, id: ServiceId) -> Option<String> {
        tables.service(id).map(|service| service.name.to_string())
    }
    match record.vip.is_ipv4() {
        true => find(&snapshot.v4, record.service),
        false => find(&snapshot.v6, record.service),
    }
}
