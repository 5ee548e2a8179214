//! `penstock explain`: the path's own decision on the live tables, with the flow the packet already has, if any.

use crate::{
    api::PacketQuestion,
    runtime::{Appliance, RunningWorker},
};
use penstock_dataplane::{
    io::PortId,
    path::{Explanation, Remembered, explain},
    state::{Flow, Tuple},
    table::{Snapshot, Tables},
    wire::{Family, V4, V6},
    worker::Query,
};
use std::time::Duration;

/// How long a worker may take to find a flow.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn view(
    appliance: &Appliance,
    snapshot: &Snapshot,
    question: &PacketQuestion,
) -> Result<Explanation, String> {
    if let Some(tuple) = tuple::<V4>(question) {
        return Ok(of_family(appliance, &snapshot.v4, &tuple, Query::FindV4));
    }
    if let Some(tuple) = tuple::<V6>(question) {
        return Ok(of_family(appliance, &snapshot.v6, &tuple, Query::FindV6));
    }
    Err(format!("{} and {} are of different families: no packet has both", question.from, question.to))
}

/// The question's tuple, if both addresses are of this family.
pub(super) fn tuple<F: Family>(question: &PacketQuestion) -> Option<Tuple<F>> {
    Some(Tuple {
        source: F::from_ip(question.from.ip())?,
        destination: F::from_ip(question.to.ip())?,
        source_port: question.from.port(),
        destination_port: question.to.port(),
        transport: question.transport.into(),
    })
}

fn of_family<F: Family>(
    appliance: &Appliance,
    tables: &Tables<F>,
    tuple: &Tuple<F>,
    query: impl Fn(Tuple<F>, crossbeam::channel::Sender<Option<Flow<F>>>) -> Query,
) -> Explanation {
    // Whoever has the flow; else, as on the first port, who would.
    let ask = |worker: &'_ RunningWorker| {
        let (answer, answered) = crossbeam::channel::bounded(1);
        worker.handle.ask(query(*tuple, answer)).then_some(())?;
        answered.recv_timeout(PATIENCE).ok().flatten()
    };
    let mut workers = appliance.workers.iter();
    let flow = workers.clone().find_map(|worker| Some((worker, ask(worker)?)));
    let would =
        || workers.find(|worker| worker.steering.owner(tuple, PortId::default(), tables) == worker.index);
    let steering = flow.map(|(worker, _)| worker).or_else(would).or(appliance.workers.first());
    let steering = steering.map(|worker| &worker.steering);
    let flow = flow.map(|(_, flow)| flow);
    let remembered = Remembered { table: &appliance.common.affinity, now: appliance.common.now() };
    explain(tables, steering.unwrap_or(&appliance.steering), tuple, remembered, flow.as_ref())
}
