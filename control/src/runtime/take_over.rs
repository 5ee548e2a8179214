//! In the place of a former process, whose flows in the fast lane have gone on by the classifier that it left attached.
//!
//! Its classifier goes on until there are tables, and until workers know those flows. Then ours takes its place, in one step
//! an interface. Until then packets of other flows are dropped, as they were while nobody was there.

use super::{Appliance, RunningWorker, RuntimeError, packets};
use crate::{config::Config, routes::View};
use penstock_dataplane::io::PortId;
use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

/// How long workers may take to know the flows of a former process: a millisecond for a thousand, and a tenth of a second
/// before they begin. Flows to backends that have no next hop yet are not waited for.
const ADOPTION: Duration = Duration::from_secs(2);

/// Waits until the workers use this generation, and know the flows that the former process had promoted.
///
/// Workers give nobody the source port of a flow that they do not know yet ([`Lane::has_stray`]), but that is not enough: with
/// our classifier our epochs come into force, by which UDP's next packets are the workers'. A question would be a new flow's,
/// and an answer of a flow that nobody knows is dropped.
///
/// [`Lane::has_stray`]: penstock_dataplane::lane::Lane::has_stray
pub(super) async fn adopted(appliance: &Appliance, generation: u64) {
    let end = Instant::now() + ADOPTION;
    let has_strays = |worker: &RunningWorker| {
        let report = worker.handle.report.read();
        report.has_strays || report.generation < generation
    };
    while appliance.workers.iter().any(has_strays) && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Puts the classifier in the place of the former process's, now that it knows what that one knew.
pub(super) fn attach(config: &Config, appliance: &Appliance, view: &View) -> Result<(), RuntimeError> {
    let mut classifier = appliance.classifier.lock().unwrap_or_else(PoisonError::into_inner);
    packets::attach(config, &mut classifier)?;
    for (port, interface) in view.interfaces.iter().enumerate() {
        if let Some(link) = interface.link {
            appliance.lane.attached(PortId(port as u8), link.index, &classifier);
        }
    }
    appliance.workers.iter().for_each(|worker| worker.look_at_modes(&classifier, &view.interfaces));
    appliance.lane.take_over(&appliance.publisher.current());
    tracing::info!(
        "the classifier has taken over from a former process's, whose flows in the fast lane go on"
    );
    Ok(())
}
