//! The fast lane in `penstock show workers`: is there one, which interfaces are in it, and what share of the packets takes it?

use crate::{
    lane::Way,
    runtime::{Appliance, LanePort},
};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaneView {
    on: bool,
    because: String,
    /// Packets of Services that the classifier has sent on by itself.
    by_lane: u64,
    /// Those that workers have.
    by_worker: u64,
    interfaces: Vec<LanePortView>,
}

/// An interface in the lane, or not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LanePortView {
    interface: String,
    works: bool,
    /// Why not, or on what ground.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    sent: u64,
    dropped: u64,
}

impl From<LanePort> for LanePortView {
    fn from(port: LanePort) -> Self {
        let LanePort { interface, way, sent, dropped } = port;
        let (works, because, remedy) = match way {
            Way::Works => (true, None, None),
            Way::Assumed => (true, Some("its driver is known to".to_owned()), None),
            Way::Not(obstacle) => (false, Some(obstacle.to_string()), Some(obstacle.remedy(&interface))),
        };
        Self { interface, works, because, remedy, sent, dropped }
    }
}

pub(super) fn view(appliance: &Appliance) -> LaneView {
    let decision = appliance.lane.decision();
    let reports = appliance.workers.iter().map(|worker| worker.handle.report.read());
    let shares = reports.map(|report| (report.counters.lane.packets, report.counters.forwarded));
    let (by_lane, by_worker) =
        shares.fold((0, 0), |(lane, worker), (by_lane, by_worker)| (lane + by_lane, worker + by_worker));
    let ports = if decision.is_on() { appliance.lane.ports() } else { Vec::new() };
    LaneView {
        on: decision.is_on(),
        because: decision.to_string(),
        by_lane,
        by_worker,
        interfaces: ports.into_iter().map(LanePortView::from).collect(),
    }
}
