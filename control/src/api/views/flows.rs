//! `penstock show flows`: asked of each worker, a page at a time.

use crate::{api::FlowsRequest, runtime::Appliance};
use penstock_dataplane::{
    table::{ServiceId, Snapshot, Tables},
    wire::Family,
    worker::{FlowFilter, FlowRecord, Query, WorkerHandle},
};
use serde::Serialize;
use std::time::Duration;

/// How long a worker may take for a page.
const PATIENCE: Duration = Duration::from_secs(1);

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
    let mut flows = Vec::new();
    for (worker, owner) in appliance.workers.iter().enumerate() {
        let mut from = Some(0);
        while let Some(place) = from.filter(|_| flows.len() <= request.limit) {
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
    if !worker.ask(Query::Flows { from, filter, answer }) {
        return None;
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
