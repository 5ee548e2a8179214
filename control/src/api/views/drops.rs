//! `penstock show drops`: packets that were not forwarded, by reason, over all workers; and what the classifier did.

use crate::runtime::Appliance;
use penstock_dataplane::path::{DropReason, ReplyKind};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DropsView {
    drops: Vec<Reason>,
    replies: Vec<Reason>,
    /// Packets sent on to the gateway that has their flow.
    relayed: u64,
    /// Packets of another worker that its inbox had no room for.
    handoffs_refused: u64,
    classifier: Vec<Reason>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reason {
    reason: &'static str,
    packets: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    meaning: &'static str,
}

pub(super) fn view(appliance: &Appliance) -> DropsView {
    let reports: Vec<_> = appliance.workers.iter().map(|worker| worker.handle.report.read()).collect();
    let sum = |count: &dyn Fn(&penstock_dataplane::worker::Report) -> u64| reports.iter().map(count).sum();
    DropsView {
        drops: DropReason::ALL
            .iter()
            .map(|reason| Reason {
                reason: reason.name(),
                packets: sum(&|report| report.counters.drops(*reason)),
                meaning: reason.meaning().trim(),
            })
            .collect(),
        replies: ReplyKind::ALL
            .iter()
            .map(|kind| Reason {
                reason: kind.name(),
                packets: sum(&|report| report.counters.replied[*kind as usize]),
                meaning: kind.meaning().trim(),
            })
            .collect(),
        relayed: sum(&|report| report.counters.relayed),
        handoffs_refused: sum(&|report| report.handoffs_refused),
        classifier: appliance
            .classifier_counters()
            .into_iter()
            .map(|(reason, packets)| Reason { reason, packets, meaning: "" })
            .collect(),
    }
}
